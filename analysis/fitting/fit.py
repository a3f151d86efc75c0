"""Fit a scaling law to records: the optimum, its bootstrap, its status, its card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.fitting.bootstrap import Draws, Resampling
from analysis.fitting.bootstrap import bootstrap as resample
from analysis.fitting.checklist import checklist_card
from analysis.fitting.identifiability import judge
from analysis.fitting.lmfit_bridge import Bounds, checked_bounds, tied_constants
from analysis.fitting.models.coordinates import Model
from analysis.fitting.penalties import Penalty, penalty_named
from analysis.fitting.prediction import checked_level
from analysis.fitting.problem import Problem, pose, weights_in_words
from analysis.fitting.reach import reach_of
from analysis.fitting.result import Fit, FitStatus
from analysis.fitting.search import Optimum, find_optimum
from analysis.intervals import LEVEL
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.formula import law_for
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from
from scaling.words import counted

MOST_RESAMPLES = 100_000
FEWEST_RESAMPLES = 10  # fewer say nothing of an interval, however rough
WORTH_SAYING = 0.02  # share of the refits; fewer that failed stand in JSON and on the card alone
LEAST_CONVERGED = 0.5  # share of the refits: with fewer, those that did are no fair sample
#: residuals of the log loss that rounding alone leaves
_EXACT = 1e-9
_HELPS = ("params", "tokens", "train_flops")  # more of them cannot do harm
#: where replicas start when the best floor is zero: this share of the lowest loss
_FLOOR_SHARE_OF_REPLICAS = 0.05


def fit_as_asked(
    records: Source,
    law: str | type[Law] = PowerLaw,
    *,
    objective: str | Penalty = "huber",
    huber_delta: float = 1e-3,
    fix: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    expressions: Mapping[str, str] | None = None,
    x: str | None = None,
    weights: str | Sequence[float] | FloatArray | None = None,
    bootstrap: int = 1000,
    resampling: Resampling | None = None,
    cluster: str | None = None,
    confidence_level: float = LEVEL,
    seed: int = 0,
    card: bool = True,
) -> Fit:
    """The best fit, with bootstrap draws, by the caller's choices (`fit_law` makes them itself).

    ``objective``: huber, least_squares, absolute, raw_least_squares or asymmetric (see
    `analysis.fitting.penalties`); ``fix`` holds constants at values, ``bounds`` keeps them between
    two, ``expressions`` ties them to others ("beta": "alpha"). ``x`` names the column that stands
    for the input of a one-input law. ``weights``: "stderr" (inverse squared relative loss_stderr),
    "compute" (rising with train_flops), the name of a column, or one number a run.

    ``bootstrap`` draws resample configurations (all seeds of equal inputs together), or the
    groups of the column ``cluster``, such as "trunk". ``confidence_level`` is the level of the
    intervals; ``seed`` makes them repeatable.

    Raises FitError or RecordError where the runs cannot answer; what limits a usable answer is
    in ``Fit.status`` and ``Fit.limits``.
    """
    records = records_from(records)
    kind = law_for(law, records, bounds)
    penalty = (
        objective
        if isinstance(objective, Penalty)
        else penalty_named(objective, huber_delta=huber_delta)
    )
    checked_level(confidence_level)
    if bootstrap and not FEWEST_RESAMPLES <= bootstrap <= MOST_RESAMPLES:
        raise FitError(
            f"--bootstrap {bootstrap}: give 0 for none, 1000 for usual intervals, "
            f"{FEWEST_RESAMPLES} to {MOST_RESAMPLES:,}"
        )
    ties = tied_constants(kind, expressions or {})
    problem = pose(
        records, kind, x=x, fixed=dict(fix or {}), weights=weights, cluster=cluster, tied=ties
    )
    if bounds:
        fit = _fit_bounded(problem, penalty, bounds, bootstrap, resampling, seed, confidence_level)
    else:
        fit = _fit_free(problem, penalty, bootstrap, resampling, seed, confidence_level)
    fit = replace(fit, tied=dict(expressions or {}), weights=weights_in_words(weights, problem))
    fit = _with_direction(_without_endless(fit), problem)
    if card:
        fit = replace(fit, card=checklist_card(fit, problem.records).entries)
    return fit


def _fit_free(
    problem: Problem,
    penalty: Penalty,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    model = problem.model()
    optimum = find_optimum(problem, model, penalty)
    verdict = judge(problem, model, penalty, optimum)
    best = {k: float(v) for k, v in model.to_constants(optimum.theta).items()}
    start = optimum.theta
    if verdict.floor_at_zero and problem.law.floor is not None:
        best[problem.law.floor] = 0.0
        start = _with_small_floor(problem, problem.law.floor, model, penalty)
    draws, drawn = None, None
    if bootstrap:
        draws = _draw(problem, model, penalty, start, bootstrap, resampling, seed)
        drawn = _of_converged(model.to_constants(draws.theta), draws)
    return _assemble(
        problem,
        penalty,
        law=problem.law(**best),
        optimum=optimum,
        status=verdict.status,
        limits=verdict.limits,
        unidentified=verdict.unidentified,
        draws=draws,
        drawn=drawn,
        seed=seed,
        confidence_level=confidence_level,
    )


def _draw(
    problem: Problem,
    model: Model,
    penalty: Penalty,
    start: FloatArray,
    count: int,
    resampling: Resampling | None,
    seed: int,
) -> Draws:
    """Bootstrap replicas; the same seed gives the same resamples whatever constants are free."""
    with np.errstate(all="ignore"):
        return resample(
            model,
            penalty,
            start,
            weights=problem.weights,
            log_loss=problem.log_loss,
            labels=problem.labels,
            draws=count,
            rng=np.random.default_rng(seed),
            resampling=resampling,
        )


def _of_converged(
    constants: Mapping[str, FloatArray], draws: Draws
) -> dict[str, FloatArray] | None:
    """The constants of the refits that converged; None where these are too few for intervals."""
    if draws.converged < max(FEWEST_RESAMPLES, LEAST_CONVERGED * len(draws.ok)):
        return None
    return {name: values[draws.ok] for name, values in constants.items()}


def _assemble(
    problem: Problem,
    penalty: Penalty,
    *,
    law: Law,
    optimum: Optimum,
    status: FitStatus,
    limits: tuple[Limit, ...],
    unidentified: Mapping[str, str],
    draws: Draws | None,
    drawn: Mapping[str, FloatArray] | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    """The result of a search and its bootstrap as one value."""
    with np.errstate(all="ignore"):
        predicted = np.log(law.loss(*problem.inputs))
    if not np.isfinite(predicted).all():
        raise FitError(
            f"{problem.records.source}: {problem.law.name} overflows at its best fit; give other "
            "values to --fix and --tie, or choose a simpler law"
        )
    if draws is not None:
        limits = (*limits, *_bootstrap_limits(draws))
    used = problem.records
    limits = (*limits, *used.left_out())
    return Fit(
        law=law,
        draws=None if drawn is None else problem.law(**drawn),
        columns=problem.columns,
        objective=penalty.name,
        huber_delta=penalty.delta,
        objective_value=optimum.value,
        weights="equal",
        fixed=dict(problem.fixed),
        status=status,
        limits=limits,
        unidentified=unidentified,
        n_runs=len(used),
        n_configurations=problem.configurations,
        dropped=used.dropped_by_reason,
        reach=reach_of(used, problem.columns),
        search=optimum.search,
        resampling="none" if draws is None else draws.resampling,
        n_draws=0 if draws is None else len(draws.ok),
        n_draws_converged=0 if draws is None else draws.converged,
        confidence_level=confidence_level,
        seed=seed,
        source=used.source,
        data_hash=used.data_hash,
        log_residuals=tuple((problem.log_loss - predicted).tolist()),
        rows=tuple(map(str, used.table.index.tolist())),
        records=used,
    )


def _with_small_floor(problem: Problem, floor: str, model: Model, penalty: Penalty) -> FloatArray:
    """A start for replicas whose floor may be positive although the best one is zero."""
    small = _FLOOR_SHARE_OF_REPLICAS * float(np.exp(problem.log_loss.min()))
    held = replace(problem, fixed={**problem.fixed, floor: small})
    held_model = held.model()
    constants = held_model.to_constants(find_optimum(held, held_model, penalty).theta)
    return model.to_coordinates(constants)


def _without_endless(fit: Fit) -> Fit:
    """The fit without constants of which the refits tell no interval: one that has no finite end,
    or no width since they all agree."""
    if fit.draws is None:
        return fit
    if _is_exact(fit):
        text = (
            f"{fit.law.name} passes through all {counted(fit.n_runs, 'run')} to the last digit, "
            "as no measured losses do: refits agree, so they tell no intervals"
        )
        limits = (*fit.limits, Limit(LimitCode.UNSUPPORTED, text))
        return replace(fit, draws=None, limits=limits)
    tail, why = (1 - fit.confidence_level) / 2, {}
    given = {*fit.fixed, *fit.tied, *fit.unidentified}
    for name, values in fit.draws.constants().items():
        if name in given or float(fit.law.constants()[name]) in fit.bounds.get(name, ()):
            continue
        with np.errstate(all="ignore"):
            ends = np.quantile(values, [tail, 1 - tail])
        if not np.isfinite(ends).all():
            why[name] = "its interval has no finite end"
        elif np.ptp(values) == 0:
            why[name] = "all refits agree on it, so its interval has no width"
    if not why:
        return fit
    text = "; ".join(f"{name}: {reason}" for name, reason in why.items())
    limits = (*fit.limits, Limit(LimitCode.UNSUPPORTED, f"not told by these runs: {text}"))
    return replace(fit, limits=limits, unidentified={**fit.unidentified, **why})


def _is_exact(fit: Fit) -> bool:
    """Whether the law, with fewer constants than configurations, leaves no residual at all."""
    free = len({*fit.law.constants()} - {*fit.fixed, *fit.tied})
    return fit.n_configurations > free and max(map(abs, fit.log_residuals)) < _EXACT


def _with_direction(fit: Fit, problem: Problem) -> Fit:
    """The fit with what is to say of a law by which more of an input does not help.

    Raises FitError where constants that the caller gave make it so.
    """
    rises = [name for name in _rising(fit.law, problem) if name]
    if not rises:
        return fit
    given = [f"--fix {k}={v:g}" for k, v in problem.fixed.items() if k != problem.law.floor]
    given += [f"--tie {k}={v}" for k, v in fit.tied.items()]
    more = " and ".join(rises)
    if given:
        raise FitError(
            f"{problem.records.source}: with {', '.join(given)} the loss does not fall with "
            f"{more}; give other values, or leave them to the fit"
        )
    text = (
        f"the fitted loss does not fall with {more}: check the loss column and the "
        "training of the larger runs"
    )
    limits = (*fit.limits, Limit(LimitCode.NOT_FALLING, text))
    if len(problem.inputs) == 1:
        return replace(fit, limits=limits)
    untold = dict.fromkeys(fit.law.constants(), f"the fitted loss does not fall with {more}")
    return replace(fit, limits=limits, unidentified={**untold, **fit.unidentified})


def _rising(law: Law, problem: Problem) -> list[str]:
    """The inputs of which more does not help by the law, over these runs."""
    if len(problem.inputs) == 1:
        (x,) = problem.inputs
        ends = law.loss(np.array([x.min(), x.max()]))
        return [] if ends[1] < ends[0] else [*problem.columns]
    names = []
    for i, name in enumerate(problem.columns):
        if name not in _HELPS:
            continue
        doubled = [2 * v if j == i else v for j, v in enumerate(problem.inputs)]
        with np.errstate(all="ignore"):
            rise = np.log(law.loss(*doubled)) - np.log(law.loss(*problem.inputs))
        if not np.mean(rise) < 0:
            names.append(name)
    return names


def _bootstrap_limits(draws: Draws) -> list[Limit]:
    limits = []
    lost = len(draws.ok) - draws.converged
    if lost > WORTH_SAYING * len(draws.ok):
        text = f"{lost} of {len(draws.ok)} bootstrap refits did not converge: "
        kept = draws.converged >= max(FEWEST_RESAMPLES, LEAST_CONVERGED * len(draws.ok))
        text += "intervals are of the others" if kept else "there are no intervals"
        limits.append(Limit(LimitCode.NOT_CONVERGED, text))
    if draws.clusters < 8:
        rest_on = counted(draws.clusters, "independent configuration")
        text = f"intervals rest on {rest_on}; they are rough"
        limits.append(Limit(LimitCode.FEW_RUNS, text))
    return limits


def _check_floor_below(problem: Problem, edges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a floor that is asked to lie above losses that were measured."""
    floor, lowest = problem.law.floor, float(np.exp(problem.log_loss.min()))
    if floor is not None and floor in edges and edges[floor][0] >= lowest:
        raise FitError(
            f"{problem.records.source}: --bound {floor} from {edges[floor][0]:g} on, and the "
            f"lowest loss is {lowest:.4g}; a floor lies below it: bound it lower"
        )


