"""What the runs of a plan will be able to answer, and what to add where they will not.

By the rules of `scaling.answerable`, by which analysis refuses. A plan knows no loss: whether the
losses fall, and how wide an interval becomes, only the runs can tell.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scaling.answerable import (
    BACKTESTS,
    CURVE_REACH,
    ROUNDING,
    SPANNED_REACH,
    backtest_cuts,
    budget_numbers,
    curve_cuts,
    decades_outside,
    no_backtest,
    no_curve,
    no_law,
    no_surface,
    supported_reach,
    surface_cuts,
)
from scaling.arrays import DECADE, FloatArray
from scaling.errors import ConfigError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from sweeps.config.sweep import Grid
from sweeps.models.family import encoder_apart
from sweeps.planning.exclusions import excluded_runs
from sweeps.planning.plan import SweepPlan, cell_runs
from sweeps.planning.review.near_duplicates import NearDuplicate, near_duplicates
from sweeps.planning.run_plan import RunPlan

_MOST_WIDTHS, _MOST_BUDGETS = 4, 6  # of the plan, that additions are tried at
_LONGEST_ADDITION = 5  # budgets


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether one question can be answered."""

    question: str
    refusal: str | None
    """Why analysis will refuse; None where it will not."""
    add: str | None = None
    """Where it will: cells, as YAML, with which it would not, the cheapest that was found."""
    add_flops: float | None = None
    """What they cost."""


