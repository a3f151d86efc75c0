"""What `gpu_once` measures, stage by stage."""

import contextlib
import dataclasses
import functools
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.gpu_once import Stage
from benchmarks.speed.kernels_beside_twins import gaps
from benchmarks.speed.stepper import (
    Stepper,
    deterministic_algorithms,
    kernels_on,
    shape_of,
    step_of,
    step_seconds,
    stepper_of,
    timed,
)
from benchmarks.speed.throughput import GPU_MODELS, GPU_STEP_TOKENS, plan_and_corpus
from scaling.compute import peak_flops_per_second
from scaling.shape import TransformerShape
from sweeps.config.launch import LaunchConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.markov_chains import markov_chain
from sweeps.data.sources.walks import Tables
from sweeps.models.kernels.fused import ALL, PLAIN, Fused
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.packing import Pack
from sweeps.training.devices.device import device_name
from sweeps.training.devices.kernel_choice import Sizes, works
from sweeps.training.evaluation import sequences_at_once
from sweeps.training.pack import Listener, settle_process, train_pack
from sweeps.training.step import Step
from sweeps.training.stop import Stopped

#: Shape (width, depth, vocabulary, context, head size) and tokens a step of the cells of
#: configs/gpu_ladder.yaml that are packed, and of 0.1M at a batch of its own.
LADDER_BATCHES = {
    "0.1M": ((64, 2, 256, 1024, 32), 8192),
    "64 x 2, 1e13": ((64, 2, 256, 512, 32), 6144),
    "128 x 4, 1e15": ((128, 4, 256, 512, 32), 2560),
    "192 x 7, 1e15": ((192, 7, 256, 512, 32), 14336),
}
LARGE = ("350M", "1B")
_TINY_SIZES = (32, 1, 64, 16, 16)


def facts(stage: Stage) -> None:
    """What the machine is, and its ceilings for a copy and a product."""
    device = torch.device(stage.device)
    stage.row(
        "machine",
        name=device_name(device),
        torch=torch.__version__,
        python=sys.version.split()[0],
        cudnn=torch.backends.cudnn.version(),
        bytes=torch.cuda.get_device_properties(0).total_memory if stage.on_gpu else None,
        kernels_run=_has_kernels(stage),
    )
    size = 1 << (30 if stage.on_gpu else 16)
    with stage.case("copy"):
        one = torch.zeros(size, dtype=torch.uint8, device=device)
        other = torch.empty_like(one)
        seconds = _best(lambda: other.copy_(one), 5)
        stage.row("copy", bytes_per_second=2 * size / seconds)
    side = 8192 if stage.on_gpu else 64
    with stage.case("product"):
        square = torch.randn(side, side, device=device, dtype=torch.bfloat16)
        stage.row("product", flops_per_second=2 * side**3 / _best(lambda: square @ square, 5))
    if stage.on_gpu:
        for head_size in (8, 16, 32, 64, 128):
            with stage.case(f"attention of heads of {head_size}"):
                query = torch.randn(8, 4, 512, head_size, device=device, dtype=torch.bfloat16)
                chosen = torch._fused_sdp_choice(query, query, query, is_causal=True)
                stage.row(f"attention of heads of {head_size}", backend=int(chosen))


