"""Processes of a sweep killed at random, from the first second on, and what a rerun makes of it.

The same tiny cells train undisturbed once, and then again and again, each time into an empty folder
with a database of its own, while SIGKILL meets their workers, the process that workers are forked
from, the driver, the tracking server, or the nodes of a Ray cluster. At the end one more `scaling
run` must find each cell finished exactly once, with the undisturbed loss to the last bit, and leave
a sound database and nothing to clean.
"""

import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.ray_cluster import RayCluster
from benchmarks.tracking_server import TrackingServer
from scaling.store.run_store import RunStore

ROOT = Path(__file__).resolve().parent.parent.parent
CELLS = 16
RERUNS = 3  # that a storm's last word may need: a node or server may still be on its way back
PATIENCE = 900  # seconds that a driver may take for what is left when nobody is killed any more

KEPT = Path("results/broken_storms").absolute()  # what was said where a storm broke something

Losses = dict[str, float]


def write_sweep(folder: Path, launch: Mapping[str, object]) -> Path:
    """A config of tiny cells of two widths, and the text that they train on."""
    text = folder / "text"
    text.mkdir(parents=True)
    for number in range(60):
        lines = (f"{number * line} apples cost {number + line} coins.\n" for line in range(40))
        (text / f"{number:02}.txt").write_text("".join(lines))
    config = {
        "name": "storm",
        "grid": {"width": [16, 32], "tokens": 20_000, "seed": list(range(CELLS // 2))},
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [f"{text}/*.txt"], "validation_windows": 16, "max_epochs": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {
            "workers": 2,
            "device": "cpu",
            "policy": {"tries": 1000},
            "checkpoints": {"seconds": 0.1},
            **launch,
        },
    }
    path = folder / "storm.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


@dataclass
class Home:
    """A folder in which one sweep is driven, with a database and a state of its own."""

    config: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Where its runs are stored."""
        return self.environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{self.folder}/mlflow.db")

    def drive(self) -> subprocess.Popen[bytes]:
        """Start `scaling run`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        places = {"MLFLOW_TRACKING_URI": self.uri, "SCALING_STATE_DIR": str(self.folder / "state")}
        with (self.folder / "stderr.txt").open("ab") as messages:
            return subprocess.Popen(
                [sys.executable, "-m", "scaling", "run", str(self.config)]
                + ["--set", f"launch.checkpoints.folder={self.folder}/checkpoints"],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(self.environment) | places,
                stdout=subprocess.DEVNULL,
                stderr=messages,
            )

    def messages(self) -> str:
        """All that its drivers and their workers have said."""
        return (self.folder / "stderr.txt").read_text(errors="replace")

    def outcome(self) -> tuple[Counter[str], Losses]:
        """How many finished tries each cell has, and its loss."""
        os.environ["SCALING_STATE_DIR"] = str(self.folder / "state")
        store = RunStore.find("storm", self.uri)
        finished = Counter(
            one.tags["scaling.run_id"]
            for one in store.tries()
            if one.tags.get("scaling.state") == "finished"
        )
        return finished, {run_id: facts["loss"] for run_id, facts in store.facts().items()}


def processes() -> list[int]:
    """All of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_running(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has asked how it ended is a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return status.partition("State:")[2].split()[0] != "Z"


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def forkservers(driver: int) -> list[int]:
    """The process that a driver's workers are forked from, where there is one yet."""
    found = []
    for child in children(driver):
        with suppress(OSError):
            if "multiprocessing.forkserver" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
    return found


def workers(driver: int) -> list[int]:
    """A driver's workers on this machine."""
    return [worker for server in forkservers(driver) for worker in children(server)]


def kill_one(pids: list[int], dice: random.Random) -> bool:
    """SIGKILL for one of these, if there is any."""
    if not pids:
        return False
    with suppress(ProcessLookupError):
        os.kill(dice.choice(pids), signal.SIGKILL)
        return True
    return False


Killer = Callable[[subprocess.Popen[bytes]], bool]


def kill_driver(driver: subprocess.Popen[bytes]) -> bool:
    """End the driver; its workers see that it is gone and end themselves."""
    driver.kill()
    driver.wait()
    return True


def storm(
    home: Home, killers: Mapping[str, tuple[float, Killer]], most: int, dice: random.Random
) -> Counter[str]:
    """Drive the sweep to its end while its processes are killed at most so often; how often.

    `killers` gives each kind of process the mean seconds between two kills, and a function that
    kills one, or says that none is there. Half of all drivers die in their first seconds.
    """
    killed: Counter[str] = Counter()
    driver, start = home.drive(), time.monotonic()
    due = {kind: start + dice.expovariate(1 / mean) for kind, (mean, _) in killers.items()}
    while driver.poll() is None and killed.total() < most:
        kind = min(due, key=due.__getitem__)
        time.sleep(min(0.2, max(0.0, due[kind] - time.monotonic())))
        if time.monotonic() < due[kind] or driver.poll() is not None:
            continue
        mean, kill = killers[kind]
        if kind == "driver" and dice.random() < 0.5:
            mean /= 10
        due[kind] = time.monotonic() + dice.expovariate(1 / mean)
        if kill(driver):
            killed[kind] += 1
            if kind == "driver":
                driver = home.drive()
    with suppress(subprocess.TimeoutExpired):
        driver.wait(PATIENCE)
    driver.kill()
    driver.wait()
    return killed


def tracebacks(messages: str) -> list[str]:
    """The tracebacks of our own command, whole: what Ray prints of its processes has a prefix, and
    what its threads in the driver print passes through none of our files."""
    blocks = re.findall(r"^Traceback \(most.*\n(?:[ \t].*\n)*(?:\S.*)?", messages, re.MULTILINE)
    return [one for one in blocks if f'"{ROOT}/' in one or "/ray/" not in one]


def wrongs(home: Home, expected: Losses) -> Iterator[str]:
    """What one more run, with nobody killed, finds broken."""
    for _ in range(RERUNS):
        driver = home.drive()
        try:
            code = driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill_driver(driver)
            yield f"a rerun did not end in {PATIENCE} s"
            return
        if code == 0:
            break
    messages = home.messages()
    if code:
        yield f"a rerun ends with code {code}: {messages.strip()[-400:]}"
        return
    yield from (f"a traceback:\n{block}" for block in tracebacks(messages))
    finished, losses = home.outcome()
    for run_id, loss in expected.items():
        if finished[run_id] != 1:
            yield f"cell {run_id} finished {finished[run_id]} times"
        if losses.get(run_id) != loss:
            yield f"cell {run_id} has the loss {losses.get(run_id)}, undisturbed {loss}"
    database = home.folder / "mlflow.db"
    if database.exists():
        with sqlite3.connect(database) as connection:
            (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            yield f"the database: {sound}"
    for left in [*(home.folder / "checkpoints").rglob("*"), *home.folder.rglob("*.jsonl")]:
        if left.is_file():
            yield f"left behind: {left.relative_to(home.folder)}"


def keep(home: Home, target: Path) -> None:
    """Keep what was said in a broken storm, and what its server or nodes have written."""
    target.mkdir(parents=True, exist_ok=True)
    for log in [home.folder / "stderr.txt", *home.folder.glob("*.log")]:
        shutil.copy(log, target / log.name)


def storms(
    count: int, seed: int, folder: Path, launch: Mapping[str, object], scene: type["Scene"]
) -> Iterator[Trial]:
    """Storm after storm until so many processes were killed; one Trial for each kill."""
    dice = random.Random(seed)
    config = write_sweep(folder, launch)
    calm = Home(write_sweep(folder / "calm-config", {}), folder / "calm")
    start = time.monotonic()
    if calm.drive().wait() != 0:
        raise RuntimeError(calm.messages()[-2000:])
    calm_seconds, expected = time.monotonic() - start, calm.outcome()[1]
    done = number = 0
    while done < count:
        home = Home(config, folder / f"storm{number}")
        home.folder.mkdir()
        place = scene(home, dice, calm_seconds)
        with place as killers:
            killed = storm(home, killers, min(60, count - done), dice)
            place.calm_down()
            broken = list(wrongs(home, expected))
        if broken:
            keep(home, KEPT / f"{scene.__name__}-seed{seed}-storm{number + 1}")
        done, number = done + max(1, killed.total()), number + 1
        cause = f"storm {number} of seed {seed}"
        print(f"    {cause}: {dict(killed)}", *broken, sep="\n      ", file=sys.stderr, flush=True)
        kinds = list(killed.elements()) or ["nothing"]
        for number_of_kill, kind in enumerate(kinds):
            wrong = "" if number_of_kill else "; ".join(broken)
            yield Trial(f"{cause}, {kind} killed", wrong)


class Scene:
    """Where a storm takes place: what it needs beside the driver, and who can be killed there."""

    def __init__(self, home: Home, dice: random.Random, calm_seconds: float) -> None:
        """On this machine, into a database file; undisturbed the sweep takes `calm_seconds`."""
        self.home, self.dice, self.calm = home, dice, calm_seconds

    def __enter__(self) -> dict[str, tuple[float, Killer]]:
        """The killers of the scene."""
        return {
            "worker": (self.calm / 120, lambda driver: kill_one(workers(driver.pid), self.dice)),
            "driver": (self.calm, kill_driver),
            "forkserver": (
                self.calm / 2,
                lambda driver: kill_one(forkservers(driver.pid), self.dice),
            ),
        }

    def calm_down(self) -> None:
        """What a rerun needs is there."""

    def __exit__(self, *error: object) -> None:
        """End what the scene started."""


class ServerScene(Scene):
    """Into a tracking server, which is killed too, and comes back when it has started anew."""

    def __enter__(self) -> dict[str, tuple[float, Killer]]:
        """The killers of the scene."""
        self.server = TrackingServer(self.home.folder)
        self.server.start()
        self.home.environment = {"MLFLOW_TRACKING_URI": self.server.uri}
        return super().__enter__() | {"server": (self.calm / 3, self._kill_server)}

    def _kill_server(self, driver: subprocess.Popen[bytes]) -> bool:
        self.server.stop()
        time.sleep(3 * self.dice.random())
        self.server.begin()  # whoever is killed next may be so before it answers
        return True

    def calm_down(self) -> None:
        """Have the server back."""
        if not self.server.answers():
            self.server.start()

    def __exit__(self, *error: object) -> None:
        """End the server."""
        self.server.stop()


class RayScene(Scene):
    """On a Ray cluster of two nodes, of which the second is lost and replaced."""

    def __enter__(self) -> dict[str, tuple[float, Killer]]:
        """The killers of the scene."""
        self.cluster = RayCluster(self.home.folder, 1, 1)
        self.cluster.__enter__()
        self.home.environment = {"RAY_ADDRESS": self.cluster.address} | {
            name: self.cluster.environment[name]
            for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED")
        }
        return {
            "ray worker": (self.calm / 4, self._kill_worker),
            "ray node": (self.calm, self._kill_node),
            "driver": (self.calm, kill_driver),
        }

    def _kill_worker(self, driver: subprocess.Popen[bytes]) -> bool:
        time.sleep(self.dice.random())
        at_work = [
            pid
            for number in range(self.cluster.nodes)
            for pid, line in self.cluster.processes(number).items()
            if line.startswith("ray::") and "IDLE" not in line
        ]
        return kill_one(at_work, self.dice)

    def _kill_node(self, driver: subprocess.Popen[bytes]) -> bool:
        self.cluster.replace(self.cluster.nodes - 1)
        return True

    def __exit__(self, *error: object) -> None:
        """End every node."""
        self.cluster.__exit__()


def local(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Workers, the process that they are forked from, and the driver."""
    return storms(count, seed, folder, {}, Scene)


def served(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """The tracking server too."""
    return storms(count, seed, folder, {}, ServerScene)


def on_ray(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Workers on Ray, a node with all that runs there, and the driver."""
    if importlib.util.find_spec("ray") is None:
        return iter(())
    return storms(count, seed, folder, {"engine": "ray", "address": "auto"}, RayScene)


_PROMISE = "each cell finished once, losses equal to the last bit, a sound database, nothing left"
FAULTS = (
    FaultClass("kills", _PROMISE, sample=20, full=850, trials=local),
    FaultClass("kills-server", _PROMISE, sample=6, full=100, trials=served),
    FaultClass("kills-ray", _PROMISE, sample=4, full=50, trials=on_ray),
)
