"""One run on several devices: the worker is rank 0 and starts the other ranks beside itself, and
has further nodes start theirs.

Every rank calls the same training on the same plan, and takes its share of each batch; only rank 0
stores results. Batches are functions of seed and step, so the number of devices changes no result
but for the order of float sums. No rank outlives another: a rank ends when rank 0 is gone, however
it went, and rank 0 when a rank has died under it, so that its task is tried again.
"""

import contextlib
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.config.data import DataConfig
from sweeps.config.launch import LaunchConfig
from sweeps.multi_device.processes import (
    Member,
    rank_variables,
    some_die_within,
    some_died,
    start_ranks,
    wait_for_all,
)
from sweeps.multi_device.rendezvous import current_allocation
from sweeps.planning.packing import Pack
from sweeps.training.devices.process_group import joined
from sweeps.training.stop import Stopped

_SECONDS_TO_LEAVE = 60.0  # for the other ranks, after rank 0 is done
_SECONDS_TO_EXPLAIN = 15.0  # for rank 0, whose own error says more than that a rank has died
_SECONDS_TO_BE_SEEN_DEAD = 2.0
RANK_DIED = 70  # exit code of rank 0: its launcher takes the task for lost, and tries it again


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """What every rank must know."""

    pack: Pack
    data: DataConfig
    launch: LaunchConfig
    """With its strategy resolved: ranks must not decide differently."""
    done: frozenset[str]
    folder: Path | None


@contextlib.contextmanager
def other_ranks(training: SharedTraining) -> Iterator[None]:
    """Run the other ranks, of this node and of further ones, while the body trains as rank 0;
    nothing to do with one device."""
    launch = training.launch
    if launch.world_size == 1:
        yield
        return
    if "WORLD_SIZE" in os.environ:  # a cluster's launcher has started all ranks
        with joined(launch):
            yield
        return
    allocation = current_allocation() if launch.resources.nodes > 1 else None
    shared = {
        "MASTER_ADDR": allocation.host if allocation else "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(launch.world_size),
    }
    others: list[Member] = []
    ended = threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        _environment(shared | rank_variables(0, 0, launch.resources.devices)),
    ):
        file, content = Path(folder) / "training.pickle", pickle.dumps(training)
        file.write_bytes(content)
        try:
            devices = launch.resources.devices
            others += start_ranks(file, shared, 0, range(1, devices), devices)
            if allocation:
                others += allocation.start(content, shared)
            threading.Thread(target=_end_without, args=(others, ended), daemon=True).start()
            with joined(launch):
                try:
                    yield
                    wait_for_all(others, _SECONDS_TO_LEAVE)
                except RuntimeError as error:  # as collectives raise where a rank is gone
                    if some_die_within(others, _SECONDS_TO_BE_SEEN_DEAD):
                        raise SystemExit(RANK_DIED) from error
                    raise
                finally:  # before leaving the group, which may wait for them
                    ended.set()
                    _end(others)
        finally:
            ended.set()
            _end(others)


def _end(members: list[Member]) -> None:
    while members:
        members.pop().end()


def _end_without(members: Sequence[Member], ended: threading.Event) -> None:
    """End this process when a rank has died: collectives would wait for it for ever."""
    while not ended.wait(0.2):
        if some_died(members):
            if not ended.wait(_SECONDS_TO_EXPLAIN):
                os._exit(RANK_DIED)
            return


def _end_with_first() -> None:
    """End this process when rank 0 has: it holds the other end of the standard input."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(file: str) -> None:
    """Train as the rank that the environment names."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 hears it; all leave together
    threading.Thread(target=_end_with_first, daemon=True).start()
    from sweeps.data.corpus import load_corpus
    from sweeps.training.pack import settle_process, train_pack

    training: SharedTraining = pickle.loads(Path(file).read_bytes())
    settle_process(training.launch.resources.threads)
    corpus = load_corpus(training.data, training.pack.runs[0].shape.context)
    with contextlib.suppress(Stopped), joined(training.launch):
        train_pack(
            training.pack, corpus, training.launch, done=training.done, folder=training.folder
        )


if __name__ == "__main__":
    main(sys.argv[1])
