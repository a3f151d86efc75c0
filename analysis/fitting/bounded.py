"""Constants between bounds: those that would leave are held on their bound."""

from dataclasses import replace

import numpy as np

from analysis.fitting.free import fit_free
from analysis.fitting.lmfit_bridge import Bounds, checked_bounds
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem
from analysis.fitting.refits.bootstrap import Resampling
from analysis.fitting.refits.ceiling import floor_below, highest_floor
from analysis.fitting.refits.replicas import (
    Edges,
    bootstrap_limits,
    draw,
    of_converged,
    violated,
    within,
)
from analysis.fitting.result import Fit, FitStatus
from scaling.errors import FitError
from scaling.limits import Limit, LimitCode


def fit_bounded(
    problem: Problem,
    penalty: Penalty,
    bounds: Bounds,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    """A fit with constants between bounds: those that would leave are held on their bound.

    So is every bootstrap draw, by its own violations. A floor that has no bound of its own stays
    below what was measured.
    """
    edges = checked_bounds(problem.law, bounds)
    ceiling = np.inf if problem.law.floor in edges else highest_floor(problem)
    _check_floor_below(problem, edges)
    held: dict[str, float] = {}
    for _ in range(len(edges) + 1):
        inner = replace(problem, fixed={**problem.fixed, **held})
        fit = fit_free(inner, penalty, 0, None, seed, confidence_level, ceiling=ceiling)
        beyond = violated(fit.law.constants(), edges)
        if not beyond:
            break
        held |= {name: float(values) for name, values in beyond.items()}
    else:
        raise FitError(f"{problem.records.source}: no {problem.law.name} fits within the bounds")
    if bootstrap:
        # a replica that is free may leave the bound, so it starts where the fit ended
        constants = {k: float(v) for k, v in fit.law.constants().items()}
        model = problem.model()
        start = model.to_coordinates(constants)
        draws = draw(problem, model, penalty, start, bootstrap, resampling, seed)
        values, draws = within(
            edges | floor_below(problem, ceiling),
            model.to_constants(draws.theta),
            draws,
            problem=problem,
            penalty=penalty,
            constants=constants,
            resampling=resampling,
            seed=seed,
        )
        limits, drawn = (*fit.limits, *bootstrap_limits(draws)), of_converged(values, draws)
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


def _check_floor_below(problem: Problem, edges: Edges) -> None:
    """Refuse a floor that is asked to lie above losses that were measured."""
    floor, lowest = problem.law.floor, float(np.exp(problem.log_loss.min()))
    if floor is not None and floor in edges and edges[floor][0] >= lowest:
        raise FitError(
            f"{problem.records.source}: --bound {floor} from {edges[floor][0]:g} on, and the "
            f"lowest loss is {lowest:.4g}; a floor lies below it: bound it lower"
        )