@dataclass(frozen=True, kw_only=True)
class Answerable:
    """What the fitted runs of a plan can answer once all of them have finished."""

    fitted_runs: int
    repeated: int
    """Configurations of which several seeds are trained: they alone tell the noise of a run."""
    budgets: int
    law_of_compute: Answer
    law_of_sizes: Answer
    forecast: Answer
    split: Answer
    backtest: Answer
    backtests: int
    decades_spanned: float
    decades_beyond: float
    """Up to which a forecast can be read as a number, if its interval is narrow enough."""
    held_out: Answer | None
    """Whether the runs that are held out lie within that reach; None where none are."""
    near_duplicates: tuple[NearDuplicate, ...]
    """What can be left out: it tells little that another run does not."""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Question by question."""
        asked = (self.law_of_compute, self.law_of_sizes, self.forecast, self.split, self.backtest)
        return asked if self.held_out is None else (*asked, self.held_out)

    def document(self) -> dict[str, Any]:
        """What a JSON document says of it."""
        return asdict(self)


@dataclass(frozen=True)
class _Inputs:
    """Runs as analysis will read them, in logs (runs,)."""

    params: FloatArray
    tokens: FloatArray
    compute: FloatArray

    @classmethod
    def of(cls, runs: Iterable[RunPlan]) -> "_Inputs":
        rows = [(run.shape.params, run.tokens, run.train_flops) for run in runs]
        return cls(*np.log(np.array(rows, dtype=np.float64).reshape(-1, 3)).T)

    @property
    def budgets(self) -> FloatArray:
        """One compute a budget: a law of compute speaks of its best run."""
        if not len(self.compute):
            return self.compute
        numbers = budget_numbers(self.compute)
        return np.asarray(self.compute[np.unique(numbers, return_index=True)[1]])

    @property
    def is_surface(self) -> bool:
        """Whether a forecast will be by size and tokens."""
        return no_surface(self.params, self.tokens, self.compute) is None

    @property
    def ladder(self) -> FloatArray:
        """The compute that backtests go by."""
        return self.compute if self.is_surface else self.budgets


def answerable(plan: SweepPlan) -> Answerable:
    """What the runs of a plan can answer, without those that are held out or excluded."""
    excluded = excluded_runs(plan)
    fitted = [run for run in plan.runs if not run.held_out and run.run_id not in excluded]
    inputs = _Inputs.of(fitted)

    def ask(question: str, refusal: Callable[[_Inputs], str | None]) -> Answer:
        reason = refusal(inputs)
        found = None if reason is None else _addition(plan, fitted, refusal)
        if found is None:
            return Answer(question=question, refusal=reason)
        return Answer(question=question, refusal=reason, add=found[0], add_flops=found[1])

    forecast = ask("forecast", _no_forecast)
    spanned = float(np.ptp(inputs.ladder)) / DECADE if fitted else 0.0
    reach = 0.0 if forecast.refusal else _reach(inputs, spanned)
    hidden = _Inputs.of(run for run in plan.runs if run.held_out)
    seeds = Counter((run.shape, run.tokens, run.settings) for run in fitted)
    return Answerable(
        fitted_runs=len(fitted),
        repeated=sum(count > 1 for count in seeds.values()),
        budgets=len(inputs.budgets),
        law_of_compute=ask("L(C)", _no_law_of_compute),
        law_of_sizes=ask("L(N, D)", _no_law_of_sizes),
        forecast=forecast,
        split=ask("split", lambda runs: no_surface(runs.params, runs.tokens, runs.compute)),
        backtest=ask("backtest", _no_backtest),
        backtests=0 if forecast.refusal else len(_cuts(inputs)),
        decades_spanned=spanned,
        decades_beyond=reach,
        held_out=_held_out(inputs, hidden, reach, forecast.refusal),
        near_duplicates=near_duplicates(fitted),
    )


def _held_out(runs: _Inputs, hidden: _Inputs, reach: float, refusal: str | None) -> Answer | None:
    """Whether the held-out runs can be predicted by a number, and not only by an interval."""
    if not len(hidden.compute):
        return None
    if refusal is None:
        columns = ("compute", "params", "tokens") if runs.is_surface else ("compute",)
        seen, asked = (
            np.column_stack([getattr(one, name) for name in columns]) for one in (runs, hidden)
        )
        beyond = decades_outside(seen, asked)
        far = int(np.sum(beyond > reach + ROUNDING))
        if far:
            refusal = (
                f"{far} of {len(beyond)} up to {beyond.max():.2f} decades beyond what is fitted, "
                f"and a forecast is a number to {reach:.2f} at most: only an order of magnitude "
                "will be checked; hold out a smaller run, or add larger budgets"
            )
    return Answer(question="held out", refusal=refusal)


def _no_law_of_compute(runs: _Inputs) -> str | None:
    return _no_law(PowerLaw, ("train_flops",), (np.exp(runs.budgets),))


def _no_law_of_sizes(runs: _Inputs) -> str | None:
    return _no_law(Chinchilla, ("params", "tokens"), (np.exp(runs.params), np.exp(runs.tokens)))


def _no_law(law: type[Law], columns: tuple[str, ...], inputs: tuple[FloatArray, ...]) -> str | None:
    configurations = len(np.unique(np.round(np.log(np.column_stack(inputs)), 12), axis=0))
    return no_law(law, columns, inputs, configurations, tuple(law.constant_names()))


def _no_forecast(runs: _Inputs) -> str | None:
    return None if runs.is_surface else no_curve(runs.budgets, "train_flops")


def _no_backtest(runs: _Inputs) -> str | None:
    if (reason := _no_forecast(runs)) is not None:
        return reason
    if _cuts(runs):
        return None
    return no_backtest(runs.ladder, is_surface=runs.is_surface)


def _cuts(runs: _Inputs) -> list[tuple[str, float]]:
    return backtest_cuts(runs.ladder, is_surface=runs.is_surface)


def _reach(runs: _Inputs, spanned: float) -> float:
    """Decades beyond the largest run up to which a forecast by budget is supported."""
    if runs.is_surface:
        points = np.column_stack([runs.compute, runs.params, runs.tokens])
        cuts = surface_cuts(runs.compute)[:BACKTESTS]
        return supported_reach(spanned, _backtested(points, cuts, np.inf))
    points, cuts = runs.budgets[:, None], curve_cuts(runs.budgets)[:BACKTESTS]
    reached = 0.0
    for distance in np.linspace(0.0, SPANNED_REACH * spanned, 301):
        # along a curve a backtest looks as far as the forecast does
        backtested = _backtested(points, cuts, max(CURVE_REACH, distance * DECADE))
        if distance <= supported_reach(spanned, backtested):
            reached = float(distance)
    return reached


def _backtested(points: FloatArray, cuts: Sequence[float], reach: float) -> float:
    """Decades that the furthest backtest looks ahead; points (runs, columns), compute first."""
    furthest = 0.0
    for cut in cuts:
        hidden = (points[:, 0] > cut) & (points[:, 0] <= cut + reach)
        if hidden.any():
            beyond = decades_outside(points[points[:, 0] <= cut], points[hidden])
            furthest = max(furthest, float(beyond.max()))
    return furthest


def _addition(
    plan: SweepPlan, fitted: Sequence[RunPlan], refusal: Callable[[_Inputs], str | None]
) -> tuple[str, float] | None:
    """The cheapest cells of those tried with which nothing is refused, and their FLOP."""
    smallest = min((run.train_flops for run in fitted), default=0)

    def worth(one: tuple[Grid, str]) -> tuple[bool, float]:
        """Runs below all others are cheap, and say least of larger ones: the last resort."""
        block, _ = one
        return min(block.flops) < 0.9 * smallest, len(block.width) * sum(block.flops)

    blocks = sorted(_blocks(plan, fitted), key=worth)
    known: dict[tuple[int, float], tuple[RunPlan, ...]] = {}
    for block, text in blocks:
        added = []
        for width, flops in itertools.product(block.width, block.flops):
            if (width, flops) not in known:
                cell = dataclasses.replace(block, width=(width,), flops=(flops,))
                known[width, flops] = _planned(plan, cell)
            added.append(known[width, flops])
        if not all(added):
            continue
        runs = {run.run_id: run for run in itertools.chain(fitted, *added)}
        if refusal(_Inputs.of(runs.values())) is None:
            new = runs.keys() - {run.run_id for run in fitted}
            return text, float(sum(runs[run_id].train_flops for run_id in new))
    return None


def _planned(plan: SweepPlan, cell: Grid) -> tuple[RunPlan, ...]:
    try:
        return cell_runs(plan, cell)
    except ConfigError:  # too long for the text, or too short for a warm-up
        return ()


def _blocks(plan: SweepPlan, fitted: Sequence[RunPlan]) -> Iterator[tuple[Grid, str]]:
    """Cells to try: one or two widths, there already or next to those, and consecutive budgets."""
    if not fitted:
        return
    depths = {run.shape.width: _depths(plan, run) for run in fitted}
    head = plan.config.model.head_size
    own = sorted(depths)[-_MOST_WIDTHS:]
    beside = {head * max(1, round(own[0] * 0.67 / head)), head * round(own[-1] * 1.34 / head)}
    beside |= {own[-1] + head}
    flops = np.exp(_Inputs.of(fitted).budgets)
    budgets = [float(f"{value:.2g}") for value in flops[-_MOST_BUDGETS:]]
    budgets = [budgets[0] / 4, budgets[0] / 2, *budgets, *(budgets[-1] * 2**k for k in (1, 2, 3))]
    budgets = sorted({float(f"{value:.2g}") for value in budgets})
    spans = [
        tuple(budgets[first : first + count])
        for count in range(1, _LONGEST_ADDITION + 1)
        for first in range(len(budgets) - count + 1)
    ]
    widths = sorted({*own, *beside})
    chosen = [(width,) for width in widths] + list(itertools.combinations(widths, 2))
    for some in chosen:
        (depth, encoder), *others = {depths.get(width, depths[own[-1]]) for width in some}
        for span in [] if others else spans:
            block = Grid(width=some, depth=depth, encoder_depth=encoder, flops=span)
            yield block, _yaml(block)


def _depths(plan: SweepPlan, run: RunPlan) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a cell has to say so that its runs have the blocks of this one."""
    encoder = encoder_apart(run.shape)
    if encoder is None and plan.config.grid.encoder_depth:  # which the cell would have, else
        encoder = run.shape.depth
    return (run.shape.depth,), () if encoder is None else (encoder,)


def _yaml(block: Grid) -> str:
    width, flops = (_listed(values) for values in (block.width, block.flops))
    depth = f", depth: {block.depth[0]}" if block.depth != (1,) else ""
    depth += f", encoder_depth: {block.encoder_depth[0]}" if block.encoder_depth else ""
    return f"{{width: {width}{depth}, flops: {flops}}}"


def _listed(values: Sequence[float]) -> str:
    words = [f"{value:g}" for value in values]
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"
