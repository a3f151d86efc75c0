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
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeps.config.data import DataConfig
from sweeps.config.launch import LaunchConfig
from sweeps.multi_device.processes import RANK_DIED, OtherRanks, rank_variables, start_ranks
from sweeps.multi_device.rendezvous import Allocation
from sweeps.planning.packing import Pack
from sweeps.training.devices.process_group import hosted_store, joined
from sweeps.training.stop import Stopped

_SECONDS_TO_LEAVE = 60.0  # for the other ranks, after rank 0 is done
_SECONDS_TO_BE_SEEN_DEAD = 2.0


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
def other_ranks(training: SharedTraining, allocation: Allocation | None = None) -> Iterator[None]:
    """Run the other ranks while the body trains as rank 0; nothing to do with one device.

    `allocation`: the nodes of the run, where it has several.
    """
    launch = training.launch
    if launch.world_size == 1:
        yield
        return
    if "WORLD_SIZE" in os.environ:  # a cluster's launcher has started all ranks
        with joined(launch):
            yield
        return
    if launch.resources.nodes > 1 and allocation is None:
        raise RuntimeError("several nodes are asked for, and the launcher has reserved none")
    devices, host = launch.resources.devices, allocation.host if allocation else "127.0.0.1"
    store = hosted_store(host)
    shared = {
        "MASTER_ADDR": host,
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": str(launch.world_size),
    }
    with tempfile.TemporaryDirectory() as folder, OtherRanks() as others:
        file, content = Path(folder) / "training.pickle", pickle.dumps(training)
        file.write_bytes(content)
        others.members += start_ranks(file, shared, 0, range(1, devices), devices)
        if allocation:
            others.members += allocation.start(content, shared)
        with _environment(shared | rank_variables(0, 0, devices)), joined(launch):
            try:
                yield
                others.wait(_SECONDS_TO_LEAVE)
            except RuntimeError as error:  # as collectives raise where a rank is gone
                if others.some_die_within(_SECONDS_TO_BE_SEEN_DEAD):
                    raise SystemExit(RANK_DIED) from error
                raise
            finally:  # before leaving the group, which may wait for them
                others.end()


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


def main(file: str) -> None:
    """Train as the rank that the environment names."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 hears it; all leave together
    threading.Thread(target=_end_with_first, daemon=True).start()
    from sweeps.data.registry import load_corpus
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
