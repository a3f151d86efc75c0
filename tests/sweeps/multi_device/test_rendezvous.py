"""Facts about runs on several nodes: who takes part, what ends with what, and bad input."""

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import socket
import threading
import time

import pytest

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.launchers.slurm.job import JobFiles, SlurmJob
from sweeps.multi_device import rendezvous
from sweeps.multi_device.rendezvous import Allocation, serve_node
from sweeps.multi_device.shared_training import SharedTraining, other_ranks
from sweeps.planning.costs.cost import plan_cost
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.training.devices.strategy import is_sharded
from sweeps.training.pack import train_pack, train_run

KEY = b"known to the nodes of this run"
PATIENCE = 300  # seconds: keeps a broken test from hanging, and is never waited for


@pytest.mark.parametrize(
    ("launch", "nodes", "says"),
    [
        ({}, 2, "launch.resources.nodes is not used where all jobs run on one machine; choose"),
        ({"engine": "slurm", "slurm": {"cluster": "local"}}, 2, "run on one machine"),
        ({"engine": "ray"}, 0, "launch.resources.nodes is 0; it must be positive"),
    ],
)
def test_nodes_that_a_launch_cannot_have_are_one_line(tiny_mapping, launch, nodes, says):
    with pytest.raises(ConfigError, match=says):
        config_from_mapping(tiny_mapping | {"launch": launch | {"resources": {"nodes": nodes}}})


def test_nodes_and_devices_multiply(tiny_mapping):
    resources = {"nodes": 2, "devices": 3, "threads": 4, "strategy": "fsdp"}
    launch = {"engine": "ray", "device": "cuda", "resources": resources}
    config = config_from_mapping(tiny_mapping | {"launch": launch})
    assert config.launch.world_size == 6
    assert (config.launch.reserved_cpus, config.launch.reserved_gpus) == (12, 3)  # on each node
    single = config.launch.changed(resources={"devices": 1})
    assert is_sharded(single)
    hours = [
        plan_cost(plan_sweep(dataclasses.replace(config, launch=one))).device_hours
        for one in (single, single.changed(resources={"nodes": 1, "strategy": "auto"}))
    ]
    assert hours[0] == pytest.approx(2 * hours[1])  # two devices for as long as one


def test_a_batch_that_does_not_split_over_all_nodes_is_refused(tiny_config):
    load_corpus.cache_clear()
    run = plan_sweep(tiny_config).runs[-1]
    corpus = load_corpus(tiny_config.data, 32)
    launch = tiny_config.launch.changed(engine="ray", resources={"devices": 1, "nodes": 3})
    says = "over launch.resources.devices 1 on each of launch.resources.nodes 3;"
    with pytest.raises(ConfigError, match=says):
        train_run(run, corpus, launch)


class Ranks(list):
    """Stands for the processes of a node: remembers what was started, ends when told."""

    def __call__(self, file, shared, node, local_ranks, devices):
        rank = type("Rank", (), {"code": None, "ended": threading.Event()})()
        rank.poll = lambda: rank.code
        rank.end = rank.ended.set
        self.append((rank, file.read_bytes(), shared, node, list(local_ranks)))
        return [rank]

    def wait_for(self, count):
        deadline = time.monotonic() + PATIENCE
        while len(self) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self[count - 1]


@pytest.fixture
def ranks(monkeypatch):
    started = Ranks()
    monkeypatch.setattr(rendezvous, "start_ranks", started)
    return started


@contextlib.contextmanager
def two_nodes(check=lambda: None, *, strangers=0):
    """The first node's view, while a thread serves as the second; it leaves with the first.

    So many strangers have called before it, and say nothing.
    """
    nodes = Allocation(2, "localhost", KEY)
    place = ("localhost", nodes.meeting_point.port)
    calls = [socket.create_connection(place) for _ in range(strangers)]
    second = threading.Thread(
        target=serve_node, args=(nodes.meeting_point, 1, 2), kwargs={"check": check}
    )
    second.start()
    try:
        with nodes:
            yield nodes
    finally:
        for call in calls:
            call.close()
        second.join(timeout=PATIENCE)
        assert not second.is_alive()


