"""Facts about the Lightning module that trains a stack."""

import os
import signal

import pytest

from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.training.stack import Stack


@pytest.fixture
def stack(tiny_mapping):
    load_corpus.cache_clear()
    grid = {"width": 16, "tokens": 8000, "seed": [1]}
    launch = tiny_mapping["launch"] | {"speed": {"inner_steps": 5}}
    config = config_from_mapping(
        tiny_mapping | {"grid": grid, "held_out": [], "launch": launch},
    )
    (run,) = plan_sweep(config).runs
    return Stack([run], load_corpus(config.data, 32), config.launch)


def test_sigterm_is_left_to_whoever_answered_it_before_training(stack):
    heard = []

    def answer(*_):
        heard.append(stack.step)

    def terminate_early():
        if stack.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, answer)
    try:
        stack.advance(20, terminate_early)
        assert heard == [5]
        assert stack.step == 20  # Lightning by itself would have left, and with it the state
        assert signal.getsignal(signal.SIGTERM) is answer
    finally:
        signal.signal(signal.SIGTERM, before)
