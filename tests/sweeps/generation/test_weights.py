"""Facts about files of weights: they give the trained model back, or one line of why not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from scaling.errors import ConfigError
from sweeps.config.sweep import SweepConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.generation.weights import read_weights, weights_path
from sweeps.objectives.registry import find_objective
from sweeps.planning.costs.memory import memory_document
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import memory_text
from sweeps.running.runner import run_sweep
from sweeps.training.evaluation import evaluate
from tests.conformance.memory_store import MemoryStore


def config(folder) -> SweepConfig:
    return config_from_mapping(
        {
            "name": "kept",
            "grid": {"width": 16, "tokens": [8000], "seed": [1, 2]},
            "model": {"head_size": 8, "context": 16},
            "data": {"source": "markov", "order": 1, "symbols": 8, "validation_windows": 32},
            "launch": {
                "workers": 1,
                "device": "cpu",
                "keep_weights": True,
                "weights_folder": str(folder / "weights"),
                "checkpoints": {"folder": str(folder / "checkpoints")},
            },
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(plan, store, folder) of a sweep of one pack of two seeds, trained in this process."""
    from sweeps.running import runner
    from tests.sweeps.work_here import work_here

    folder = tmp_path_factory.mktemp("kept")
    plan, store = plan_sweep(config(folder)), MemoryStore()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "find_launcher", lambda engine: work_here)
        run_sweep(plan, store)
    return plan, store, folder / "weights"


def test_each_replica_of_a_pack_has_a_file_whose_loss_is_the_one_recorded(trained):
    plan, store, folder = trained
    assert len(list(folder.iterdir())) == len(plan.runs) == 2
    for run in plan.runs:
        record = store.records[run.run_id]
        assert record["weights_file"] == str(weights_path(folder, run.run_id))
        kept = read_weights(record["weights_file"], record["weights_sha256"], run.run_id)
        assert (kept.run_id, kept.family, kept.objective) == (run.run_id, run.family, "causal")
        corpus = load_corpus(plan.config.data, run.shape.context)
        loss, _ = evaluate(kept.model, corpus, find_objective(run.objective))
        # a stack of one multiplies in other shapes than the pack did
        assert loss == pytest.approx(record["loss"], abs=1e-5)


def test_a_plan_says_what_the_files_take(trained):
    plan, _, folder = trained
    assert f"in 2 files of weights in {folder}" in memory_text(plan)
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert memory_document(plan)["weights_gb"] == pytest.approx(size / 1e9, rel=0.1)  # headers


def test_a_folder_that_nobody_will_use_is_refused():
    with pytest.raises(ConfigError, match=r"launch.weights_folder is not used without"):
        config_from_mapping(
            {
                "name": "a",
                "grid": {"width": 32, "flops": 1e9},
                "launch": {"weights_folder": "elsewhere"},
            }
        )


def refusal(path, **known):
    with pytest.raises(ConfigError) as caught:
        read_weights(path, **known)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def copied(trained, tmp_path):
    """A file of weights that may be damaged."""
    plan, _, folder = trained
    run_id = plan.runs[0].run_id
    return shutil.copy(weights_path(folder, run_id), tmp_path / "copy.safetensors")


def rewritten(path, change):
    """The file with its matrices and header changed."""
    from safetensors import safe_open

    matrices = load_file(path)
    with safe_open(path, framework="pt") as file:
        stated = file.metadata()
    said = json.loads(stated["scaling"])
    change(matrices, said)
    save_file(matrices, path, metadata={**stated, "scaling": json.dumps(said)})
    return path


def test_a_file_that_is_missing_or_cut_short_is_one_line(copied, tmp_path):
    assert "launch.keep_weights" in refusal(tmp_path / "none.safetensors")
    whole = copied.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        copied.write_bytes(whole[:size])
        assert "cut short, or no file of weights" in refusal(copied)
    copied.write_bytes(b"\x80\x04pickled" + whole)
    assert "no file of weights" in refusal(copied)
    assert str(tmp_path) in refusal(tmp_path)  # a folder


def test_a_file_of_another_model_is_one_line(trained, copied):
    plan, store, _ = trained
    other = plan.runs[1].run_id
    assert f"not of {other}" in refusal(copied, run_id=other)
    assert "SHA-256" in refusal(copied, sha256=store.records[other]["weights_sha256"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, s: m.pop("head"), "head is not there"),
        (lambda m, s: m.update(head=m["head"][:-1]), "another model"),
        (lambda m, s: m.update(head=m["head"].half()), "float16"),
        (lambda m, s: m["head"].fill_(float("nan")), "not finite"),
        (lambda m, s: m.update(more=torch.ones(1)), "more is no matrix of its model"),
        (lambda m, s: s.pop("shape"), "no weights that this toolkit wrote"),
        (lambda m, s: s["shape"].update(mlp_width=3), "no weights that this toolkit wrote"),
        (lambda m, s: s["shape"].update(width=24), "another model"),
        (lambda m, s: s["shape"].update(width="x"), "no weights that this toolkit wrote"),
        (lambda m, s: s.update(options=[1]), "no weights that this toolkit wrote"),
        (lambda m, s: s["vocabulary"].update(kind="x"), "no weights that this toolkit wrote"),
        (lambda m, s: s.update(format=1), "no weights that this toolkit wrote"),
        (lambda m, s: s.update(family="other"), "no weights that this toolkit wrote"),
        (lambda m, s: m["head"].mul_(1.001), "damaged (its content has another digest)"),
        (lambda m, s: s.update(name="another"), "damaged (its content has another digest)"),
    ],
)
def test_what_a_file_lacks_or_says_otherwise_is_one_line(copied, change, said):
    assert said in refusal(rewritten(copied, change))


def test_a_disk_that_takes_no_weights_leaves_the_run_finished_with_a_note(
    tmp_path, monkeypatch, in_this_process
):
    (tmp_path / "weights").write_text("a file where the folder should be")
    plan, store = plan_sweep(config(tmp_path)), MemoryStore()
    run_sweep(plan, store)
    for run in plan.runs:
        record = store.records[run.run_id]
        assert "loss" in record
        assert "weights_file" not in record
        assert "weights could not be written" in record["notes"]


def test_what_fails_beside_a_measurement_leaves_the_run_finished_with_a_note_and_a_traceback(
    tmp_path, monkeypatch, in_this_process
):
    def uncounted(*asked):
        raise ZeroDivisionError("too long a text")

    monkeypatch.setattr("sweeps.generation.metrics.baselines.baselines_of", uncounted)
    plan, store = plan_sweep(config(tmp_path)), MemoryStore()
    run_sweep(plan, store)
    for run in plan.runs:
        record = store.records[run.run_id]
        assert record["loss"] > 0
        assert "weights_file" in record
        assert "no baselines: " in record["notes"]
        assert "too long a text" in record["notes"]
        assert record["has_traceback"]
