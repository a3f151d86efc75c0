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
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.speed.gpu.stage import LAST_WAIT, LIMITS, Stage, read_rows  # noqa: E402
from benchmarks.speed.gpu.table import table  # noqa: E402


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
        from benchmarks.speed.gpu.stages import STAGES, prepare

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
            process.wait(timeout=LAST_WAIT)  # a driver that hangs lets nobody be killed
    stage.row("stage", code=code, seconds=round(time.perf_counter() - start, 1))


if __name__ == "__main__":
    main()
