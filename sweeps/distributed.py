"""One run on several devices: the worker is rank 0 and starts the other ranks beside itself.

Every rank calls the same training on the same plan, and takes its share of each batch; only rank 0
stores results. Batches are functions of seed and step, so the number of devices changes no result
but for the order of float sums. No rank outlives another: a rank ends when rank 0 is gone, however
it went, and rank 0 when a rank has died under it, so that its task is tried again.
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.config import DataConfig, LaunchConfig
from sweeps.launchers.launcher import Stopped
from sweeps.packing import Pack
from sweeps.process_group import joined

_SECONDS_TO_LEAVE = 60.0  # for the other ranks, after rank 0 is done
_SECONDS_TO_EXPLAIN = 15.0  # for rank 0, whose own error says more than that a rank has died
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
    """Run the other ranks while the body trains as rank 0; nothing to do with one device."""
    devices = training.launch.devices
    if devices == 1:
        yield
        return
    if "WORLD_SIZE" in os.environ:  # a cluster's launcher has started all ranks
        with joined(training.launch):
            yield
        return
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared |= {"WORLD_SIZE": str(devices), "NODE_RANK": "0"}
    with tempfile.TemporaryDirectory() as folder, _environment(shared, LOCAL_RANK="0", RANK="0"):
        file = Path(folder) / "training.pickle"
        file.write_bytes(pickle.dumps(training))
        ranks = [_start(file, rank) for rank in range(1, devices)]
        ended = threading.Event()
        threading.Thread(target=_end_without, args=(ranks, ended), daemon=True).start()
        try:
            with joined(training.launch):
                try:
                    yield
                    _let_leave(ranks)
                except RuntimeError as error:  # as collectives raise where a rank is gone
                    if _has_died(ranks):
                        raise SystemExit(RANK_DIED) from error
                    raise
                finally:  # before leaving the group, which may wait for them
                    ended.set()
                    _end(ranks)
        finally:
            ended.set()
            _end(ranks)


def _start(file: Path, rank: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.distributed", str(file)],
        env={**os.environ, "LOCAL_RANK": str(rank), "RANK": str(rank)},
        stdin=subprocess.PIPE,  # it closes when this process ends, even by SIGKILL
    )


def _has_died(ranks: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether one of them has died, or does within a moment."""
    deadline = time.monotonic() + 2.0
    while not any(process.poll() for process in ranks):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _let_leave(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _SECONDS_TO_LEAVE
    with contextlib.suppress(subprocess.TimeoutExpired):
        for process in ranks:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in ranks:
        process.kill()
        process.wait()
        assert process.stdin is not None, "it was opened as a pipe"
        process.stdin.close()


def _end_without(ranks: Sequence[subprocess.Popen[bytes]], ended: threading.Event) -> None:
    """End this process when a rank has died: collectives would wait for it for ever."""
    while not ended.wait(0.2):
        if any(process.poll() for process in ranks):
            if not ended.wait(_SECONDS_TO_EXPLAIN):
                os._exit(RANK_DIED)
            return


def _end_with_first() -> None:
    """End this process when rank 0 has: it holds the other end of the standard input."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


@contextlib.contextmanager
def _environment(variables: dict[str, str], **further: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables, **further)
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
    threading.Thread(target=_end_with_first, daemon=True).start()
    from sweeps.data.corpus import load_corpus
    from sweeps.training import settle_process, train_pack

    training: SharedTraining = pickle.loads(Path(file).read_bytes())
    settle_process(training.launch.threads)
    corpus = load_corpus(training.data, training.pack.runs[0].shape.context)
    with contextlib.suppress(Stopped), joined(training.launch):
        train_pack(
            training.pack, corpus, training.launch, done=training.done, folder=training.folder
        )


if __name__ == "__main__":
    main(sys.argv[1])
