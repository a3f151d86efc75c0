"""Learning rate over a run, as a factor on its peak, and how horizons share a trunk.

Every schedule warms up linearly. `linear` then falls to zero over all that is left. `wsd` (warm-up,
stable, decay) stays at the peak and falls only over its last share, as 1 - sqrt(u): what comes
before the decay does not depend on where the run ends, so runs of several horizons share one trunk
and differ in their decay branches alone (Haegele et al. 2024, arXiv:2405.18392).
"""

import math
from collections.abc import Sequence

from sweeps.config.recipe import Schedule

_MOST_SUMMED, _SAMPLED = 1_000_000, 50_000  # steps


def schedule_factor(
    schedule: Schedule, step: int, *, steps: int, warmup_steps: int, decay_steps: int
) -> float:
    """Learning rate of a step (0-based) over its peak; the step after the last would have zero."""
    up = (step + 1) / warmup_steps
    if schedule == "linear":
        return min(up, (steps - step) / max(1, decay_steps), 1.0)
    into_decay = (step - (steps - decay_steps)) / max(1, decay_steps)
    return min(up, 1 - math.sqrt(max(0.0, into_decay)))


def mean_schedule_factor(
    schedule: Schedule, *, steps: int, warmup_steps: int, decay_steps: int
) -> float:
    """Mean over a run of the learning rate over its peak; of very many steps by every n-th, which
    is the same to five digits, so that to plan a run takes no time of its length."""
    stride = 1 if steps <= _MOST_SUMMED else steps // _SAMPLED
    some = range(stride // 2, steps, stride)
    factors = (
        schedule_factor(
            schedule, step, steps=steps, warmup_steps=warmup_steps, decay_steps=decay_steps
        )
        for step in some
    )
    return math.fsum(factors) / len(some)


def split_horizons(horizons: Sequence[float], max_span: float) -> list[list[int]]:
    """Which horizons share a trunk: places in the list, ascending, as few trunks as possible.

    The longest horizon of a trunk is at most `max_span` times its shortest: learning rate and
    batch depend on the horizon, but a trunk has one of each.
    """
    trunks: list[list[int]] = []
    for place in sorted(range(len(horizons)), key=lambda place: horizons[place]):
        # A ratio of 4.0000001 is a span of 4 written with rounding.
        if trunks and horizons[place] <= horizons[trunks[-1][0]] * max_span * (1 + 1e-6):
            trunks[-1].append(place)
        else:
            trunks.append([place])
    return trunks
