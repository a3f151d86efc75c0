"""What a fitted law says of runs that it was not fitted to, and where it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.display import Result
from analysis.fitting.measurements.flops_per_param_token import USUAL
from analysis.fitting.measurements.reach import WIDEST, Reach, too_far
from analysis.intervals import Interval, interval_columns
from scaling.answerable import ROUNDING
from scaling.arrays import FloatArray
from scaling.columns import canonical_name
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.limits import Limit, LimitCode, codes
from scaling.tables.notes import Note

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
class LawPrediction(Result):
    """The loss that a fitted law gives at some points, with its interval.

    Read it as: what the law says if it is right. The interval is not that of a new run, which
    `analysis.forecast` gives, with the choice of law and the noise of a run in it.
    """

    law: str
    at: Mapping[str, FloatArray]  # input column -> values, all of one shape
    loss: FloatArray  # nats per token, of that shape; NaN where ``limits`` say it is unsupported
    interval: Interval  # low and high, each of that shape; NaN likewise, and without a bootstrap
    confidence_level: float
    decades_beyond: FloatArray  # (points,) outside the runs; 0 inside
    limits: tuple[tuple[Limit, ...], ...]  # of each point
    fit_limits: tuple[Limit, ...]  # of all points: of the fit, and of how a budget is counted
    intervals_of: str  # in words, with the constants that were held

    def _limits_shown(self) -> tuple[Limit, ...]:
        return self.fit_limits

    @property
    def points(self) -> list[dict[str, float]]:
        """The inputs of each point, one dict per point."""
        flat = {name: np.ravel(values) for name, values in self.at.items()}
        return [{k: float(v[i]) for k, v in flat.items()} for i in range(len(self.limits))]

    @property
    def losses(self) -> FloatArray:
        """The losses, (points,)."""
        return np.ravel(self.loss)

    @property
    def ends(self) -> FloatArray:
        """The intervals, (points, 2)."""
        return np.column_stack([np.ravel(end) for end in self.interval])

    def to_frame(self) -> "DataFrame":
        """One row per point: inputs, loss, low_90 and high_90 (by the level), decades_beyond, and
        the codes of what limits it."""
        import pandas as pd

        low, high = self.ends.T
        return pd.DataFrame(self.points).assign(
            loss=self.losses,
            **interval_columns({self.confidence_level: Interval(low, high)}),
            decades_beyond=self.decades_beyond,
            limits=[codes(point) for point in self.limits],
        )


def predicted(
    law: Law,
    draws: Law | None,
    reach: Reach,
    given: Mapping[str, npt.ArrayLike],
    *,
    columns: tuple[str, ...],
    untold: Mapping[str, str],
    fit_limits: tuple[Limit, ...],
    held: Mapping[str, float],
    confidence_level: float,
    notes: tuple[Note, ...] = (),
) -> LawPrediction:
    """What the law says at ``given`` values of its ``columns``, or of train_flops alone.

    ``untold`` are constants that the runs do not tell: inside the runs the loss hardly depends on
    them, beyond them it does; ``held`` are those that were not fitted. Raises FitError for other
    columns, and values not above zero.
    """
    at = _inputs(law, reach, given, columns)
    shape = np.shape(next(iter(at.values())))
    inputs = [np.ravel(at[name]) for name in columns]
    tail = (1 - checked_level(confidence_level)) / 2
    with np.errstate(all="ignore"):  # far out, draws that nothing holds may overflow
        loss = np.asarray(law.loss(*inputs))
        low = high = np.full(len(loss), np.nan)
        width = np.zeros(len(loss))
        if draws is not None:
            of_draws = draws.loss(*inputs)
            low, high = np.quantile(of_draws, [tail, 1 - tail], axis=0)
            narrow, wide = np.quantile(of_draws, [0.05, 0.95], axis=0)
            width = np.log(wide / narrow)
    beyond = reach.beyond(dict(zip(columns, inputs, strict=True)))
    limits = tuple(
        _against(float(d), float(w), reach, untold) for d, w in zip(beyond, width, strict=True)
    )
    known = np.array([not found for found in limits], dtype=bool)
    counted = reach.flops_per_param_token.limits
    loss, low, high = (np.where(known, v, np.nan).reshape(shape)[()] for v in (loss, low, high))
    return LawPrediction(
        law=law.name,
        at=at,
        loss=loss,
        interval=Interval(low, high),
        confidence_level=confidence_level,
        decades_beyond=beyond,
        limits=limits,
        fit_limits=fit_limits + (counted if "train_flops" in at else ()),
        intervals_of=intervals_of(held),
        notes=notes,
    )


def intervals_of(held: Mapping[str, float]) -> str:
    """What the intervals of a fit are of, where these constants were held: not fitted, so that what
    is unknown of them widens no interval."""
    if not held:
        return "the fitted law, if it is right; not of a new run"
    constants = ", ".join(f"{name} held at {value:g}" for name, value in held.items())
    return f"the fitted law with {constants}, if both are right; not of a new run"


def _inputs(
    law: Law, reach: Reach, given: Mapping[str, npt.ArrayLike], columns: tuple[str, ...]
) -> dict[str, FloatArray]:
    """The values of the law's columns, all of one shape; a budget alone is split optimally."""
    ours = {name: name if name in columns else canonical_name(name) or name for name in given}
    if len(set(ours.values())) < len(ours):
        raise FitError(f"predict: {' and '.join(given)} name one input twice")
    given = {ours[name]: values for name, values in given.items()}
    optimal = getattr(law, "optimal_params", None)
    if set(given) == {"train_flops"} and optimal is not None and columns == ("params", "tokens"):
        flops = _positive("train_flops", given["train_flops"])
        return dict(zip(("params", "tokens"), _split(law, reach, flops), strict=True)) | {
            "train_flops": flops
        }
    if set(given) != set(columns):
        also = ", or train_flops alone" if optimal is not None else ""
        raise FitError(
            f"predict: {law.name} reads {' and '.join(columns)}{also}; "
            f"got {' and '.join(given) or 'nothing'}"
        )
    try:
        arrays = np.broadcast_arrays(*(_values(name, given[name], law) for name in columns))
    except ValueError as error:
        sizes = ", ".join(f"{np.size(given[name])} of {name}" for name in columns)
        raise FitError(f"predict: give as many of one as of the other (got {sizes})") from error
    return dict(zip(columns, map(np.asarray, arrays), strict=True))


