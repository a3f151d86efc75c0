"""Which constants of a law the toolkit stands by: one policy for every page, verb and file.

    runs       a law of compute speaks of the runs that no cheaper run beats, others of all runs
    objective  Huber, but least squares where configurations are few: the narrow Huber penalty
               passes through single points of so small a ladder, and its resamples then too, so
               that intervals shrink to nothing
    floor      fitted where the runs tell it, else held at zero: with a floor that is anybody's
               guess the other constants are too; one above a loss that was measured, by more
               than noise, is refused and held below

The caller may make each of these choices instead. What was chosen, and why, is in `Fit.choices`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.fitting.checklist import checklist_card
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.lmfit_bridge import Bounds, tied_constants
from analysis.fitting.measurements.frontier import unbeaten_runs
from analysis.fitting.measurements.signal import require_signal
from analysis.fitting.measurements.validation_luck import shared_luck
from analysis.fitting.minimising.penalties import penalty_named
from analysis.fitting.problem import check_given_once, pose
from analysis.fitting.refits.bootstrap import FEWEST_CLUSTERS_FOR_PAIRS
from analysis.fitting.refits.ceiling import ABOVE_MEASURED
from analysis.fitting.result import Choice, Fit
from analysis.intervals import LEVEL
from analysis.tuning.screening import screen
from scaling.answerable import (
    FEWEST_SCALES,
    budget_numbers,
    no_surface,
)
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.laws.written.formula import FormulaLaw, law_for, require_own_column
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

ALL_RUNS, UNBEATEN_RUNS = "all usable runs", "the runs that no cheaper run beats"
FITTED, HELD_AT_ZERO = "fitted", "held at zero"
HELD_BELOW_LOSSES = "held just below the lowest loss"
BY_THE_CALLER = "asked for"
RESAMPLES = 1000  # behind every interval, on whatever page
FLOOR_UNTOLD = "the runs do not say where the loss levels off"
FLOOR_BELOW_ZERO = "one below zero, which no loss has, would fit better"
FLOOR_HELD = Limit(
    LimitCode.FLOOR_HELD,
    f"{FLOOR_UNTOLD}: the floor is held at zero here, and one above "
    "zero, which they do not exclude, would change the other constants and widen their intervals",
)


def fit_law(
    records: Source,
    law: str | type[Law] = PowerLaw,
    *,
    frontier: bool | None = None,
    objective: str | None = None,
    huber_delta: float | None = None,
    fix: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    expressions: Mapping[str, str] | None = None,
    x: str | None = None,
    weights: str | Sequence[float] | FloatArray | None = None,
    cluster: str | None = None,
    bootstrap: int = RESAMPLES,
    confidence_level: float = LEVEL,
    seed: int = 0,
    card: bool = True,
) -> Fit:
    """The constants of one law with their intervals, as `scaling fit` and every page give them.

    Which runs take part (``frontier``: those that no cheaper run beats, or all), what is minimised
    (``objective``, ``huber_delta``) and what becomes of a floor that the runs do not tell are
    decided here where they are None, and said in ``Fit.choices``; a floor that ``fix``, ``bounds``
    or ``expressions`` name is the caller's.

    ``law`` is a law or its name (`scaling.laws.LAWS`); ``fix`` holds constants, ``bounds`` keeps
    them between two (None for an open end), ``expressions`` ties them ({"beta": "alpha"}). ``x``
    names the column that stands for the input of a one-input law. ``weights``: "stderr" (inverse
    squared relative loss_stderr), "compute" (rising with train_flops), a column, or one number per
    run. ``bootstrap`` draws, behind every interval, resample configurations, or the groups of the
    column ``cluster``; 0 for none. ``card`` fits again under other objectives and countings.

    Raises FitError or RecordError where the runs cannot answer; `Fit.limits` limit a usable answer.
    """
    records = records_from(records)
    check_given_once(fix or {}, bounds or {}, expressions or {})
    kind, told = _law_asked(law, records, bounds, x), records.told
    if weights is None or isinstance(weights, str):  # numbers are of all runs, usable or not
        records = screen(records, *([x] if x else kind.inputs), or_zero=kind.may_be_zero)
    require_signal(records, kind.inputs if x is None else (x,))
    runs, chosen_runs = runs_taken(records, kind, x, frontier)
    how: dict[str, Any] = {"x": x, "weights": weights, "cluster": cluster}
    asked = {"tied": tied_constants(kind, expressions or {}), "fixed": dict(fix or {}), **how}
    more = records if chosen_runs.chosen == UNBEATEN_RUNS and not frontier else None
    count = _configurations(runs, kind, asked, more)
    chosen_objective = objective_of(objective, huber_delta, count)
    how |= {"objective": chosen_objective.chosen, "huber_delta": huber_delta or 1e-3, "seed": seed}
    how |= {"fix": asked["fixed"], "bounds": bounds, "expressions": expressions}
    how |= {"bootstrap": bootstrap, "confidence_level": confidence_level}
    fit = fit_as_asked(runs, kind, **how, card=False)
    chosen_floor = _floor(fit, (*how["fix"], *(bounds or {}), *(expressions or {})))
    if chosen_floor.chosen == HELD_AT_ZERO and (floor := kind.floor) is not None:
        fit = fit_as_asked(runs, kind, **{**how, "fix": {**how["fix"], floor: 0.0}}, card=False)
        fit = _with_floor_untold(fit, floor)
        chosen_floor = replace(chosen_floor, because=fit.unidentified[floor])
    if chosen_floor.chosen == FITTED:
        fit = replace(fit, limits=(*fit.limits, *shared_luck(runs, str(kind.floor))))
    choices = (*_names_read(kind), chosen_runs, chosen_objective, chosen_floor)
    fit = replace(fit, choices=choices, notes=told)
    return replace(fit, card=checklist_card(fit, runs).entries) if card else fit


def _law_asked(
    law: str | type[Law], records: Records, bounds: Bounds | None, x: str | None
) -> type[Law]:
    """The law on these runs, where it may run along the column that is asked."""
    kind = law_for(law, records, bounds)
    require_own_column(kind, x)
    return kind


def _names_read(kind: type[Law]) -> tuple[Choice, ...]:
    """Which names of a formula were taken for columns; nothing of other laws."""
    if not issubclass(kind, FormulaLaw):
        return ()
    read = [k if k == v else f"{k} = {v}" for k, v in kind.columns_of.items()]
    because = "columns of the table; the other names are its constants"
    return (Choice(about="inputs", chosen=", ".join(read), because=because),)


def fit_with_free_floor(
    records: Records, law: type[Law], *, x: str | None, confidence_level: float, seed: int
) -> Fit:
    """The law over the runs and by the objective that `fit_law` chooses, with a floor that the runs
    do not tell left free: what its refits make of it says how far it is open.

    Whether the losses follow any law is asked of all runs by the caller, not of some of them here.
    """
    columns = (x,) if x else law.inputs
    runs, _ = runs_taken(screen(records, *columns, or_zero=law.may_be_zero), law, x, None)
    asked: dict[str, Any] = {"tied": {}, "fixed": {}, "x": x, "weights": None, "cluster": None}
    objective = objective_of(None, None, pose(runs, law, **asked).configurations).chosen
    how: dict[str, Any] = {"objective": objective, "bootstrap": RESAMPLES, "seed": seed}
    return fit_as_asked(runs, law, x=x, confidence_level=confidence_level, card=False, **how)


def _with_floor_untold(fit: Fit, floor: str) -> Fit:
    """A fit whose floor was held at zero, with the reason."""
    steeper = first_of(LimitCode.FALLS_FASTER, fit.limits) is not None
    untold = {**fit.unidentified, floor: FLOOR_BELOW_ZERO if steeper else FLOOR_UNTOLD}
    limits = fit.limits if steeper else (FLOOR_HELD, *fit.limits)
    return replace(fit, unidentified=untold, limits=limits)


def sizes_hint(records: Records) -> str | None:
    """What to say to somebody who fits a law of compute alone to runs of several sizes a budget;
    None where there is nothing to say."""
    if "params" not in records or "tokens" not in records or "train_flops" not in records:
        return None
    used = screen(records, "params", "tokens", "train_flops")
    if not len(used):
        return None
    params, tokens, compute = (
        np.log(used.column(name)) for name in ("params", "tokens", "train_flops")
    )
    budgets = budget_numbers(compute)
    sizes = len(np.unique(np.column_stack([budgets, np.round(params, 2)]), axis=0))
    each = sizes / len(np.unique(budgets))
    if each < FEWEST_SCALES or no_surface(params, tokens, compute) is not None:
        return None
    return (
        f"there are {each:.2g} sizes a budget, and a law of compute speaks of the best of them "
        f"alone; --law {Chinchilla.name} reads them all, and `scaling allocate` splits a budget"
    )


def _configurations(
    runs: Records, kind: type[Law], asked: Mapping[str, Any], more: Records | None
) -> int:
    """How many configurations the runs have; FitError where they are too few, with advice where
    ``more`` would do."""
    try:
        return pose(runs, kind, **asked).configurations
    except FitError as error:
        if more is None or not _can_be_posed(more, kind, asked):
            raise
        raise FitError(f"{error}; beaten runs are fitted too with --all-runs") from error


def _can_be_posed(runs: Records, kind: type[Law], asked: Mapping[str, Any]) -> bool:
    try:
        pose(runs, kind, **asked)
    except FitError:
        return False
    return True


def runs_taken(
    records: Records, kind: type[Law], x: str | None, frontier: bool | None
) -> tuple[Records, Choice]:
    """The runs that a law is fitted to, and why these."""
    of_compute = (x or kind.inputs[0]) == "train_flops"
    if frontier is None:
        because = "a law of compute speaks of its best use" if of_compute else "the law reads them"
    else:
        because = BY_THE_CALLER
    if of_compute if frontier is None else frontier:
        return unbeaten_runs(records), Choice(about="runs", chosen=UNBEATEN_RUNS, because=because)
    return records, Choice(about="runs", chosen=ALL_RUNS, because=because)


def objective_of(asked: str | None, huber_delta: float | None, configurations: int) -> Choice:
    """What is minimised, and why. Raises FitError for a threshold that the objective has not."""
    if huber_delta is not None:
        penalty = penalty_named(asked or "huber", huber_delta=huber_delta)
        if not penalty.reads_delta:
            raise FitError(f"--huber-delta is none of {asked}; leave one of them out")
    if asked is not None or huber_delta is not None:
        return Choice(about="objective", chosen=asked or "huber", because=BY_THE_CALLER)
    if configurations < FEWEST_CLUSTERS_FOR_PAIRS:
        because = (
            f"{counted(configurations, 'configuration')}, fewer than "
            f"{FEWEST_CLUSTERS_FOR_PAIRS}: a Huber penalty would pass through single points"
        )
        return Choice(about="objective", chosen="least_squares", because=because)
    because = f"{counted(configurations, 'configuration')}: outliers count less"
    return Choice(about="objective", chosen="huber", because=because)


def _floor(fit: Fit, decided: Sequence[str]) -> Choice:
    floor = fit.law.floor
    if floor is None:
        return Choice(about="floor", chosen="none", because="the law has no floor")
    if floor in decided:
        return Choice(about="floor", chosen="set by hand", because=BY_THE_CALLER)
    if first_of(LimitCode.FLOOR_TOO_HIGH, fit.limits) is not None:
        return Choice(about="floor", chosen=HELD_BELOW_LOSSES, because=ABOVE_MEASURED)
    if fit.floor_identified and fit.law.constants()[floor] != 0:
        return Choice(about="floor", chosen=FITTED, because="the runs rule out a floor of zero")
    return Choice(about="floor", chosen=HELD_AT_ZERO, because=FLOOR_UNTOLD)
