"""The compute-optimal model size that the fitted laws of a forecast imply."""

import numpy as np

from analysis.forecasting.weighing.ensemble import Ensemble, MemberFit
from analysis.forecasting.weighing.forecaster import Forecaster
from analysis.forecasting.weighing.rolling_origin import weigh
from scaling.arrays import FloatArray
from scaling.errors import ForecastError


def best_log_params(forecaster: Forecaster, log_compute: FloatArray) -> FloatArray:
    """Log of the compute-optimal model size at each budget (budgets,).

    It is where the loss that the weighted laws expect is lowest: of a law that is far off in size
    but hardly cares which, little is heard. Raises ForecastError where a law has no best split.
    """
    ensemble, flops = forecaster.ensemble, forecaster.ladder.flops
    each = []
    for member in ensemble.members:
        best = best_for_law(ensemble, member, member.solution.theta[None], log_compute)[0]
        if not np.isfinite(best).all():
            raise _no_best_split(member)
        each.append(best)
    if len(each) == 1:
        return np.asarray(each[0])
    start = np.asarray(ensemble.first_weights @ np.array(each))
    inputs = np.column_stack([start, flops.log_tokens(log_compute, start)])
    distance = forecaster.ladder.distance(inputs, log_compute)
    weights = weigh(forecaster.backtests, ensemble, distance).weights

    def log_loss(log_params: FloatArray, log_tokens: FloatArray) -> FloatArray:
        values = ensemble.values(np.column_stack([log_params, log_tokens]))
        return np.asarray(np.sum(weights * values, axis=1))

    return flops.best_log_params(log_loss, log_compute, start)


def _no_best_split(member: MemberFit) -> ForecastError:
    """What is said of a law that would put ever more of a budget into one input."""
    return ForecastError(
        f"{member.candidate.name}: no split of a budget is best, more of one input always "
        "helps more; ask for sizes and tokens (--params with --tokens)"
    )


def best_for_law(
    ensemble: Ensemble, member: MemberFit, theta: FloatArray, log_compute: FloatArray
) -> FloatArray:
    """Optimal log params (batch, budgets) of one law for parameters theta (batch, p).

    Infinite where the law would put ever more of the budget into size, or into tokens.
    """
    if len(ensemble.ladder.inputs) == 1:
        raise ForecastError(f"{member.candidate.name} has one input: it knows no optimal split")
    flops, (log_n, log_d) = ensemble.ladder.flops, member.centre
    total = np.asarray(log_compute - flops.log(log_n) - (log_n + log_d))
    best = member.form.best_split(theta, total)
    endless = member.form.without_best_split(best, total)
    best = np.where(endless, np.sign(best - total / 2) * np.inf, best + log_n)
    if not flops.follows_size:
        return best

    def log_loss(log_params: FloatArray, log_tokens: FloatArray) -> FloatArray:
        x = np.stack([log_params - log_n, log_tokens - log_d], axis=-1)  # (batch, budgets, 2)
        return member.form.values(theta, x)

    return flops.best_log_params(log_loss, log_compute, best)
