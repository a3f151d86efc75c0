"""Walk a plan: skip what is finished, train the rest, keep every outcome in the store."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from scaling.errors import CorpusError, ScalingError
from scaling.store import RunState, RunStore, RunWriter
from sweeps.config import DataConfig, LaunchConfig
from sweeps.launchers.local import TaskEnded, TaskLost, work_through
from sweeps.plan import RunPlan, SweepPlan

if TYPE_CHECKING:
    from sweeps.training import CurvePoint

_SECONDS_BETWEEN_FLUSHES = 5.0  # a batched write costs some 30 ms: once every few seconds is free
_SECONDS_BETWEEN_PROGRESS = 0.2

#: Training these again would give the same result.
SETTLED = frozenset((RunState.FINISHED, RunState.DIVERGED))


class EventKind(StrEnum):
    """What happened to a run."""

    SKIPPED = "skipped"
    STARTED = "started"
    PROGRESS = "progress"
    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"


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


@dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """Where each run of the plan ended up, with the reasons of those that went wrong."""

    states: dict[str, RunState]
    """By run id."""
    reasons: dict[str, str]
    """By run id, for runs that failed or diverged in this call."""
    seconds: float

    def count(self, state: RunState) -> int:
        """How many runs of the plan are in this state."""
        return sum(found is state for found in self.states.values())


@dataclass(frozen=True, kw_only=True)
class _Task:
    run: RunPlan
    data: DataConfig
    launch: LaunchConfig
    store: RunStore


def run_sweep(
    plan: SweepPlan,
    store: RunStore,
    *,
    workers: int | None = None,
    on_event: Callable[[RunEvent], None] = lambda event: None,
) -> SweepOutcome:
    """Train what the store does not hold yet, in worker processes, in the order of the plan.

    Finished and diverged runs are skipped; failed and cut-off ones are trained again. A run that
    fails does not stop the others. Safe to interrupt: what is finished stays, the rest is trained
    by the next call. `workers` overrides the config's number.
    """
    start = time.perf_counter()
    known = store.states()
    states = {run.run_id: known.get(run.run_id, RunState.PLANNED) for run in plan.runs}
    for run in plan.runs:
        if states[run.run_id] in SETTLED:
            on_event(RunEvent(kind=EventKind.SKIPPED, run=run, tokens=run.tokens))
    reasons: dict[str, str] = {}
    launch = plan.config.launch
    tasks = [
        _Task(run=run, data=plan.config.data, launch=launch, store=store)
        for run in plan.runs
        if states[run.run_id] not in SETTLED
    ]
    happenings = work_through(
        tasks, _train_task, workers=workers or launch.workers, threads=launch.threads
    )
    try:
        for happening in happenings:
            if isinstance(happening, TaskEnded):
                continue
            if isinstance(happening, TaskLost):
                event = _record_loss(happening, store)
            else:
                event = happening.message
            if event.kind in _STATES:
                states[event.run.run_id] = _STATES[event.kind]
            if event.reason:
                reasons[event.run.run_id] = event.reason
            on_event(event)
    finally:
        happenings.close()
    return SweepOutcome(states=states, reasons=reasons, seconds=time.perf_counter() - start)


_STATES = {
    EventKind.STARTED: RunState.RUNNING,
    EventKind.FINISHED: RunState.FINISHED,
    EventKind.DIVERGED: RunState.DIVERGED,
    EventKind.FAILED: RunState.FAILED,
}


def _record_loss(lost: TaskLost, store: RunStore) -> RunEvent:
    """Write down, in the place of a worker that died, that its run failed."""
    run: RunPlan = lost.task.run
    store.start_run(run.run_id, run.name, run.facts()).fail(RunState.FAILED, lost.reason)
    return RunEvent(kind=EventKind.FAILED, run=run, reason=lost.reason)


def _train_task(task: _Task, send: Callable[[RunEvent], None]) -> None:
    """Train one run in a worker process and store all of it; failures become events."""
    run = task.run
    send(RunEvent(kind=EventKind.STARTED, run=run))
    try:
        writer = task.store.start_run(run.run_id, run.name, run.facts())
    except ScalingError as error:
        send(RunEvent(kind=EventKind.FAILED, run=run, reason=str(error)))
        return
    try:
        send(_train_and_store(task, writer, send))
    except Exception as error:  # whatever went wrong ends this run, not the sweep
        reason = str(error) if isinstance(error, ScalingError) else _describe(error)
        writer.fail(RunState.FAILED, reason)
        send(RunEvent(kind=EventKind.FAILED, run=run, reason=reason))


def _train_and_store(task: _Task, writer: RunWriter, send: Callable[[RunEvent], None]) -> RunEvent:
    from sweeps.data.corpus import load_corpus
    from sweeps.training import train_run

    run = task.run
    corpus = load_corpus(task.data, run.shape.context)
    if corpus.facts != run.data:
        raise CorpusError("the text has changed since the sweep was planned; plan it again")
    curve = _Curve(run, writer, send)
    trained = train_run(run, corpus, task.launch, curve.add)
    curve.flush()
    if trained.diverged_at_step is not None:
        reason = f"the loss was not finite at step {trained.diverged_at_step}"
        writer.fail(RunState.DIVERGED, reason)
        return RunEvent(kind=EventKind.DIVERGED, run=run, reason=reason)
    writer.finish(trained.record(run))
    return RunEvent(
        kind=EventKind.FINISHED,
        run=run,
        tokens=run.tokens,
        loss=trained.loss,
        seconds=trained.train_seconds,
    )


class _Curve:
    """The loss curve of one run on its way to the store and the display."""

    def __init__(self, run: RunPlan, writer: RunWriter, send: Callable[[RunEvent], None]) -> None:
        self._run, self._writer, self._send = run, writer, send
        self._points: list[dict[str, float]] = []
        self._start = self._flushed = self._shown = time.perf_counter()

    def add(self, point: "CurvePoint") -> None:
        self._points.append(
            {
                "step": point.step,
                "tokens": point.tokens,
                "loss": point.loss,
                "learning_rate": point.learning_rate,
            }
        )
        now = time.perf_counter()
        if now - self._shown > _SECONDS_BETWEEN_PROGRESS:
            self._shown = now
            self._send(
                RunEvent(
                    kind=EventKind.PROGRESS,
                    run=self._run,
                    tokens=point.tokens,
                    loss=point.loss,
                    seconds=now - self._start,
                )
            )
        if now - self._flushed > _SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        if self._points:
            self._writer.log_curve(self._points)
            self._points = []
        self._flushed = time.perf_counter()


def _describe(error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}"[:300]
