"""Facts about the throughput benchmark: every row is measured, by the code of large sizes."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed.steps.stepper import interleaved, shape_of
from tests.benchmarks.bare_machine import run_bare

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def throughput():
    path = ROOT / "benchmarks" / "speed" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch):
    """As on a bare machine; making a database would take seconds."""
    monkeypatch.setattr("benchmarks.speed.steps.comparisons._has_mlflow", lambda: False)


def test_the_cpu_table_compares_both_sides(throughput):
    rows = throughput.measured(throughput.cpu_cases(quick=True))
    assert [row.get("goal") for row in rows] == [0.97, 1.6, 1.0, None]
    for row in rows:
        assert row["ratio"] > 0
    assert rows[3]["what"] == "deterministic / not"
    assert not torch.are_deterministic_algorithms_enabled()  # left as it was found


def test_ratios_are_medians_over_rounds_of_what_took_turns():
    taken = []
    paired = interleaved(
        lambda first: taken.append(("ours", first)),
        lambda first: taken.append(("theirs", first)),
        2,
        5,
    )
    assert sorted(taken) == [(who, first) for who in ("ours", "theirs") for first in (0, 5, 10)]
    assert taken[0][0] != taken[2][0]  # neither is always first
    assert min(paired) > 0


def test_the_gpu_table_runs_on_a_cpu_with_tiny_sizes(throughput):
    rows = throughput.measured(
        throughput.gpu_cases(torch.device("cpu"), quick=True, compiled=False)
    )
    one_run, packed, deterministic = rows
    assert deterministic["ratio"] > 0
    assert one_run["tokens_per_second"] > 0
    assert one_run["mfu"] is None  # no peak is known for a CPU
    assert one_run["first_steps_seconds"] > 0
    assert packed["what"] == "packed x4 / single"


@pytest.mark.parametrize("name", ["0.1M", "1M", "10M", "30M", "125M", "350M", "1B"])
def test_the_models_of_the_gpu_table_have_the_sizes_they_are_called_by(throughput, name):
    width, depth, vocab_size, context, head_size = throughput.GPU_MODELS[name][0]
    shape = shape_of(width, depth, vocab_size, context, head_size)
    size = float(name[:-1]) * {"M": 1e6, "B": 1e9}[name[-1]]
    assert shape.params == pytest.approx(size, rel=0.35)  # names are rounded, vocabularies extra


def test_it_writes_json(throughput, monkeypatch, tmp_path, capsys):
    path = tmp_path / "throughput.json"
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--quick", "--gpu-table", "-o", str(path)])
    throughput.main()
    document = json.loads(path.read_text())
    assert document["quick"] is True
    assert len(document["rows"]) == 3
    assert "packed x4 / single" in capsys.readouterr().out


def test_a_row_that_fails_costs_the_others_nothing_and_each_is_kept_as_it_is_known(throughput):
    kept, good = [], {"what": "a row", "model": "tiny", "params": 1, "ratio": 2.0}

    def failing():
        raise RuntimeError("CUDA error: misaligned address")

    rows = throughput.measured(
        [("first", lambda: good), ("second", failing), ("third", lambda: good)],
        lambda rows: kept.append(len(rows)),
    )
    assert kept == [1, 2, 3]
    assert rows[1] == {"what": "second", "failed": "RuntimeError: CUDA error: misaligned address"}
    assert rows[0] == rows[2] == good


def test_no_row_begins_after_the_budget(throughput):
    rows = throughput.measured([("first", lambda: 1 / 0)], budget_seconds=-1)
    assert rows == [{"what": "first", "left_out": "after -1 s"}]


@pytest.mark.slow  # a new process imports all of it
@pytest.mark.parametrize(
    ("options", "row"),
    [([], "Lightning / plain loop"), (["--gpu-table"], "packed x4 / single")],
    ids=["cpu", "gpu table"],
)
def test_it_runs_with_torch_and_lightning_alone(tmp_path, options, row):
    script, out = "benchmarks/speed/throughput.py", str(tmp_path / "out")
    assert row in run_bare(tmp_path, script, "--quick", *options, "-o", out)
