"""At equal steps and data a wider model is no worse: what every parametrisation promises."""

import itertools
import math
from collections.abc import Iterator

from sweeps.checks.finding import Bench, Finding
from sweeps.training.plain_loop import train_plainly


def check_wider(bench: Bench) -> Iterator[Finding]:
    """Loss of each width less that of the next narrower, in standard errors.

    The same sequences are measured and the same batches were read, so differences are paired.
    """
    losses = {}
    for width in bench.widths:
        plans = [bench.plan(width, bench.depths[0], seed) for seed in bench.seeds]
        losses[width] = train_plainly(plans, bench.corpus).sequence_losses.mean(dim=0)
    for narrow, wide in itertools.pairwise(bench.widths):
        difference = losses[wide] - losses[narrow]
        error = float(difference.std() / math.sqrt(len(difference)))
        worse = max(0.0, float(difference.mean()) / error)
        yield Finding(
            check=f"wider is better, {narrow} to {wide}",
            measured=worse,
            threshold=2.0,
            detail=f"standard errors by which the wider is worse; losses "
            f"{losses[narrow].mean():.4f} to {losses[wide].mean():.4f} +- {error:.4f}",
        )
