"""Facts about a sweep on a real Ray cluster of two nodes: what kills its workers, and bad input."""

import json
import signal

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(start_cluster):
    """A head of one CPU and a second node of two, for all tests; the last one kills the second."""
    with start_cluster(1, 2) as cluster:
        yield cluster


@pytest.fixture
def on_ray(cluster):
    """What makes a launch one of two workers on this cluster."""
    return {"engine": "ray", "address": cluster.address, "workers": 2}


TWELVE_RUNS = {"tokens": 120_000, "seed": [1, 2, 3, 4, 5, 6]}

FAULTS = """
import json, os, signal, sys, time
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import TaskEnded, TaskLost
from sweeps.launchers.ray.tasks import launch_ray
from sweeps.training.stop import Stopped

saved = sys.argv[2]

def work(task, send):
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "terminated":
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            send("asked to stop")
        except Stopped:
            open(saved, "w").write("saved")
            raise
    if task == "hung":
        time.sleep(300)
    send(task)

launch = LaunchConfig(engine="ray", address=sys.argv[1], workers=2)
launch = launch.changed(policy={"hang_seconds": 15.0})
tasks = ["hung", "killed", "terminated", "well"]

for happening in launch_ray(tasks, work, launch, lambda lost: None):
    reason = getattr(happening, "reason", None)
    if isinstance(happening, TaskLost | TaskEnded):
        print(json.dumps([happening.task, reason]), flush=True)
"""


def test_a_worker_that_is_killed_stopped_or_hung_takes_only_its_task_with_it(cluster, tmp_path):
    saved = tmp_path / "state"
    done = cluster.script(FAULTS, saved)
    ours = [line for line in done.stdout.splitlines() if line.startswith("[")]  # Ray prints too
    ends = dict(json.loads(line) for line in ours)
    assert ends.pop("well") is None, done.stderr
    assert ends.pop("hung") == "hung: no sign of life for 15 s"
    assert ends.pop("terminated") == "worker was asked to stop"
    assert "WorkerCrashedError" in ends.pop("killed")
    assert saved.read_text() == "saved"
    assert not ends


MAILBOX_IS_KILLED = """
import json, os, signal, sys, time
from pathlib import Path
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.launchers.ray.tasks import launch_ray

begun, nodes = Path(sys.argv[2]), [int(pid) for pid in sys.argv[3:]]

def work(task, send):
    is_first = not begun.exists()
    begun.touch()
    while is_first:  # until it is asked to leave
        send(task)
        time.sleep(0.1)
    send(task)

def mailboxes():
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            pid, is_mailbox = int(line.parent.name), line.read_bytes().startswith(b"ray::_Mailbox")
            if is_mailbox and os.getsid(pid) in nodes:
                yield pid
        except OSError:
            pass

launch, is_killed = LaunchConfig(engine="ray", address=sys.argv[1], workers=1), False
for happening in launch_ray(["one"], work, launch, lambda lost: lost.task):
    if isinstance(happening, TaskMessage) and not is_killed:
        is_killed = True
        for pid in mailboxes():
            os.kill(pid, signal.SIGKILL)
    if isinstance(happening, TaskLost | TaskEnded):
        print(json.dumps([happening.task, getattr(happening, "reason", None)]), flush=True)
"""


def test_a_mailbox_that_is_killed_costs_its_tasks_a_try_each_and_not_the_driver(cluster, tmp_path):
    done = cluster.script(MAILBOX_IS_KILLED, tmp_path / "begun", *cluster.sessions)
    ours = [line for line in done.stdout.splitlines() if line.startswith("[")]  # Ray prints too
    lost = ["one", "the process that takes word of it was lost"]
    assert list(map(json.loads, ours)) == [lost, ["one", None]], done.stderr


BAD_INPUT = """
import sys
from scaling.errors import ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.ray import resources, tasks

def work(task, send):
    send(task)

def says(**launch):
    launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources=launch)
    try:
        list(tasks.launch_ray([1], work, launch, lambda lost: None))
    except ScalingError as error:
        print(type(error).__name__, error, flush=True)

resources._AUTOSCALER_SECONDS = 8.0
says(memory_gb=1e5)
says(threads=1, devices=64)
here = tasks.versions()
tasks.versions = lambda: here | {"torch": "0.1"}
says()
"""


