"""The work on one task inside a worker process: train, store everything, say how it goes."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.errors import ConfigError, CorpusError, ScalingError, StoreError
from scaling.store import RunState, RunStore, RunWriter
from sweeps.config import DataConfig, HealthConfig, LaunchConfig
from sweeps.distributed import SharedTraining, other_ranks
from sweeps.packing import Pack
from sweeps.plan import RunPlan
from sweeps.settling import Judge, OutcomeSettled, Settlement

if TYPE_CHECKING:
    from sweeps.data.corpus import Corpus
    from sweeps.health import LearningRateCheck
    from sweeps.training import CurvePoint, TrainedRun

_SECONDS_BETWEEN_FLUSHES = 5.0  # a batched write costs some 30 ms: once every few seconds is free
_SECONDS_BETWEEN_PROGRESS = 0.2
_SECONDS_BETWEEN_PULSES = 0.5


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
    """What a worker needs to train the runs of one pack."""

    pack: Pack
    todo: frozenset[str]
    """Run ids of the pack that the store does not hold yet."""
    data: DataConfig
    launch: LaunchConfig
    store: RunStore
    checked: frozenset[str] = frozenset()
    """Run ids of those that carry the learning-rate check of their shape; where nothing is to be
    trained, those that finished without it."""
    health: HealthConfig = HealthConfig()
    """How that check is done."""
    judge: Judge | None = None
    """Who stops runs whose outcome is settled; none: they train to the end."""

    @classmethod
    def of_one(
        cls, run: RunPlan, data: DataConfig, launch: LaunchConfig, store: RunStore
    ) -> "Task":
        """The task of a run that shares its training with no other."""
        pack, todo = Pack(replicas=((run,),)), frozenset([run.run_id])
        return cls(pack=pack, todo=todo, data=data, launch=launch, store=store)

    @property
    def runs(self) -> tuple[RunPlan, ...]:
        """The runs whose results are wanted."""
        return tuple(run for run in self.pack.runs if run.run_id in self.todo)

    @property
    def may_settle(self) -> bool:
        """Whether its runs can be stopped: none is to be measured, and nothing else goes on."""
        kept = any(run.held_out or run.run_id in self.checked for run in self.runs)
        alone = len(self.pack.columns) == 1 and self.launch.world_size == 1
        return self.judge is not None and alone and not kept

    @property
    def checkpoint_folder(self) -> Path:
        """Where the states of unfinished runs lie."""
        return Path(self.launch.checkpoints)


def train_task(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Train the runs of one pack and store all of it; failures become events.

    Raises CorpusError on a node of a cluster that has not the planned text: it would fail every run
    that it is given, and be given more for being so quick.
    """
    log = _TaskLog(task, send)
    if not task.todo:
        _check_finished(task, send)
        return
    try:
        _train(task, log)
    except CorpusError as error:
        log.fail(str(error))
        if task.launch.engine != "local":
            raise CorpusError(f"worker on {socket.gethostname()}: {error}") from error
    except OutcomeSettled as outcome:
        log.settle(outcome.settlements)
    except Exception as error:  # whatever went wrong ends these runs, not the sweep
        log.fail(_reason(error))


def _train(task: Task, log: "_TaskLog") -> None:
    from sweeps.step import StackTooLargeError
    from sweeps.strategy import resolve_strategy
    from sweeps.training import Listener, train_pack

    log.start(task.pack.columns[0])
    corpus = _load(task)
    launch = resolve_strategy(task.launch, task.pack)
    notes: tuple[str, ...] = ()

    def end(trained: "Mapping[RunPlan, TrainedRun]") -> None:
        log.end(trained, _health(task, launch, trained, corpus, log.pulse))

    listener = Listener(on_start=log.start, on_point=log.add, on_pulse=log.pulse, on_end=end)
    while True:
        shared = SharedTraining(
            pack=task.pack,
            data=task.data,
            launch=launch,
            done=frozenset(run.run_id for run in task.pack.runs) - task.todo | log.ended,
            folder=task.checkpoint_folder,
        )
        try:
            with other_ranks(shared):
                train_pack(
                    task.pack,
                    corpus,
                    launch,
                    listener=listener,
                    done=shared.done,
                    folder=shared.folder,
                    notes=notes,
                )
            return
        except StackTooLargeError as error:
            if error.micro_sequences is None:
                raise
            # The other devices wait for this one: all begin again from the last checkpoint.
            launch = replace(launch, micro_sequences=error.micro_sequences)
            notes = (*notes, str(error))


