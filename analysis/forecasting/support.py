"""What carries a forecast and what limits it, in sentences and as one flag a target."""

import numpy as np
import numpy.typing as npt

from analysis.forecasting.ensemble import Ensemble
from analysis.forecasting.forecaster import Forecaster, LogForecast
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.members.surface_forms import SurfaceForm
from analysis.intervals import DECADE
from scaling.records import Records
from scaling.rung_health import EDGE_REASON

BoolArray = npt.NDArray[np.bool_]

REHEARSED_REACH = 4.0  # times the furthest rehearsal: forecasts beyond it rest on the laws alone
SPANNED_REACH = 1.5  # times the span of the runs: nothing further is read as a number
UNREHEARSED_REACH = 0.5  # of the span of the runs, where that is more
ROUNDING = 0.01  # decades; planned budgets are met to within it
WIDEST = float(np.log(1.5))  # log width of the 90% interval beyond which digits say nothing
FLOOR_LEARNED = 0.1  # standard error of the log floor below which the runs, not the prior, know it
WIDE_SCALE = 1.3
STEEP_EXPONENT = 0.6


def supported(forecaster: Forecaster, answer: LogForecast) -> BoolArray:
    """Whether each target (targets,) has support enough for its median to be read as a number.

    All three must hold: the target lies beyond the runs by at most one and a half times what they
    span (in decades of compute, or of the one input); a rehearsal reached at least a quarter of
    that distance, or the distance is at most half the span; the 90% interval is no wider than a
    factor of 1.5. Otherwise only the interval should be read, as an order of magnitude.
    """
    return np.array([not reason for reason in reasons_against(forecaster, answer)], dtype=bool)


def reasons_against(forecaster: Forecaster, answer: LogForecast) -> tuple[str, ...]:
    """Why the median of each target is no number to read, by the rule of `supported`; "" where it
    is one."""
    low, high = np.quantile(answer.draws, [0.05, 0.95], axis=1)
    spanned, rehearsed = span(forecaster), furthest_rehearsal(forecaster)
    reasons = []
    for distance, width in zip(answer.distance, high - low, strict=True):
        reason = too_far(float(distance), spanned, rehearsed)
        if not reason and width > WIDEST:
            reason = (
                f"{distance:.2f} decades beyond the data, with a 90% interval wider than a "
                "factor of 1.5"
            )
        reasons.append(reason)
    return tuple(reasons)


def too_far(distance: float, spanned: float, rehearsed: float) -> str:
    """Why nothing this far out is a number to read; "" where it may be. All in decades."""
    where = f"{distance:.2f} decades beyond the data, which span {spanned:.2f}"
    if distance > SPANNED_REACH * spanned + ROUNDING:
        return where
    if distance > max(REHEARSED_REACH * rehearsed, UNREHEARSED_REACH * spanned) + ROUNDING:
        return f"{where}, rehearsed to {rehearsed:.2f}"
    return ""


def span(forecaster: Forecaster) -> float:
    """Decades of compute (or of the one input) that the runs cover."""
    return float(np.ptp(forecaster.ladder.log_compute)) / DECADE


def furthest_rehearsal(forecaster: Forecaster) -> float:
    """Decades between what a rehearsal saw and the furthest run that it predicted; 0 without."""
    return max((float(r.distance.max()) for r in forecaster.rehearsals), default=0.0)


def evidence(forecaster: Forecaster, answer: LogForecast) -> tuple[str, ...]:
    """What the rehearsals found, origin by origin, and whether any reached as far as asked."""
    sentences = []
    for rehearsal in forecaster.rehearsals:
        error = rehearsal.errors @ forecaster.ensemble.first_weights
        sentences.append(
            f"with the largest {_runs(len(error))} hidden (up to "
            f"{rehearsal.distance.max():.2f} decades ahead) the error was "
            f"{100 * np.mean(np.abs(error)):.2f}% on average, bias {100 * np.mean(error):+.2f}%"
        )
    if not forecaster.rehearsals:
        return (
            "no backtest is possible on so few runs: the width is what published ladders needed",
        )
    reached = furthest_rehearsal(forecaster)
    if answer.distance.max() > 1.5 * reached:
        sentences.append(
            f"no backtest reached further than {reached:.2f} decades; "
            f"the target lies {answer.distance.max():.2f} decades out"
        )
    return tuple(sentences)


def _runs(count: int) -> str:
    return "run" if count == 1 else f"{count} runs"


def limits(forecaster: Forecaster, answer: LogForecast) -> tuple[str, ...]:
    """Sentences on what limits this forecast."""
    said = []
    unsupported = answer.distance[~supported(forecaster, answer)]
    if len(unsupported):
        nearest, furthest = float(unsupported.min()), float(unsupported.max())
        which = f"a target {furthest:.1f} decades"
        if furthest - nearest > 0.05:
            which = f"targets {nearest:.1f} to {furthest:.1f} decades"
        said.append(
            f"unsupported: {which} beyond runs that span {span(forecaster):.1f}, rehearsed to "
            f"{furthest_rehearsal(forecaster):.1f}; read the interval as an order of magnitude, "
            "and no median"
        )
    if np.any(answer.distance == 0):
        said.append("a target lies inside the data: that is interpolation")
    if not floor_identified(forecaster.ensemble):
        said.append(
            "the runs do not identify an irreducible loss; see what pinned floors would give"
        )
    if float(np.sqrt(answer.weighing.scale_squared.max())) > WIDE_SCALE:
        said.append(
            "backtests missed by more than the default width: intervals are widened; "
            "check the smallest runs (warm-up, learning rate)"
        )
    first = forecaster.ensemble.members[0]
    if isinstance(first.candidate.form, SurfaceForm):
        _, _, alpha, beta, _ = first.candidate.form.constants(first.solution.theta[None])
        if max(alpha[0], beta[0]) > STEEP_EXPONENT:
            said.append(
                f"fitted exponents are steep ({alpha[0]:.2f}, {beta[0]:.2f}): "
                "the smallest runs may be under-trained"
            )
    return tuple(said)


def left_out(records: Records, ladder: Ladder) -> tuple[str, ...]:
    """Which rows took no part, and why; shapes whose check failed have a note of their own."""
    reasons = records.usable(*ladder.inputs).dropped_by_reason
    said = [f"{why} ({count})" for why, count in reasons.items() if why != EDGE_REASON]
    return (f"left out: {', '.join(said)}",) if said else ()


def floor_identified(ensemble: Ensemble) -> bool:
    """Whether the runs, not the prior, say where the floor of the loss is."""
    floored = [m for m in ensemble.members if m.candidate.form.parameters[0] == "floor"]
    if not floored:
        return False
    sd = float(np.sqrt(floored[0].solution.covariance[0, 0]))
    return sd < FLOOR_LEARNED
