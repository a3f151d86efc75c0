"""Hidden runs beside their forecasts, scored: errors and intervals, by distance and by origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.evaluation.scores import covered, interval_score
from analysis.forecasting.answer.result import missed_by
from analysis.forecasting.question.setup import FURTHEST_DECADES
from scaling.arrays import FloatArray
from scaling.limits import Limit
from scaling.words import counted

SCORED_LEVEL = 0.9  # of the interval whose width and score are given
BANDS = (0.0, 0.15, 0.5, 1.0, 2.0, FURTHEST_DECADES)  # decades


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One cut: what was hidden and how much was left."""

    hides: str  # in words: "the largest 2 budgets", "the last factor of 10"
    largest_seen: float  # compute (or x) of the largest run left
    runs_seen: int
    runs_hidden: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors and intervals over some predictions; percentages of the measured loss."""

    predictions: int
    error: float  # mean absolute error
    bias: float  # mean error; above zero means predicted too high
    coverage: Mapping[float, float]  # confidence level -> share of runs inside
    width: float  # mean width of the 90% interval
    interval_score: float  # mean interval score at 90%


@dataclass(frozen=True, kw_only=True)
class DistanceScore:
    """The score of the predictions at a range of distances beyond what was seen."""

    decades_from: float
    decades_to: float
    origins: int
    score: Score

    @property
    def words(self) -> str:
        """The range in words: 0.5 to 1 decades; the last has no upper end that anybody asks for."""
        if self.decades_to >= FURTHEST_DECADES:
            return f"more than {self.decades_from:g} decades"
        return f"{self.decades_from:g} to {self.decades_to:g} decades"

    @property
    def which(self) -> str:
        """Which backtests these are: how many, and how far ahead they look."""
        return f"{counted(self.origins, 'backtest')} {self._looking}"

    @property
    def missed(self) -> str:
        """What they missed by, over so many hidden runs."""
        over = counted(self.score.predictions, "hidden run")
        return missed_by(self.origins, f"{self._looking} ({over})", self.score.error)

    @property
    def _looking(self) -> str:
        return f"of whole forecasts, {self.words} ahead"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One hidden run: what was predicted and what was measured, nats per token."""

    origin: int  # which of Backtest.origins
    decades_beyond: float
    at: float  # compute (or x) of the run
    predicted: float
    measured: float
    low_90: float
    high_90: float


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """The hidden runs of one origin and their forecast: arrays (hidden,) or (hidden, levels)."""

    levels: tuple[float, ...]
    distance: FloatArray  # decades beyond the largest run that was seen
    at: FloatArray  # compute, or x
    predicted: FloatArray
    measured: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What each cut hid, how its forecast fared, and what must be said of them."""

    along: str  # the column whose largest runs were hidden
    inputs: tuple[str, ...]
    origins: tuple[Origin, ...]
    hidden: tuple[Hidden, ...]
    limits: tuple[Limit, ...]


def score(s: Hidden, where: npt.ArrayLike | None = None) -> Score:
    """Errors and intervals of these hidden runs, or of those ``where``."""
    keep = np.ones(len(s.measured), dtype=bool) if where is None else np.asarray(where)
    measured, predicted = s.measured[keep], s.predicted[keep]
    low, high = s.low[keep], s.high[keep]
    inside = covered(low, high, measured[:, None])
    at_90 = s.levels.index(SCORED_LEVEL)
    charge = interval_score(low[:, at_90], high[:, at_90], measured, SCORED_LEVEL)
    return Score(
        predictions=int(keep.sum()),
        error=float(100 * np.mean(np.abs(predicted / measured - 1))),
        bias=float(100 * np.mean(predicted / measured - 1)),
        coverage={level: float(inside[:, i].mean()) for i, level in enumerate(s.levels)},
        width=float(100 * np.mean((high[:, at_90] - low[:, at_90]) / measured)),
        interval_score=float(100 * np.mean(charge / measured)),
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """Scores of several origins with equal weight: one with many runs knows no more."""
    return Score(
        predictions=sum(s.predictions for s in scores),
        error=float(np.mean([s.error for s in scores])),
        bias=float(np.mean([s.bias for s in scores])),
        coverage={v: float(np.mean([s.coverage[v] for s in scores])) for v in scores[0].coverage},
        width=float(np.mean([s.width for s in scores])),
        interval_score=float(np.mean([s.interval_score for s in scores])),
    )


def by_distance(scored: Sequence[Hidden]) -> tuple[DistanceScore, ...]:
    """The score in each range of distances that any hidden run lies in."""
    bands = []
    for start, stop in zip(BANDS[:-1], BANDS[1:], strict=True):
        inside = [(s, (s.distance > start) & (s.distance <= stop)) for s in scored]
        scores = [score(s, where) for s, where in inside if where.any()]
        if scores:
            bands.append(
                DistanceScore(
                    decades_from=start,
                    decades_to=stop,
                    origins=len(scores),
                    score=mean_score(scores),
                )
            )
    return tuple(bands)


def predictions(origin: int, s: Hidden) -> list[Prediction]:
    """The hidden runs of one origin, one by one."""
    at_90 = s.levels.index(SCORED_LEVEL)
    return [
        Prediction(
            origin=origin,
            decades_beyond=float(s.distance[i]),
            at=float(s.at[i]),
            predicted=float(s.predicted[i]),
            measured=float(s.measured[i]),
            low_90=float(s.low[i, at_90]),
            high_90=float(s.high[i, at_90]),
        )
        for i in range(len(s.measured))
    ]