def code(member):
    deadline = time.monotonic() + PATIENCE
    while (found := member.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_a_further_node_trains_what_it_is_sent_and_tells_how_that_ended(ranks):
    with two_nodes() as nodes:
        for count, ends_with in ((1, 0), (2, 70), (3, -9)):
            (member,) = nodes.start(b"training", {"WORLD_SIZE": "4"})
            rank, *sent = ranks.wait_for(count)
            assert sent == [b"training", {"WORLD_SIZE": "4"}, 1, [0, 1]]
            assert member.poll() is None
            rank.code = ends_with
            assert code(member) == ends_with
            member.end()
            assert rank.ended.wait(PATIENCE)


def test_ranks_of_a_further_node_end_with_the_connection(ranks):
    with two_nodes() as nodes:
        (member,) = nodes.start(b"training", {})
        rank, *_ = ranks.wait_for(1)
        member.end()
        assert rank.ended.wait(PATIENCE)
        assert member.poll() is not None


def test_a_node_that_cannot_take_part_says_why_on_the_first():
    def refuse():
        raise ConfigError("worker on b has torch 1, the driver 2")

    with two_nodes(refuse) as nodes, pytest.raises(ConfigError, match="worker on b has torch 1"):
        nodes.meet()


def test_a_stranger_is_not_met_and_a_node_that_never_comes_is_not_waited_for():
    def nobody():
        raise LookupError("lost")

    with Allocation(2, "localhost", KEY) as nodes:
        stranger = dataclasses.replace(nodes.meeting_point, key=b"guessed")
        call = threading.Thread(
            target=serve_node, args=(stranger, 1, 1), kwargs={"patience_seconds": 0.1}
        )
        call.start()
        with pytest.raises(LookupError):
            nodes.meet(nobody)
        call.join(timeout=PATIENCE)
        assert not call.is_alive()


def test_a_caller_that_says_nothing_keeps_no_node_waiting(monkeypatch):
    monkeypatch.setattr(rendezvous, "_SECONDS_TO_ANSWER", 1)
    with two_nodes(strangers=1) as nodes:
        nodes.meet()


def test_a_task_of_several_nodes_without_them_is_refused(tiny_config):
    launch = tiny_config.launch.changed(engine="ray", resources={"nodes": 2})
    with (
        pytest.raises(RuntimeError, match="has reserved none"),
        other_ranks(shared_training(tiny_config, launch)),
    ):
        pass


def be_node(node, job, answers):
    """A task of a Slurm job of two nodes, as its environment says."""
    os.environ.update(
        {
            "SUBMITIT_EXECUTOR": "slurm",
            "SLURM_JOB_ID": str(os.getppid()),
            "SLURM_JOB_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_PROCID": str(node),
            "SLURM_NODEID": str(node),
        }
    )
    answers.put((node, job()))


@dataclasses.dataclass(frozen=True)
class TaskOnNodes:
    """What a launcher gives the work of a task."""

    training: SharedTraining
    allocation: Allocation | None = None


def train_shared(task, send):
    training = task.training
    corpus = load_corpus(training.data, 32)
    with other_ranks(training, task.allocation):
        trained = train_pack(training.pack, corpus, training.launch)
    (result,) = trained.values()
    send((result.loss, result.points, result.weights.numpy().tobytes()))


def shared_training(tiny_config, launch):
    run = plan_sweep(tiny_config).runs[-1]
    return SharedTraining(
        pack=Pack(replicas=((run,),)),
        data=tiny_config.data,
        launch=launch,
        done=frozenset(),
        folder=None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_tasks_of_a_slurm_job_train_what_two_devices_of_one_node_do(
    tiny_config, tmp_path, strategy
):
    pytest.importorskip("submitit", reason="the slurm extra is not installed")
    load_corpus.cache_clear()
    expected = []
    devices = tiny_config.launch.changed(resources={"devices": 2, "strategy": strategy})
    train_shared(TaskOnNodes(shared_training(tiny_config, devices)), expected.append)
    launch = LaunchConfig(engine="slurm", device="cpu")
    launch = launch.changed(resources={"nodes": 2, "strategy": strategy})
    task = TaskOnNodes(shared_training(tiny_config, launch))
    files = JobFiles.new(tmp_path, nodes=2)
    job = SlurmJob(train_shared, task, files, {}, launch)
    assert files.key.stat().st_mode & 0o777 == 0o600
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    tasks = [context.Process(target=be_node, args=(node, job, answers)) for node in (0, 1)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join(timeout=300)
    assert [task.exitcode for task in tasks] == [0, 0]
    assert dict(answers.get() for _ in tasks) == {0: None, 1: None}
    with files.messages.open("rb") as file:
        assert pickle.load(file) is None  # the first task alone has written
        found = pickle.load(file)
        assert not file.read()
    assert found == expected[0]  # to the last bit: the same sums in the same order
