"""Where every run of a plan stands, with the reason where it did not finish."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from scaling.store import RunState, RunStore
from sweeps.plan import RunPlan, SweepPlan


@dataclass(frozen=True, kw_only=True)
class CellStanding:
    """One planned run: its state, and what is known of it so far."""

    run_id: str
    name: str
    state: RunState
    held_out: bool
    params: int
    tokens: int
    train_flops: int
    loss: float | None  # validation loss, nats per token; None until finished
    wall_seconds: float | None
    reason: str  # why it diverged or failed


@dataclass(frozen=True, kw_only=True)
class SweepStanding:
    """Every run of a plan with its state."""

    sweep: str
    cells: tuple[CellStanding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state; states without runs are left out."""
        return dict(Counter(cell.state.value for cell in self.cells))

    @property
    def flops_left(self) -> int:
        """FLOP of the runs that are neither finished nor diverged."""
        ended = (RunState.FINISHED, RunState.DIVERGED)
        return sum(cell.train_flops for cell in self.cells if cell.state not in ended)

    def to_json(self) -> str:
        """The standing as one JSON document."""
        document = {
            "sweep": self.sweep,
            "counts": self.counts,
            "flops_left": self.flops_left,
            "cells": [asdict(cell) for cell in self.cells],
        }
        return json.dumps(document, indent=2)


def sweep_standing(plan: SweepPlan, store: RunStore) -> SweepStanding:
    """Compare the plan with what the store holds. One query, whatever the size of the sweep."""
    known = store.facts()
    cells = tuple(_cell(run, known.get(run.run_id, {})) for run in plan.runs)
    return SweepStanding(sweep=plan.name, cells=cells)


def _cell(run: RunPlan, facts: dict[str, Any]) -> CellStanding:
    return CellStanding(
        run_id=run.run_id,
        name=run.name,
        state=RunState(facts.get("status", RunState.PLANNED)),
        held_out=run.held_out,
        params=run.shape.params,
        tokens=run.tokens,
        train_flops=run.train_flops,
        loss=facts.get("loss"),
        wall_seconds=facts.get("wall_seconds"),
        reason=facts.get("reason", ""),
    )
