"""Facts about what a config says of itself: every setting with a reason, a file that loads, and a
schema that takes what the loader takes."""

import json
import re
from pathlib import Path

import pytest

from scaling.cli.command import main
from scaling.errors import ConfigError
from scaling.inputs.bounded_yaml import load_yaml
from sweeps.config.data import SOURCES
from sweeps.config.description.commented import commented_config
from sweeps.config.description.describe import all_settings, recipe_constants
from sweeps.config.description.schema import config_schema
from sweeps.config.sweep import SweepConfig
from sweeps.config.yaml_file import config_from_mapping

CONFIGS = sorted((Path(__file__).parents[4] / "configs").glob("*.yaml"))
CHECKS = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def fits(value, schema):
    """Whether a value keeps to a schema, for the words of JSON schema that ours uses."""
    unknown = schema.keys() - {
        *("$schema", "title", "description", "default", "type", "enum", "const", "anyOf"),
        *("properties", "additionalProperties", "required", "items", "pattern"),
    }
    assert not unknown
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    properties, further = schema.get("properties", {}), schema.get("additionalProperties", True)
    below = []
    if isinstance(value, dict):
        below = [(held, properties.get(key, further)) for key, held in value.items()]
    elif isinstance(value, list) and "items" in schema:
        below = [(held, schema["items"]) for held in value]
    return (
        (not kinds or any(CHECKS[kind](value) for kind in kinds))
        and value in schema.get("enum", [value])
        and (not isinstance(value, str) or bool(re.search(schema.get("pattern", ""), value)))
        and schema.get("const", value) == value
        and (not isinstance(value, dict) or set(schema.get("required", ())) <= value.keys())
        and all(
            inner is True or (inner is not False and fits(held, inner)) for held, inner in below
        )
        and ("anyOf" not in schema or any(fits(value, one) for one in schema["anyOf"]))
    )


def read(text):
    return load_yaml(text)


@pytest.fixture(scope="module")
def schema():
    return config_schema()


def test_every_setting_says_what_it_is():
    settings = [setting for setting, _ in all_settings()]
    assert [one.key for one in (*settings, *recipe_constants()) if not one.reason] == []
    assert {"grid.width", "cells[].width", "launch.speed.pack"} <= {one.key for one in settings}


def test_a_setting_of_one_source_is_told_from_those_of_all():
    found = {(one.key, variant) for one, variant in all_settings() if one.key.startswith("data.")}
    assert {("data.order", "markov"), ("data.validation_windows", "")} <= found
    assert ("data.validation_windows", "markov") not in found


@pytest.mark.parametrize("source", SOURCES)
def test_the_printed_config_loads_and_says_nothing_but_defaults(source):
    raw = read(commented_config(source))
    config = config_from_mapping(raw)
    bare = {"name": config.name, "grid": raw["grid"], "data": {"source": source}}
    assert config == config_from_mapping(bare)
    stated = {key for key, value in raw.items() if isinstance(value, dict)}
    assert raw.keys() == SweepConfig.field_types().keys()
    assert all(raw[key].keys() == config.mapping()[key].keys() for key in stated)


@pytest.mark.parametrize("source", SOURCES)
def test_the_settings_of_another_source_are_comments_that_can_be_turned_on(source):
    text = commented_config("text" if source != "text" else "markov")
    begin = text.index(f"# data:\n#   source: {source}\n")
    block = text[begin:].split("\n\n")[0]
    turned_on = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    config = config_from_mapping(read(text) | read(turned_on))
    assert config.data == SOURCES[source]()


def test_the_printed_config_lists_the_constants_of_recipes():
    text = commented_config()
    block = text[text.index("  # overrides:\n") :].split("\n\n")[0]
    constants = read("\n".join(line.removeprefix("  # ") for line in block.splitlines()))
    assert constants["overrides"].keys() == {one.name for one in recipe_constants()}
    assert constants["overrides"]["base_learning_rate"] == 0.0054
    assert "cpt-adamw-tiny/1: 0.0108" in block


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_schema_takes_every_shipped_config(path, schema):
    assert fits(read(path.read_text()), schema)


@pytest.mark.parametrize("source", SOURCES)
def test_the_schema_takes_the_printed_config(source, schema):
    assert fits(read(commented_config(source)), schema)


@pytest.mark.parametrize(
    "key",
    ["nam", "grid.widht", "launch.speed.inner_step", "data.order", "recipe.overrides.base_lr"],
)
def test_the_schema_refuses_a_key_that_the_loader_refuses(key, schema):
    raw = {"name": "one", "grid": {"width": 32, "tokens": 1e6}}
    assert fits(raw, schema)
    settings = 1
    for name in reversed(key.split(".")):
        settings = {name: settings}
    top = key.split(".")[0]
    raw = raw | ({"grid": raw["grid"] | settings["grid"]} if top == "grid" else settings)
    assert not fits(raw, schema)
    with pytest.raises(ConfigError):
        config_from_mapping(raw)


@pytest.mark.parametrize(
    "raw", [{"name": "n", "grid": []}, {"grid": {}}, {"name": "n", "model": {"mlp": "gelu"}}]
)
def test_the_schema_refuses_a_wrong_type_a_missing_name_and_a_wrong_word(raw, schema):
    assert not fits(raw, schema)


def test_numbers_are_written_as_people_write_them(schema):
    raw = {"name": "one", "grid": {"width": 32, "tokens": ["1M", "2.5 million"]}}
    assert fits(raw, schema)
    assert config_from_mapping(raw).grid.tokens == (1e6, 2.5e6)
    assert config_from_mapping(raw, ["grid.tokens=10M"]).grid.tokens == (1e7,)
    for wrong in ("many", "1.5"):
        wide = raw | {"grid": raw["grid"] | {"width": wrong}}
        with pytest.raises(ConfigError, match="grid.width is .*it must be a whole number"):
            config_from_mapping(wide)
    assert not fits(raw | {"grid": raw["grid"] | {"width": "many"}}, schema)


def test_an_override_is_answered_with_a_recipe_s_own_constants(tiny_mapping):
    mapping = tiny_mapping | {"recipe": {"overrides": {"warmup_shares": 0.1}}}
    with pytest.raises(ConfigError, match=r'overrides.warmup_shares"; did you mean "warmup_share"'):
        config_from_mapping(mapping)
    with pytest.raises(ConfigError, match=r'"recipe.z_loss"; it is recipe.overrides.z_loss'):
        config_from_mapping(tiny_mapping | {"recipe": {"z_loss": 0.0}})


def test_the_verb_prints_the_config_or_its_schema(capsys, tmp_path, schema):
    assert main(["config"]) == 0
    assert capsys.readouterr().out == commented_config()
    assert main(["config", "--schema", "-o", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == json.loads(json.dumps(schema))
    assert main(["config", "-o", str(tmp_path / "one.yaml")]) == 0
    assert (tmp_path / "one.yaml").read_text() == commented_config()
    assert main(["config", "-o", str(tmp_path / "one.json")]) == 2
    assert "a config as .yaml" in capsys.readouterr().err
    assert main(["config", "--data", "marcov"]) == 2
    assert 'no source "marcov"; choose one of text' in capsys.readouterr().err
