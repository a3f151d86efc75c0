"""The benches of the checks: a small recipe, and the same of a family without blocks."""

import dataclasses

import pytest

from sweeps.checks.finding import (
    Bench,
)
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus


@pytest.fixture
def bench(tiny_config):
    """The recipe on the small text of the tests, widths 16 and 32."""
    load_corpus.cache_clear()
    return Bench(
        config=tiny_config,
        corpus=load_corpus(tiny_config.data, tiny_config.model.context),
        tokens=20_000,
        looks=((1, 2),),
        widths=(16, 32),
        depths=(2, 4),
    )


@pytest.fixture
def linear(bench):
    """The same of a family without blocks."""
    model = {"family": "linear_lm/1", "context": 32}
    config = config_from_mapping(
        {**bench.config.mapping(), "model": model, "grid": {"width": 16, "tokens": 20_000}}
    )
    return dataclasses.replace(bench, config=config, depths=(1,))
