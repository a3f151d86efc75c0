"""Facts about the rules of a config: each part states its own, by the whole key, and refuses what
nobody will read."""

import ast
from pathlib import Path

import pytest

from scaling.errors import ConfigError
from sweeps.config.data import MarkovData, TextData
from sweeps.config.launch import LaunchConfig, PolicyConfig, ResourcesConfig
from sweeps.config.model import ModelConfig
from sweeps.config.rules.section import Section
from sweeps.config.sweep import BudgetConfig, Grid, HealthConfig, SweepConfig
from sweeps.config.yaml_file import config_from_mapping

ROOT = Path(__file__).parents[3]
LEAST = {"name": "a", "grid": {"width": 32, "flops": 1e9}}


def refusal(changes, overrides=()):
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(LEAST | changes, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_value_set_in_code_is_refused_in_the_words_of_one_in_a_file():
    for make, changes in (
        (lambda: LaunchConfig(workers=0), {"launch": {"workers": 0}}),
        (lambda: PolicyConfig(tries=0), {"launch": {"policy": {"tries": 0}}}),
        (lambda: ModelConfig(head_size=3), {"model": {"head_size": 3}}),
        (lambda: TextData(tokenizer="bpe"), {"data": {"tokenizer": "bpe"}}),
        (lambda: MarkovData(order=0), {"data": {"source": "markov", "order": 0}}),
        (lambda: BudgetConfig(flops=-1), {"budget": {"flops": -1}}),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value) == refusal(changes)
    assert refusal({"launch": {"workers": 0}}) == "launch.workers is 0; it must be positive"


def test_a_grid_is_named_by_the_place_in_which_it_lies():
    with pytest.raises(ConfigError, match="^width holds 0"):
        Grid(width=(0,))
    assert refusal({"grid": {"width": 0}}).startswith("grid.width holds 0")
    assert refusal({"held_out": [{"width": 0}]}).startswith("held_out[0].width holds 0")


def parts():
    """Every class that makes up a config, with the key under which it lies."""
    found, todo = {}, [("", SweepConfig)]
    while todo:
        place, kind = todo.pop()
        found[kind] = place
        for variant in kind.variants().values():
            found[variant] = place
            for name, held in variant.field_types().items():
                if isinstance(held, type) and issubclass(held, Section) and held is not Grid:
                    todo.append((f"{place}.{name}".removeprefix("."), held))
    return found


def test_every_part_knows_the_key_under_which_it_lies():
    assert {kind: kind.place for kind in parts()} == parts()
    assert {LaunchConfig, ResourcesConfig, MarkovData} <= set(parts())


def test_all_settings_go_through_a_file_and_back():
    for changes in (
        {},
        {"data": {"source": "markov", "symbols": 8}, "held_out": [{"width": 32, "tokens": 9}]},
        {"launch": {"engine": "ray", "resources": {"nodes": 2, "strategy": "fsdp"}}},
        {"budget": {"ask_above_device_hours": None}},
    ):
        config = config_from_mapping(LEAST | changes)
        assert config_from_mapping(config.mapping()) == config


def test_null_is_a_value_where_none_is_one_and_the_default_elsewhere():
    config = config_from_mapping(LEAST | {"budget": {"ask_above_device_hours": None}})
    assert config.budget.ask_above_device_hours is None  # never, where the default is 24 hours
    config = config_from_mapping(LEAST | {"launch": {"workers": None}})
    assert config.launch.workers == LaunchConfig().workers
    ray = {"launch": {"engine": "ray", "resources": {"memory_gb": 32}}}
    here = ["launch.engine=local", "launch.resources.memory_gb=null"]
    assert config_from_mapping(LEAST | ray, here).launch == LaunchConfig()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"launch": {"inner_steps": 100}}, "it is launch.speed.inner_steps"),
        ({"launch": {"devices": 2}}, "it is launch.resources.devices"),
        ({"launch": {"checkpoint_seconds": 9}}, "it is launch.checkpoints.seconds"),
        ({"launch": {"where": {"engine": "ray"}}}, "its engine is launch.engine"),
        ({"engine": "ray"}, "it is launch.engine"),
        ({"tokenizer": "bytes"}, "it is data.tokenizer (source text) or data.tokenizer (source s"),
        ({"launch": {"speed": {"workers": 1}}}, "it is launch.workers"),
        (
            {"data": {"source": "markov", "generated": {"symbols": 8}}},
            "its symbols is data.symbols",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_in_another_place_is_told_where_it_lies(changes, message):
    said = refusal(changes)
    assert said.startswith('unknown key "')
    assert message in said


def test_a_part_given_as_a_value_names_a_field_of_it():
    said = refusal({"launch": {"checkpoints": "/shared"}})
    assert said.startswith("launch.checkpoints is '/shared'; it needs settings, for example")
    assert said.endswith("launch.checkpoints.folder")


#: Per field that not every engine, device or size of a launch reads: a launch that does not.
UNREAD_BY_LAUNCH = {
    "launch.address": ({}, "10.0.0.1:6379"),
    "launch.slurm": ({"engine": "ray"}, {"partition": "gpu"}),
    "launch.resources.nodes": ({}, 2),
    "launch.resources.device_memory_gb": ({"device": "cpu"}, 80),
    "launch.resources.memory_gb": ({"engine": "slurm", "slurm": {"cluster": "local"}}, 8),
    "launch.resources.strategy": ({}, "ddp"),
    "launch.policy.stop_settled_relative_width": ({"resources": {"devices": 2}}, 0.01),
    "launch.policy.held_out_first": ({}, True),
    "launch.weights_folder": ({}, "elsewhere"),
}


#: Read whatever the engine, the device and the number of devices. Where `cuda_graph: false` or
#: `deterministic: true` meets a CPU, what they demand is so anyway.
READ_BY_EVERY_LAUNCH = """
    engine workers device
    resources.devices resources.threads
    speed.inner_steps speed.pack speed.micro_sequences speed.kernels speed.compile speed.cuda_graph
    speed.deterministic speed.flops_per_second validation.evaluations validation.cost
    checkpoints.folder checkpoints.seconds
    policy.tries policy.hang_seconds
    keep_weights
"""


def test_of_every_launch_setting_it_is_known_which_launches_read_it():
    leaves = set()
    for kind, place in parts().items():
        if place.startswith("launch"):
            leaves |= {f"{place}.{name}" for name in kind.field_types()} - parts_by_place().keys()
    assert {
        f"launch.{key}" for key in READ_BY_EVERY_LAUNCH.split()
    } | UNREAD_BY_LAUNCH.keys() == leaves


def parts_by_place():
    return {place: kind for kind, place in parts().items()}


@pytest.mark.parametrize("key", UNREAD_BY_LAUNCH)
def test_a_launch_setting_that_the_launch_does_not_read_is_refused(key):
    there, value = UNREAD_BY_LAUNCH[key]
    assert refusal({"launch": there}, [f"{key}={value}"]).startswith(key)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"health": {"seeds": 3}}, "health.seeds is not used while health.check_learning_rate"),
        ({"health": {"factors": [0.5, 1, 2]}}, "health.factors is not used while"),
        (
            {"health": {"most_share": 0.2}},
            "health.most_share is not used while health.check_recipe",
        ),
        (
            {"health": {"check_recipe": True, "against": {"overrides": {"z_loss": 0}}}},
            "health.against.overrides are of no recipe; give health.against.name",
        ),
        (
            {"health": {"check_recipe": True, "against": {"name": "cpt-adamw-tiny/9"}}},
            'health.against: recipe.name is "cpt-adamw-tiny/9"',
        ),
        ({"budget": {"currency": "EUR"}}, "budget.currency needs a price"),
        ({"budget": {"cost": 9}}, "budget.cost needs a price"),
        (
            {"schedule": "wsd", "recipe": {"overrides": {"schedule": "linear"}}},
            'schedule is "wsd" and recipe.overrides.schedule is "linear"',
        ),
        (
            {"grid": {"seed": 3}, "cells": [{"width": 32, "tokens": 9e3, "seed": 1}]},
            "grid.seed is not used: each of cells and held_out gives its own",
        ),
        (
            {
                "health": {"check_learning_rate": True},
                "launch": {"resources": {"devices": 2, "strategy": "fsdp"}},
            },
            "health.check_learning_rate trains on one device",
        ),
        (
            {"recipe": {"overrides": {"tied_logit_factor": 10}}},
            "recipe.overrides.tied_logit_factor is not used by a head of its own",
        ),
        (
            {
                "health": {"check_recipe": True},
                "launch": {"resources": {"devices": 2, "strategy": "fsdp"}},
            },
            "health.check_recipe trains on one device",
        ),
        ({"exclude": [{"where": [], "reason": "why"}]}, r"exclude[0].where is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_that_another_leaves_without_use_is_refused(changes, message):
    assert refusal(changes).startswith(message)


def test_a_setting_of_a_check_that_is_on_is_taken():
    assert HealthConfig(check_learning_rate=True, seeds=3).seeds == 3


def attributes_read():
    """Names of all attributes that the packages read, outside the config itself."""
    names = set()
    for package in ("sweeps", "scaling"):
        for path in (ROOT / package).rglob("*.py"):
            if path.parent != ROOT / "sweeps" / "config":
                tree = ast.parse(path.read_text())
                nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
                names |= {node.attr for node in nodes if isinstance(node.ctx, ast.Load)}
    return names


def test_every_setting_is_read_by_somebody():
    through_the_config = {
        "tokens_per_param",  # Grid.horizons
        "max_epochs",  # StoredData.epoch_limit
        "overrides",  # recipe_of
    }
    settings = {name for kind in parts() for name in kind.field_types()} - through_the_config
    assert settings - attributes_read() == set()
    assert "a_setting_that_nobody_reads" not in attributes_read()
