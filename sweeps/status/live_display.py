"""A live display of a sweep: runs done, time left, and the loss of each run in training."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scaling.words import counted
from sweeps.planning.plan import SweepPlan
from sweeps.running.events import EventKind, RunEvent


class SweepProgress:
    """Shows events of run_sweep; use it as a context around the call and pass `show` to it.

    Bars measure FLOP, so that the time left follows from the speed that was reached so far. Ended
    runs become lines above the bars.
    """

    def __init__(self, plan: SweepPlan, console: Console | None = None) -> None:
        self._plan = plan
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
            # The rate settles over many runs of different size, not over the last second.
            speed_estimate_period=300.0,
        )
        self._total = self._progress.add_task(plan.name, total=plan.train_flops, note="")
        self._bars: dict[str, TaskID] = {}
        self._spent: dict[str, float] = {}
        self._ended = 0

    def __enter__(self) -> "SweepProgress":
        """Start drawing; in a file, which shows no bars, with the first event."""
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing; the lines of ended runs stay, and nothing where nothing happened."""
        self._progress.live.transient = not self._spent and not self._bars
        if self._progress.live.is_started:
            self._progress.stop()

    def show(self, event: RunEvent) -> None:
        """Take one event into the display."""
        run = event.run
        if event.kind is EventKind.ALIVE:
            return
        self._progress.start()
        if event.kind is EventKind.CHECKED:
            self._progress.console.print(f"{run.name}: {event.reason}", highlight=False)
        elif event.kind is EventKind.LOST:
            self._drop_bar(run.run_id)
            self._advance(run.run_id, 0.0)
            self._progress.console.print(f"{run.name}: {event.reason}", highlight=False)
        elif event.kind is EventKind.STARTED:
            self._drop_bar(run.run_id)  # of a job that was preempted and starts again
            self._bars[run.run_id] = self._progress.add_task(
                f"  {run.name}", total=run.train_flops, note="starting"
            )
        elif event.kind is EventKind.PROGRESS:
            self._advance(run.run_id, run.train_flops * event.tokens / run.tokens)
            note = "" if run.held_out else f"loss {event.loss:.3f}"
            self._progress.update(
                self._bars[run.run_id], completed=self._spent[run.run_id], note=note
            )
        else:
            self._end(event)

    def _end(self, event: RunEvent) -> None:
        run = event.run
        self._ended += 1
        self._advance(run.run_id, run.train_flops)
        if event.kind is not EventKind.SKIPPED:
            self._progress.console.print(f"{run.name}: {_outcome(event)}", highlight=False)
        self._drop_bar(run.run_id)
        note = f"{self._ended} of {counted(len(self._plan.runs), 'run')}"
        self._progress.update(self._total, note=note)

    def _drop_bar(self, run_id: str) -> None:
        if run_id in self._bars:
            self._progress.remove_task(self._bars.pop(run_id))

    def _advance(self, run_id: str, flops: float) -> None:
        self._spent[run_id] = flops
        self._progress.update(self._total, completed=sum(self._spent.values()))


def _outcome(event: RunEvent) -> str:
    if event.kind is not EventKind.FINISHED:
        return f"{event.kind}: {event.reason}"
    if event.run.held_out:
        return f"trained in {event.seconds:.0f} s; its loss stays unread until it is predicted"
    return f"loss {event.loss:.4f} in {event.seconds:.0f} s"
