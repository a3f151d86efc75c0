"""What a forecast from these runs would have been worth: hide the largest, predict them, score.

Every origin hides the runs of largest compute, makes a whole forecast from the rest (weights and
widths learned from backtests inside the rest) and compares it with what the hidden runs measured.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.display import DrawnResult
from analysis.evaluation.in_any_inputs import forecast_hidden_runs
from analysis.evaluation.scored import (
    Cuts,
    DistanceScore,
    Hidden,
    Origin,
    Prediction,
    Score,
    by_distance,
    mean_score,
    predictions,
    score,
)
from analysis.forecasting.answer.support import signal_limits
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import Question, pose
from analysis.forecasting.weighing.forecaster import log_forecast, prepare
from analysis.intervals import LEVELS
from scaling.answerable import backtest_cuts, no_backtest
from scaling.errors import ForecastError
from scaling.limits import Limit, limits_from
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.tables.notes import notes_from

if TYPE_CHECKING:
    from pandas import DataFrame

SAME_DISTANCE = 1e-6  # decades: ten times the largest run is one decade, however it is rounded


@dataclass(frozen=True, kw_only=True, repr=False)
class Backtest(DrawnResult):
    """How forecasts from ever smaller parts of one table turned out."""

    source: str
    data_hash: str
    law: str
    fixed: Mapping[str, float]  # constants of that law that were held
    inputs: tuple[str, ...]
    along: str  # the column whose largest runs were hidden
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
            fixed=d["fixed"],
            inputs=tuple(d["inputs"]),
            along=d["along"],
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


def backtest(records: Source, *, options: ForecastOptions = DEFAULT) -> Backtest:
    """Hide the largest budgets in turn, forecast them from the rest, and score the forecasts.

    Coverage is scored at 50, 80, 90 and 95%, and at the options' levels. Of losses that follow no
    law it is a score of medians that no forecast gives, and ``limits`` say so. A law of several
    columns is forecast as `discover` does with one that is given, where it reads more than size,
    tokens and compute, or where ``options.x`` says along which column its largest runs are hidden.
    Raises ForecastError where too few budgets are left to forecast from.
    """
    records = records_from(records)
    cuts = (forecast_hidden_runs if _in_any_inputs(options) else _hidden_budgets)(records, options)
    return Backtest(
        source=records.source,
        data_hash=records.data_hash,
        law=options.law_name,
        fixed=dict(options.fix),
        inputs=cuts.inputs,
        along=cuts.along,
        origins=cuts.origins,
        overall=mean_score([score(hidden) for hidden in cuts.hidden]),
        by_distance=by_distance(cuts.hidden),
        by_origin=tuple(score(hidden) for hidden in cuts.hidden),
        predictions=tuple(p for i, h in enumerate(cuts.hidden) for p in predictions(i, h)),
        limits=cuts.limits,
        notes=records.told,
    )


def _in_any_inputs(options: ForecastOptions) -> bool:
    of_several = any(len(law.inputs) > 1 for law in options.laws)
    return options.reads_other_columns or (of_several and options.x is not None)


def _hidden_budgets(records: Records, options: ForecastOptions) -> Cuts:
    """The largest budgets (or values of x), hidden in turn."""
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
    return Cuts(
        along="train_flops" if question.is_surface else ladder.inputs[0],
        inputs=ladder.inputs,
        origins=tuple(origins),
        hidden=tuple(scored),
        limits=question.limits + signal_limits(ladder),
    )


def _forecast_hidden(question: Question, hidden: Ladder, options: ForecastOptions) -> Hidden:
    distance = question.ladder.distance(hidden.log_inputs, hidden.log_compute)
    forecaster = prepare(question.answering(hidden.log_compute), options)
    answer = log_forecast(forecaster, hidden.log_inputs, hidden.log_compute, options)
    losses = np.exp(answer.draws)
    levels = tuple(sorted({*options.confidence_levels, *LEVELS}))
    tails = (1 - np.array(levels)) / 2
    return Hidden(
        levels=levels,
        distance=distance,
        at=np.exp(hidden.log_compute),
        predicted=np.exp(answer.centre),
        measured=np.exp(hidden.log_loss),
        low=np.quantile(losses, tails, axis=1).T,
        high=np.quantile(losses, 1 - tails, axis=1).T,
    )