def test_impossible_resources_and_other_versions_are_one_line_each(cluster):
    done = cluster.script(BAD_INPUT)
    memory, devices, torch = done.stdout.splitlines()
    assert memory.startswith(
        "ConfigError a run asks for 1 CPUs, 0 GPUs, 100000 GB, which none of 2"
    )
    assert devices.startswith("ConfigError a run asks for 64 CPUs, 0 GPUs, 0 GB, which none of 2")
    assert "the driver 0.1; install the same constraints.txt on both" in torch


TEXT_IS_GONE = """
import sys
from pathlib import Path
from scaling.errors import ScalingError
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import load_config
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep

_, _, config, texts = sys.argv
plan = plan_sweep(load_config(config))
for path in Path(texts).glob("*.txt"):
    path.rename(path.with_suffix(".moved"))
try:
    run_sweep(plan, RunStore.open(plan.name))
except ScalingError as error:
    print(type(error).__name__, error, flush=True)
finally:
    for path in Path(texts).glob("*.moved"):
        path.rename(path.with_suffix(".txt"))
"""


def test_a_node_without_the_text_ends_the_sweep_by_name_and_it_goes_on_when_mended(
    cluster, write_config, on_ray, text_files
):
    config = write_config("mended", {"tokens": 8000}, **on_ray)
    done = cluster.script(TEXT_IS_GONE, config, text_files)
    (line,) = done.stdout.splitlines()
    assert line.startswith("CorpusError worker on "), done.stderr
    assert "no file" in line or "matches" in line or "text" in line
    assert cluster.run(config) == 0
    assert len(cluster.losses("mended")) == 2


def test_a_run_of_two_devices_gets_one_allocation_and_the_same_loss(cluster, write_config, on_ray):
    small = {"tokens": 16_000}
    assert cluster.run(write_config("alone", small)) == 0
    assert (
        cluster.drive(write_config("shared", small, **on_ray, resources={"devices": 2})).wait(
            timeout=300
        )
        == 0
    )
    # float32 sums in another order
    assert cluster.losses("shared") == pytest.approx(cluster.losses("alone"), rel=1e-3)


@pytest.fixture
def local_losses(cluster, write_config):
    """What twelve runs measure that no cluster trains."""
    assert cluster.run(write_config("local", TWELVE_RUNS, workers=2)) == 0
    return cluster.losses("local")


def test_a_sweep_whose_driver_is_killed_goes_on_with_the_next_to_the_same_losses(
    cluster, write_config, on_ray, local_losses, wait_until
):
    config = write_config("orphaned", TWELVE_RUNS, **on_ray)
    driver = cluster.drive(config)
    assert wait_until(lambda: cluster.has_finished_one("orphaned"), 120)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert cluster.run(config) == 0
    assert cluster.losses("orphaned") == local_losses


def test_a_sweep_survives_the_loss_of_a_node_with_the_same_losses(
    cluster, write_config, on_ray, local_losses, wait_until
):
    """The last test of the module: the node does not come back."""
    driver = cluster.drive(write_config("stormy", TWELVE_RUNS, **on_ray))
    assert wait_until(lambda: cluster.has_finished_one("stormy"), 120)
    cluster.kill(1)
    assert cluster.exit_code(driver) == 0
    assert cluster.losses("stormy") == local_losses


WAITS = """
import sys
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.base import TaskMessage
from sweeps.launchers.ray.tasks import launch_ray

def work(task, send):
    send(task)

launch = LaunchConfig(engine="ray", address=sys.argv[1]).changed(resources={"threads": 3})
happenings = launch_ray([1, 2], work, launch, lambda lost: None)
print([one.message for one in happenings if isinstance(one, TaskMessage)])
"""


def test_a_larger_node_that_an_autoscaler_brings_is_waited_for(start_cluster):
    with start_cluster(1, autoscaled_cpus=3) as cluster:
        done = cluster.script(WAITS)
    assert done.stdout == "[1, 2]\n", done.stderr
