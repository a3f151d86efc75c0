"""How fast the best size, the tokens and the best batch grow with compute.

Sizes and tokens: by the weighted laws of a forecast, over the runs' own budgets. Kaplan et al.
2020, arXiv:2001.08361, Eq. 1.8 and Fig. 14; Hoffmann et al. 2022, arXiv:2203.15556, Table 2. Batch:
Kaplan et al. 2020, Eq. 1.8 (of the critical batch); Bi et al. 2024 (DeepSeek LLM),
arXiv:2401.02954, Eq. 1 (of the best one). Here: where the recipe checks of each rung put the best
batch, or where runs of one size and length in several batches do.
"""

from dataclasses import replace

import numpy as np

from analysis.decisions.growth import GrowthOfBestSplit, growth_of_best_split
from analysis.forecasting.question.options import ForecastOptions
from analysis.intervals import Interval
from analysis.studies.published.finding import (
    Cells,
    Finding,
    PublishedValue,
    Scatter,
    unanswered,
)
from analysis.tuning.response import surfaces
from scaling.arrays import FloatArray
from scaling.errors import FitError, RecordError, ScalingError
from scaling.extra_columns.recipe_arms import STEPS, arms_from
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.words import counted

NAME = "growth with compute"
SIZE = "best size ~ C^a, exponent"
TOKENS = "best tokens ~ C^b, exponent"
BATCH = "best batch ~ C^c, exponent"
_DRAWS = 1000
_FEWEST_BATCHES = 3
_KAPLAN, _HOFFMANN = (
    "Kaplan et al. 2020, arXiv:2001.08361",
    "Hoffmann et al. 2022, arXiv:2203.15556",
)


def _at(value: float, source: str) -> PublishedValue:
    return PublishedValue(text=f"{value:.2f}", low=value, high=value, source=source)


_SIZES = (
    _at(0.73, f"{_KAPLAN}, Eq. 1.8"),
    _at(0.50, f"{_HOFFMANN}, Table 2, Approach 1"),
    _at(0.46, f"{_HOFFMANN}, Table 2, Approach 3"),
)
_LENGTHS = (
    _at(0.27, f"{_KAPLAN}, Fig. 14"),
    _at(0.50, f"{_HOFFMANN}, Table 2, Approach 1"),
    _at(0.54, f"{_HOFFMANN}, Table 2, Approach 3"),
)
_PUBLISHED = ((SIZE, _SIZES), (TOKENS, _LENGTHS))
_BATCHES = (
    _at(0.24, f"{_KAPLAN}, Eq. 1.8"),
    _at(0.33, "Bi et al. 2024, arXiv:2401.02954, Eq. 1"),
)


def growth_with_compute(
    records: Records, cells: Cells, noise: Scatter, options: ForecastOptions
) -> tuple[tuple[Finding, ...], tuple[Limit, ...]]:
    """Exponents of size and tokens, by the weighted laws, and of the batch; and what limits those
    laws."""
    limits = tuple[Limit, ...]()
    try:
        growth = growth_of_best_split(records, options=replace(options, x=None))
    except ScalingError as error:
        refused = str(error).removeprefix(f"{records.source}: ")
        sizes = tuple(unanswered(NAME, name, refused, values) for name, values in _PUBLISHED)
    else:
        sizes, limits = _of_laws(growth), growth.limits
    return (*sizes, _of_batch(records, cells, noise, options)), limits


def _of_laws(growth: GrowthOfBestSplit) -> tuple[Finding, ...]:
    low, high = growth.budgets
    about = f"{counted(growth.laws, 'weighted law')}, from {low:.3g} to {high:.3g} FLOP"
    both = (growth.params, growth.tokens)
    return tuple(
        Finding(
            name=NAME,
            quantity=quantity,
            estimate=one.estimate,
            interval=one.interval,
            about=about,
            published=values,
            limits=growth.endless,
        )
        for (quantity, values), one in zip(_PUBLISHED, both, strict=True)
    )


