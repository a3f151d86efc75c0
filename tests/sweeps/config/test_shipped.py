"""Facts about the configs that come with the project."""

from pathlib import Path

import pytest

from sweeps.config.yaml_file import load_config

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
#: FLOP of one run that nobody trains on a CPU: three hours at 1e12 a second.
TOO_LARGE_FOR_A_CPU = 1e16


def is_for_gpus(config):
    cells = (config.grid, *config.cells, *config.held_out)
    flops = [each for cell in cells if cell is not None for each in cell.flops]
    named = "gpu" in config.name or "cluster" in config.name
    return named or config.launch.device == "cuda" or max(flops, default=0) > TOO_LARGE_FOR_A_CPU


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_for_gpus_computes_in_bf16_and_says_that_it_wants_one(path):
    """In float32, without tensor cores, a GPU trains at a quarter of its speed."""
    config = load_config(path)
    if is_for_gpus(config):
        assert (config.model.precision, config.launch.device) == ("bf16", "cuda")
    else:
        assert config.model.precision == "fp32"


def test_some_are_for_gpus():
    assert sum(is_for_gpus(load_config(path)) for path in CONFIGS) >= 2
