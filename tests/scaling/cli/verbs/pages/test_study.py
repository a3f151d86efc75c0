"""Facts about a whole study: what it seals is sealed before its runs exist, and is scored."""

import json

import pytest
import yaml

from scaling.cli import main
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.store.seals.kept import read_seals

pytestmark = pytest.mark.usefixtures("tracking_uri")  # a store of its own


def ladder(tmp_path, **changed):
    """Three widths and three horizons of a known source, and one run held out; seconds to train."""
    mapping = {
        "name": "known",
        "grid": {"width": [8, 16, 32], "tokens": [4000, 8000, 16000]},
        "held_out": [{"width": 32, "tokens": 32000}],
        "model": {"context": 16, "head_size": 8},
        "data": {"source": "markov", "symbols": 16, "validation_windows": 200},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {
            "workers": 1,
            "device": "cpu",
            "checkpoints": {"folder": str(tmp_path / "checkpoints")},
        },
        **changed,
    }
    path = tmp_path / "known.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return str(path)


@pytest.mark.slow
def test_a_study_seals_its_forecast_before_the_run_exists_and_reports_the_verdict(tmp_path, capsys):
    config = ladder(tmp_path)
    folder = tmp_path / "results"
    assert main(["study", config, "-o", str(folder), "--seal", "first"]) == 0
    out, err = capsys.readouterr()
    assert "sealed as first" in err
    assert "1 sealed forecast: 1 verdict, 0 waiting" in out
    seal = json.loads(read_seals().named("first").document)
    store = RunStore.find("known")
    (held_out,) = (facts for facts in store.facts().values() if facts["held_out"])
    assert held_out["status"] == RunState.FINISHED
    assert held_out["run_id"] not in seal["seen_runs"]
    assert len(seal["seen_runs"]) == 9
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Sealed forecasts and their verdicts" in report and ">first<" in report
    assert main(["study", config, "-o", str(folder), "--seal", "first"]) == 0
    assert "it stays" in capsys.readouterr().err
    assert main(["study", config, "-o", str(folder), "--seal", "second"]) == 2
    assert "has already landed" in capsys.readouterr().err


def test_a_study_that_holds_nothing_out_has_nothing_to_seal(tmp_path, capsys):
    config = ladder(tmp_path, held_out=[])
    assert main(["study", config, "--seal", "first"]) == 2
    assert "holds no run out" in capsys.readouterr().err.splitlines()[-1]
