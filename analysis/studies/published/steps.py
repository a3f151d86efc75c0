"""Do larger models need fewer tokens, and fewer steps, to reach a loss?

Kaplan et al. 2020, arXiv:2001.08361, Figs. 2 and 4: larger models reach the same loss in fewer
steps and on fewer tokens. Here: of each size the runs of several lengths, each trained to its own
end, are joined by lines in ln loss and ln tokens; where a line passes the loss is how much that
size needs. Kaplan's curves are of one schedule, read on the way.
"""

from collections.abc import Sequence

import numpy as np

from analysis.intervals import Interval
from analysis.studies.published.finding import (
    Cells,
    Finding,
    PublishedValue,
    Scatter,
    unanswered,
)
from scaling.arrays import FloatArray, IntArray
from scaling.words import counted

NAME = "steps to a loss against size"
TOKENS = "tokens to reach a loss ~ N^b, exponent"
STEPS = "steps to reach it ~ N^b, exponent"  # at the batch that each size has
_DRAWS = 1000
_FEWER = PublishedValue(
    text="below 0",
    low=-np.inf,
    high=0.0,
    source="Kaplan et al. 2020, arXiv:2001.08361, Figs. 2 and 4 (larger models need fewer)",
)


def steps_to_a_loss(cells: Cells, noise: Scatter, level: float, seed: int) -> tuple[Finding, ...]:
    """How what a size needs to reach a loss goes with the size."""
    lines = _lines(cells)
    target, sizes = _common_loss(lines, cells)
    if target is None:
        why = (
            "no two sizes have runs of several lengths that pass one loss"
            if len(lines) > 1
            else "runs of several lengths are needed of two sizes at least"
        )
        return (unanswered(NAME, TOKENS, why, (_FEWER,)),)
    about = (
        f"a loss of {np.exp(target):.4g}, which {counted(len(sizes), 'size')} of "
        f"{np.exp(cells.log_params[sizes[0][0]]):.3g} to "
        f"{np.exp(cells.log_params[sizes[-1][0]]):.3g} parameters pass"
    )
    found = [_exponent(TOKENS, cells.log_tokens, sizes, target, cells, noise, level, seed, about)]
    if np.isfinite(cells.batch_tokens[np.concatenate(sizes)]).all():
        steps = cells.log_tokens - np.log(cells.batch_tokens)
        found.append(_exponent(STEPS, steps, sizes, target, cells, noise, level, seed, about))
    return tuple(found)


def _lines(cells: Cells) -> list[IntArray]:
    """The cells of each shape with several lengths, by size and then tokens."""
    shapes = np.column_stack([cells.log_params, *(_filled(v) for v in (cells.width, cells.depth))])
    _, which = np.unique(np.round(shapes, 6), axis=0, return_inverse=True)
    lines = [np.flatnonzero(which == one) for one in range(which.max() + 1)]
    lines = [line[np.argsort(cells.log_tokens[line])] for line in lines]
    return [line for line in lines if np.ptp(cells.log_tokens[line]) > 0]


def _filled(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, 0.0)


def _common_loss(lines: Sequence[IntArray], cells: Cells) -> tuple[float | None, list[IntArray]]:
    """The ln loss that most sizes pass, in the middle of its range, and these sizes."""
    spans = [(float(cells.log_loss[g].min()), float(cells.log_loss[g].max())) for g in lines]
    ends = sorted({end for span in spans for end in span})
    found: list[tuple[int, float, float]] = []  # sizes that pass, room, ln loss
    for low, high in zip(ends, ends[1:], strict=False):
        middle = (low + high) / 2
        passed = [g for g, (a, b) in zip(lines, spans, strict=True) if a <= middle <= b]
        found.append((len({_size(g, cells) for g in passed}), high - low, middle))
    if not found or max(found)[0] < 2:
        return None, []
    target = max(found)[2]
    passed = [g for g, (a, b) in zip(lines, spans, strict=True) if a <= target <= b]
    return target, sorted(passed, key=lambda g: _size(g, cells))


def _size(line: IntArray, cells: Cells) -> float:
    """ln size of the runs of a line."""
    return round(float(cells.log_params[line[0]]), 3)


def _exponent(
    quantity: str,
    amount: FloatArray,
    sizes: list[IntArray],
    target: float,
    cells: Cells,
    noise: Scatter,
    level: float,
    seed: int,
    about: str,
) -> Finding:
    """The slope of ln amount at the target over ln size, and its interval: by the scatter of runs,
    or that of sizes about the line where it is larger."""
    rng, error = np.random.default_rng([seed, 19]), cells.error(noise)
    x = np.array([cells.log_params[g[0]] for g in sizes])
    x = x - x.mean()

    def slope_of(log_loss: FloatArray) -> tuple[float, FloatArray]:
        needed = np.array([_needed(log_loss[g], amount[g], target) for g in sizes])
        return float(x @ needed / (x @ x)), needed

    slope, needed = slope_of(cells.log_loss)
    draws = [
        slope_of(cells.log_loss + error * rng.standard_normal(len(cells)))[0] for _ in range(_DRAWS)
    ]
    errors = [float(np.std(draws)) * noise.times(level)]
    spare = len(x) - 2
    if spare > 0:
        off = needed - needed.mean() - slope * x
        sigma = float(np.sqrt(off @ off / spare / (x @ x)))
        errors.append(sigma * Scatter(sigma=1.0, freedom=spare, from_where="").times(level))
    half = max(errors)
    return Finding(
        name=NAME,
        quantity=quantity,
        estimate=slope,
        interval=Interval(slope - half, slope + half),
        about=about,
        published=(_FEWER,),
    )


def _needed(log_loss: FloatArray, amount: FloatArray, target: float) -> float:
    """Where the line through the runs of one size first passes the target; the first or last piece
    is drawn on where it does not."""
    below = np.flatnonzero(log_loss <= target)
    end = int(np.clip(below[0] if len(below) else len(log_loss) - 1, 1, len(log_loss) - 1))
    fall = log_loss[end] - log_loss[end - 1]
    if fall >= 0:  # scatter turned the piece over: its middle is all that is known
        return float(amount[end - 1 : end + 1].mean())
    share = np.clip((target - log_loss[end - 1]) / fall, -1.0, 2.0)
    return float(amount[end - 1] + share * (amount[end] - amount[end - 1]))