def parity(stage: Stage) -> None:
    """The same losses on every way: device, graph, kernels, pack, precision, determinism."""
    shape = shape_of(64, 2, 256, 64 if stage.tiny else 256, 16)
    steps, many = (8, 8) if stage.tiny else (20, 64)
    device = torch.device(stage.device)

    def losses(replicas: int = 2, **options: Any) -> Tensor:
        return trained(shape, replicas, steps, **{"device": device, **options})[0]

    def compare(what: str, found: Callable[[], Tensor], other: Tensor, most: float) -> None:
        with stage.case(what):
            gap = float(((found() - other).abs() / other.abs()).max())
            stage.row(what, gap=gap, most=most, ok=gap <= most)

    host = losses(device=torch.device("cpu"))
    eager = graphed = host
    with stage.case("a step"):
        eager = losses()
    compare("device as the CPU, fp32", losses, host, 1e-4)
    with stage.case("a step is recorded as a graph"):
        graphed, step = trained(shape, 2, steps, device=device, graph=True)
        stage.row("a step is recorded as a graph", ok=not step.notes, notes=step.notes)
    compare("recorded step as it is", lambda: graphed, eager, 1e-6)
    compare("one run as in its pack", lambda: losses(1, graph=True)[:, 0], graphed[:, 0], 1e-4)
    compare("micro-batches as the whole", lambda: losses(micro=3, graph=True), eager, 1e-4)
    compare("bf16 as fp32", lambda: losses(dtype=torch.bfloat16, graph=True), host, 2e-2)
    if _has_kernels(stage):
        fused = {"fused": ALL, "graph": True}
        compare("fused kernels as plain ones, fp32", lambda: losses(**fused), eager, 1e-4)
        compare(
            "fused kernels as plain ones, bf16",
            lambda: losses(**fused, dtype=torch.bfloat16),
            host,
            2e-2,
        )
        _kernels_beside_twins(stage, device)
    else:
        stage.row("fused kernels", left_out="Triton runs none here")
    with stage.case("a run that diverges leaves the others alone"):
        spoilt = losses(graph=True, spoil=6)
        alone = bool(torch.allclose(spoilt[:, 1], graphed[:, 1], rtol=1e-6))
        ended = not bool(spoilt[-1, 0].isfinite())
        stage.row("a run that diverges leaves the others alone", ok=alone and ended)
    with stage.case("deterministic: twice the same"), deterministic_algorithms():
        twice = [losses(dtype=torch.bfloat16, graph=True, sequences=many) for _ in range(2)]
        stage.row("deterministic: twice the same", ok=torch.equal(*twice))
    with stage.case("without that: twice the same"):
        twice = [losses(dtype=torch.bfloat16, graph=True, sequences=many) for _ in range(2)]
        stage.row("without that: twice the same", equal=torch.equal(*twice))
    if stage.on_gpu and stage.has_time("compiled as plain"):
        compare("compiled as plain", lambda: losses(compiled=True, graph=True), eager, 1e-3)


