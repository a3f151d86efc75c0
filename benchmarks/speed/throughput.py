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
import contextlib  # noqa: E402
import dataclasses  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable, Iterator, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from benchmarks.speed.plain_gpt import PlainGPT  # noqa: E402
from benchmarks.speed.stepper import (  # noqa: E402
    RECIPE,
    deterministic_algorithms,
    interleaved,
    shape_of,
    step_seconds,
    stepper_of,
    timed,
)
from scaling.compute import peak_flops_per_second  # noqa: E402
from sweeps.config.launch import LaunchConfig  # noqa: E402
from sweeps.data.sources.base import Corpus, CorpusFacts, StreamCorpus  # noqa: E402
from sweeps.objectives.cross_entropy import training_loss  # noqa: E402
from sweeps.planning.hyper_parameters.recipe import settings_for  # noqa: E402
from sweeps.planning.run_plan import RunPlan  # noqa: E402
from sweeps.training.batches import batch_of  # noqa: E402
from sweeps.training.devices.device import device_name  # noqa: E402
from sweeps.training.pack import settle_process  # noqa: E402
from sweeps.training.stack import CurvePoint, Stack, build_model, build_optimizer  # noqa: E402

Row = dict[str, Any]
#: What is measured, and how.
Case = tuple[str, Callable[[], Row]]

# width, depth, vocabulary, context, sequences a step
CPU_MODELS = {"25k": (32, 2, 16, 64, 16), "200k": (64, 4, 16, 64, 16), "700k": (96, 6, 16, 64, 16)}
PACKED_MODEL = (32, 2, 16, 64, 4)
NANOGPT_MODEL = (128, 4, 96, 64, 12)  # the settings that its README gives for a laptop
# width, depth, vocabulary, context, head size; the goal is a share of the dense bf16 peak
GPU_MODELS = {
    "0.1M": ((64, 2, 256, 1024, 32), 0.07),
    "1M": ((128, 5, 256, 1024, 32), 0.12),
    "10M": ((288, 10, 256, 1024, 32), 0.20),
    "30M": ((448, 12, 256, 1024, 64), 0.25),
    "125M": ((768, 12, 32768, 1024, 64), 0.35),
    "350M": ((1024, 24, 32768, 2048, 64), 0.40),
    "1B": ((1792, 24, 32768, 2048, 64), 0.45),
}
GPU_PACKS = {
    "0.1M": ((64, 2, 256, 1024, 32), 32),
    "1M": ((128, 5, 256, 1024, 32), 16),
    "3M": ((192, 7, 256, 1024, 32), 8),
    "10M": ((288, 10, 256, 1024, 32), 4),
}
GPU_DETERMINISTIC = ("1M", "125M")
GPU_PACK_SEQUENCES = 8  # of a small run's batch: what it would use alone
GPU_STEP_TOKENS = 65536


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


def trainer_against_loop(
    name: str, sizes: Sequence[int], rounds: int, steps: int
) -> dict[str, Any]:
    """Steps per second of the Trainer with MLflow logging, over those of a plain loop."""
    plan, corpus = plan_and_corpus(sizes)
    launch = LaunchConfig(device="cpu")
    stack = Stack([plan], corpus, launch)
    model = build_model(plan)
    optimizer = build_optimizer(model, plan)

    def loop(first: int) -> None:
        for step in range(first, first + steps):
            batch = batch_of([plan], corpus, step)
            objective, loss = training_loss(model, batch, plan.settings.z_loss)
            objective.backward()
            optimizer.step()
            loss.item()

    with _curve_writer(plan) as write:

        def trainer(first: int) -> None:
            known = len(stack.points[0])
            stack.advance(first + steps)
            write(stack.points[0][known:])

        if steps >= 25:  # enough that a round takes a second or two, in whole chunks
            steps = min(500, 25 * max(1, round(1.5 * steps / timed(lambda: loop(0)) / 25)))
        ours, theirs, ratio = interleaved(trainer, loop, rounds, steps)
    return {
        "what": f"Lightning{' + MLflow' if _has_mlflow() else ''} / plain loop",
        "model": name,
        "params": plan.shape.params,
        "ours_steps_per_second": steps / ours,
        "theirs_steps_per_second": steps / theirs,
        "ratio": ratio,
        "goal": 0.97,
    }


def packed_against_single(
    sizes: Sequence[int],
    replicas: int,
    rounds: int,
    steps: int,
    device: torch.device,
    *,
    name: str = "25k",
    head_size: int = 16,
    compiled: bool = False,
) -> dict[str, Any]:
    """Tokens per second of all replicas of a stack, over those of one run at a time."""
    width, depth, vocab_size, context, sequences = sizes
    shape = shape_of(width, depth, vocab_size, context, head_size)
    single = stepper_of(shape, 1, sequences, device, compiled)
    stack = stepper_of(shape, replicas, sequences, device, compiled)
    ours, theirs, ratio = interleaved(
        lambda first: stack.take(steps), lambda first: single.take(steps), rounds, steps
    )
    tokens = steps * sequences * context
    return {
        "what": f"packed x{replicas} / single" + ", compiled" * compiled,
        "model": name,
        "params": shape.params,
        "ours_tokens_per_second": replicas * tokens / ours,
        "theirs_tokens_per_second": tokens / theirs,
        "ratio": replicas * ratio,
        "compiled": compiled,
        "goal": 1.6 if device.type == "cpu" else 5.0,
        "first_steps_seconds": stack.first_steps_seconds,
    }


