"""How fast a GPU trains: single runs of many sizes, and packs of runs."""

import torch

from benchmarks.speed.gpu.stage import Stage
from benchmarks.speed.gpu.steps import gpu_stepper, has_kernels, seconds_of_a_step
from benchmarks.speed.steps.sizes import (
    GPU_MODELS,
    GPU_STEP_TOKENS,
    LADDER_BATCHES,
    LARGE,
    TINY_SIZES,
)
from benchmarks.speed.steps.stepper import shape_of
from scaling.compute import peak_flops_per_second
from sweeps.training.devices.device import device_name


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
    if form == "fused" and not has_kernels(stage):
        stage.row(what, left_out="Triton runs none here")
        return
    if not stage.has_time(what):
        return
    sizes, goal = GPU_MODELS[name]
    sizes, tokens = (TINY_SIZES, 64) if stage.tiny else (sizes, GPU_STEP_TOKENS)
    shape, sequences = shape_of(*sizes), max(1, tokens // sizes[3])
    with stage.case(what):
        stepper = gpu_stepper(stage, shape, 1, sequences, form)
        seconds = seconds_of_a_step(stage, stepper)
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
    cases = {"tiny": (TINY_SIZES, 32)} if stage.tiny else LADDER_BATCHES
    form = "fused" if has_kernels(stage) else "plain"
    for name, (sizes, tokens) in cases.items():
        shape, sequences = shape_of(*sizes), max(1, tokens // sizes[3])
        alone: dict[bool, float] = {}
        for graph in (True, False):
            with stage.case(f"{name}, alone"):
                stepper = gpu_stepper(stage, shape, 1, sequences, form, graph=graph)
                alone[graph] = seconds_of_a_step(stage, stepper)
                stage.row(f"{name}, alone", step_ms=alone[graph] * 1e3, graph=graph)
        for replicas in (2,) if stage.tiny else (8, 32, 64):
            if len(alone) < 2 or not stage.has_time(f"{replicas} of {name}"):
                continue
            with stage.case(f"{replicas} of {name}"):
                seconds = seconds_of_a_step(
                    stage, gpu_stepper(stage, shape, replicas, sequences, form)
                )
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
