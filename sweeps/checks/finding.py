"""What a check gets, and what it gives back."""

from dataclasses import dataclass
from typing import Literal

from sweeps.config.sweep import SweepConfig
from sweeps.data.sources.base import Corpus
from sweeps.planning.run_plan import RunPlan
from sweeps.training.plain_loop import planned_for

Verdict = Literal["pass", "FAIL", "BROKEN", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number that was measured, and the most it may be."""

    check: str
    measured: float | None
    """None where the check does not apply here; `detail` says why."""
    threshold: float
    """The most that |measured| may be."""
    is_invariant: bool = False
    """Whether a failure means broken code; else it says something about the recipe."""
    detail: str = ""

    @property
    def verdict(self) -> Verdict:
        """How it went. A measured NaN has failed."""
        if self.measured is None:
            return "skipped"
        if abs(self.measured) <= self.threshold:
            return "pass"
        return "BROKEN" if self.is_invariant else "FAIL"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The recipe and data under test, and how much to spend on it."""

    config: SweepConfig
    corpus: Corpus
    tokens: float
    """Training tokens of the runs that learn something."""
    seeds: tuple[int, ...]
    widths: tuple[int, ...]
    """Ascending, for the checks that go along the width."""
    depths: tuple[int, ...]

    def plan(self, width: int, depth: int, seed: int = 1) -> RunPlan:
        """The run that the recipe makes of this shape."""
        return planned_for(self.config, width=width, depth=depth, tokens=self.tokens, seed=seed)
