"""What carries a forecast and what limits it: of the whole, and of each target."""

import numpy as np

from analysis.fitting.measurements.reach import WIDEST, too_far
from analysis.fitting.measurements.signal import no_signal, rises_again, unexplained
from analysis.forecasting.history import falls, in_bins
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.weighing.ensemble import Ensemble
from analysis.forecasting.weighing.forecaster import Forecaster, LogForecast
from scaling.arrays import DECADE, BoolArray, FloatArray
from scaling.limits import Limit, LimitCode
from scaling.words import counted

FLOOR_LEARNED = 0.1  # standard error of the log floor below which the runs, not the prior, know it
WIDE_SCALE = 1.3
WIDEST_PLAN = 2.0  # decades of a size or a budget beyond which its digits say nothing
STEEP_EXPONENT = 0.6


def supported(forecaster: Forecaster, answer: LogForecast) -> BoolArray:
    """Whether each target (targets,) has support enough for its median to be read as a number.

    All five must hold: the losses follow the sizes of their runs
    (`analysis.fitting.measurements.signal`); the target lies beyond the runs by at most one and a
    half times what they span (in decades of compute, or of the one input); a backtest reached at
    least a quarter of that distance, or the distance is at most half the span; backtests as far out
    missed by no more than half the width that is allowed; the 90% interval is no wider than a
    factor of 1.5. Otherwise only the interval should be read, as an order of magnitude. A split and
    a budget for a loss are held to the same rule, at the run that they name, and to `too_wide`.
    """
    return np.array([not found for found in target_limits(forecaster, answer)], dtype=bool)


def target_limits(forecaster: Forecaster, answer: LogForecast) -> tuple[tuple[Limit, ...], ...]:
    """Why the median of each target is no number to read, by the rule of `supported`; nothing
    where it is one."""
    low, high = np.quantile(answer.draws, [0.05, 0.95], axis=1)
    spanned = span(forecaster)
    if nothing := signal_limits(forecaster.ladder):
        return (nothing,) * len(answer.distance)
    widths = high - low
    if forecaster.ladder.is_history:  # one more point of a noisy curve scatters; the curve does not
        widths = widths * np.sqrt(1 - answer.shares["new-run noise"])
    missed, backtested = np.nan_to_num(answer.weighing.mean_error), answer.weighing.furthest
    found = []
    for distance, width, error, reached in zip(
        answer.distance, widths, missed, backtested, strict=True
    ):
        against = too_far(float(distance), spanned, float(reached))
        where = f"{distance:.2f} decades beyond the data"
        if not against and error > WIDEST / 2:
            text = f"{where}, where backtests missed by {100 * error:.0f}%"
            against = (Limit(LimitCode.UNSUPPORTED, text),)
        if not against and not width <= WIDEST:
            text = f"{where}, with a 90% interval wider than a factor of 1.5"
            against = (Limit(LimitCode.UNSUPPORTED, text),)
        found.append(against)
    return tuple(found)


def signal_limits(ladder: Ladder) -> tuple[Limit, ...]:
    """Why no number at all can be read from these runs; nothing where one may be.

    The curve of one run may be noisy, or fall in steps that no law follows: backtests say what that
    costs. It has to fall, and not to rise again.
    """
    if ladder.is_history and falls(ladder.log_compute, ladder.log_loss):
        log_x, log_loss = in_bins(ladder.log_compute, ladder.log_loss)
        nothing = rises_again(log_x[:, None], log_loss)
    else:
        nothing = no_signal(ladder.log_inputs, ladder.log_loss)
    return () if nothing is None else (nothing,)


def stepwise(ladder: Ladder) -> tuple[Limit, ...]:
    """That no law follows the curve of one run, noise aside; nothing of other runs."""
    if not ladder.is_history or signal_limits(ladder):
        return ()
    log_x, log_loss = in_bins(ladder.log_compute, ladder.log_loss)
    if (found := unexplained(log_x[:, None], log_loss)) is None:
        return ()
    text = (
        f"no law that falls {found}: it falls in steps or waves, of which another may come; the "
        "interval is of curves that backtests missed by as much"
    )
    return (Limit(LimitCode.STEPWISE, text),)


def too_wide(logs: FloatArray, what: str) -> tuple[Limit, ...]:
    """Why draws (draws,) of the log of a plan, a size or a budget, give none: their 90% range."""
    low, high = np.quantile(logs, [0.05, 0.95], method="inverted_cdf")
    if not (np.isfinite(low) and np.isfinite(high)):
        text = f"the 90% range of {what} has no end"
    elif high - low > WIDEST_PLAN * DECADE:
        text = f"the 90% range of {what} spans {(high - low) / DECADE:.1f} decades"
    else:
        return ()
    return (Limit(LimitCode.UNSUPPORTED, text),)


