"""What the store holds of a sweep that its config does not plan any more.

A run's identity follows from everything that could change its result. So a config that is changed
half-way plans other runs in part, takes over those that it still describes, and leaves the rest
alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scaling.words import counted
from sweeps.planning.plan import SweepPlan

#: The facts by which a person tells two configs apart; others follow from these.
_TELLING = (
    "data", "tokenizer", "vocab_size", "context", "width", "depth", "mlp", "tied_head", "precision",
    "planned_tokens", "seed", "schedule", "recipe_hash",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EarlierRuns:
    """Runs of the sweep that are not in its plan."""

    runs: int
    finished: int
    differs_in: tuple[str, ...]
    """Facts whose values in all of these runs differ from all in the plan."""
    still_valid: int
    """Runs of the plan that were trained before, which count."""

    @property
    def line(self) -> str:
        """What a person should know before launching."""
        why = f" (other {', '.join(self.differs_in)})" if self.differs_in else ""
        are, they = ("is", "it is") if self.runs == 1 else ("are", "they are")
        return (
            f"the config has changed: {counted(self.runs, 'run')} of the store, {self.finished} of "
            f"them finished, {are} not in this plan{why}; {they} left alone, and "
            f"{self.still_valid} of its runs were trained before and stay valid"
        )


def earlier_runs(plan: SweepPlan, known: Mapping[str, Mapping[str, Any]]) -> EarlierRuns | None:
    """What is known (`RunStore.facts`) of runs that the plan lacks; None where there are none."""
    planned = {run.run_id: run for run in plan.runs}
    others = [facts for run_id, facts in known.items() if run_id not in planned]
    if not others:
        return None
    finished = [run_id for run_id, facts in known.items() if facts["status"] == "finished"]
    facts_planned = [run.facts() for run in plan.runs]
    differs = (
        name
        for name in _TELLING
        if _values(others, name) and _values(others, name).isdisjoint(_values(facts_planned, name))
    )
    valid = sum(run_id in planned for run_id in finished)
    return EarlierRuns(
        runs=len(others),
        finished=len(finished) - valid,
        differs_in=tuple(differs),
        still_valid=valid,
    )


def _values(facts: Iterable[Mapping[str, Any]], name: str) -> set[Any]:
    return {one[name] for one in facts if name in one}
