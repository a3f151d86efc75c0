"""What a check gets, and what it gives back."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sweeps.config.launch import LaunchConfig
from sweeps.config.sweep import SweepConfig
from sweeps.data.sources.base import Corpus
from sweeps.planning.run_plan import RunPlan
from sweeps.training.plain_loop import planned_for

Verdict = Literal["pass", "FAIL", "BROKEN", "undecided", "skipped"]

#: How often a finding with a standard error fails, at most, where what it estimates keeps its
#: threshold. A full report has some twenty of them, a quick one ten: one report in twenty.
FALSE_ALARMS = 0.002
#: How often one passes, at most, where what it estimates lies beyond its threshold.
FALSE_PASSES = 0.05
#: ln of what may lie between the smallest model that is compared and the largest: of their best
#: learning rates, and of the sizes of what they compute, by which the rates would have to differ.
MOST_APART = 0.2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number that was measured, and the most it may be.

    Where it is an estimate, the verdict is a test of what it estimates (Student's t, one side): it
    fails only where that surely lies beyond the threshold, passes only where it surely does not,
    and is undecided between. What was looked at several times, with more seeds each time, shares
    both rates among the looks (Bonferroni).
    """

    check: str
    measured: float | None
    """None where the check does not apply here; `detail` says why."""
    threshold: float
    """The most that |measured| may be, or measured itself if it is `one_sided`."""
    one_sided: bool = False
    """Whether only large values are wrong, however far below zero others lie."""
    stderr: float | None = None
    """Standard error of what was measured; None where nothing about it is random."""
    degrees_of_freedom: int | None = None
    """Of the standard error."""
    looks: int = 1
    """How often it may be looked at before it stays undecided."""
    is_invariant: bool = False
    """Whether a failure means broken code; else it says something about the recipe. An invariant
    has no middle: it holds unless it surely does not."""
    detail: str = ""

    @property
    def false_alarm_rate(self) -> float:
        """How often it fails, at most, where it should not."""
        return 0.0 if self.stderr is None else FALSE_ALARMS

    @property
    def verdict(self) -> Verdict:
        """How it went. A measured NaN has failed."""
        if self.measured is None:
            return "skipped"
        failed: Verdict = "BROKEN" if self.is_invariant else "FAIL"
        beyond = (self.measured if self.one_sided else abs(self.measured)) - self.threshold
        if math.isnan(beyond):
            return failed
        if self.stderr is None:
            return failed if beyond > 0 else "pass"
        if beyond > self._errors(FALSE_ALARMS) * self.stderr:
            return failed
        if self.is_invariant or -beyond >= self._errors(FALSE_PASSES) * self.stderr:
            return "pass"
        return "undecided"

    def row(self) -> dict[str, Any]:
        """Every field and the verdict, for JSON: null for what is no number."""
        values = dataclasses.asdict(self) | {"verdict": self.verdict}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }

    def _errors(self, rate: float) -> float:
        """How many standard errors chance exceeds so rarely."""
        from scipy.special import stdtrit

        return -float(stdtrit(self.degrees_of_freedom, rate / self.looks))


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The recipe and data under test, and how much to spend on it."""

    config: SweepConfig
    corpus: Corpus
    tokens: float
    """Training tokens of the runs that learn something."""
    looks: tuple[tuple[int, ...], ...]
    """Seeds of the runs that learn something: the first, and further ones while a check is
    undecided."""
    widths: tuple[int, ...]
    """Ascending, for the checks that go along the width."""
    depths: tuple[int, ...]

    @staticmethod
    def launch(inner_steps: int = 7) -> LaunchConfig:
        """How the Trainer trains here, wherever the config's own runs are trained."""
        return LaunchConfig(device="cpu").changed(speed={"inner_steps": inner_steps})

    def plan(self, width: int, depth: int, seed: int = 1) -> RunPlan:
        """The run that the recipe makes of this shape."""
        return planned_for(self.config, width=width, depth=depth, tokens=self.tokens, seed=seed)


def until_decided(
    looks: Sequence[Sequence[int]],
    measured: Callable[[Sequence[int]], np.ndarray],
    findings_of: Callable[[np.ndarray], Sequence[Finding]],
) -> list[Finding]:
    """The findings of the first look's seeds; those undecided are looked at again with the next
    look's seeds beside them, until none is or no look is left.

    measured: of some seeds, an array whose first axis is the seed. findings_of: of such an array,
    the same checks each time, each of which knows how many `looks` there are.
    """
    seen: list[np.ndarray] = []
    found: dict[str, Finding] = {}
    for seeds in looks:
        seen.append(measured(seeds))
        for finding in findings_of(np.concatenate(seen)):
            if finding.check not in found or found[finding.check].verdict == "undecided":
                found[finding.check] = finding
        if all(finding.verdict != "undecided" for finding in found.values()):
            break
    return list(found.values())


def stderr_of_mean(values: np.ndarray) -> float:
    """Standard error of the mean of independent values; NaN of a single one. values: (seeds,)."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
