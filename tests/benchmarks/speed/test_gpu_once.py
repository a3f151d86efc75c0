"""Facts about the one call on a GPU: all of it runs, each row is kept, no stage costs another."""

import argparse
import json

import pytest

from benchmarks.speed import gpu_once
from benchmarks.speed.gpu.stage import LIMITS, Stage, read_rows
from benchmarks.speed.gpu.table import table
from tests.benchmarks.bare_machine import absent, needed, run_bare


@pytest.fixture
def stage(tmp_path):
    return Stage("facts", tmp_path, "cpu", True, 0.0)


def test_all_of_it_takes_less_than_ten_minutes():
    assert sum(LIMITS.values()) < 590


def test_a_case_that_fails_is_a_row_and_the_next_goes_on(stage, tmp_path):
    with stage.case("first"):
        raise RuntimeError("CUDA error: an illegal memory access")
    with stage.case("second"):
        stage.row("second", ok=True)
    first, second = read_rows(tmp_path)
    assert first["failed"] == "RuntimeError: CUDA error: an illegal memory access"
    assert first["where"]
    assert second["ok"] is True


def test_a_row_is_on_disk_before_the_next_begins_and_half_a_line_is_left_out(stage, tmp_path):
    stage.row("first", ok=True)
    assert [row["what"] for row in read_rows(tmp_path)] == ["first"]
    with (tmp_path / "gpu.jsonl").open("a") as file:
        file.write('{"stage": "facts", "wh')
    assert len(read_rows(tmp_path)) == 1


def test_what_there_is_no_time_for_is_said(tmp_path):
    late = Stage("facts", tmp_path, "cuda", False, -1e9)
    assert not late.has_time("0.1M")
    assert read_rows(tmp_path)[0]["left_out"] == "no time is left in this stage"


@pytest.mark.parametrize(
    ("program", "code"),
    [("exec sleep 600", "ended at its limit"), ("kill -9 $$", -9), ("exit 3", 3)],
    ids=["hangs", "is killed", "fails"],
)
def test_a_stage_that_ends_badly_costs_no_other_its_rows(tmp_path, monkeypatch, program, code):
    Stage("facts", tmp_path, "cuda", False, 0.0).row("product", flops_per_second=7e14)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o700)
    monkeypatch.setattr(gpu_once.sys, "executable", str(python))
    monkeypatch.setitem(LIMITS, "parity", 0.5)
    asked = argparse.Namespace(output=tmp_path, device="cuda", tiny=False)
    gpu_once._run("parity", asked)
    known, ended = read_rows(tmp_path)
    assert known["what"] == "product"
    assert (ended["stage"], ended["code"]) == ("parity", code)
    shown = table([known, ended])
    assert "stages that did not end well" in shown
    assert f"{code} after" in shown
    assert "700 TFLOP/s" in shown


def test_what_has_to_be_installed_is_what_pytorch_and_lightning_require():
    hidden, there = set(absent()), needed("torch", "pytorch-lightning")
    assert {"mlflow", "scipy", "pandas", "matplotlib", "rich"} <= hidden
    assert {"torch", "pytorch-lightning", "torchmetrics", "numpy", "pyyaml"} <= there


def test_the_table_holds_measurements_beside_their_goals():
    rows = [
        {"stage": "facts", "what": "machine", "name": "NVIDIA H200", "torch": "2.13"},
        {"stage": "parity", "what": "graph", "gap": 2e-5, "most": 1e-4, "ok": True},
        {"stage": "parity", "what": "twice", "ok": False},
        {"stage": "speed", "what": "1M, fused", "mfu": 0.131, "goal": 0.12, "step_ms": 5.0},
        {"stage": "speed", "what": "10M", "failed": "OutOfMemoryError: none"},
        {
            "stage": "packs",
            "what": "pack",
            "model": "0.1M",
            "replicas": 8,
            "over_graphed": 3.25,
            "over_ungraphed": 9.0,
            "goal_graphed": 3,
            "goal_ungraphed": 5,
        },
        {"stage": "kernels", "what": "seam norm", "fused_ms": 0.5, "plain_ms": 1.0},
        {"stage": "training", "what": "chunk", "in_blocks_ms": 0.5, "in_turn_ms": 8.0},
        {"stage": "facts", "what": "copy", "bytes_per_second": 4.3e12},
        {"stage": "speed", "what": "stage", "code": 0, "seconds": 9.0},
    ]
    text = table(rows)
    assert text.startswith("NVIDIA H200, torch 2.13\n")
    for line in (
        "yes  gap 2e-05, at most 0.0001",
        "NO",
        "13.1% (goal 12%)  5.00 ms a step",
        "8 of 0.1M: 3.2x a recorded single run (goal 3), 9.0x one that is not (goal 5)",
        "OutOfMemoryError: none",
        "0.50 ms as one kernel, 2.00x as fast as its twin",
        "0.5 ms a chunk in blocks, 16.0x as fast as in turn",
        "4.30 TB/s",
    ):
        assert line in text
    assert "did not end well" not in text


@pytest.mark.slow  # eight processes that import all of it
def test_all_stages_run_on_a_cpu_with_torch_and_lightning_alone(tmp_path):
    script = "benchmarks/speed/gpu_once.py"
    printed = run_bare(tmp_path, script, "--device", "cpu", "--tiny", "-o", str(tmp_path))
    rows = read_rows(tmp_path)
    assert [row["stage"] for row in rows if row["what"] == "stage"] == list(LIMITS)
    assert {row["code"] for row in rows if row["what"] == "stage"} == {0}
    assert [row for row in rows if "failed" in row] == []
    checks = {row["what"]: row["ok"] for row in rows if "ok" in row}
    assert len(checks) >= 8
    assert all(checks.values())
    assert json.loads(json.dumps(rows)) == rows
    assert "model FLOP utilisation" in printed
