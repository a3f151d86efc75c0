"""On sources of known entropy no model may do better than it, and an easy one is learned to it."""

import math
from collections.abc import Iterator

from scaling.columns import NATS_PER_TOKEN
from sweeps.checks.finding import Bench, Finding
from sweeps.config.data import BigramTasksData, GeneratedData, MarkovData
from sweeps.data.registry import load_corpus
from sweeps.models.registry import find_family
from sweeps.objectives.registry import find_objective
from sweeps.training.plain_loop import planned_for, train_plainly

_EXCESS = 0.01
_VALIDATION_TOKENS = 2**18  # errors of a sixth of the excess that is allowed
_TOKENS, _CONTEXT = 5e5, 64  # enough steps at any recipe's batch; longer contexts take fewer

#: Sources with few enough transitions to be learned from 200,000 tokens.
EASY: tuple[GeneratedData, ...] = (
    MarkovData(symbols=16, order=1),
    BigramTasksData(symbols=8, tasks=4),
)


def check_known_entropy(bench: Bench) -> Iterator[Finding]:
    """How far the loss falls below the entropy, and how near it comes.

    A loss below means that targets leak into the input. The standard error is over sequences, which
    are no longer than these sources need.
    """
    kind = find_objective(bench.config.objective).loss_kind
    if kind not in NATS_PER_TOKEN:
        yield Finding(
            check="known entropy",
            measured=None,
            threshold=0.0,
            detail=f"is that of every next token, and losses are {kind.replace('_', ' ')}",
        )
        return
    context = min(_CONTEXT, bench.config.model.context)
    config = bench.config.changed(model={"context": context})
    for easy in EASY:
        data = easy.changed(
            validation_windows=max(2, _VALIDATION_TOKENS // bench.config.model.context)
        )
        corpus = load_corpus(data, context)
        entropy = corpus.facts.entropy
        assert entropy is not None, "these sources know their entropy"
        plan = planned_for(
            config, width=bench.widths[0], depth=bench.depths[0], tokens=_TOKENS, data=data
        )
        losses = train_plainly([plan], corpus).sequence_losses[0]
        loss, error = float(losses.mean()), float(losses.std()) / math.sqrt(len(losses))
        said = f"loss {loss:.4f} +- {error:.4f}, entropy {entropy:.4f} nats per token"
        yield Finding(
            check=f"known entropy, {data.source}: below it",
            measured=entropy - loss,
            threshold=0.0,
            one_sided=True,
            stderr=error,
            degrees_of_freedom=len(losses) - 1,
            is_invariant=True,
            detail=said,
        )
        if why := _beyond(bench, data):
            yield Finding(
                check=f"known entropy, {data.source}: excess",
                measured=None,
                threshold=_EXCESS,
                detail=f"{why}; {said}",
            )
            continue
        yield Finding(
            check=f"known entropy, {data.source}: excess",
            measured=loss / entropy - 1,
            threshold=_EXCESS,
            one_sided=True,
            stderr=error / entropy,
            degrees_of_freedom=len(losses) - 1,
            detail=f"relative; {said}",
        )


def _beyond(bench: Bench, data: GeneratedData) -> str:
    """Why no training takes this family to the entropy of a source; empty: it can get there."""
    model = bench.config.model
    if model.context == 1 and not isinstance(data, MarkovData):
        return "a single token does not say which chain it is of"
    if model.context > 1 and "depth" not in find_family(model.family).can:
        return "a family without blocks does not tell the last token of its context from the others"
    return ""
