"""Facts about which GPU a worker gets: never one of somebody else's, never two runs on one by
accident. No GPU is needed: CUDA and Ray say what a machine with GPUs has them say."""

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers import local
from sweeps.launchers.ray.resources import remote, require_resources
from sweeps.planning import packing
from sweeps.planning.packing import uses_cuda


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many GPUs that CUDA counts, and what the environment names."""

    def make(count, stated=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        if stated is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)

    return make


@pytest.mark.parametrize(
    ("count", "stated", "gpus", "seen"),
    [
        (4, None, 1, ["0", "1", "2", "3", "0"]),
        (2, "4,5", 1, ["4", "5", "4", "5", "4"]),
        (2, " 4, 5 ", 1, ["4", "5", "4", "5", "4"]),
        (1, "6,-1,7", 1, ["6", "6", "6", "6", "6"]),  # CUDA stops at what is no device
        (4, "7,6,5,4", 2, ["7,6", "5,4", "7,6", "5,4", "7,6"]),
        (2, "GPU-8932f937,GPU-1a2b", 1, ["GPU-8932f937", "GPU-1a2b"]),
        (1, "MIG-aa,MIG-bb,MIG-cc", 1, ["MIG-aa", "MIG-bb", "MIG-cc", "MIG-aa"]),
        (0, "", 0, ["", ""]),
    ],
)
def test_workers_take_turns_on_the_gpus_that_their_driver_sees(machine, count, stated, gpus, seen):
    machine(count, stated)
    assert [local._visible_gpus(slot, gpus) for slot in range(len(seen))] == seen


@pytest.mark.parametrize(
    ("drivers", "stated", "device", "found"),
    [
        (["/dev/nvidiactl"], None, "auto", True),
        (["/dev/dxg"], None, "auto", True),  # WSL
        ([], None, "auto", False),
        (["/dev/nvidiactl"], "", "auto", False),
        (["/dev/nvidiactl"], "-1", "auto", False),
        (["/dev/nvidiactl"], "3", "auto", True),
        (["/dev/nvidiactl"], None, "cpu", False),
        ([], None, "cuda", True),
    ],
)
def test_a_gpu_is_seen_by_its_driver(monkeypatch, machine, drivers, stated, device, found):
    machine(1, stated)

    class Place:
        def __init__(self, name):
            self.name = name

        def exists(self):
            return self.name in drivers

    monkeypatch.setattr(packing, "Path", Place)
    assert uses_cuda(LaunchConfig(device=device)) is found


class PretendedRay:
    """As far as is asked here: what a task was made with, and the nodes."""

    def __init__(self, *nodes):
        self._nodes = nodes

    def nodes(self):
        return [{"Alive": True, "Resources": node} for node in self._nodes]

    @staticmethod
    def remote(*function, **options):
        return (function[0], {}) if function else lambda later: (later, options)


def work():
    """What a task does."""


@pytest.mark.parametrize(("device", "options"), [("cuda", {"max_calls": 1}), ("cpu", {})])
def test_a_ray_process_with_a_gpu_does_one_task(device, options):
    """CUDA reads once which GPUs a process has, and Ray names others with the next task."""
    launch = LaunchConfig(engine="ray", device=device)
    assert remote(PretendedRay(), launch, work) == (work, options)


def test_gpus_of_a_ray_cluster_are_reserved_or_left_alone():
    ray = PretendedRay({"CPU": 8, "GPU": 4}, {"CPU": 8})
    with pytest.raises(ConfigError, match=r"launch.device is auto, and .* has 4 GPUs: .* give"):
        require_resources(ray, LaunchConfig(engine="ray"))
    for device in ("cuda", "cpu"):
        require_resources(ray, LaunchConfig(engine="ray", device=device))
    require_resources(PretendedRay({"CPU": 8}), LaunchConfig(engine="ray"))
