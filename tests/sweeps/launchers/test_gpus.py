"""Facts about which GPU a worker gets: never one of somebody else's, never two runs on one by
accident. No GPU is needed: CUDA and Ray say what a machine with GPUs has them say."""

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.launchers import local
from sweeps.launchers.ray.resources import remote, require_resources
from sweeps.planning import gpus as planned_gpus
from sweeps.planning.gpus import (
    gpu_document,
    gpu_text,
    gpus_here,
    has_mps,
    uses_cuda,
    workers_for,
)
from sweeps.planning.plan import plan_sweep


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

    monkeypatch.setattr(planned_gpus, "Path", Place)
    assert uses_cuda(LaunchConfig(device=device)) is found


@pytest.fixture
def one_gpu(monkeypatch, machine, tmp_path):
    """A machine with one GPU, and the folder in which an MPS server would show itself."""
    machine(1)
    monkeypatch.setattr(planned_gpus, "_LISTED", str(tmp_path / "gpus"))
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        ({"device": "cuda"}, 1),
        ({"device": "cuda", "workers": 1}, 1),
        ({"device": "cpu"}, 2),
        ({"device": "cuda", "engine": "ray"}, 2),  # Ray reserves
    ],
)
def test_without_mps_no_two_workers_take_turns_on_one_gpu(settings, workers):
    assert workers_for(LaunchConfig(**settings)) == workers


def test_an_mps_server_lets_workers_share_a_gpu(one_gpu):
    (one_gpu / "control").touch()
    assert has_mps()
    assert workers_for(LaunchConfig(device="cuda", workers=3)) == 3


@pytest.mark.parametrize(("stated", "have"), [("4,5", 2), ("6,-1,7", 1), ("MIG-a,MIG-b", 2)])
def test_gpus_are_counted_as_the_environment_names_them(monkeypatch, one_gpu, stated, have):
    assert gpus_here() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
    assert gpus_here() == have


def test_where_the_driver_lists_none_the_config_is_believed(monkeypatch, machine, tmp_path):
    machine(1)
    monkeypatch.setattr(planned_gpus, "_LISTED", str(tmp_path / "none"))
    assert gpus_here() is None
    assert workers_for(LaunchConfig(device="cuda", workers=5)) == 5


@pytest.fixture
def said(tiny_mapping):
    """What a plan says of GPUs: its lines, the document, and the plan."""

    def ask(**launch):
        plan = plan_sweep(config_from_mapping(tiny_mapping | {"launch": launch}))
        document = gpu_document(plan.config, plan.runs)
        return gpu_text(plan.config, plan.runs).splitlines()[1:], document, plan

    return ask


def test_a_plan_says_that_its_gpu_is_not_here(machine, monkeypatch, tmp_path, said):
    machine(0)
    monkeypatch.setattr(planned_gpus, "_DRIVERS", (str(tmp_path / "driver"),))
    monkeypatch.setattr(planned_gpus, "_LISTED", str(tmp_path / "none"))
    lines, document, _ = said(device="cuda", workers=3)
    assert lines[1].startswith("GPU: this machine shows none")
    assert lines[3].startswith("GPU: 3 workers where there are 3 GPUs; where fewer are, as many as")
    assert document["lacks_gpu"] is True
    lines, document, _ = said(device="cuda", workers=1, engine="ray")  # of the cluster's nodes
    assert len(lines) == 2
    assert document["lacks_gpu"] is False
    (tmp_path / "driver").touch()
    assert said(device="cuda", workers=1)[1]["lacks_gpu"] is False
    machine(0, stated="")
    assert said(device="cuda", workers=1)[1]["lacks_gpu"] is True


def test_a_plan_says_what_it_makes_of_its_gpu(one_gpu, monkeypatch, said):
    monkeypatch.setattr(planned_gpus, "_DRIVERS", (str(one_gpu),))
    lines, document, plan = said(device="cuda", workers=2)
    assert lines[0].startswith("GPU: kernels are fused where a measurement on it finds that faster")
    assert f"of the 0 of {len(plan.runs)} runs that take 5 min and more" in lines[0]
    assert "model.precision bf16" in lines[1]
    assert lines[2].startswith(
        "GPU: 1 of 2 workers at a time, as this machine has 1 GPU and no MPS"
    )
    assert document["workers"] == 1
    assert (document["gpus_here"], document["mps"], document["precision"]) == (1, False, "fp32")
    assert plan.wall_seconds == pytest.approx(plan.process_seconds)
    (one_gpu / "control").touch()
    lines, document, _ = said(device="cuda", workers=2, speed={"flops_per_second": 1.0})
    assert lines[-1] == "GPU: 2 workers share 1 GPU by MPS"
    assert document["runs_worth_compiling"] == len(plan.runs)
    assert said(device="cpu")[:2] == ([], None)


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
