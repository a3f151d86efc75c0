"""Runs that the tests of the command share."""

import json

import pytest

from scaling.cli import main
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from tests.grids import grid_of_runs
from tests.sweeps.work_here import work_here


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A noisy ladder of 25 runs as a CSV, under other people's column names."""
    path = tmp_path_factory.mktemp("cli") / "runs.csv"
    theirs = {"params": "N", "tokens": "D", "loss": "val_loss"}
    grid_of_runs(5).rename(columns=theirs).to_csv(path, index=False)
    return str(path)


def trained(name, folder, data, *, widths=(16,), seeds=(1,), keep=True, context=24):
    """The runs of a sweep that was trained in this process, smallest first."""
    mapping = {
        "name": name,
        "grid": {"width": list(widths), "tokens": [2000], "seed": list(seeds)},
        "model": {"head_size": 8, "context": context},
        "data": data,
        "launch": {
            "workers": 1,
            "device": "cpu",
            "checkpoints": {"folder": str(folder / "checkpoints")},
            **({"keep_weights": True, "weights_folder": str(folder / "weights")} if keep else {}),
        },
    }
    plan = plan_sweep(config_from_mapping(mapping))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.running.runner.find_launcher", lambda engine: work_here)
        run_sweep(plan, RunStore.open(name)).require_stored()
    return sorted(plan.runs, key=lambda run: run.shape.params)


@pytest.fixture(scope="session")
def _kept_sweeps(tmp_path_factory, new_store):
    folder = tmp_path_factory.mktemp("kept")
    (folder / "text.txt").write_text("".join(f"{n * n} apples cost {n}.\n" for n in range(900)))
    text = {"files": [str(folder / "text.txt")], "validation_windows": 16, "tokenizer": "ascii-96"}
    anbn = {"source": "anbn", "q": 0.5, "validation_windows": 16}
    markov = {"source": "markov", "symbols": 12, "order": 1, "validation_windows": 16}
    images = {"source": "images", "codebook": 16, "autoencoder_steps": 30, "labels": "words"}
    with pytest.MonkeyPatch.context() as patch:
        uri = new_store(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        return {
            "text": trained("text", folder, text, widths=(16, 24)),
            "anbn": trained("anbn", folder, anbn, seeds=(1, 2)),
            "markov": trained("markov", folder, markov, keep=False),
            "images": trained("images", folder, images, widths=(16, 24), context=17),
            "folder": folder,
            "uri": uri,
        }


@pytest.fixture
def kept_sweeps(_kept_sweeps, monkeypatch):
    """The runs of sweeps of text, sentences, images and numbers, the last without weights, with
    `folder`;
    their store is the one in force."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _kept_sweeps["uri"])
    return _kept_sweeps


@pytest.fixture
def told(kept_sweeps, capsys):
    """A function: what a verb on kept weights prints on both sides."""

    def asked(argv):
        assert main(argv) == 0, capsys.readouterr().err
        return capsys.readouterr()

    return asked


@pytest.fixture
def document(told):
    """A function: the document of such a verb."""
    return lambda argv: json.loads(told([*argv, "--json"]).out)


@pytest.fixture
def refusal(kept_sweeps, capsys):
    """A function: the one line that a request of such a verb is answered with."""

    def asked(argv):
        assert main(argv) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1, said
        return said.err

    return asked