def span(forecaster: Forecaster) -> float:
    """Decades of compute (or of the one input) that the runs cover."""
    return float(np.ptp(forecaster.ladder.log_compute)) / DECADE


def evidence(forecaster: Forecaster, answer: LogForecast) -> tuple[str, ...]:
    """What the backtests found as far ahead as targets lie, a sentence per origin."""
    sentences, furthest = [], float(answer.weighing.furthest.max(initial=0.0))
    for origin in forecaster.backtests:
        seen = origin.distance <= furthest
        error = origin.relative_errors[seen]
        sentences.append(
            f"with the largest {_runs(len(origin.distance))} hidden (up to "
            f"{origin.distance[seen].max():.2f} decades ahead) the error was "
            f"{100 * np.mean(np.abs(error)):.2f}% on average, bias {100 * np.mean(error):+.2f}%"
        )
    return tuple(sentences)


def _runs(count: int) -> str:
    return "run" if count == 1 else counted(count, "run")


def limits(forecaster: Forecaster, answer: LogForecast) -> tuple[Limit, ...]:
    """What limits this forecast."""
    found = [*_support_limits(forecaster, answer), *_backtest_limits(forecaster, answer)]
    found += stepwise(forecaster.ladder)
    if np.any(answer.distance == 0):
        text = "a target lies inside the data: that is interpolation"
        found.append(Limit(LimitCode.INTERPOLATED, text))
    held = any(member.candidate.holds_floor for member in forecaster.ensemble.members)
    if not held and not floor_identified(forecaster.ensemble):
        text = "the runs do not identify an irreducible loss; see what pinned floors would give"
        found.append(Limit(LimitCode.FLOOR_NOT_IDENTIFIED, text))
    first = forecaster.ensemble.members[0]
    exponents = first.form.exponents(first.solution.theta)
    if max(exponents, default=0.0) > STEEP_EXPONENT:
        text = (
            f"fitted exponents are steep ({', '.join(f'{v:.2f}' for v in exponents)}): "
            "the smallest runs may be under-trained"
        )
        found.append(Limit(LimitCode.STEEP, text))
    return tuple(found)


def _support_limits(forecaster: Forecaster, answer: LogForecast) -> list[Limit]:
    """Which targets are no numbers to read."""
    if nothing := signal_limits(forecaster.ladder):
        return [Limit(LimitCode.UNSUPPORTED, f"unsupported: {nothing[0].text}")]
    unsupported = answer.distance[~supported(forecaster, answer)]
    if not len(unsupported):
        return []
    nearest, furthest = float(unsupported.min()), float(unsupported.max())
    which = f"a target {furthest:.1f} decades"
    if furthest - nearest > 0.05:
        which = f"targets {nearest:.1f} to {furthest:.1f} decades"
    text = (
        f"unsupported: {which} beyond runs that span {span(forecaster):.1f}, backtested to "
        f"{answer.weighing.furthest.max():.1f}; read the interval as an order of magnitude, "
        "and no median"
    )
    return [Limit(LimitCode.UNSUPPORTED, text)]


def _backtest_limits(forecaster: Forecaster, answer: LogForecast) -> list[Limit]:
    """How far backtests reach, and whether they missed."""
    if not forecaster.backtests:
        text = "no backtest is possible on so few runs: the width is what published ladders needed"
        return [Limit(LimitCode.NOT_BACKTESTED, text)]
    found = []
    i = int(np.argmax(answer.distance))
    reached, furthest = float(answer.weighing.furthest[i]), float(answer.distance[i])
    if furthest > 1.5 * reached:
        text = (
            f"no backtest reached further than {reached:.2f} decades; "
            f"the target lies {furthest:.2f} decades out"
        )
        found.append(Limit(LimitCode.NOT_BACKTESTED, text))
    if float(np.sqrt(answer.weighing.scale_squared.max())) > WIDE_SCALE:
        text = (
            "backtests missed by more than the default width: intervals are widened; "
            "check the smallest runs (warm-up, learning rate)"
        )
        found.append(Limit(LimitCode.WIDENED, text))
    return found


def floor_identified(ensemble: Ensemble) -> bool:
    """Whether the runs, not the prior, say where the floor of the loss is."""
    floored = [m for m in ensemble.members if m.form.parameters[0] == "floor"]
    if not floored:
        return False
    sd = float(np.sqrt(floored[0].solution.covariance[0, 0]))
    return sd < FLOOR_LEARNED
