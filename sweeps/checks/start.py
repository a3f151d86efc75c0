"""Before the first step a model knows nothing: its loss is the logarithm of the vocabulary."""

import math
from collections.abc import Iterator

from sweeps.checks.finding import Bench, Finding
from sweeps.training.evaluation import stack_losses
from sweeps.training.stack import build_model


def check_initial_loss(bench: Bench) -> Iterator[Finding]:
    """Head and branches start at zero, so the first loss is ln(vocabulary) whatever the size.

    A tied head is the embedding, which does not start at zero.
    """
    facts = bench.corpus.facts
    symbols = facts.used_vocab_size or facts.vocab_size
    uniform = math.log(symbols)
    for width in (bench.widths[0], bench.widths[-1]):
        plan = bench.plan(width, bench.depths[0])
        if not plan.shape.params_head:
            yield Finding(
                check="initial loss", measured=None, threshold=1e-5, detail="the head is tied"
            )
            return
        objective = plan.asks
        loss = float(stack_losses(build_model(plan), bench.corpus, objective, sequences=16).mean())
        yield Finding(
            check=f"initial loss, width {width}",
            measured=loss - uniform,
            threshold=1e-5,  # float32 sums
            is_invariant=True,
            detail=f"{loss:.6f} nats; ln {symbols} = {uniform:.6f}",
        )
