"""One call on a machine with a GPU: is every way of CUDA right, and how fast is it.

    python benchmarks/speed/gpu_once.py -o FOLDER [--device cuda|cpu] [--tiny] [--only parity,packs]

Each stage is a process with a limit of its own, so that a hang or a broken context costs one stage;
together they take less than ten minutes. Each row is a line of FOLDER/gpu.jsonl as soon as it is
known: what was asked, and numbers, `ok` or `failed`. A table beside the goals comes last, and by
itself from what there is: `--table`.

Needs torch and pytorch-lightning, and nothing else. `--device cpu --tiny` runs the same code on
tiny sizes: what CUDA alone can do is left out there, and a row says so.
"""

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse  # noqa: E402
import contextlib  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

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
_LAST_WAIT = 2
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


def main() -> None:
    """Run the stages one after the other, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("results/gpu_once"))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: does it all run?")
    parser.add_argument("--only", default="", help=f"of {','.join(LIMITS)}")
    parser.add_argument("--table", action="store_true", help="print what there is, run nothing")
    parser.add_argument("--stage", choices=LIMITS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.stage:
        from benchmarks.speed.gpu_stages import STAGES, prepare

        stage = Stage(
            arguments.stage,
            arguments.output,
            arguments.device,
            arguments.tiny,
            time.perf_counter(),
        )
        prepare()
        STAGES[stage.name](stage)
        return
    if not arguments.table:
        wanted = arguments.only.split(",") if arguments.only else list(LIMITS)
        if unknown := set(wanted) - set(LIMITS):
            parser.error(f"no stage {', '.join(sorted(unknown))}; choose of {', '.join(LIMITS)}")
        for name in wanted:
            _run(name, arguments)
    print(table(read_rows(arguments.output)))


def _run(name: str, arguments: argparse.Namespace) -> None:
    """One stage as a process of its own, ended at its limit."""
    start = time.perf_counter()
    stage = Stage(name, arguments.output, arguments.device, arguments.tiny, start)
    command = [sys.executable, str(Path(__file__).resolve()), "--stage", name]
    command += ["-o", str(arguments.output), "--device", arguments.device]
    process = subprocess.Popen(command + ["--tiny"] * arguments.tiny)
    try:
        code: int | str = process.wait(timeout=stage.limit)
    except subprocess.TimeoutExpired:
        code = "ended at its limit"
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_LAST_WAIT)  # a driver that hangs lets nobody be killed
    stage.row("stage", code=code, seconds=round(time.perf_counter() - start, 1))


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """What was measured so far; a line that a kill has cut is left out."""
    rows = []
    path = folder / "gpu.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """What was measured beside what was hoped for, as lines of text."""
    machine = next((row for row in rows if row["what"] == "machine"), {})
    lines = [f"{machine.get('name', 'no device')}, torch {machine.get('torch', '?')}", ""]
    lines += _section("stages that did not end well", rows, _has_ended_badly, _stage_line)
    lines += _section("right?", rows, _is_check, _check_line)
    lines += _section("model FLOP utilisation", rows, lambda row: "mfu" in row, _speed_line)
    lines += _section("packs", rows, lambda row: row["what"] == "pack", _pack_line)
    lines += _section("seams", rows, lambda row: "plain_ms" in row, _seam_line)
    lines += _section("data", rows, lambda row: "in_turn_ms" in row, _data_line)
    lines += _section("ceilings", rows, _is_ceiling, _ceiling_line)
    lines += _section("memory", rows, lambda row: "peak_bytes" in row, _memory_line)
    lines += _section("failed", rows, lambda row: "failed" in row, lambda row: row["failed"][:90])
    lines += _section("left out", rows, lambda row: "left_out" in row, lambda row: row["left_out"])
    return "\n".join(lines)


def _section(
    title: str,
    rows: list[dict[str, Any]],
    belongs: Callable[[dict[str, Any]], bool],
    said: Callable[[dict[str, Any]], str],
) -> list[str]:
    found = [f"  {row['stage']:9} {row['what']:44} {said(row)}" for row in rows if belongs(row)]
    return [title, *found, ""] if found else []


def _has_ended_badly(row: dict[str, Any]) -> bool:
    return bool(row.get("code"))


def _stage_line(row: dict[str, Any]) -> str:
    return f"{row['code']} after {row['seconds']:.0f} s"


def _is_ceiling(row: dict[str, Any]) -> bool:
    return row["what"] in ("copy", "product") and "failed" not in row


def _ceiling_line(row: dict[str, Any]) -> str:
    if "bytes_per_second" in row:
        return f"{row['bytes_per_second'] / 1e12:.2f} TB/s"
    return f"{row['flops_per_second'] / 1e12:.0f} TFLOP/s"


def _seam_line(row: dict[str, Any]) -> str:
    gain = row["plain_ms"] / row["fused_ms"]
    return f"{row['fused_ms']:.2f} ms as one kernel, {gain:.2f}x as fast as its twin"


def _data_line(row: dict[str, Any]) -> str:
    gain = row["in_turn_ms"] / row["in_blocks_ms"]
    return f"{row['in_blocks_ms']:.1f} ms a chunk in blocks, {gain:.1f}x as fast as in turn"


def _is_check(row: dict[str, Any]) -> bool:
    return "ok" in row


def _check_line(row: dict[str, Any]) -> str:
    gap = f"  gap {row['gap']:.2g}, at most {row['most']:g}" if "gap" in row else ""
    return ("yes" if row["ok"] else "NO") + gap


def _speed_line(row: dict[str, Any]) -> str:
    share = "unknown peak" if row["mfu"] is None else f"{row['mfu']:6.1%}"
    goal = "" if row.get("goal") is None else f" (goal {row['goal']:.0%})"
    return f"{share}{goal}  {row['step_ms']:.2f} ms a step"


def _pack_line(row: dict[str, Any]) -> str:
    return (
        f"{row['replicas']} of {row['model']}: {row['over_graphed']:.1f}x a recorded single run "
        f"(goal {row['goal_graphed']:g}), {row['over_ungraphed']:.1f}x one that is not "
        f"(goal {row['goal_ungraphed']:g})"
    )


def _memory_line(row: dict[str, Any]) -> str:
    return f"{row['peak_bytes'] / 1e9:.1f} GB at most"


if __name__ == "__main__":
    main()
