"""What happens to the runs of a task, on its way to the store and the display."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from scaling.columns import NATS_PER_TOKEN
from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.run_writer import RunWriter
from scaling.store.one_run.settlement import Settlement
from sweeps.launchers.crash import Crash
from sweeps.planning.run_plan import RunPlan
from sweeps.running.early_stop import OutcomeSettled, StopRequests
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.task import Task

if TYPE_CHECKING:
    from sweeps.training.pack import CurvePoint, TrainedRun

_SECONDS_BETWEEN_FLUSHES = 5.0  # a batched write costs some 30 ms: once every few seconds is free
_SECONDS_BETWEEN_PROGRESS = 0.2
_SECONDS_BETWEEN_PULSES = 0.5
_SECONDS_BETWEEN_REQUESTS = 10.0  # a look at the store for what the driver asks


class TaskLog:
    """What happens to the runs of a task, on its way to the store and the display."""

    def __init__(self, task: Task, send: Callable[[RunEvent], None]) -> None:
        self._task, self._send = task, send
        self._open: dict[str, tuple[RunPlan, RunWriter, Curve]] = {}
        self.ended: set[str] = set()
        self.pulse = Pulse(self._say_alive)
        self._stop_requests: StopRequests | None = None
        if task.may_settle:
            self._stop_requests = StopRequests(self._ask, _SECONDS_BETWEEN_REQUESTS)

    def start(self, runs: Sequence[RunPlan]) -> None:
        """Open the runs that are wanted and not open yet."""
        for run in runs:
            if run.run_id in self._task.todo and run.run_id not in self._open:
                self._send(RunEvent(kind=EventKind.STARTED, run=run))
                writer = self._task.store.start_run(run.run_id, run.name, run.facts())
                curve = Curve(run, writer, self._send)
                curve.flush()
                self._open[run.run_id] = (run, writer, curve)

    def count_seconds(self, runs: Sequence[RunPlan], seconds: float) -> None:
        """Runs of one stack have trained for so long, together."""
        for run in runs:
            if run.run_id in self._open:
                self._open[run.run_id][2].count_seconds(seconds, replicas=len(runs))

    def add(self, run: RunPlan, point: "CurvePoint") -> None:
        """A point of a run's curve."""
        if run.run_id in self._open:
            self._open[run.run_id][2].add(point)
            self._look()

    def _say_alive(self) -> None:
        for run, _, _ in list(self._open.values())[:1]:
            self._send(RunEvent(kind=EventKind.ALIVE, run=run))

    def _look(self) -> None:
        """End the training once the driver has asked for the end of all that trains here."""
        asked = self._stop_requests.latest if self._stop_requests else {}
        if self._open and asked.keys() >= self._open.keys():
            raise OutcomeSettled(asked)

    def _ask(self) -> Mapping[str, Settlement]:
        writers = {run_id: writer for run_id, (_, writer, _) in dict(self._open).items()}
        return self._task.store.settlements(writers)

    def close(self) -> None:
        """The task has ended, in whatever way."""
        if self._stop_requests:
            self._stop_requests.close()

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
            found = dict(health.get(run.run_id, {}))
            self._send(_store(run, result, writer, found, self._task))

    def keep_traceback(self, run: RunPlan, crash: Crash) -> None:
        """Keep with an open run what went wrong beside its training."""
        if run.run_id in self._open and crash.traceback:
            self._open[run.run_id][1].log_traceback(crash.traceback)

    def fail(self, crash: Crash) -> None:
        """Close every run that has not ended, with the reason and what explains it."""
        for run in self._task.runs:
            if run.run_id in self.ended:
                continue
            if run.run_id in self._open:
                with suppress(Exception):  # the store may be what went wrong; the event tells it
                    self._open[run.run_id][2].flush()
                    self.keep_traceback(run, crash)
                    self._open[run.run_id][1].fail(RunState.FAILED, crash.reason)
            self._send(RunEvent(kind=EventKind.FAILED, run=run, reason=crash.reason))