def _of_batch(records: Records, cells: Cells, noise: Scatter, options: ForecastOptions) -> Finding:
    """The exponent of the best batch, from recipe checks or else from runs in several batches."""
    level, seed = options.confidence_levels[0], options.seed
    by_checks = _from_checks(records, seed)
    places = by_checks if len(by_checks) > 1 else _from_cells(cells, noise, seed)
    what = "rungs whose check varied it" if len(by_checks) > 1 else "sizes trained in several"
    if len(places) < 2 or np.ptp([compute for compute, _, _ in places]) < np.log(2):
        why = (
            "the best batch is known at fewer than two budgets that differ by a factor of 2; let "
            "rungs be checked (health.check_recipe: true), or train sizes in several batches"
        )
        return unanswered(NAME, BATCH, why, _BATCHES)
    x = np.array([compute for compute, _, _ in places])
    x = x - x.mean()
    draws = np.array([batches for _, batches, _ in places])  # (budgets, draws)
    slopes = x @ draws / (x @ x)
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    at_edge = sum(edge for _, _, edge in places)
    text = (
        f"at {at_edge} of {counted(len(places), 'budget')} the best batch lies at the end of what "
        "was tried: it may lie beyond, and its range with it"
    )
    return Finding(
        name=NAME,
        quantity=BATCH,
        estimate=float(np.median(slopes)),
        interval=Interval(float(low), float(high)),
        about=f"{len(places)} {what}",
        published=_BATCHES,
        limits=(Limit(LimitCode.TUNING_AT_EDGE, text),) * bool(at_edge),
    )


Place = tuple[float, FloatArray, bool]  # ln FLOP, draws of ln best batch, whether it is at an edge


def _from_checks(records: Records, seed: int) -> list[Place]:
    """The best batch of every rung whose check varied it."""
    names = ("recipe_arms", "batch_tokens", "train_flops")
    if any(name not in records for name in names):
        return []
    table = records.finished.table
    table = table[table["recipe_arms"].notna()].drop_duplicates("recipe_arms")
    checks, rows = [], []
    for _, row in table.iterrows():
        try:
            arms = arms_from(str(row["recipe_arms"]))
        except RecordError:
            continue
        if len({arm.factors.batch for arm in arms if not arm.recipe}) > 1:
            checks.append(arms)
            rows.append(row)
    try:
        answers = surfaces(checks) if checks else ()
    except FitError:
        return []
    place = [*STEPS].index("batch")
    found = []
    for number, (surface, row) in enumerate(zip(answers, rows, strict=True)):
        steps = surface.draws(_DRAWS, seed + number)[:, place]
        best = float(surface.best[place])
        edge = min(best - surface.low[place], surface.high[place] - best) < 1e-6
        log_batch = np.log(float(row["batch_tokens"])) + steps * np.log(STEPS["batch"])
        found.append((float(np.log(float(row["train_flops"]))), log_batch, bool(edge)))
    return found


def _from_cells(cells: Cells, noise: Scatter, seed: int) -> list[Place]:
    """The best batch of every size and length that was trained in three batches or more, by a
    parabola in ln batch."""
    rng, found = np.random.default_rng([seed, 23]), list[Place]()
    keys = np.round(np.column_stack([cells.log_params, cells.log_tokens]), 2)
    _, which = np.unique(keys, axis=0, return_inverse=True)
    for one in range(which.max() + 1 if len(which) else 0):
        rows = np.flatnonzero((which == one) & np.isfinite(cells.batch_tokens))
        x = np.log(cells.batch_tokens[rows])
        if len(np.unique(x)) < _FEWEST_BATCHES:
            continue
        y = cells.log_loss[rows] + cells.error(noise)[rows] * rng.standard_normal(
            (_DRAWS, len(rows))
        )
        design = np.column_stack([np.ones(len(x)), x - x.mean(), (x - x.mean()) ** 2])
        both = np.vstack([cells.log_loss[rows], y])
        _, slope, bend = np.linalg.lstsq(design, both.T, rcond=None)[0]
        with np.errstate(all="ignore"):
            vertex = np.where(
                bend > 0, x.mean() - slope / (2 * bend), np.where(slope > 0, x.min(), x.max())
            )
        vertex = np.clip(vertex, x.min(), x.max())
        edge = bool(vertex[0] in (x.min(), x.max()))
        found.append((float(cells.log_flops[rows].mean()), vertex[1:], edge))
    return found
