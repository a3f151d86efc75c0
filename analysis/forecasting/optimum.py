"""The compute-optimal model size that the fitted laws of a forecast imply."""

import numpy as np

from analysis.forecasting.ensemble import Ensemble, MemberFit
from scaling.arrays import FloatArray
from scaling.errors import ForecastError


def best_log_params(ensemble: Ensemble, log_compute: FloatArray) -> FloatArray:
    """Log of the compute-optimal model size at each budget (budgets,), averaged over the laws."""
    each = []
    for member in ensemble.members:
        best = best_for_law(ensemble, member, member.solution.theta[None], log_compute)[0]
        centred = best - member.centre[0]
        if member.form.without_best_split(centred, _total(ensemble, member, log_compute)).any():
            raise ForecastError(
                f"{member.candidate.name}: no split of a budget is best, more of one input always "
                "helps more; ask for sizes and tokens (--params with --tokens)"
            )
        each.append(best)
    return np.asarray(ensemble.first_weights @ np.array(each))


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