def _load(task: Task) -> "Corpus":
    from sweeps.data.corpus import load_corpus
    from sweeps.training import settle_process

    settle_process(task.launch.threads)
    first = task.pack.runs[0]
    corpus = load_corpus(task.data, first.shape.context)
    if corpus.facts != first.data:
        raise CorpusError("the text has changed since the sweep was planned; plan it again")
    return corpus


def _check_finished(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Check runs that have finished without it, and add what is found to their records."""
    from sweeps.strategy import resolve_strategy

    for run in task.pack.runs:
        pulse = _Pulse(lambda run=run: send(RunEvent(kind=EventKind.ALIVE, run=run)))  # type: ignore[misc]
        try:
            launch = resolve_strategy(task.launch, task.pack)
            check = _check(task, launch, run, _load(task), pulse)
            task.store.add_facts(run.run_id, check.record())
            said = f"learning rate {check.status}, {check.gap:.2%} above the best"
        except Exception as error:  # the run stays what it is
            said = f"its learning rate was not checked: {_reason(error)}"
        send(RunEvent(kind=EventKind.CHECKED, run=run, reason=said))


class _TaskLog:
    """What happens to the runs of a task, on its way to the store and the display."""

    def __init__(self, task: Task, send: Callable[[RunEvent], None]) -> None:
        self._task, self._send = task, send
        self._open: dict[str, tuple[RunPlan, RunWriter, Curve]] = {}
        self.ended: set[str] = set()
        self.pulse = _Pulse(self._say_alive)
        self._looked = time.perf_counter()

    def start(self, runs: Sequence[RunPlan]) -> None:
        """Open the runs that are wanted and not open yet."""
        for run in runs:
            if run.run_id in self._task.todo and run.run_id not in self._open:
                self._send(RunEvent(kind=EventKind.STARTED, run=run))
                writer = self._task.store.start_run(run.run_id, run.name, run.facts())
                self._open[run.run_id] = (run, writer, Curve(run, writer, self._send))

    def add(self, run: RunPlan, point: "CurvePoint") -> None:
        """A point of a run's curve."""
        if run.run_id in self._open:
            self._open[run.run_id][2].add(point)
            self._look()

    def _say_alive(self) -> None:
        for run, _, _ in list(self._open.values())[:1]:
            self._send(RunEvent(kind=EventKind.ALIVE, run=run))

    def _look(self) -> None:
        """Now and then ask whether all that trains here is settled; then end it."""
        judge, now = self._task.judge, time.perf_counter()
        if judge is None or not self._task.may_settle or now - self._looked < judge.every_seconds:
            return
        self._looked = now
        with suppress(StoreError):  # a store that is away settles nothing
            for _, _, curve in self._open.values():
                curve.flush()
            settled = judge(self._task.store, list(self._open))
            if self._open and settled.keys() >= self._open.keys():
                raise OutcomeSettled(settled)

    def settle(self, settlements: Mapping[str, Settlement]) -> None:
        """Close the open runs with their forecasts, which are no measurements."""
        for run_id, (run, writer, curve) in self._open.items():
            found = settlements[run_id]
            self.ended.add(run_id)
            curve.flush()
            writer.log_facts(found.facts)
            writer.fail(RunState.SETTLED, found.reason)
            self._send(RunEvent(kind=EventKind.SETTLED, run=run, reason=found.reason))
        self._open.clear()

    def end(
        self,
        trained: "Mapping[RunPlan, TrainedRun]",
        health: Mapping[str, Mapping[str, float | str]],
    ) -> None:
        """Store what runs have measured, and what was found about their shapes' learning rates."""
        for run, result in trained.items():
            if run.run_id not in self._open:
                continue
            _, writer, curve = self._open.pop(run.run_id)
            self.ended.add(run.run_id)
            curve.flush()
            self._send(_store(run, result, writer, health.get(run.run_id, {})))

    def fail(self, reason: str) -> None:
        """Close every run that has not ended, with the reason."""
        for run in self._task.runs:
            if run.run_id in self.ended:
                continue
            if run.run_id in self._open:
                with suppress(Exception):  # the store may be what went wrong; the event tells it
                    self._open[run.run_id][1].fail(RunState.FAILED, reason)
            self._send(RunEvent(kind=EventKind.FAILED, run=run, reason=reason))


def _store(
    run: RunPlan,
    trained: "TrainedRun",
    writer: RunWriter,
    health: Mapping[str, float | str],
) -> RunEvent:
    from sweeps.data.known_entropy import entropy_leak

    if trained.diverged_at_step is not None:
        reason = f"the loss was not finite at step {trained.diverged_at_step}"
        writer.fail(RunState.DIVERGED, reason)
        return RunEvent(kind=EventKind.DIVERGED, run=run, reason=reason)
    if leak := entropy_leak(trained.loss, trained.loss_stderr, run.data.entropy):
        writer.fail(RunState.FAILED, leak)
        return RunEvent(kind=EventKind.FAILED, run=run, reason=leak)
    writer.finish({**trained.record(run), **health})
    return RunEvent(
        kind=EventKind.FINISHED,
        run=run,
        tokens=run.tokens,
        loss=trained.loss,
        seconds=trained.train_seconds,
    )


def _health(
    task: Task,
    launch: LaunchConfig,
    trained: "Mapping[RunPlan, TrainedRun]",
    corpus: "Corpus",
    pulse: Callable[[], None],
) -> dict[str, dict[str, float | str]]:
    """By run id, what the learning-rate check adds to the records of the runs that carry it."""
    found: dict[str, dict[str, float | str]] = {}
    for run, result in trained.items():
        if run.run_id in task.checked and result.diverged_at_step is None:
            try:
                found[run.run_id] = _check(task, launch, run, corpus, pulse).record()
            except Exception as error:  # what was measured stays
                problem = f"learning rate not checked: {_reason(error)}"
                found[run.run_id] = {"notes": "; ".join((*result.notes, problem))}
    return found


def _check(
    task: Task,
    launch: LaunchConfig,
    run: RunPlan,
    corpus: "Corpus",
    pulse: Callable[[], None],
) -> "LearningRateCheck":
    from sweeps.device import choose_device
    from sweeps.health import check_learning_rate

    if launch.strategy == "fsdp":
        raise ConfigError("the check trains on one device, and the model is shared among several")
    return check_learning_rate(
        run,
        corpus,
        task.health.factors,
        seeds=task.health.seeds,
        device=choose_device(launch.device),
        on_step=pulse,
    )


class _Pulse:
    """Says now and then that this worker is at work, however often it is called."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._said = time.perf_counter()

    def __call__(self) -> None:
        now = time.perf_counter()
        if now - self._said > _SECONDS_BETWEEN_PULSES:
            self._said = now
            self._say()


class Curve:
    """The loss curve of one run on its way to the store and the display."""

    def __init__(self, run: RunPlan, writer: RunWriter, send: Callable[[RunEvent], None]) -> None:
        self._run, self._writer, self._send = run, writer, send
        self._points: list[dict[str, float]] = []
        self._step = 0
        self._start = self._flushed = self._shown = time.perf_counter()

    def add(self, point: "CurvePoint") -> None:
        """Take a point; every few seconds all that came are written and shown."""
        if point.step <= self._step:
            return  # told again: training has begun again from a state before it
        self._step = point.step
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
        """Write what has not been written yet."""
        if self._points:
            self._writer.log_curve(self._points)
            self._points = []
        self._flushed = time.perf_counter()


def _reason(error: Exception) -> str:
    if isinstance(error, ScalingError):
        return str(error)
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}"[:300]