def _fit_bounded(
    problem: Problem,
    penalty: Penalty,
    bounds: Bounds,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    """A fit with constants between bounds: those that would leave are held on their bound.

    So is every bootstrap draw, by its own violations.
    """
    edges = checked_bounds(problem.law, bounds)
    _check_floor_below(problem, edges)
    held: dict[str, float] = {}
    for _ in range(len(edges) + 1):
        inner = replace(problem, fixed={**problem.fixed, **held})
        fit = _fit_free(inner, penalty, 0, None, seed, confidence_level)
        beyond = _violated(fit.law.constants(), edges)
        if not beyond:
            break
        held |= {name: float(values) for name, values in beyond.items()}
    else:
        raise FitError(f"{problem.records.source}: no {problem.law.name} fits within the bounds")
    if bootstrap:
        draws, values = _bounded_draws(
            problem, penalty, fit.law, edges, held, bootstrap, resampling, seed
        )
        limits, drawn = (*fit.limits, *_bootstrap_limits(draws)), _of_converged(values, draws)
        fit = replace(
            fit,
            draws=None if drawn is None else problem.law(**drawn),
            limits=limits,
            resampling=draws.resampling,
            n_draws=len(draws.ok),
            n_draws_converged=draws.converged,
        )
    fit = replace(fit, fixed=dict(problem.fixed), bounds=edges)
    if not held:
        return fit
    names = ", ".join(f"{name} = {value:g}" for name, value in held.items())
    text = f"{names} sits on a bound that was asked for: the runs pull beyond it"
    limit = Limit(LimitCode.AT_BOUND, text)
    return replace(fit, status=FitStatus.AT_BOUND, limits=(*fit.limits, limit))


def _bounded_draws(
    problem: Problem,
    penalty: Penalty,
    law: Law,
    edges: Mapping[str, tuple[float, float]],
    held: Mapping[str, float],
    count: int,
    resampling: Resampling | None,
    seed: int,
) -> tuple[Draws, dict[str, FloatArray]]:
    """Free replicas, then again with each one's violated constants held on their bounds."""
    # a replica that is free may leave the bound, so it starts a little inside of it
    constants = {k: float(v) for k, v in law.constants().items()}
    patterns: list[dict[str, float]] = [{}]
    drawn: dict[str, FloatArray] = {}
    todo, ok = [np.ones(count, bool)], np.ones(count, bool)
    while patterns:
        pattern, mask = patterns.pop(0), todo.pop(0)
        model = problem.model(held=pattern)
        start = model.to_coordinates(constants | pattern)
        draws = _draw(problem, model, penalty, start, count, resampling, seed)
        values = model.to_constants(draws.theta)
        drawn = {k: np.where(mask, v, drawn.get(k, v)) for k, v in values.items()}
        ok = np.where(mask, draws.ok, ok)
        beyond = _violated(values, edges)
        for name, edge in beyond.items():
            for side in np.unique(edge[mask & np.isfinite(edge)]):
                patterns.append({**pattern, name: float(side)})
                todo.append(mask & (edge == side))
                mask = mask & ~(edge == side)
    return replace(draws, ok=ok), drawn


def _violated(
    constants: Mapping[str, Any], edges: Mapping[str, tuple[float, float]]
) -> dict[str, FloatArray]:
    """For each constant that leaves its bounds: the bound where it does, else NaN."""
    beyond = {}
    for name, (low, high) in edges.items():
        values = np.asarray(constants[name], dtype=np.float64)
        edge = np.where(values < low, low, np.where(values > high, high, np.nan))
        if np.isfinite(edge).any():
            beyond[name] = edge
    return beyond
