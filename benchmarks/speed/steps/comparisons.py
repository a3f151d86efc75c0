"""How fast our training is beside something else: each comparison is a row of the table."""

import contextlib
import dataclasses
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.speed.steps.plain_gpt import PlainGPT
from benchmarks.speed.steps.sizes import GPU_STEP_TOKENS
from benchmarks.speed.steps.stepper import (
    RECIPE,
    deterministic_algorithms,
    interleaved,
    shape_of,
    step_seconds,
    stepper_of,
    timed,
)
from scaling.compute import peak_flops_per_second
from sweeps.config.launch import LaunchConfig
from sweeps.data.sources.base import Corpus, CorpusFacts, StreamCorpus
from sweeps.objectives.cross_entropy import training_loss
from sweeps.planning.hyper_parameters.recipe import settings_for
from sweeps.planning.run_plan import RunPlan
from sweeps.training.batches import batch_of
from sweeps.training.devices.device import device_name
from sweeps.training.stack import CurvePoint, Stack, build_model, build_optimizer


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
