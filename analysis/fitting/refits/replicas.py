"""The refits behind intervals: drawn, kept within bounds, and those that count."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem
from analysis.fitting.refits.bootstrap import Draws, Resampling
from analysis.fitting.refits.bootstrap import bootstrap as resample
from scaling.arrays import FloatArray
from scaling.limits import Limit, LimitCode
from scaling.words import counted

FEWEST_RESAMPLES = 10  # fewer say nothing of an interval, however rough
WORTH_SAYING = 0.02  # share of the refits; fewer that failed stand in JSON and on the card alone
LEAST_CONVERGED = 0.5  # share of the refits: with fewer, those that did are no fair sample

Edges = dict[str, tuple[float, float]]  # constant -> the values between which it stays


def draw(
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


def within(
    edges: Edges,
    drawn: dict[str, FloatArray],
    draws: Draws,
    *,
    problem: Problem,
    penalty: Penalty,
    constants: Mapping[str, float],
    resampling: Resampling | None,
    seed: int,
) -> tuple[dict[str, FloatArray], Draws]:
    """Free replicas, and those that leave the edges again with each one's violated constants held
    there. ``constants`` are where the refits of held constants start."""
    ok, count = draws.ok, len(draws.ok)
    patterns: list[dict[str, float]] = [{}]
    todo = [np.ones(count, bool)]
    while patterns:
        pattern, mask = patterns.pop(0), todo.pop(0)
        if pattern:
            model = problem.model(held=pattern)
            start = model.to_coordinates({**constants, **pattern})
            again = draw(problem, model, penalty, start, count, resampling, seed)
            values = model.to_constants(again.theta)
            drawn = {k: np.where(mask, v, drawn[k]) for k, v in values.items()}
            ok = np.where(mask, again.ok, ok)
        for name, edge in violated(drawn, edges).items():
            for side in np.unique(edge[mask & np.isfinite(edge)]):
                patterns.append({**pattern, name: float(side)})
                todo.append(mask & (edge == side))
                mask = mask & ~(edge == side)
    return drawn, replace(draws, ok=ok)


def violated(constants: Mapping[str, Any], edges: Edges) -> dict[str, FloatArray]:
    """For each constant that leaves its bounds: the bound where it does, else NaN."""
    beyond = {}
    for name, (low, high) in edges.items():
        values = np.asarray(constants[name], dtype=np.float64)
        edge = np.where(values < low, low, np.where(values > high, high, np.nan))
        if np.isfinite(edge).any():
            beyond[name] = edge
    return beyond


def of_converged(constants: Mapping[str, FloatArray], draws: Draws) -> dict[str, FloatArray] | None:
    """The constants of the refits that converged; None where these are too few for intervals."""
    if draws.converged < max(FEWEST_RESAMPLES, LEAST_CONVERGED * len(draws.ok)):
        return None
    return {name: values[draws.ok] for name, values in constants.items()}


def bootstrap_limits(draws: Draws) -> list[Limit]:
    """What is to say of so many refits of which so many converged."""
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