def against_nanogpt_loop(sizes: Sequence[int], rounds: int, steps: int) -> dict[str, Any]:
    """Steps per second of our step over those of a loop in nanoGPT's style on a model of the same
    sizes."""
    width, depth, vocab_size, context, sequences = sizes
    shape = shape_of(width, depth, vocab_size, context, width // 4)
    ours_stepper = stepper_of(shape, 1, sequences, torch.device("cpu"), compiled=False)
    model = PlainGPT(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    text = np.random.default_rng(0).integers(vocab_size, size=100_000).astype(np.uint16)

    def loop(first: int) -> None:
        for _ in range(steps):
            starts = torch.randint(len(text) - context, (sequences,))
            x = torch.stack(
                [torch.from_numpy(text[i : i + context].astype(np.int64)) for i in starts]
            )
            y = torch.stack(
                [torch.from_numpy(text[i + 1 : i + 1 + context].astype(np.int64)) for i in starts]
            )
            logits = model(x)
            loss = F.cross_entropy(logits.view(-1, vocab_size), y.view(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()

    ours, theirs, ratio = interleaved(lambda first: ours_stepper.take(steps), loop, rounds, steps)
    return {
        "what": "our step / nanoGPT-style loop",
        "model": f"{width} x {depth}",
        "params": shape.params,
        "theirs_params": sum(weights.numel() for weights in model.parameters()),
        "ours_steps_per_second": steps / ours,
        "theirs_steps_per_second": steps / theirs,
        "ratio": ratio,
        "goal": 1.0,
    }


def cost_of_determinism(
    sizes: Sequence[int],
    sequences: int,
    device: torch.device,
    rounds: int,
    steps: int,
    *,
    name: str | None = None,
) -> dict[str, Any]:
    """Steps per second with `launch.speed.deterministic`, over those without."""
    shape = shape_of(*sizes)
    free = stepper_of(shape, 1, sequences, device, compiled=False)
    with deterministic_algorithms():
        bound = stepper_of(shape, 1, sequences, device, compiled=False)

    def bound_steps(first: int) -> None:
        with deterministic_algorithms():
            bound.take(steps)

    ours, theirs, ratio = interleaved(bound_steps, lambda first: free.take(steps), rounds, steps)
    return {
        "what": "deterministic / not",
        "model": name or f"{shape.width} x {shape.depth}",
        "params": shape.params,
        "ours_steps_per_second": steps / ours,
        "theirs_steps_per_second": steps / theirs,
        "ratio": ratio,
        "first_steps_seconds": bound.first_steps_seconds,
    }


def utilisation(
    name: str,
    sizes: Sequence[int],
    goal: float,
    device: torch.device,
    compiled: bool,
    *,
    quick: bool,
) -> dict[str, Any]:
    """Share of the device's peak that one run's model FLOP reach."""
    width, depth, vocab_size, context, head_size = sizes
    shape = shape_of(width, depth, vocab_size, context, head_size)
    sequences = 2 if quick else max(1, GPU_STEP_TOKENS // context)
    stepper = stepper_of(shape, 1, sequences, device, compiled, dtype=torch.bfloat16)
    seconds = step_seconds(stepper, seconds=0.01 if quick else 0.4)
    tokens_per_second = sequences * context / seconds
    flops_per_second = tokens_per_second * shape.flops_per_token()
    peak = peak_flops_per_second(device_name(device))
    return {
        "what": "one run, bf16" + ", compiled" * compiled,
        "model": name,
        "params": shape.params,
        "tokens_per_second": tokens_per_second,
        "model_flops_per_second": flops_per_second,
        "mfu": flops_per_second / peak if peak else None,
        "goal": goal,
        "compiled": compiled,
        "step_seconds": seconds,
        "first_steps_seconds": stepper.first_steps_seconds,
        "micro_sequences": stepper.micro_sequences,
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def plan_and_corpus(sizes: Sequence[int]) -> tuple[RunPlan, Corpus]:
    """A run of these sizes in float32, and random bytes to train it on."""
    width, depth, vocab_size, context, sequences = sizes
    tokens = np.random.default_rng(0).integers(vocab_size, size=500_000).astype(np.uint8)
    facts = CorpusFacts(
        data_hash="random",
        eval_hash="random",
        tokenizer="random",
        tokenizer_hash="random",
        vocab_size=vocab_size,
        train_tokens=len(tokens) // context * context - context,
        validation_sequences=1,
        bytes_per_token=1.0,
    )
    corpus = StreamCorpus(
        facts=facts, train=tokens, held_back=tokens[None, : context + 1], context=context
    )
    shape = shape_of(width, depth, vocab_size, context, 16)
    settings = settings_for(RECIPE, shape, 5_000 * sequences * context)
    settings = dataclasses.replace(settings, batch_sequences=sequences, steps=5_000)
    plan = RunPlan(
        shape=shape,
        family="slt-dec/1",
        objective="causal",
        settings=settings,
        data=facts,
        recipe=RECIPE.name,
        recipe_hash=RECIPE.hash,
        rotary_base=10_000.0,
        precision="fp32",
        seed=1,
        held_out=False,
    )
    return plan, corpus


def _has_mlflow() -> bool:
    return importlib.util.find_spec("mlflow") is not None


@contextlib.contextmanager
def _curve_writer(plan: RunPlan) -> Iterator[Callable[[Sequence[CurvePoint]], None]]:
    """Writes curve points to a new MLflow database as the sweep does; nothing without MLflow."""
    if not _has_mlflow():
        yield lambda points: None
        return
    from scaling.store.run_store import RunStore
    from sweeps.running.run_log import Curve

    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.open("throughput", f"sqlite:///{folder}/mlflow.db")
        writer = store.start_run(plan.run_id, plan.name, {})
        curve = Curve(plan, writer, lambda event: None)
        yield lambda points: [curve.add(point) for point in points] and None
        curve.flush()
        writer.finish({})  # waits for the store, which goes with its folder


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
