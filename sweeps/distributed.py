"""One run on several devices: the worker is rank 0 and starts the other ranks beside itself.

Every rank calls the same training on the same plan with Lightning's DDP strategy, and takes its
share of each batch; only rank 0 stores anything. Batches are functions of seed and step, so the
number of devices changes no result but for the order of float sums.
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeps.config import DataConfig, LaunchConfig
from sweeps.packing import Pack


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """What every rank must know."""

    pack: Pack
    data: DataConfig
    launch: LaunchConfig
    done: frozenset[str]
    folder: Path | None


@contextlib.contextmanager
def other_ranks(training: SharedTraining) -> Iterator[None]:
    """Run the other ranks while the body trains as rank 0; nothing to do with one device."""
    devices = training.launch.devices
    if devices == 1 or "WORLD_SIZE" in os.environ:  # a cluster's launcher has started all ranks
        yield
        return
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared |= {"WORLD_SIZE": str(devices), "NODE_RANK": "0"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training.pickle"
        file.write_bytes(pickle.dumps(training))
        ranks = [
            subprocess.Popen(
                [sys.executable, "-m", "sweeps.distributed", str(file)],
                env={**os.environ, **shared, "LOCAL_RANK": str(rank), "RANK": str(rank)},
            )
            for rank in range(1, devices)
        ]
        before = dict(os.environ)
        os.environ.update(shared, LOCAL_RANK="0", RANK="0")
        try:
            yield
            for process in ranks:
                process.wait(timeout=60)
        finally:
            os.environ.clear()
            os.environ.update(before)
            for process in ranks:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(file: str) -> None:
    """Train as the rank that the environment names."""
    from sweeps.data.corpus import load_corpus
    from sweeps.training import settle_process, train_pack

    training: SharedTraining = pickle.loads(Path(file).read_bytes())
    settle_process(training.launch.threads)
    corpus = load_corpus(training.data, training.pack.runs[0].shape.context)
    train_pack(training.pack, corpus, training.launch, done=training.done, folder=training.folder)


if __name__ == "__main__":
    main(sys.argv[1])
