"""The work on one task inside a worker process: train, store everything, say how it goes."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from scaling.errors import CorpusError, ScalingError
from scaling.store import RunState, RunStore, RunWriter
from sweeps.config import DataConfig, LaunchConfig
from sweeps.plan import RunPlan

if TYPE_CHECKING:
    from sweeps.data.corpus import Corpus
    from sweeps.training import CurvePoint

_SECONDS_BETWEEN_FLUSHES = 5.0  # a batched write costs some 30 ms: once every few seconds is free
_SECONDS_BETWEEN_PROGRESS = 0.2


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
class Task:
    """What a worker needs to train one run."""

    run: RunPlan
    data: DataConfig
    launch: LaunchConfig
    store: RunStore
    check_factors: tuple[float, ...] = ()
    """Learning rates, over the rule's, at which the run is trained again to check its shape."""


def train_task(task: Task, send: Callable[[RunEvent], None]) -> None:
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
        with suppress(Exception):  # the store may be what went wrong; the event tells all the same
            writer.fail(RunState.FAILED, reason)
        send(RunEvent(kind=EventKind.FAILED, run=run, reason=reason))


def _train_and_store(task: Task, writer: RunWriter, send: Callable[[RunEvent], None]) -> RunEvent:
    from sweeps.data.corpus import load_corpus
    from sweeps.training import settle_process, train_run

    run = task.run
    settle_process(task.launch.threads)
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
    writer.finish(trained.record(run) | _health(task, corpus))
    return RunEvent(
        kind=EventKind.FINISHED,
        run=run,
        tokens=run.tokens,
        loss=trained.loss,
        seconds=trained.train_seconds,
    )


def _health(task: Task, corpus: "Corpus") -> dict[str, float | str]:
    """What the learning-rate check adds to the record of the run that carries it."""
    from sweeps.health import check_learning_rate

    if not task.check_factors:
        return {}
    return check_learning_rate(task.run, corpus, task.check_factors).record()


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
                "train_loss": point.loss,
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
