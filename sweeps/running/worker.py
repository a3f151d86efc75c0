"""The work on one task inside a worker process: train, store everything, say how it goes."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from scaling.errors import ConfigError, CorpusError, ScalingError
from sweeps.config.launch import LaunchConfig
from sweeps.multi_device.shared_training import SharedTraining, other_ranks
from sweeps.planning.run_plan import RunPlan
from sweeps.running.early_stop import OutcomeSettled
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.run_log import Pulse, TaskLog
from sweeps.running.task import Task

if TYPE_CHECKING:
    from sweeps.data.corpus import Corpus
    from sweeps.training.learning_rate_check import LearningRateCheck
    from sweeps.training.pack import TrainedRun


def train_task(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Train the runs of one pack and store all of it; failures become events.

    Raises CorpusError on a node of a cluster that has not the planned text: it would fail every run
    that it is given, and be given more for being so quick.
    """
    log = TaskLog(task, send)
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


def _train(task: Task, log: "TaskLog") -> None:
    from sweeps.training.devices.strategy import resolve_strategy
    from sweeps.training.pack import Listener, train_pack
    from sweeps.training.step import StackTooLargeError

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
            with other_ranks(shared, task.allocation):
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
    from sweeps.training.pack import settle_process

    settle_process(task.launch.threads)
    first = task.pack.runs[0]
    corpus = load_corpus(task.data, first.shape.context)
    if corpus.facts != first.data:
        raise CorpusError("the text has changed since the sweep was planned; plan it again")
    return corpus


def _check_finished(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Check runs that have finished without it, and add what is found to their records."""
    from sweeps.training.devices.strategy import resolve_strategy

    for run in task.pack.runs:
        pulse = Pulse(lambda run=run: send(RunEvent(kind=EventKind.ALIVE, run=run)))  # type: ignore[misc]
        try:
            launch = resolve_strategy(task.launch, task.pack)
            check = _check(task, launch, run, _load(task), pulse)
            task.store.add_facts(run.run_id, check.record())
            said = f"learning rate {check.status}, {check.gap:.2%} above the best"
        except Exception as error:  # the run stays what it is
            said = f"its learning rate was not checked: {_reason(error)}"
        send(RunEvent(kind=EventKind.CHECKED, run=run, reason=said))


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
    from sweeps.training.devices.device import choose_device
    from sweeps.training.learning_rate_check import check_learning_rate

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


def _reason(error: Exception) -> str:
    if isinstance(error, ScalingError):
        return str(error)
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first_line}"[:300]
