"""What happens to a run while a sweep is under way."""

from dataclasses import dataclass
from enum import StrEnum

from scaling.store.one_run.run_state import RunState
from sweeps.planning.run_plan import RunPlan


class EventKind(StrEnum):
    """What happened to a run."""

    SKIPPED = "skipped"
    STARTED = "started"
    PROGRESS = "progress"
    ALIVE = "alive"  # nothing new, but its worker is at work
    CHECKED = "checked"  # its learning rate, after it had finished
    FINISHED = "finished"
    SETTLED = "settled"  # stopped: its outcome is known well enough
    DIVERGED = "diverged"
    FAILED = "failed"
    LOST = "lost"  # its worker is gone; another try follows

    @property
    def state(self) -> RunState | None:
        """Where the run stands after it; None where it stands as before."""
        if self is EventKind.STARTED:
            return RunState.RUNNING
        if self is EventKind.LOST:
            return RunState.INTERRUPTED
        ends = (EventKind.FINISHED, EventKind.SETTLED, EventKind.DIVERGED, EventKind.FAILED)
        return RunState(self.value) if self in ends else None


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something that happened to a run, for a display to show."""

    kind: EventKind
    run: RunPlan
    tokens: int = 0
    """Trained so far."""
    loss: float | None = None
    """Training loss while it trains, validation loss when finished; nats per token."""
    seconds: float = 0.0
    """Since the run started."""
    reason: str = ""
