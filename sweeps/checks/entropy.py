"""On sources of known entropy no model may do better than it, and an easy one is learned to it."""

import dataclasses
import math
from collections.abc import Iterator

from scaling.columns import NATS_PER_TOKEN
from sweeps.checks.finding import Bench, Finding
from sweeps.config.data import BigramTasksData, GeneratedData, MarkovData
from sweeps.data.registry import load_corpus
from sweeps.objectives.registry import find_objective
from sweeps.training.plain_loop import planned_for, train_plainly

_STANDARD_ERRORS = 3.0
_EXCESS = 0.01

#: Sources with few enough transitions to be learned from 200,000 tokens.
EASY: tuple[GeneratedData, ...] = (
    MarkovData(symbols=16, order=1),
    BigramTasksData(symbols=8, tasks=4),
)


def check_known_entropy(bench: Bench) -> Iterator[Finding]:
    """How far the loss falls below the entropy, in standard errors, and how near it comes.

    A loss below means that targets leak into the input. The standard error is over sequences.
    """
    kind = find_objective(bench.config.objective).loss_kind
    if kind not in NATS_PER_TOKEN:
        yield Finding(
            check="known entropy",
            measured=None,
            threshold=_STANDARD_ERRORS,
            detail=f"is that of every next token, and losses are {kind.replace('_', ' ')}",
        )
        return
    for easy in EASY:
        data = easy.changed(validation_windows=bench.config.data.validation_windows)
        config = dataclasses.replace(bench.config, data=data)
        corpus = load_corpus(data, config.model.context)
        entropy = corpus.facts.entropy
        assert entropy is not None, "these sources know their entropy"
        plan = planned_for(
            config, width=bench.widths[0], depth=bench.depths[0], tokens=bench.tokens
        )
        losses = train_plainly([plan], corpus).sequence_losses[0]
        loss, error = float(losses.mean()), float(losses.std()) / math.sqrt(len(losses))
        said = f"loss {loss:.4f} +- {error:.4f}, entropy {entropy:.4f} nats per token"
        yield Finding(
            check=f"known entropy, {data.source}: below it",
            measured=max(0.0, (entropy - loss) / error),
            threshold=_STANDARD_ERRORS,
            is_invariant=True,
            detail=said,
        )
        yield Finding(
            check=f"known entropy, {data.source}: excess",
            measured=max(0.0, loss / entropy - 1),
            threshold=_EXCESS + 2 * error / entropy,
            detail=f"relative, allowed 1% and two standard errors; {said}",
        )
