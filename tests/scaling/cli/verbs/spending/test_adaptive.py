"""Facts about a study that chooses its runs: it keeps its budget, and says what each round did."""

import pytest
import yaml

from scaling.cli import main
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import load_config
from sweeps.planning.plan import plan_sweep
from tests.sweeps.work_here import work_here

pytestmark = pytest.mark.usefixtures("tracking_uri")  # a store of its own
BUDGET, TARGET = 4e9, 3e10


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A ladder of seconds, trained in this process."""
    monkeypatch.setattr("sweeps.running.runner.find_launcher", lambda engine: work_here)
    mapping = {
        "name": "known",
        "grid": {"width": [8, 16, 24], "tokens": [2000, 4000, 8000]},
        "model": {"context": 16, "head_size": 8},
        "data": {"source": "markov", "symbols": 16, "validation_windows": 50},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {
            "workers": 1,
            "device": "cpu",
            "checkpoints": {"folder": str(tmp_path / "checkpoints")},
        },
    }
    path = tmp_path / "known.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


def asked(config, **flags):
    words = [str(word) for flag, value in flags.items() for word in (f"--{flag}", value)]
    return main(["study", str(config), "--adaptive", "-o", str(config.parent / "out"), *words])


@pytest.mark.slow
def test_a_study_chooses_runs_within_its_budget_and_keeps_the_config(config, capsys):
    assert asked(config, budget=BUDGET, **{"target-flops": TARGET}) == 0
    out = capsys.readouterr().out
    assert "round" in out and "ended: " in out
    before = plan_sweep(load_config(config))
    after = plan_sweep(load_config(config.parent / "out" / "config.yaml"))
    assert len(after.runs) > len(before.runs)
    assert after.marginal_flops <= 1.001 * BUDGET
    states = RunStore.find("known").states()
    assert all(states[run.run_id] == "finished" for run in after.runs)


def test_what_nothing_reads_is_refused_and_what_is_missing_is_asked_for(config, capsys):
    assert asked(config, **{"target-flops": TARGET}) == 2
    assert "--budget" in capsys.readouterr().err
    assert asked(config, budget=BUDGET) == 2
    assert "--target-flops" in capsys.readouterr().err
    assert asked(config, budget=1e6, **{"target-flops": TARGET}) == 2
    assert "before any is chosen" in capsys.readouterr().err
    assert main(["study", str(config), "--budget", "1e9"]) == 2
    assert "--adaptive" in capsys.readouterr().err
