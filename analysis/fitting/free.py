"""One law fitted with all its constants free: the optimum, its bootstrap, its status."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.fitting.identifiability import judge
from analysis.fitting.measurements.reach import reach_of
from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem
from analysis.fitting.refits.bootstrap import Draws, Resampling
from analysis.fitting.refits.ceiling import ABOVE_MEASURED, exceeds, floor_below
from analysis.fitting.refits.replicas import bootstrap_limits, draw, of_converged, within
from analysis.fitting.result import Fit, FitStatus
from analysis.fitting.search import Optimum, find_optimum
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.limits import Limit, LimitCode

#: where replicas start when the best floor is zero: this share of the lowest loss
_FLOOR_SHARE_OF_REPLICAS = 0.05
JUST_BELOW = 0.9999  # of the lowest loss


def fit_free(
    problem: Problem,
    penalty: Penalty,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
    *,
    ceiling: float = np.inf,
) -> Fit:
    """The fit of a problem; a floor above ``ceiling`` (nats), which measured losses exclude, is
    held there, in the fit and in each of its refits."""
    model = problem.model()
    optimum = find_optimum(problem, model, penalty)
    verdict = judge(problem, model, penalty, optimum)
    best = {k: float(v) for k, v in model.to_constants(optimum.theta).items()}
    start = optimum.theta
    if exceeds(problem.law(**best), ceiling):
        return _held_below(problem, penalty, bootstrap, resampling, seed, confidence_level)
    if verdict.floor_at_zero and problem.law.floor is not None:
        best[problem.law.floor] = 0.0
        start = _with_small_floor(problem, problem.law.floor, model, penalty)
    draws, drawn = None, None
    if bootstrap:
        draws = draw(problem, model, penalty, start, bootstrap, resampling, seed)
        values, draws = within(
            floor_below(problem, ceiling),
            model.to_constants(draws.theta),
            draws,
            problem=problem,
            penalty=penalty,
            constants={k: float(v) for k, v in model.to_constants(start).items()},
            resampling=resampling,
            seed=seed,
        )
        drawn = of_converged(values, draws)
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


def _held_below(
    problem: Problem,
    penalty: Penalty,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    """The fit of a law that asks for a floor above measured losses: with the floor held just below
    them, which is no answer of the runs."""
    floor, below = problem.law.floor, JUST_BELOW * float(np.exp(problem.log_loss.min()))
    assert floor is not None  # only a law with a floor is held below losses
    held = replace(problem, fixed={**problem.fixed, floor: below})
    fit = fit_free(held, penalty, bootstrap, resampling, seed, confidence_level)
    text = f"{ABOVE_MEASURED}: {floor} is held just below the lowest loss, and what the law says "
    text += "beyond these runs lies too high"
    return replace(
        fit,
        status=FitStatus.AT_BOUND,
        limits=(Limit(LimitCode.FLOOR_TOO_HIGH, text), *fit.limits),
        unidentified={**fit.unidentified, floor: ABOVE_MEASURED},
    )


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
        limits = (*limits, *bootstrap_limits(draws))
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
