"""Facts about a run whose weights lie on several devices: the same run, a share on each."""

import dataclasses
import multiprocessing
import os
import pickle
import queue
import signal
import socket

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.yaml_file import config_from_mapping, merged
from sweeps.data.registry import load_corpus
from sweeps.planning.packing import Pack, pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.training.checkpoints.pack_states import PackStates
from sweeps.training.checkpoints.state_file import CheckpointClock
from sweeps.training.devices.process_group import joined
from sweeps.training.devices.strategy import BYTES_PER_PARAM, resolve_strategy
from sweeps.training.pack import Listener, train_pack
from sweeps.training.stack import Stack


@pytest.fixture
def planned(tiny_mapping):
    """A function: changes of the mapping -> the first pack, its text, and the config, for FSDP."""

    def plan(**changes):
        load_corpus.cache_clear()
        launch = {"workers": 1, "device": "cpu", "speed": {"pack": 1, "inner_steps": 5}}
        launch["resources"] = {"devices": 2, "strategy": "fsdp"}
        launch = merged(launch, changes.pop("launch", {}))
        grid = {"width": 32, "depth": 2, "tokens": 4000}
        mapping = {"grid": grid, "held_out": [], "launch": launch} | changes
        config = config_from_mapping(tiny_mapping | mapping)
        (pack, *_) = pack_runs(plan_sweep(config).runs, config.launch)
        return pack, load_corpus(config.data, 32), config.launch

    return plan


def on_ranks(work, *arguments, count=2):
    """What `work` returns on each of so many processes that form a group, by rank."""
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    processes = [
        context.Process(target=_be_rank, args=(rank, shared, answers, work, arguments))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    found = {}
    while len(found) < count:
        alive = any(process.is_alive() for process in processes)  # asked before the last look
        try:
            rank, answer = answers.get(timeout=0.1)
            found[rank] = pickle.loads(answer)
        except queue.Empty:
            if not alive:
                break
    for process in processes:
        process.join(timeout=300)
    return [found.get(rank) for rank in range(count)]


def _be_rank(rank, shared, answers, work, arguments):
    os.environ.update(shared, LOCAL_RANK=str(rank), RANK=str(rank))
    torch.set_num_threads(1)
    answers.put((rank, pickle.dumps(work(*arguments))))  # tensors by value


def train(pack, corpus, launch, folder=None, listener=None):
    """What the first run of the pack measured, on one process or as a member of a group."""
    if launch.resources.devices == 1:
        return train_pack(pack, corpus, launch, folder=folder, listener=listener)
    with joined(launch):
        return train_pack(pack, corpus, launch, folder=folder, listener=listener)


def alone(launch):
    return launch.changed(resources={"devices": 1, "strategy": "auto"})


def assert_about_equal(trained, expected, tolerance):
    for run, result in expected.items():
        for one, other in zip(result.points, trained[run].points, strict=True):
            early = one.step <= 25  # rounding has not grown by then
            assert other.loss == pytest.approx(one.loss, rel=min(tolerance, 1e-6 if early else 1))
        assert trained[run].loss == pytest.approx(result.loss, rel=tolerance)
        assert trained[run].weights.shape == result.weights.shape
        assert abs(trained[run].clipped_share - result.clipped_share) < 0.05


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, 1e-4),
        ({"model": {"context": 32, "head_size": 16, "tied_head": True, "mlp": "swiglu"}}, 1e-4),
        pytest.param({"launch": {"speed": {"micro_sequences": 1}}}, 1e-4, marks=pytest.mark.slow),
        # At the constant rate rounding grows faster: micro-batches differ by .004 there as well.
        pytest.param(
            {"grid": {"width": 32, "depth": 2, "tokens": [6000, 8000]}, "schedule": "wsd"},
            1e-2,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["plain", "tied head, gated", "micro-batches", "branches of a trunk"],
)
def test_a_sharded_run_is_the_single_run(planned, changes, tolerance):
    pack, corpus, launch = planned(**changes)
    expected = train(pack, corpus, alone(launch))
    first, second = on_ranks(train, pack, corpus, launch)
    assert_about_equal(first, expected, tolerance)  # float32 sums in another order, magnified
    for run, result in first.items():
        assert second[run].loss == result.loss  # every process measures the whole model


@pytest.mark.slow
def test_in_bfloat16_a_sharded_run_is_the_single_run(planned):
    model = {"context": 32, "head_size": 16, "precision": "bf16"}
    pack, corpus, launch = planned(model=model)
    expected = train(pack, corpus, alone(launch))
    first, _ = on_ranks(train, pack, corpus, launch)
    for run, result in expected.items():  # bfloat16 rounds at 2**-8
        assert first[run].loss == pytest.approx(result.loss, rel=1e-2)
        assert first[run].points[0].loss == pytest.approx(result.points[0].loss, rel=1e-3)