def trained(
    shape: TransformerShape,
    replicas: int,
    steps: int,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    sequences: int = 8,
    micro: int | None = None,
    graph: bool = False,
    fused: Fused = PLAIN,
    compiled: bool = False,
    spoil: int | None = None,
) -> tuple[Tensor, Step]:
    """(steps, replicas) Losses of our step on tokens that are the same on every device; in the step
    `spoil` the first replica is ruined."""
    model, step = step_of(
        shape,
        replicas,
        sequences,
        device,
        dtype,
        fused=fused,
        compiled=compiled,
        graph=graph,
        micro_sequences=micro,
        warmup_steps=2,
    )
    generator = torch.Generator().manual_seed(0)
    line = torch.randint(shape.vocab_size, (1, sequences, 33), generator=generator)  # learnable
    text = line.repeat(replicas, 1, 2 + (shape.context + 8) // 33)
    losses = []
    for number in range(steps):
        if spoil is not None and number == spoil:
            with torch.no_grad():
                model.weights[0].fill_(float("nan"))
        windows = text[..., number % 7 :][..., : shape.context + 1].to(device)
        losses.append(step(Batch.of_windows(windows)).float().cpu().clone())
    return torch.stack(losses), step


def _kernels_beside_twins(stage: Stage, device: torch.device) -> None:
    """Each kernel by itself, forward and backward."""
    with stage.case("each kernel as its twin"):
        for name, gap in gaps(device).items():
            most = 2e-2 if "bf16" in name else 1e-4
            stage.row(f"kernel: {name}", gap=gap, most=most, ok=gap <= most)


def training(stage: Stage) -> None:
    """The Trainer's path: states, a stop and going on, the measurement; the CPU beside it."""
    plan, corpus = plan_and_corpus((64, 2, 256, 64 if stage.tiny else 256, 8))
    settings = dataclasses.replace(plan.settings, steps=60, warmup_steps=5, decay_steps=10)
    runs = [dataclasses.replace(plan, seed=seed, settings=settings) for seed in range(3)]
    pack = Pack(replicas=tuple((run,) for run in runs))
    found: dict[tuple[str, int, bool], Tensor] = {}
    for device, inner, stops in (
        ("cpu", 60, False),
        (stage.device, 7, False),
        (stage.device, 7, True),
    ):
        what = f"{device}, chunks of {inner}" + ", stopped and gone on" * stops
        launch = LaunchConfig(device=device)
        launch = launch.changed(speed={"inner_steps": inner}, checkpoints={"seconds": 0.01})
        with stage.case(what), tempfile.TemporaryDirectory() as folder:
            if stops:
                with contextlib.suppress(Stopped):
                    train_pack(
                        pack, corpus, launch, folder=Path(folder), listener=_stop_at(stage, 30)
                    )
            done = train_pack(pack, corpus, launch, folder=Path(folder))
            found[device, inner, stops] = torch.tensor([done[run].loss for run in runs])
            notes = sorted({note for run in runs for note in done[run].notes})
            stage.row(what, losses=found[device, inner, stops].tolist(), notes=notes)
    for what, one, other, most in (
        ("Trainer: device as the CPU", (stage.device, 7, False), ("cpu", 60, False), 1e-3),
        ("Trainer: stopped as through", (stage.device, 7, True), (stage.device, 7, False), 1e-4),
    ):
        with stage.case(what):
            gap = float(((found[one] - found[other]) / found[other]).abs().max())
            stage.row(what, gap=gap, most=most, ok=gap <= most)
    if stage.on_gpu:
        left = torch.cuda.memory_allocated()
        stage.row("a finished pack leaves nothing", bytes=left, ok=left < 64e6)
    _walks(stage)


def _walks(stage: Stage) -> None:
    """A chunk of a generated source for eight replicas, in both ways; numpy's tokens beside it."""
    chain = markov_chain(symbols=16, order=1, concentration=0.5, seed=1)
    device, seeds = torch.device(stage.device), range(8)
    length, sequences = (33, 4) if stage.tiny else (513, 300)
    tables = Tables(*(torch.from_numpy(table).to(device) for table in chain.tables))
    numbers = torch.arange(sequences, device=device)
    walk = functools.partial(chain.sequences_on, numbers, length, seeds, 0, tables)
    what = "tokens of a generated source"
    with stage.case(what):
        both = [walk(in_blocks=ways) for ways in (True, False)]
        by_numpy = torch.from_numpy(chain.sequences(np.arange(sequences), length, 7, 0))
        stage.row(what, ok=torch.equal(*both) and torch.equal(both[0][7].cpu(), by_numpy))
        ways = [_best(functools.partial(walk, in_blocks=way), 5) for way in (True, False)]
        stage.row("chunk of 8 runs", in_blocks_ms=ways[0] * 1e3, in_turn_ms=ways[1] * 1e3)


def _stop_at(stage: Stage, step: int) -> Listener:
    """Somebody who asks for an end at this step."""

    def heard(run: Any, point: Any) -> None:
        if point.step >= step:
            raise Stopped

    return Listener(on_point=heard)


def speed(stage: Stage) -> None:
    """Utilisation of single runs from 0.1M to 125M: with fused kernels, plain, compiled."""
    names = [name for name in GPU_MODELS if name not in LARGE]
    for form in ("fused", "plain"):
        for name in names[: 1 if stage.tiny else None]:
            _utilisation(stage, name, form)
    for name in ("10M", "125M", "1M", "0.1M", "30M") if stage.on_gpu else ():
        _utilisation(stage, name, "compiled")


def large(stage: Stage) -> None:
    """The same of 350M and 1B, which take long to begin."""
    if not stage.on_gpu:
        stage.row("large models", left_out="on a GPU alone")
        return
    for name, form in (("350M", "fused"), ("1B", "fused"), ("350M", "plain")):
        _utilisation(stage, name, form)


def _utilisation(stage: Stage, name: str, form: str) -> None:
    what = f"{name}, {form}"
    if form == "fused" and not _has_kernels(stage):
        stage.row(what, left_out="Triton runs none here")
        return
    if not stage.has_time(what):
        return
    sizes, goal = GPU_MODELS[name]
    sizes, tokens = (_TINY_SIZES, 64) if stage.tiny else (sizes, GPU_STEP_TOKENS)
    shape, sequences = shape_of(*sizes), max(1, tokens // sizes[3])
    with stage.case(what):
        stepper = _stepper(stage, shape, 1, sequences, form)
        seconds = _step_seconds(stage, stepper)
        peak = peak_flops_per_second(device_name(torch.device(stage.device)))
        flops = shape.flops_per_token() * sequences * shape.context
        stage.row(
            what,
            mfu=flops / seconds / peak if peak else None,
            goal=goal,
            params=shape.params,
            tokens=sequences * shape.context,
            step_ms=seconds * 1e3,
            first_steps_seconds=stepper.first_steps_seconds,
            micro_sequences=stepper.micro_sequences,
            notes=stepper.notes,
            most_bytes=torch.cuda.max_memory_allocated() if stage.on_gpu else None,
        )


def packs(stage: Stage) -> None:
    """What replicas of one stack gain over runs one by one, recorded as a graph and not."""
    cases = {"tiny": (_TINY_SIZES, 32)} if stage.tiny else LADDER_BATCHES
    form = "fused" if _has_kernels(stage) else "plain"
    for name, (sizes, tokens) in cases.items():
        shape, sequences = shape_of(*sizes), max(1, tokens // sizes[3])
        alone: dict[bool, float] = {}
        for graph in (True, False):
            with stage.case(f"{name}, alone"):
                stepper = _stepper(stage, shape, 1, sequences, form, graph=graph)
                alone[graph] = _step_seconds(stage, stepper)
                stage.row(f"{name}, alone", step_ms=alone[graph] * 1e3, graph=graph)
        for replicas in (2,) if stage.tiny else (8, 32, 64):
            if len(alone) < 2 or not stage.has_time(f"{replicas} of {name}"):
                continue
            with stage.case(f"{replicas} of {name}"):
                seconds = _step_seconds(stage, _stepper(stage, shape, replicas, sequences, form))
                stage.row(
                    "pack",
                    model=name,
                    replicas=replicas,
                    step_ms=seconds * 1e3,
                    over_graphed=replicas * alone[True] / seconds,
                    over_ungraphed=replicas * alone[False] / seconds,
                    goal_graphed=3,
                    goal_ungraphed=5,
                )


def kernels(stage: Stage) -> None:
    """Each fused kernel beside its twin; and where the time of a step goes."""
    device = torch.device(stage.device)
    if _has_kernels(stage):
        sizes = Sizes(32 if stage.tiny else 256, 16, 64 if stage.tiny else 32768, squares=True)
        for name, work in works(sizes, device, torch.bfloat16).items():
            with stage.case(f"seam {name}"):
                sides = [_best(functools.partial(work, side), 5) for side in (ALL, PLAIN)]
                stage.row(f"seam {name}", fused_ms=sides[0] * 1e3, plain_ms=sides[1] * 1e3)
    if not stage.on_gpu:
        stage.row("profile", left_out="on a GPU alone")
        return
    from torch.profiler import ProfilerActivity, profile

    for name in ("0.1M", "10M", "125M"):
        if not stage.has_time(f"profile of {name}"):
            return
        with stage.case(f"profile of {name}"):
            sizes = GPU_MODELS[name][0]
            form = "fused" if _has_kernels(stage) else "plain"
            stepper = _stepper(stage, shape_of(*sizes), 1, GPU_STEP_TOKENS // sizes[3], form)
            with profile(activities=[ProfilerActivity.CUDA]) as profiled:
                stepper.take(3)
            events = sorted(profiled.key_averages(), key=lambda one: -one.device_time_total)
            stage.row(
                f"profile of {name}",
                kernels_a_step=sum(one.count for one in events) / 3,
                top=[
                    (one.key[:60], one.count / 3, one.device_time_total / 3) for one in events[:20]
                ],
            )


def memory(stage: Stage) -> None:
    """Training beside measuring, and a device that is too small."""
    if not stage.on_gpu:
        stage.row("memory", left_out="on a GPU alone")
        return
    shape = shape_of(256, 4, 8192, 1024, 32) if stage.tiny else shape_of(256, 8, 32768, 1024, 32)
    form = "fused" if _has_kernels(stage) else "plain"
    with stage.case("training, 4 of 256 x 8"):
        stepper = _stepper(stage, shape, 4, 16, form)
        stage.row("training, 4 of 256 x 8", peak_bytes=torch.cuda.max_memory_allocated())
        batch, model = stepper.batch, stepper.model
        at_once = sequences_at_once(torch.device("cuda"), stepper.micro_sequences)
        del stepper
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        with torch.no_grad():
            CAUSAL.sequence_losses(model, batch.split(at_once)[0])
        stage.row("measuring the same", peak_bytes=torch.cuda.max_memory_allocated())
        del model, batch
    with stage.case("out of memory"), _device_of(6e9):
        small = shape_of(256, 4, 256, 1024, 32)
        losses, step = trained(
            small,
            1,
            6,
            device=torch.device("cuda"),
            dtype=torch.bfloat16,
            sequences=256,
            graph=True,
        )
        fine = bool(step.notes) and bool(losses.isfinite().all())
        stage.row("out of memory", notes=step.notes, micro=step.micro_sequences, ok=fine)


@contextlib.contextmanager
def _device_of(size: float) -> Iterator[None]:
    """A device of so many bytes, as far as PyTorch's allocator goes."""
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, size / whole))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _step_seconds(stage: Stage, stepper: Stepper) -> float:
    return step_seconds(stepper, rounds=2, seconds=0.01) if stage.tiny else step_seconds(stepper)


def _stepper(
    stage: Stage, shape: TransformerShape, replicas: int, sequences: int, form: str, **options: Any
) -> Stepper:
    fused = {"fused": ALL, "plain": PLAIN, "compiled": Fused(loss=_has_kernels(stage))}[form]
    device, dtype = torch.device(stage.device), torch.bfloat16 if stage.on_gpu else torch.float32
    return stepper_of(
        shape, replicas, sequences, device, form == "compiled", dtype, fused=fused, **options
    )


def _best(work: Callable[[], Any], rounds: int) -> float:
    """Seconds of one call, the median; the first warms up."""

    def once() -> None:
        work()

    once()
    return statistics.median(timed(once) for _ in range(rounds))


def _has_kernels(stage: Stage) -> bool:
    """Whether Triton is there, and runs its kernels on this device."""
    return kernels_on(torch.device(stage.device)) == ALL


#: By name.
STAGES: dict[str, Callable[[Stage], None]] = {
    "facts": facts,
    "parity": parity,
    "speed": speed,
    "packs": packs,
    "training": training,
    "large": large,
    "kernels": kernels,
    "memory": memory,
}


def prepare() -> None:
    """Make a stage's process fit: threads for what the host computes, such as first weights."""
    settle_process(threads=8 if torch.cuda.is_available() else 1)
