"""`scaling study tune`: a recipe for one sweep, from runs of an ordinary sweep beside it."""

import json

import pytest
import yaml

from scaling.cli.command import main
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import load_config


@pytest.fixture
def config(tiny_mapping, in_this_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = {"width": [16, 32], "tokens": [8000], "seed": [1]}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_mapping | {"grid": grid, "held_out": []}))
    return path


@pytest.mark.slow
def test_tuning_trains_beside_the_sweep_writes_a_config_and_goes_on_where_it_was(
    config, capsys, tmp_path
):
    words = ["study", "tune", "--config", str(config), "--budget", "1.4e10"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "constant" in told.out and "not varied" in told.out
    folder = tmp_path / "results" / "tiny-tune"
    document = json.loads((folder / "tuned.json").read_text())
    assert {one["name"] for one in document["constants"]} == {"rate", "decay", "warmup", "batch"}
    tuned = load_config(folder / "tiny-tuned.yaml")
    assert tuned.recipe.overrides and "scaling study tune" in tuned.recipe.provenance
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["recipe"]["overrides"]
    assert (folder / "tuned.svg").exists()
    before = RunStore.find("tiny-tune").facts()
    assert main(words) == 0
    assert RunStore.find("tiny-tune").facts().keys() == before.keys()
    assert capsys.readouterr().out == told.out
    assert main(["plan", str(folder / "tiny-tuned.yaml")]) == 0
    assert "recipe: tuned from cpt-adamw-tiny/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tune"], "say whose recipe: --config CONFIG"),
        (["tune", "--config", "CONFIG", "--budget", "1e3"], "one round of 11 arms"),
        (["tune", "--config", "CONFIG", "--seal", "mine"], "nothing can be sealed"),
        (["CONFIG", "--config", "CONFIG"], "--config is for tuning"),
        (["tune", "--config", "CONFIG", "--adaptive"], "drop --adaptive"),
        (["implicit-bias", "--budget", "1e9"], "tunes no recipe"),
    ],
)
def test_what_tuning_cannot_take_is_one_line(words, message, config, capsys):
    assert main(["study", *(str(config) if word == "CONFIG" else word for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