def bytes_of_tensors(pack, corpus, launch):
    """What one process holds between steps, by where it is held."""
    with joined(launch):
        stack = Stack(pack.columns[0], corpus, launch)
        stack.advance(2)
        held = [stack.model.held_weights(), stack.optimizer.first, stack.optimizer.second]
        registered = sum(p.to_local().untyped_storage().nbytes() for p in stack.parameters())
        return registered, [tensor.numel() * tensor.element_size() for tensor in held]


@pytest.mark.parametrize("count", [2, 3])
def test_each_process_holds_its_share_of_weights_and_moments(planned, count):
    changes = {"resources": {"devices": count}, "speed": {"micro_sequences": 1}}
    pack, corpus, launch = planned(launch=changes)
    (run,) = pack.runs
    sequences = dataclasses.replace(run.settings, batch_sequences=6)
    pack = Pack(replicas=((dataclasses.replace(run, settings=sequences),),))
    whole = 4 * run.shape.params
    found = on_ranks(bytes_of_tensors, pack, corpus, launch, count=count)
    padding = 4 * count * 4  # float32, at most one number a device in each of four parts
    for registered, held in found:
        for share in (registered, *held):
            assert abs(share - whole / count) <= padding
    assert sum(sum(held) for _, held in found) == 3 * whole


def killed_at(steps, pack, corpus, launch, folder):
    """Train, and die without a chance to tidy up, each process at a step of its own."""

    def die(run, point):
        if point.step >= steps[int(os.environ["RANK"])]:
            os.kill(os.getpid(), signal.SIGKILL)

    CheckpointClock.is_due = lambda self: True
    train(pack, corpus, launch, folder, Listener(on_point=die))


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        (10, 40),
        pytest.param((20, 20), marks=pytest.mark.slow),
        pytest.param((30, 15), marks=pytest.mark.slow),
    ],
)
def test_killed_processes_go_on_to_the_same_losses_to_the_last_bit(planned, tmp_path, steps):
    grid = {"width": 32, "depth": 2, "tokens": [6000, 8000]}
    pack, corpus, launch = planned(grid=grid, schedule="wsd")
    expected, _ = on_ranks(train, pack, corpus, launch)
    folder = tmp_path / "states"
    assert on_ranks(killed_at, steps, pack, corpus, launch, folder) == [None, None]
    assert {path.name[-4:] for path in folder.glob("*.trunk*of2")} == {"0of2", "1of2"}
    trained, _ = on_ranks(train, pack, corpus, launch, folder)
    for run, result in expected.items():
        assert trained[run].points == result.points
        assert torch.equal(trained[run].weights, result.weights)
        assert trained[run].fork_state_hash == result.fork_state_hash
        assert trained[run].loss == result.loss
    assert list(folder.iterdir()) == []


def test_states_of_another_number_of_devices_are_refused_and_kept(planned, tmp_path):
    pack, corpus, launch = planned()
    folder = tmp_path / "states"
    assert on_ranks(killed_at, (20, 20), pack, corpus, launch, folder) == [None, None]
    before = sorted(folder.iterdir())
    for other in (alone(launch), launch.changed(resources={"devices": 4})):
        with pytest.raises(ConfigError, match="shared among 2 devices by fsdp; go on with"):
            PackStates.of(pack, folder, "trunk", other).load()
    assert sorted(folder.iterdir()) == before


def test_a_pack_is_not_sharded(planned):
    grid = {"width": 32, "tokens": 8000, "seed": [1, 2]}
    pack, _, launch = planned(grid=grid, launch={"speed": {"pack": 2}})
    with pytest.raises(ConfigError, match="set launch.speed.pack to 1"):
        resolve_strategy(launch, pack)


def test_a_model_is_sharded_by_itself_only_where_one_device_cannot_hold_it(planned):
    pack, _, launch = planned(launch={"resources": {"strategy": "auto"}})
    need = pack.runs[0].shape.params * BYTES_PER_PARAM
    assert resolve_strategy(launch, pack, memory_bytes=2 * need).resources.strategy == "ddp"
    assert resolve_strategy(launch, pack, memory_bytes=need).resources.strategy == "fsdp"
    assert resolve_strategy(alone(launch), pack, memory_bytes=need).resources.strategy == "auto"
    assert resolve_strategy(launch, pack).resources.strategy == "ddp"  # on this machine


def test_sharding_over_one_device_is_refused(tiny_mapping):
    with pytest.raises(ConfigError, match="launch.resources.devices, which is 1"):
        config_from_mapping(tiny_mapping | {"launch": {"resources": {"strategy": "fsdp"}}})
