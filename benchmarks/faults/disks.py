"""Disks that fill: the exit code says what is stored, and room mends the rest.

A small file system (tmpfs, which only root may mount) holds the database, the state folder, both,
or the file that a verb writes. A table is imported until the disk is full, in a process of its own;
then the disk is made larger and the same is done again. The first call must end with exit code 0
and every run stored, or with 2 and one line; the second with every run stored once.
"""

import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import Ending, run_verb

PLACES = ("database", "new database", "state", "everything", "output")
_WHOLE = 1 << 20  # bytes of a database without runs, and a little more
_SECONDS = 240.0


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path) -> None:
    """Make room on it."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def may_mount() -> bool:
    """Whether this process may mount; elsewhere nothing is tried."""
    return os.geteuid() == 0 and not subprocess.run(["unshare", "-m", "true"]).returncode


def _work(pipe: Connection, words: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    pipe.send(run_verb(*words, strict=False))
    os._exit(0)  # as a process ends whose threads are daemons


def asked(words: list[str], environment: dict[str, str]) -> Ending:
    """A verb in a process of its own, which has imported MLflow already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps.launchers.warm"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, words, environment), daemon=True)
    process.start()
    theirs.close()
    try:
        return (
            ours.recv() if ours.poll(_SECONDS) else Ending(-1, "", "", f"{_SECONDS} s of silence")
        )
    except EOFError:
        return Ending(-1, "", "", "the process died")
    finally:
        process.kill()
        process.join()


def fault_of(rng: np.random.Generator, place: str, folder: Path, empty: Path) -> str:
    """What is wrong with an import whose disk fills in this place; `empty` is a database."""
    rows = int(rng.integers(1, 40))
    losses = {f"run{n}": 2.0 + n / 7 for n in range(rows)}
    lines = [
        f"{name},{1e6 + n},{1e8 + n},{loss!r}" for n, (name, loss) in enumerate(losses.items())
    ]
    table = folder / "runs.csv"
    table.write_text("\n".join(["run_id,params,tokens,loss", *lines]) + "\n")
    room = int(rng.integers(0, 40 if place == "output" else 400)) << 10
    if place in ("database", "everything"):
        room += _WHOLE
    if place == "new database":
        room *= 4
    with small_disk(folder / "small", max(room, 4096)) as small:
        on_it = {"database": small, "new database": small, "everything": small}.get(place, folder)
        if place != "new database":
            (on_it / "mlflow.db").write_bytes(empty.read_bytes())
        state = small if place in ("state", "everything") else folder
        environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{on_it}/mlflow.db",
            "SCALING_STATE_DIR": str(state / "state"),
        }
        output = (small if place == "output" else folder) / "out.csv"
        words = ["import", str(table), "--sweep", "past"]
        first = asked(words, environment)
        if place == "output" and not first.fault:
            first = asked(["collect", "past", "-o", str(output)], environment)
        if first.fault:
            return f"first call: {first.fault}"
        if first.code and "\n" in first.refusals[0]:
            return "first call: not one line"
        if not first.code and (wrong := _missing(losses, environment, folder)):
            return f"exit code 0, {wrong}"
        grow(small)
        again = asked(words, environment)
        if again.fault or again.code:
            return f"with room again: {again.fault or again.refusals[0]}"
        return _missing(losses, environment, folder)


def _missing(losses: dict[str, float], environment: dict[str, str], folder: Path) -> str:
    """Which runs a collected table lacks, or tells otherwise."""
    import csv

    path = folder / "seen.csv"
    seen = asked(["collect", "past", "-o", str(path)], environment)
    if seen.fault or seen.code:
        return f"collect: {seen.fault or seen.refusals[0]}"
    with path.open(newline="") as file:
        told = [(row["run_id"], float(row["loss"])) for row in csv.DictReader(file)]
    return "" if sorted(told) == sorted(losses.items()) else f"{len(told)} of {len(losses)} runs"


def trials(
    count: int, seed: int, folder: Path, places: tuple[str, ...] = PLACES
) -> Iterator[Trial]:
    """So many disks that fill, the places in turn; none where this process may not mount."""
    if not may_mount():
        return
    from scaling.store.run_store import RunStore

    (folder / "empty").mkdir()
    RunStore.open("first", f"sqlite:///{folder}/empty/mlflow.db")
    for number in range(seed, seed + count):
        place, home = places[number % len(places)], folder / f"disk{number}"
        home.mkdir()
        rng = np.random.default_rng(number)
        wrong = fault_of(rng, place, home, folder / "empty" / "mlflow.db")
        yield Trial(f"import, full disk {number} of the {place}", wrong)


FAULTS = FaultClass(
    "disks",
    "the exit code says what is stored; with room again every run is stored once",
    sample=5,
    full=100,
    trials=trials,
)
