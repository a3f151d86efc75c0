"""What a forecast says: median, intervals, where the width comes from, and how far to trust it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.display import DrawnResult
from analysis.fitting.measurements.flops_per_param_token import FlopsPerParamToken
from analysis.forecasting.answer.certificate import Certificate
from analysis.intervals import Interval, interval_columns, intervals_from, outwards
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.laws.reference import Reference
from scaling.limits import Limit, LimitCode, codes, first_of, limits_from
from scaling.records import Records
from scaling.tables.notes import notes_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame


SMALLEST_DRIFT = 0.005  # percent of the loss, below which none is told


@dataclass(frozen=True, kw_only=True)
class WeightReason:
    """Why a law has its weight: what it had before, how well it fits, how it did in a backtest."""

    first_weight: float  # before any run is seen
    backtest_error: float | None  # percent, root mean square at the target's distance
    fitted_weight: float | None = None  # after the fit; None in forecasts of earlier versions


@dataclass(frozen=True, kw_only=True)
class NewRunNoise:
    """How much one more run scatters, and how much the evaluation itself does (percent)."""

    percent: float  # standard deviation of a new run's loss around its law
    source: str  # repeated runs, or residuals of the fit and the default mixed in
    evaluation_percent: float | None  # median loss_stderr over loss; None where not recorded

    @property
    def line(self) -> str:
        """Both noises in a sentence."""
        sentence = f"noise of a new run {self.percent:.2f}%, from {self.source}"
        if self.evaluation_percent is None:
            return f"{sentence}; evaluation noise not recorded (no loss_stderr)"
        return (
            f"{sentence}; evaluation noise {self.evaluation_percent:.2f}% (loss_stderr), common to "
            "all runs measured on one validation set and so not part of the interval"
        )


@dataclass(frozen=True, kw_only=True)
class TargetForecast:
    """The forecast of one new run.

    Read it as: of many runs forecast in this way, a share ``confidence_level`` should end within
    ``intervals[confidence_level]``, if recipe and data stay what they were.
    """

    at: Mapping[str, float]  # params, tokens, train_flops, or one column; at least what was asked
    median: float | None  # nats per token; None where it is not supported, and read nowhere
    intervals: Mapping[float, Interval]  # confidence level -> range for a new run's loss
    decades_beyond: float  # how far outside the data, 0 inside
    limits: tuple[Limit, ...]  # why its median is no number to read, where it is none
    shares: Mapping[str, float]  # of the variance, by its part (drift of ladders, noise ...)
    weights: Mapping[str, float]  # candidate law -> its weight here
    weight_reasons: Mapping[str, WeightReason]
    skill_share: float  # of the weights that follows backtests; the rest stays as it was before
    scale: float  # width learned from own backtests over the default width
    backtests: int
    origins: float  # what the backtests are worth at this distance: each at most 1
    backtest_error: float | None  # percent, mean absolute at this distance
    furthest_backtest: float  # decades
    draws: FloatArray = field(repr=False, compare=False, default_factory=lambda: np.empty(0))
    centre: float = field(repr=False, compare=False, default=np.nan)
    """Of the draws, supported or not: what skill is scored by, and nothing shows."""
    drift: float | None = None
    """Percent of the loss by which the median lies below what the laws say, for the drift of
    ladders; negative where it lies above, None in forecasts of earlier versions."""
    tuning: float | None = None
    """Percent of the loss that the runs' own recipe is expected to cost here against the best found
    on the checked rungs: the median includes it. None where no rung was checked."""
    tuning_stderr: float | None = None
    """Its standard error, percent."""
    certificate: Certificate | None = None
    """What the runs alone allow here, whatever the law; None where nobody asked."""
    law_losses: Mapping[str, float] = field(default_factory=dict)
    """Candidate law -> the loss that it alone says (nats per token), before the drift of ladders;
    nothing where the target is not supported, and in forecasts of earlier versions."""

    @property
    def supported(self) -> bool:
        """Whether its median may be read as a number, by `analysis.forecasting.answer.support`."""
        return first_of(LimitCode.UNSUPPORTED, self.limits) is None

    def in_meaningful_digits(self) -> "TargetForecast":
        """The same where it is supported; else intervals of two digits, rounded outwards, so that
        none ends inside the interval that it stands for."""
        if self.supported:
            return self
        ranges = {level: outwards(interval) for level, interval in self.intervals.items()}
        certificate = self.certificate and self.certificate.in_two_digits()
        return replace(self, intervals=ranges, certificate=certificate)

    @property
    def drift_because(self) -> str | None:
        """Which way the median was moved for the drift of ladders; None where it was not."""
        if self.drift is None or abs(self.drift) < SMALLEST_DRIFT:
            return None
        way = "below" if self.drift > 0 else "above"
        return (
            f"the median lies {abs(self.drift):.2f}% {way} the laws, as ladders like this one end"
        )

    @property
    def tuning_because(self) -> str | None:
        """What the recipe is expected to cost here; None where nothing was checked or found."""
        if self.tuning is None or max(self.tuning, self.tuning_stderr or 0.0) < SMALLEST_DRIFT:
            return None
        return (
            f"the median includes {self.tuning:.2f} +- {self.tuning_stderr:.2f}% of the loss that "
            "the recipe costs there against the best found, by the trend of the checked rungs"
        )

    @property
    def certified(self) -> str | None:
        """What the runs alone allow, beside the first of the intervals; None where nobody asked."""
        if self.certificate is None:
            return None
        level, interval = next(iter(self.intervals.items()))
        return self.certificate.line(interval, level)

    @property
    def evidence(self) -> str:
        """The distance, and what backtests say of forecasts that far, in a sentence."""
        return evidence_at(
            self.decades_beyond,
            backtests=self.backtests,
            furthest=self.furthest_backtest,
            worth=self.origins,
            error=self.backtest_error,
        )

    @property
    def backtests_missed(self) -> str | None:
        """What the backtests within the forecast missed by at such a distance; None without any."""
        if self.backtest_error is None:
            return None
        furthest, worth = self.furthest_backtest, self.origins
        return _missed_within(self.backtests, furthest, worth, self.backtest_error)

    @property
    def _backtests(self) -> str:
        return counted(self.backtests, "backtest")

    @property
    def weights_because(self) -> str:
        """What the weights follow, in a sentence."""
        reasons = self.weight_reasons.values()
        if not any(reason.fitted_weight != reason.first_weight for reason in reasons):
            fit = "as they were before any run was seen"  # along a curve fits are not weighed
        else:
            fit = "by how well each law fits"
        if self.backtest_error is None:
            return f"{fit}: no backtest was possible"
        return (
            f"{self.skill_share:.0%} by the errors of {self._backtests}, worth "
            f"{self.origins:.1f} at this distance, {1 - self.skill_share:.0%} {fit}"
        )


def missed_by(backtests: int, which: str, error: float) -> str:
    """What backtests missed by, in percent: the words of every place that gives such an error.

    ``which`` says what they are backtests of, how far ahead they look, and how they count.
    """
    return f"{counted(backtests, 'backtest')} {which} missed by {error:.2f}% on average"


def evidence_at(
    decades: float, *, backtests: int, furthest: float, worth: float, error: float | None
) -> str:
    """What so many backtests, up to ``furthest`` decades, say of a forecast so many ``decades``
    beyond the data, for which they are ``worth`` so many; ``error`` in percent."""
    where = f"{decades:.2f} decades beyond the data"
    if error is None:
        return f"{where}; no backtest was possible"
    return f"{where}; {_missed_within(backtests, furthest, worth, error)}"


def _missed_within(backtests: int, furthest: float, worth: float, error: float) -> str:
    counting = f"weighted by distance (worth {worth:.1f})"
    which = f"within the forecast, up to {furthest:.2f} decades ahead, {counting},"
    return missed_by(backtests, which, error)


@dataclass(frozen=True, kw_only=True, repr=False)
class Forecast(DrawnResult):
    """Forecasts of new runs from one table of runs, with the evidence they rest on."""

    targets: tuple[TargetForecast, ...]
    source: str
    data_hash: str
    runs: int
    law: str  # what was asked for: "auto" or a name
    laws: Mapping[str, str]  # the candidates that took part -> the law that each is a fit of
    evidence: tuple[str, ...]  # sentences: what backtests at these distances found
    limits: tuple[Limit, ...]
    noise: NewRunNoise
    pinned_floors: Mapping[float, tuple[float | None, ...]]  # floor -> medians at the targets
    floor_identified: bool
    seed: int
    #: what the runs count; None along one column
    flops_per_param_token: FlopsPerParamToken | None = None
    #: the runs that it was made from; None of a forecast that was read from a file
    records: Records | None = field(default=None, compare=False)
    #: candidates that add something published to their law -> where that comes from
    references: Mapping[str, Reference] = field(default_factory=dict)

    def to_frame(self) -> "DataFrame":
        """One row per target: where it is, median (blank where it is not supported), low_90 and
        high_90 (by the levels), decades_beyond, and the codes of its limits."""
        import pandas as pd

        shown = self.in_meaningful_digits().targets
        return pd.DataFrame(
            [
                {
                    **target.at,
                    "median": target.median,
                    **interval_columns(target.intervals),
                    "decades_beyond": target.decades_beyond,
                    "limits": codes(target.limits),
                }
                for target in shown
            ]
        ).astype({"median": float})

    def in_meaningful_digits(self) -> "Forecast":
        """The same with every target in the digits that mean something."""
        return replace(self, targets=tuple(t.in_meaningful_digits() for t in self.targets))

    def _document(self) -> Any:
        """All but the draws."""
        document = super()._document()
        for target in document["targets"]:
            del target["draws"], target["centre"]
            if target["certificate"] is None:
                del target["certificate"]
        return document

    @classmethod
    def from_json(cls, text: str) -> "Forecast":
        """The forecast that `to_json` wrote; its draws are gone.

        Raises ForecastError for a document of another version, whose fields had other names.
        """
        document: dict[str, Any] = json.loads(text)
        try:
            return cls._from_document(document)
        except (KeyError, TypeError, ValueError) as error:
            raise ForecastError(
                f"this forecast was written by another version ({error}); make it anew"
            ) from error

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> "Forecast":
        targets = []
        for target in document["targets"]:
            ranges = intervals_from(target["intervals"])
            reasons = {k: WeightReason(**v) for k, v in target["weight_reasons"].items()}
            limits = limits_from(target["limits"])
            rebuilt = {"intervals": ranges, "weight_reasons": reasons, "limits": limits}
            rebuilt["certificate"] = Certificate.from_document(target.get("certificate"))
            targets.append(TargetForecast(**{**target, **rebuilt}))
        floors = {float(k): tuple(v) for k, v in document["pinned_floors"].items()}
        lists: dict[str, Any] = {k: tuple(document[k]) for k in ("evidence",)}
        lists["limits"] = limits_from(document["limits"])
        lists["notes"] = notes_from(document.get("notes", ()))
        noise = NewRunNoise(**document["noise"])
        if (flops := document.get("flops_per_param_token")) is not None:
            lists["flops_per_param_token"] = FlopsPerParamToken.from_dict(flops)
        added = document.get("references", {})  # forecasts of earlier versions have none
        lists["references"] = {name: Reference.from_dict(v) for name, v in added.items()}
        changed = {"targets": tuple(targets), "noise": noise, "pinned_floors": floors, **lists}
        return cls(**{**document, **changed})
