"""One stage of what a GPU is asked: how long it has, and the rows that it leaves on disk."""

import contextlib
import json
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds at most of each stage, in the order in which they run.
LIMITS = {
    "facts": 35,
    "parity": 100,
    "speed": 130,
    "packs": 60,
    "training": 60,
    "large": 100,
    "kernels": 50,
    "memory": 45,
}
LAST_WAIT = 2  # seconds for a stage that was killed to go
_SHARE = 0.85  # of its limit: later a stage begins nothing new
_CPU_PATIENCE = 10  # times as long on a CPU, which somebody else may be using


@dataclass
class Stage:
    """Where one stage writes, and how long it still has."""

    name: str
    folder: Path
    device: str
    tiny: bool
    start: float

    @property
    def on_gpu(self) -> bool:
        """Whether it measures what it is meant to."""
        return self.device == "cuda"

    @property
    def limit(self) -> float:
        """Seconds that it may take."""
        return LIMITS[self.name] * (1 if self.on_gpu else _CPU_PATIENCE)

    def row(self, what: str, **facts: Any) -> None:
        """One line, on disk before the next thing is tried."""
        seconds = round(time.perf_counter() - self.start, 2)
        line = json.dumps({"stage": self.name, "what": what, "at": seconds, **facts}, default=str)
        with (self.folder / "gpu.jsonl").open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(line[:300], flush=True)

    @contextlib.contextmanager
    def case(self, what: str) -> Iterator[None]:
        """A failure is a row too, and the next case goes on."""
        import torch

        try:
            yield
        except Exception as error:
            where = traceback.format_exc().splitlines()[-6:]
            self.row(what, failed=f"{type(error).__name__}: {error}"[:400], where=where)
        if torch.cuda.is_available():
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()

    def has_time(self, what: str) -> bool:
        """Whether something new may begin; a row says what is left out."""
        if time.perf_counter() - self.start < _SHARE * self.limit:
            return True
        self.row(what, left_out="no time is left in this stage")
        return False


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """What was measured so far; a line that a kill has cut is left out."""
    rows = []
    path = folder / "gpu.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows
