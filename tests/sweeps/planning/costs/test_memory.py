"""Facts about what runs take of a device, and plans that cannot fit theirs."""

import dataclasses

import pytest

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.costs.memory import BYTES_PER_PARAM, check_memory, device_bytes, state_bytes
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import memory_text


@pytest.fixture(scope="module")
def plan():
    mapping = {"name": "p", "data": {"source": "markov", "symbols": 16, "validation_windows": 4}}
    return plan_sweep(config_from_mapping(mapping | {"grid": {"width": 32, "flops": 1e11}}))


def on(plan, **launch):
    launch = plan.config.launch.changed(**launch)
    return dataclasses.replace(plan, config=dataclasses.replace(plan.config, launch=launch))


def test_devices_share_what_can_be_shared(plan):
    (run,) = plan.runs
    whole = BYTES_PER_PARAM * run.shape.params
    for resources, bytes_ in (
        ({}, whole),
        ({"devices": 2}, whole // 2),
        ({"devices": 2, "strategy": "ddp"}, whole),
        ({"devices": 4, "strategy": "fsdp"}, whole // 4),
    ):
        assert state_bytes(run, on(plan, resources=resources).config.launch) == bytes_


def test_a_run_that_cannot_fit_its_gpu_is_refused_by_name(plan):
    (run,) = plan.runs
    needed = state_bytes(run, plan.config.launch) / 1e9
    check_memory(on(plan, device="cuda", resources={"device_memory_gb": needed * 1.01}))
    small = on(plan, device="cuda", resources={"device_memory_gb": needed * 0.99})
    with pytest.raises(ConfigError, match=f"d32 L1 .*alone take {needed:.3g} GB, and a device"):
        check_memory(small)


def test_what_a_device_has_is_said_or_said_to_be_unknown(plan):
    unknown = on(plan, device="cuda")
    assert device_bytes(unknown.config.launch) is None
    check_memory(unknown)
    assert "is not said (launch.resources.device_memory_gb)" in memory_text(unknown)
    known = on(plan, device="cuda", resources={"device_memory_gb": 80.0})
    assert "a device has 80 GB" in memory_text(known)
    assert device_bytes(on(plan, device="cpu").config.launch) > 0  # this machine's
    ray = on(plan, engine="ray", device="cpu", resources={"memory_gb": 8.0})
    assert device_bytes(ray.config.launch) == 8e9
