"""Facts about the device that is meant, and about algorithms that repeat themselves."""

import os

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.training.devices.device import choose_device, computing_on, device_here


def flags():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,
    )


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says it has a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device cuda: PyTorch sees no CUDA device here; choose"):
        device_here("cuda")
    assert device_here("auto") == device_here("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("gpu")
def test_auto_takes_a_gpu_where_there_is_one():
    assert (
        device_here("auto") == device_here("cuda") == choose_device("auto") == torch.device("cuda")
    )
    assert device_here("cpu") == torch.device("cpu")


@pytest.mark.parametrize("warns", [False, True])
def test_deterministic_algorithms_are_asked_for_and_then_what_was_is_again(warns):
    torch.use_deterministic_algorithms(warns, warn_only=warns)
    try:
        before = flags()
        with pytest.raises(ValueError, match="on the way"), computing_on("cpu", deterministic=True):
            assert flags() == (True, False, True, False, False)
            raise ValueError("on the way")
        assert flags() == before
        with computing_on("cpu") as device:
            assert flags() == before
        assert device == torch.device("cpu")
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_cublas_is_given_a_fixed_workspace():
    with computing_on("cuda", deterministic=True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