def _store(
    run: RunPlan,
    trained: "TrainedRun",
    writer: RunWriter,
    health: Mapping[str, float | str],
    task: Task,
) -> RunEvent:
    from sweeps.data.sources.generated.corpus import entropy_leak

    if trained.diverged_at_step is not None:
        reason = f"the loss was not finite at step {trained.diverged_at_step}"
        writer.fail(RunState.DIVERGED, reason)
        return RunEvent(kind=EventKind.DIVERGED, run=run, reason=reason)
    entropy = run.data.entropy if run.loss_kind in NATS_PER_TOKEN else None
    if leak := entropy_leak(trained.loss, trained.loss_stderr, entropy):
        writer.fail(RunState.FAILED, leak)
        return RunEvent(kind=EventKind.FAILED, run=run, reason=leak)
    record = {**trained.record(run), **health}
    further, missing = _further(run, trained, task, writer)
    if notes := [*filter(None, [record.get("notes")]), *missing]:
        record["notes"] = "; ".join(map(str, notes))
    writer.finish({**record, **further})
    return RunEvent(
        kind=EventKind.FINISHED,
        run=run,
        tokens=run.tokens,
        loss=trained.loss,
        seconds=trained.train_seconds,
    )


def _further(
    run: RunPlan, trained: "TrainedRun", task: Task, writer: RunWriter
) -> tuple[dict[str, float | str], list[str]]:
    """What a record says beside what was measured, and a note of each that could not be had: the
    measurement is whole without it."""
    asked: list[tuple[str, _Telling]] = [("no baselines", _baselines)]
    if task.probes.asks:
        asked.append(("no answers to the probes", _probed))
    if task.launch.keep_weights:
        folder = task.launch.weights_folder
        asked.append((f"weights could not be written to {folder}", _kept_weights))
    found: dict[str, float | str] = {}
    missing = []
    for note, told in asked:
        try:
            found |= told(run, trained, task)
        except Exception as error:
            crash = Crash.of(error)
            missing.append(f"{note}: {crash.reason}")
            if crash.traceback:
                writer.log_traceback(crash.traceback)
    return found, missing


_Telling = Callable[[RunPlan, "TrainedRun", Task], Mapping[str, float | str]]


def _baselines(run: RunPlan, trained: "TrainedRun", task: Task) -> dict[str, float]:
    """What counting the text that it trained on gives on the same validation set."""
    from sweeps.generation.metrics.baselines import baselines_of

    return baselines_of(task.data, run.shape.context, run.objective, run.targets)


def _probed(run: RunPlan, trained: "TrainedRun", task: Task) -> dict[str, float]:
    """What the trained model answers to the probes."""
    from sweeps.data.questions import questions_of
    from sweeps.data.registry import load_corpus
    from sweeps.generation.metrics.probes import probe
    from sweeps.training.devices.device import choose_device
    from sweeps.training.stack import build_model

    model = build_model(run)
    model.hold(trained.weights[None])
    corpus = load_corpus(task.data, run.shape.context)  # the one it trained on
    asked = questions_of(task.probes, task.data, run.shape.context)
    return probe(model.to(choose_device(task.launch.device)), corpus, asked)


def _kept_weights(run: RunPlan, trained: "TrainedRun", task: Task) -> dict[str, str]:
    """What the record says of the file of a run's weights."""
    from sweeps.data.registry import load_corpus
    from sweeps.generation.weights import write_weights

    folder = task.launch.weights_folder
    vocabulary = load_corpus(task.data, run.shape.context).vocabulary  # the one it trained on
    return write_weights(folder, run, trained.weights, trained.layout, vocabulary)


class Pulse:
    """Says now and then that this worker is at work, however often it is called."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._said = time.perf_counter()

    def __call__(self) -> None:
        """Say so, unless it was said just now."""
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
        self._seconds, self._replicas = 0.0, 1
        self._start = self._flushed = self._shown = time.perf_counter()

    def add(self, point: "CurvePoint") -> None:
        """Take a point; every few seconds all that came are written and shown."""
        if point.step <= self._step:
            return  # told again: training has begun again from a state before it
        self._step = point.step
        values = {
            "step": point.step,
            "tokens": point.tokens,
            "train_loss": point.loss,
            "learning_rate": point.learning_rate,
        }
        if point.validation_loss is not None:
            values["validation_loss"] = point.validation_loss
        self._points.append(values)
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

    def count_seconds(self, seconds: float, replicas: int) -> None:
        """It has trained for so long by now, as one of so many runs."""
        self._seconds, self._replicas = seconds, replicas

    def flush(self) -> None:
        """Write what has not been written yet, and what was spent up to the last point."""
        if self._points:
            self._writer.log_curve(self._points)
            self._points = []
        self._writer.log_progress(
            {
                **self._run.progress(self._step),
                "wall_seconds": self._seconds,
                "device_seconds": self._seconds / self._replicas,
            }
        )
        self._flushed = time.perf_counter()
