"""What a forecast says: median, intervals, where the width comes from, and how far to trust it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.fit_result import Interval

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TargetForecast:
    """The forecast of one new run.

    Read it as: of many runs forecast in this way, a share ``confidence_level`` should end within
    ``intervals[confidence_level]``, if recipe and data stay what they were.
    """

    at: Mapping[str, float]  # the target: params, tokens, train_flops, or one named column
    median: float  # nats per token
    intervals: Mapping[float, Interval]  # confidence level -> range for a new run's loss
    decades_beyond: float  # how far outside the data, 0 inside
    shares: Mapping[str, float]  # part of the variance: parameters, law choice, lack of fit, noise
    weights: Mapping[str, float]  # candidate law -> its weight here
    scale: float  # width learned from own backtests over the default width
    origins: float  # how many backtest origins speak for this distance
    draws: FloatArray = field(repr=False, compare=False, default_factory=lambda: np.empty(0))


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecasts of new runs from one table of runs, with the evidence they rest on."""

    targets: tuple[TargetForecast, ...]
    source: str
    data_hash: str
    runs: int
    law: str  # what was asked for: "auto" or a name
    laws: tuple[str, ...]  # the candidate laws that took part
    evidence: tuple[str, ...]  # sentences: backtests at these distances, or that there are none
    status: tuple[str, ...]  # sentences: what limits this forecast
    pinned_floors: Mapping[float, tuple[float, ...]]  # floor -> medians at the targets under it
    floor_identified: bool
    seed: int

    def to_json(self) -> str:
        """The forecast as one JSON document, without the draws."""
        document = asdict(self)
        for target in document["targets"]:
            del target["draws"]
            target["intervals"] = {str(k): list(v) for k, v in target["intervals"].items()}
        document["pinned_floors"] = {str(k): list(v) for k, v in self.pinned_floors.items()}
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Forecast":
        """The forecast that `to_json` wrote; its draws are gone."""
        document: dict[str, Any] = json.loads(text)
        targets = []
        for target in document["targets"]:
            ranges = {float(k): Interval(*v) for k, v in target["intervals"].items()}
            targets.append(TargetForecast(**{**target, "intervals": ranges}))
        floors = {float(k): tuple(v) for k, v in document["pinned_floors"].items()}
        lists = {k: tuple(document[k]) for k in ("laws", "evidence", "status")}
        changed = {"targets": tuple(targets), "pinned_floors": floors, **lists}
        return cls(**{**document, **changed})
