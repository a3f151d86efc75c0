"""How long a run will take, from how long finished runs took."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from sweeps.planning.plan import estimated_seconds
from sweeps.planning.run_plan import RunPlan


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """FLOP a second of one process, by model size: measured where runs have finished.

    A size in between is interpolated in the logarithms; beyond the largest measured one its rate
    is kept, since a rate rises with size until the device is full and an estimate of cost should
    rather be too high. Without any measurement it is the plan's guess.
    """

    rates: tuple[tuple[int, float], ...]
    """(parameters, FLOP per second) in order of parameters; the median over runs of one size."""
    given: float | None = None
    """The rate that the config states; it counts where nothing was measured."""

    @classmethod
    def measured(
        cls, facts: Iterable[Mapping[str, Any]], given: float | None = None
    ) -> "Throughput":
        """From the facts of runs, of which the finished ones with a device time count."""
        by_size: dict[int, list[float]] = {}
        for run in facts:
            seconds = run.get("device_seconds") or run.get("wall_seconds")
            if run.get("status") == "finished" and seconds and run.get("train_flops"):
                spent = run.get("marginal_flops") or run["train_flops"]
                by_size.setdefault(int(run["params"]), []).append(spent / seconds)
        rates = ((params, median(found)) for params, found in sorted(by_size.items()))
        return cls(rates=tuple(rates), given=given)

    @property
    def is_measured(self) -> bool:
        """Whether any run has finished."""
        return bool(self.rates)

    def seconds(self, run: RunPlan) -> float:
        """Estimated training seconds that one run adds in one process."""
        if not self.rates:
            alone = estimated_seconds(run, self.given)
            return alone * run.marginal_flops / run.train_flops
        return run.marginal_flops / self._rate(run.shape.params)

    def _rate(self, params: int) -> float:
        sizes = [size for size, _ in self.rates]
        if params <= sizes[0]:
            return self.rates[0][1]
        for (small, slow), (large, fast) in zip(self.rates, self.rates[1:], strict=False):
            if params <= large:
                share = math.log(params / small) / math.log(large / small)
                return float(slow * (fast / slow) ** share)
        return self.rates[-1][1]