def _split(law: Law, reach: Reach, train_flops: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Size and tokens of lowest loss by a law that knows them where C = 6 N D."""
    flops, log_flops = reach.flops_per_param_token, np.log(train_flops)
    optimal = law.optimal_params  # type: ignore[attr-defined]
    middle = np.asarray(np.mean(np.log(reach.ranges["params"])))
    log_params = np.log(optimal(train_flops * USUAL / np.exp(flops.log(middle))))
    if flops.follows_size:
        log_params = flops.best_log_params(
            lambda n, d: np.log(law.loss(np.exp(n), np.exp(d))), log_flops, log_params
        )
    return np.exp(log_params), np.exp(flops.log_tokens(log_flops, log_params))


def _values(name: str, values: npt.ArrayLike, law: Law) -> FloatArray:
    """The values of an input, above zero or, where the law has a value there, at it."""
    if name not in law.may_be_zero:
        return _positive(name, values)
    array = _numbers(name, values)
    wrong = array[~(np.isfinite(array) & (array >= 0))]
    if wrong.size:
        raise FitError(f"predict: {name} is {wrong.flat[0]:g}; give finite values from zero on")
    return array


def _numbers(name: str, values: npt.ArrayLike) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FitError(f"predict: {name} holds something that is not a number") from error


def _positive(name: str, values: npt.ArrayLike) -> FloatArray:
    array = _numbers(name, values)
    wrong = array[~(np.isfinite(array) & (array > 0))]
    if wrong.size:
        raise FitError(f"predict: {name} is {wrong.flat[0]:g}; give finite values above zero")
    return array


def checked_level(level: float) -> float:
    """The confidence level; FitError where it is none."""
    if not 0 < level < 1:
        raise FitError(f"confidence level {level} is not between 0 and 1; 0.9 is usual")
    return level


def _against(
    distance: float, width: float, reach: Reach, untold: Mapping[str, str]
) -> tuple[Limit, ...]:
    """Why the law's loss at one point is no number to read; nothing where it is one."""
    if untold and distance > ROUNDING:
        names = ", ".join(untold)
        text = (
            f"{distance:.2f} decades beyond the data, where the loss depends on {names}, which "
            "these runs do not tell: a forecast weighs what it may be"
        )
        return (Limit(LimitCode.UNSUPPORTED, text),)
    if against := too_far(distance, reach.spanned, 0.0):
        text = f"{against[0].text}: one law alone; a forecast weighs several, and backtests them"
        return (Limit(LimitCode.UNSUPPORTED, text),)
    if width > WIDEST:
        where = f"{distance:.2f} decades beyond the data"
        text = f"{where}, with a 90% interval wider than a factor of 1.5"
        return (Limit(LimitCode.UNSUPPORTED, text),)
    return ()
