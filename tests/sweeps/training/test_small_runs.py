"""Losses of small runs to the last bit: what has nothing to do with a CPU changes none of them."""

import pytest
import torch

from tests.sweeps.training.small_runs import CASES, kept, losses, machine


@pytest.fixture
def alone():
    """As a worker of a sweep computes: on one thread, without denormal numbers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", CASES)
def test_losses_on_a_cpu_are_what_they_were_to_the_last_bit(name):
    """Those that were kept are also those of the tree before there were fused kernels."""
    known = kept().get(machine())
    if known is None:
        pytest.skip(f"no losses were kept of {machine()}; small_runs.py keeps them")
    assert losses(**CASES[name]) == known[name]


def test_every_case_is_kept_of_every_machine():
    assert {tuple(cases) for cases in kept().values()} == {tuple(CASES)}
