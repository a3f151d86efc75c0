"""Stopping a cell whose outcome is settled: what its final loss will be is known well enough.

Off by default (`launch.policy.stop_settled_relative_width`). Who judges is not known here: the
command line passes a `Judge`, which forecasts final losses from curves. What was stopped is
`settled`, a state of its own: it has a forecast and no loss, so no fit can take it for a
measurement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scaling.store.run_store import RunStore
from sweeps.training.stop import Stopped


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Why a run need not go on, and what is put down in place of its loss."""

    reason: str
    facts: Mapping[str, float]
    """Columns of the records table: forecast_loss, forecast_low, forecast_high, share_done."""


class Judge(Protocol):
    """Says which of the runs that train at this moment need not go on. Travels to the workers."""

    @property
    def every_seconds(self) -> float:
        """Time between two looks at a task."""
        ...

    def __call__(self, store: RunStore, run_ids: Sequence[str]) -> Mapping[str, Settlement]:
        """By run id, those of the runs whose outcome is settled."""
        ...


class OutcomeSettled(Stopped):
    """Ends the training of a task all of whose runs are settled; its state is kept, so that the
    runs can go on should their losses be wanted after all."""

    def __init__(self, settlements: Mapping[str, Settlement]) -> None:
        super().__init__("the outcome is settled")
        self.settlements = settlements
