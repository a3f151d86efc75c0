"""How fast training is, beside what else one could do: interleaved in one process, medians.

    python benchmarks/speed/throughput.py [--device cpu|cuda] [--compile] [--quick]
        [-o throughput.json]

On a CPU: the Trainer with MLflow logging against a plain PyTorch loop over the same module, eight
replicas in one stack against single runs, and a model of nanoGPT's small CPU shape against a
straightforward loop in nanoGPT's style. On a GPU: model FLOP utilisation from 0.1M to 1B
parameters, packed against unpacked, and seconds of the first steps (kernel choice, graph capture,
compilation). On both: what `launch.speed.deterministic` costs. `--compile` measures each model
twice, as it is and with its blocks compiled.

Needs torch and pytorch-lightning; MLflow is used where it is installed. Each row is written as
soon as it is known, and one that fails costs the others nothing. `--quick` runs the same code on
tiny sizes.
"""

import os

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the sweep's workers; before torch is imported
# Without it cuBLAS refuses to be deterministic; it is what Lightning sets.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import argparse  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable, Iterator  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.speed.steps.comparisons import (  # noqa: E402
    against_nanogpt_loop,
    cost_of_determinism,
    packed_against_single,
    trainer_against_loop,
    utilisation,
)
from benchmarks.speed.steps.sizes import (  # noqa: E402
    CPU_MODELS,
    GPU_DETERMINISTIC,
    GPU_MODELS,
    GPU_PACK_SEQUENCES,
    GPU_PACKS,
    GPU_STEP_TOKENS,
    NANOGPT_MODEL,
    PACKED_MODEL,
)
from sweeps.training.devices.device import device_name  # noqa: E402
from sweeps.training.pack import settle_process  # noqa: E402

Row = dict[str, Any]
#: What is measured, and how.
Case = tuple[str, Callable[[], Row]]


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--gpu-table", action="store_true", help="the GPU's table, on any device")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it all run?")
    parser.add_argument(
        "--compile", action="store_true", help="measure compiled blocks too, in the GPU's table"
    )
    parser.add_argument(
        "--budget-seconds", type=float, default=math.inf, help="begin no row after so long"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("results/throughput.json"))
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; leave out --device cuda, or run it where there is one")
    settle_process(threads=1)
    device = torch.device(arguments.device)
    document: dict[str, Any] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "quick": arguments.quick,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)

    def keep(rows: list[Row]) -> None:
        arguments.output.write_text(json.dumps(document | {"rows": rows}, indent=2) + "\n")

    if arguments.device == "cuda" or arguments.gpu_table:
        cases = gpu_cases(device, quick=arguments.quick, compiled=arguments.compile)
    else:
        cases = cpu_cases(quick=arguments.quick)
    rows = measured(cases, keep, arguments.budget_seconds)
    print(f"\n{document['device']}, torch {torch.__version__}; written to {arguments.output}")
    if failed := sum("failed" in row for row in rows):
        sys.exit(f"{failed} of {len(rows)} rows failed")


def measured(
    cases: Iterable[Case],
    keep: Callable[[list[Row]], None] = lambda rows: None,
    budget_seconds: float = math.inf,
) -> list[Row]:
    """Row by row, each printed and kept as soon as it is known. One that fails says so, and the
    next begins; none begins after the budget."""
    rows: list[Row] = []
    start = time.perf_counter()
    for what, measure in cases:
        if time.perf_counter() - start > budget_seconds:
            rows.append({"what": what, "left_out": f"after {budget_seconds:g} s"})
        else:
            try:
                rows.append(measure())
            except Exception as error:  # out of memory, a kernel that is missing: the rest counts
                rows.append({"what": what, "failed": f"{type(error).__name__}: {error}"[:500]})
        _tell(rows[-1])
        keep(rows)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return rows


def cpu_cases(*, quick: bool) -> Iterator[Case]:
    """The CPU's table."""
    rounds, steps = (3, 4) if quick else (7, 50)
    cpu = torch.device("cpu")
    models = {"tiny": (16, 1, 16, 16, 4)} if quick else CPU_MODELS
    for name, sizes in models.items():
        yield f"Trainer, {name}", partial(trainer_against_loop, name, sizes, rounds, steps)
    packed = (16, 1, 16, 16, 4) if quick else PACKED_MODEL
    yield "pack", partial(packed_against_single, packed, 8, rounds, steps, cpu)
    nano = (32, 1, 16, 16, 2) if quick else NANOGPT_MODEL
    # Short rounds and more of them: the two sides should meet the same machine.
    yield "nanoGPT", partial(against_nanogpt_loop, nano, 3 * rounds, max(2, steps // 10))
    width, depth, vocab_size, context, sequences = nano
    sizes = (width, depth, vocab_size, context, width // 4)
    yield "determinism", partial(cost_of_determinism, sizes, sequences, cpu, rounds, steps // 4)


def gpu_cases(device: torch.device, *, quick: bool, compiled: bool) -> Iterator[Case]:
    """The GPU's table; on a CPU with tiny sizes it is the same code without graphs."""
    models = {"tiny": ((32, 1, 64, 16, 16), 0.07)} if quick else GPU_MODELS
    packs = {"tiny": ((16, 1, 64, 16, 16), 4)} if quick else GPU_PACKS
    rounds, steps = (3, 3) if quick else (5, 50)
    forms = (False, True) if compiled else (False,)
    for form in forms:
        for name, (sizes, goal) in models.items():
            case = partial(utilisation, name, sizes, goal, device, form, quick=quick)
            yield f"{name}, one run" + ", compiled" * form, case
    for form in forms:
        for name, ((*four, head_size), replicas) in packs.items():
            each = (*four, 2 if quick else GPU_PACK_SEQUENCES)
            options = {"name": name, "head_size": head_size, "compiled": form}
            pack = partial(packed_against_single, each, replicas, rounds, steps, device, **options)
            yield f"{name}, pack" + ", compiled" * form, pack
    for name in models if quick else GPU_DETERMINISTIC:
        sizes = models[name][0]
        sequences = 2 if quick else max(1, GPU_STEP_TOKENS // sizes[3])
        cost = partial(cost_of_determinism, sizes, sequences, device, rounds, steps, name=name)
        yield f"{name}, determinism", cost


def _tell(row: Row) -> None:
    """Print the row."""
    if "params" not in row:
        print(f"{row['what']:33} {row.get('failed') or row['left_out']}", flush=True)
        return
    parts = [f"{row['what']:33} {row['model']:>9} {row['params']:>13,}"]
    for key in ("ratio", "mfu"):
        if row.get(key) is not None:
            goal = f" (goal {row['goal']:g})" if "goal" in row else ""
            parts.append(f"{key} {row[key]:6.3f}{goal}")
    for key in ("ours", "theirs"):
        for unit in ("steps", "tokens"):
            name = f"{key}_{unit}_per_second"
            if name in row:
                parts.append(f"{key} {row[name]:,.0f} {unit}/s")
    if "tokens_per_second" in row:
        parts.append(f"{row['tokens_per_second']:,.0f} tokens/s")
    if "first_steps_seconds" in row:
        parts.append(f"first steps {row['first_steps_seconds']:.1f} s")
    print("  ".join(parts), flush=True)


if __name__ == "__main__":
    main()
