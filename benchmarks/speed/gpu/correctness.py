"""Is what a GPU computes right? Every way of computing a loss beside another way."""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.gpu.stage import Stage
from benchmarks.speed.gpu.steps import has_kernels, median_seconds, trained
from benchmarks.speed.kernels_beside_twins import gaps
from benchmarks.speed.steps.comparisons import plan_and_corpus
from benchmarks.speed.steps.stepper import deterministic_algorithms, shape_of
from sweeps.config.launch import LaunchConfig
from sweeps.data.sources.generated.markov_chains import markov_chain
from sweeps.data.sources.generated.walks import Tables
from sweeps.models.kernels.fused import ALL
from sweeps.planning.packing import Pack
from sweeps.training.pack import Listener, train_pack
from sweeps.training.stop import Stopped


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
    if has_kernels(stage):
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
        ways = [median_seconds(functools.partial(walk, in_blocks=way), 5) for way in (True, False)]
        stage.row("chunk of 8 runs", in_blocks_ms=ways[0] * 1e3, in_turn_ms=ways[1] * 1e3)


def _stop_at(stage: Stage, step: int) -> Listener:
    """Somebody who asks for an end at this step."""

    def heard(run: Any, point: Any) -> None:
        if point.step >= step:
            raise Stopped

    return Listener(on_point=heard)
