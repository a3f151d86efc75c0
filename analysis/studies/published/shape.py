"""Does the shape of a model matter, or only its size and compute?

Kaplan et al. 2020, "Scaling Laws for Neural Language Models", arXiv:2001.08361, Fig. 5: at a fixed
number of non-embedding parameters the loss varies by a few percent while width over depth varies
by a factor of 40; small differences in size are taken off by the fitted law of size. Here: sizes
count what ``params`` counts, compute is equal too, and the law is that of size and tokens.
"""

import numpy as np
from scipy.stats import f as ratio_of_variances

from analysis.fitting.result import Fit
from analysis.intervals import Interval
from analysis.studies.published.finding import (
    Cells,
    Finding,
    PublishedValue,
    Scatter,
    unanswered,
)
from scaling.arrays import BoolArray, FloatArray, IntArray
from scaling.words import counted

NAME = "depth against width"
DIFFERENCE = "difference of two shapes, % of the loss"  # typical; of equal compute and size
TREND = "with twice the width over depth, % of it"
EQUAL_FLOPS, EQUAL_SIZE = 0.05, 0.35  # ln: budgets and sizes that differ by less are equal
_FIGURE_5 = PublishedValue(
    text="within 3",
    low=0.0,
    high=3.0,
    source="Kaplan et al. 2020, arXiv:2001.08361, Fig. 5 (width over depth 33 and 715)",
)


def depth_and_width(
    cells: Cells, law: Fit | None, noise: Scatter, level: float
) -> tuple[Finding, ...]:
    """What shapes of equal compute and size differ by."""
    known = np.isfinite(cells.width) & np.isfinite(cells.depth)
    aspect = np.log2(np.where(known, cells.width / cells.depth, np.nan))
    groups = [g for g in _groups(cells, known) if np.ptp(cells.depth[g]) > 0]
    if not groups:
        varied = len(np.unique(cells.depth[known])) > 1
        why = (
            "no two shapes of other depth have equal compute (to 5%) and size (to 40%)"
            if varied
            else "all runs have one depth"
            if known.any()
            else "the runs say neither width nor depth"
        )
        return (unanswered(NAME, DIFFERENCE, why, (_FIGURE_5,)),)
    baseline = np.zeros(len(cells)) if law is None else _baseline(cells, law)
    left = cells.log_loss - baseline
    count = sum(map(len, groups))
    taken = "" if law is None else f", differences in size taken off by the {law.law.name} law"
    least, most = (2 ** f(np.concatenate([aspect[g] for g in groups])) for f in (np.min, np.max))
    about = (
        f"{counted(count, 'shape')} in {counted(len(groups), 'group')}, width over depth "
        f"{least:.3g} to {most:.3g}{taken}"
    )
    difference, ends = _difference(groups, left, cells.runs, noise, level)
    slope, half = _slope(groups, aspect, left, cells.runs, noise, level)
    return (
        Finding(
            name=NAME,
            quantity=DIFFERENCE,
            estimate=100 * difference,
            interval=Interval(100 * ends.low, 100 * ends.high),
            about=about,
            published=(_FIGURE_5,),
        ),
        Finding(
            name=NAME,
            quantity=TREND,
            estimate=100 * slope,
            interval=Interval(100 * (slope - half), 100 * (slope + half)),
            about=about,
            published=(),
        ),
    )


def _groups(cells: Cells, known: BoolArray) -> list[IntArray]:
    """Cells (their numbers) of equal compute and size, each in one group."""
    left, found = list(np.flatnonzero(known)), list[IntArray]()
    left.sort(key=lambda i: (cells.log_flops[i], cells.log_params[i]))
    while left:
        near = [
            i
            for i in left
            if abs(cells.log_flops[i] - cells.log_flops[left[0]]) < EQUAL_FLOPS
            and abs(cells.log_params[i] - cells.log_params[left[0]]) < EQUAL_SIZE
        ]
        if len(near) > 1:
            found.append(np.array(near))
        left = [i for i in left if i not in near]
    return found


def _baseline(cells: Cells, law: Fit) -> FloatArray:
    """(cells,) What the law of size and tokens says, ln."""
    return np.asarray(np.log(law.law.loss(np.exp(cells.log_params), np.exp(cells.log_tokens))))


def _difference(
    groups: list[IntArray], left: FloatArray, runs: FloatArray, noise: Scatter, level: float
) -> tuple[float, Interval]:
    """Typical difference of two shapes of a group, ln: sqrt(2) times the scatter of shapes beyond
    that of runs, with the interval of a variance component (Searle 1971, "Linear Models", 9.9)."""
    freedom = sum(map(len, groups)) - len(groups)
    seeds = float(1 / np.mean(1 / np.concatenate([runs[g] for g in groups])))
    squares = sum(
        float(runs[g] @ (left[g] - np.average(left[g], weights=runs[g])) ** 2) for g in groups
    )
    ratio = squares / freedom / noise.sigma**2

    def scaled(over: float) -> float:
        return float(noise.sigma * np.sqrt(2 * max(ratio / over - 1, 0.0) / seeds))

    tails = ratio_of_variances.ppf([(1 - level) / 2, (1 + level) / 2], freedom, noise.freedom)
    return scaled(1.0), Interval(scaled(float(tails[1])), scaled(float(tails[0])))


def _slope(
    groups: list[IntArray],
    aspect: FloatArray,
    left: FloatArray,
    runs: FloatArray,
    noise: Scatter,
    level: float,
) -> tuple[float, float]:
    """Change of ln loss a doubling of width over depth within the groups, and half its interval:
    by the scatter of runs, or that about the line where it is larger."""
    x, y, w = [], [], []
    for g in groups:
        x.append(aspect[g] - np.average(aspect[g], weights=runs[g]))
        y.append(left[g] - np.average(left[g], weights=runs[g]))
        w.append(runs[g])
    xs, ys, ws = map(np.concatenate, (x, y, w))
    information = float(ws @ xs**2)
    slope = float(ws @ (xs * ys)) / information
    spare = len(xs) - len(groups) - 1
    errors = [noise.sigma / np.sqrt(information) * noise.times(level)]
    if spare > 0:
        sigma = np.sqrt(float(ws @ (ys - slope * xs) ** 2) / spare)
        own = Scatter(sigma=float(sigma), freedom=float(spare), from_where="")
        errors.append(sigma / np.sqrt(information) * own.times(level))
    return slope, float(max(errors))
