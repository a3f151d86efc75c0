"""What a forecast from these runs would have been worth: hide the largest, predict them, score.

Every origin hides the runs of largest compute, makes a whole forecast from the rest (weights and
widths learned from backtests inside the rest) and compares it with what the hidden runs measured.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.display import DrawnResult
from analysis.evaluation.scores import covered, interval_score
from analysis.forecasting.answer.result import missed_by
from analysis.forecasting.answer.support import signal_limits
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import FURTHEST_DECADES, Question, pose
from analysis.forecasting.weighing.forecaster import (
    log_forecast,
    prepare,
)
from analysis.intervals import LEVELS
from scaling.answerable import backtest_cuts, no_backtest
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, limits_from
from scaling.sources import Source, records_from
from scaling.tables.notes import notes_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

SCORED_LEVEL = 0.9  # of the interval whose width and score are given
BANDS = (0.0, 0.15, 0.5, 1.0, 2.0, FURTHEST_DECADES)  # decades
SAME_DISTANCE = 1e-6  # decades: ten times the largest run is one decade, however it is rounded


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


@dataclass(frozen=True, kw_only=True, repr=False)
class Backtest(DrawnResult):
    """How forecasts from ever smaller parts of one table turned out."""

    source: str
    data_hash: str
    law: str
    inputs: tuple[str, ...]
    origins: tuple[Origin, ...]
    overall: Score  # every origin with equal weight
    by_distance: tuple[DistanceScore, ...]
    by_origin: tuple[Score, ...]
    predictions: tuple[Prediction, ...]
    limits: tuple[Limit, ...]

    def at_distance(self, decades: float) -> DistanceScore | None:
        """The score in the range of distances that ``decades`` beyond the data lies in; None where
        no backtest predicted a run so far out."""
        reached = decades - SAME_DISTANCE
        inside = (b for b in self.by_distance if b.decades_from < reached <= b.decades_to)
        return next(inside, None)

    def to_frame(self) -> "DataFrame":
        """One row per hidden run and origin: what was hidden, how far out, predicted and measured
        loss, error in percent, the 90% interval and whether it held."""
        import pandas as pd

        frame = pd.DataFrame([asdict(run) for run in self.predictions])
        hides = [self.origins[run.origin].hides for run in self.predictions]
        return frame.assign(
            hides=hides,
            error_percent=100 * (frame["predicted"] / frame["measured"] - 1),
            inside=frame["measured"].between(frame["low_90"], frame["high_90"]),
        )

    @classmethod
    def from_json(cls, text: str) -> "Backtest":
        """The backtest that `to_json` wrote."""
        d = json.loads(text)
        return cls(
            source=d["source"],
            data_hash=d["data_hash"],
            law=d["law"],
            inputs=tuple(d["inputs"]),
            origins=tuple(Origin(**o) for o in d["origins"]),
            overall=_score_from(d["overall"]),
            by_distance=tuple(
                DistanceScore(**{**s, "score": _score_from(s["score"])}) for s in d["by_distance"]
            ),
            by_origin=tuple(_score_from(s) for s in d["by_origin"]),
            predictions=tuple(Prediction(**p) for p in d["predictions"]),
            limits=limits_from(d["limits"]),
            notes=notes_from(d.get("notes", ())),
        )


def _score_from(document: dict) -> Score:
    coverage = {float(k): v for k, v in document["coverage"].items()}
    return Score(**{**document, "coverage": coverage})


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """The hidden runs of one origin, each array (hidden,) or (hidden, levels)."""

    levels: tuple[float, ...]
    distance: FloatArray
    compute: FloatArray
    predicted: FloatArray
    measured: FloatArray
    low: FloatArray
    high: FloatArray


def backtest(records: Source, *, options: ForecastOptions = DEFAULT) -> Backtest:
    """Hide the largest budgets in turn, forecast them from the rest, and score the forecasts.

    Coverage is scored at 50, 80, 90 and 95%, and at the options' levels. Of losses that follow no
    law it is a score of medians that no forecast gives, and ``limits`` say so.
    Raises ForecastError where too few budgets are left to forecast from.
    """
    records = records_from(records)
    question = pose(records, (options.x or "train_flops",), options)
    ladder = question.ladder
    cuts = backtest_cuts(ladder.log_compute, is_surface=question.is_surface)
    if not cuts:
        reason = no_backtest(ladder.log_compute, is_surface=question.is_surface)
        raise ForecastError(f"{records.source}: {reason}")
    origins, scored = [], []
    for hides, cut in cuts:
        is_seen = ladder.log_compute <= cut
        seen, hidden = ladder.select(is_seen), ladder.select(~is_seen)
        scored.append(_forecast_hidden(question.seeing(seen), hidden, options))
        largest = float(np.exp(seen.log_compute.max()))
        origins.append(
            Origin(
                hides=hides,
                largest_seen=largest,
                runs_seen=len(seen),
                runs_hidden=len(hidden),
            )
        )
    return Backtest(
        source=records.source,
        data_hash=records.data_hash,
        law=options.law_name,
        inputs=ladder.inputs,
        origins=tuple(origins),
        overall=_mean_score([_score(s) for s in scored]),
        by_distance=_by_distance(scored),
        by_origin=tuple(_score(s) for s in scored),
        predictions=tuple(p for i, s in enumerate(scored) for p in _predictions(i, s)),
        limits=question.limits + signal_limits(ladder),
        notes=records.told,
    )


def _forecast_hidden(question: Question, hidden: Ladder, options: ForecastOptions) -> _Scored:
    distance = question.ladder.distance(hidden.log_inputs, hidden.log_compute)
    forecaster = prepare(question.answering(hidden.log_compute), options)
    answer = log_forecast(forecaster, hidden.log_inputs, hidden.log_compute, options)
    losses = np.exp(answer.draws)
    levels = tuple(sorted({*options.confidence_levels, *LEVELS}))
    tails = (1 - np.array(levels)) / 2
    return _Scored(
        levels=levels,
        distance=distance,
        compute=np.exp(hidden.log_compute),
        predicted=np.exp(answer.centre),
        measured=np.exp(hidden.log_loss),
        low=np.quantile(losses, tails, axis=1).T,
        high=np.quantile(losses, 1 - tails, axis=1).T,
    )


def _score(s: _Scored, where: npt.ArrayLike | None = None) -> Score:
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


def _mean_score(scores: Sequence[Score]) -> Score:
    """Scores of several origins with equal weight: one with many runs knows no more."""
    return Score(
        predictions=sum(s.predictions for s in scores),
        error=float(np.mean([s.error for s in scores])),
        bias=float(np.mean([s.bias for s in scores])),
        coverage={v: float(np.mean([s.coverage[v] for s in scores])) for v in scores[0].coverage},
        width=float(np.mean([s.width for s in scores])),
        interval_score=float(np.mean([s.interval_score for s in scores])),
    )


def _by_distance(scored: Sequence[_Scored]) -> tuple[DistanceScore, ...]:
    bands = []
    for start, stop in zip(BANDS[:-1], BANDS[1:], strict=True):
        inside = [(s, (s.distance > start) & (s.distance <= stop)) for s in scored]
        scores = [_score(s, where) for s, where in inside if where.any()]
        if scores:
            bands.append(
                DistanceScore(
                    decades_from=start,
                    decades_to=stop,
                    origins=len(scores),
                    score=_mean_score(scores),
                )
            )
    return tuple(bands)


def _predictions(origin: int, s: _Scored) -> list[Prediction]:
    at_90 = s.levels.index(SCORED_LEVEL)
    return [
        Prediction(
            origin=origin,
            decades_beyond=float(s.distance[i]),
            at=float(s.compute[i]),
            predicted=float(s.predicted[i]),
            measured=float(s.measured[i]),
            low_90=float(s.low[i, at_90]),
            high_90=float(s.high[i, at_90]),
        )
        for i in range(len(s.measured))
    ]
