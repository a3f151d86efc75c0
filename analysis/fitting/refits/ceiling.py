"""The highest floor that the measured losses allow: no irreducible loss lies above one of them."""

import numpy as np

from analysis.fitting.measurements.signal import scatter_of_lowest
from analysis.fitting.problem import Problem
from analysis.fitting.refits.replicas import Edges
from scaling.arrays import log_with_zeros
from scaling.laws.base import Law

#: standard errors of the lowest configuration by which a floor may lie above it
STANDARD_ERRORS = 3.0
ABOVE_MEASURED = (
    "the law would level off above a loss that was measured, so it is not that of these runs"
)


def highest_floor(problem: Problem) -> float:
    """What the floor of a law of these runs cannot exceed, nats; infinite where it is given.

    The expected loss of any run lies above it, and so the lowest mean of a configuration but for
    its noise. The noise of a run is told by the scatter of those with the lowest losses about the
    best sum of falling powers (`analysis.fitting.measurements.signal`), which knows no law. Luck
    that all runs share, as of one validation set, shifts the floor alike, and is no part of it.
    """
    floor = problem.law.floor
    if floor is None or floor in problem.fixed or floor in problem.tied:
        return float(np.inf)
    log_inputs = np.column_stack([log_with_zeros(values) for values in problem.inputs])
    keys = np.unique(np.round(log_inputs, 12), axis=0, return_inverse=True)[1].ravel()
    repeats = np.bincount(keys)
    means = np.bincount(keys, weights=problem.log_loss) / repeats
    noise = scatter_of_lowest(log_inputs, problem.log_loss)
    highest = means[np.argmin(means)] + STANDARD_ERRORS * noise / np.sqrt(repeats[np.argmin(means)])
    return float(np.exp(highest))


def floor_below(problem: Problem, ceiling: float) -> Edges:
    """The bound of the law's floor, for `replicas.within`; none where nothing bounds it."""
    floor = problem.law.floor
    return {} if floor is None or not np.isfinite(ceiling) else {floor: (-np.inf, ceiling)}


def exceeds(law: Law, ceiling: float) -> bool:
    """Whether the floor of a fitted law lies higher than the measured losses allow."""
    return law.floor is not None and float(law.constants()[law.floor]) > ceiling
