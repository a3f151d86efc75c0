"""The compute-optimal model size that the fitted laws of a forecast imply."""

import numpy as np
import numpy.typing as npt

from analysis.forecasting.ensemble import Ensemble, MemberFit
from scaling.arrays import FloatArray
from scaling.errors import ForecastError


def best_log_params(ensemble: Ensemble, log_compute: FloatArray) -> FloatArray:
    """Log of the compute-optimal model size at each budget (budgets,), averaged over the laws."""
    each = []
    for member in ensemble.members:
        best = best_for_law(ensemble, member, member.solution.theta[None], log_compute)
        if without_best_split(ensemble, member, best, log_compute).any():
            raise no_best_split(member)
        each.append(best[0])
    return np.asarray(ensemble.first_weights @ np.array(each))


def no_best_split(member: MemberFit) -> ForecastError:
    """What is said of a law that would put ever more of a budget into one input."""
    return ForecastError(
        f"{member.candidate.name}: no split of a budget is best, more of one input always "
        "helps more; ask for sizes and tokens (--params with --tokens)"
    )


def without_best_split(
    ensemble: Ensemble, member: MemberFit, log_params: FloatArray, log_compute: FloatArray
) -> npt.NDArray[np.bool_]:
    """Where (batch, budgets) what `best_for_law` found is an end of what it searched."""
    total = _total(ensemble, member, log_compute)
    return member.form.without_best_split(log_params - member.centre[0], total)


def best_for_law(
    ensemble: Ensemble, member: MemberFit, theta: FloatArray, log_compute: FloatArray
) -> FloatArray:
    """Optimal log params (batch, budgets) of one law for parameters theta (batch, p)."""
    if len(ensemble.ladder.inputs) == 1:
        raise ForecastError(f"{member.candidate.name} has one input: it knows no optimal split")
    total = _total(ensemble, member, log_compute)
    return np.asarray(member.form.best_split(theta, total) + member.centre[0])


def _total(ensemble: Ensemble, member: MemberFit, log_compute: FloatArray) -> FloatArray:
    """Centred log params and log tokens of a budget, added up."""
    return np.asarray(log_compute - ensemble.ladder.log_flops_ratio - member.centre.sum())
