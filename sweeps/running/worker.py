"""The work on one task inside a worker process: train, store everything, say how it goes."""

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scaling.errors import CorpusError
from scaling.store.connection.state_folder import keep_state_in
from sweeps.launchers.crash import Crash
from sweeps.multi_device.shared_training import SharedTraining, other_ranks
from sweeps.planning.run_plan import RunPlan
from sweeps.running.early_stop import OutcomeSettled
from sweeps.running.events import RunEvent
from sweeps.running.learning_rate_health import check_finished, check_trained
from sweeps.running.run_log import TaskLog
from sweeps.running.task import Task

if TYPE_CHECKING:
    from sweeps.training.pack import TrainedRun


def train_task(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Train the runs of one pack and store all of it; failures become events.

    Raises CorpusError on a node of a cluster that has not the planned text: it would fail every run
    that it is given, and be given more for being so quick.
    """
    keep_state_in(task.state_dir)
    if not task.todo:
        check_finished(task, send)
        return
    log = TaskLog(task, send)
    try:
        _train(task, log)
    except CorpusError as error:
        log.fail(Crash.of(error))
        if task.launch.engine != "local":
            raise CorpusError(f"worker on {socket.gethostname()}: {error}") from error
    except Exception as error:  # whatever went wrong ends these runs, not the sweep
        log.fail(Crash.of(error))
    finally:
        log.close()


def _train(task: Task, log: TaskLog) -> None:
    try:
        _train_whole(task, log)
    except OutcomeSettled as outcome:
        log.settle(outcome.settlements)


def _train_whole(task: Task, log: TaskLog) -> None:
    from sweeps.training.devices.strategy import resolve_strategy
    from sweeps.training.pack import Listener, train_pack
    from sweeps.training.step import StackTooLargeError

    log.start(task.pack.columns[0])
    corpus = task.load_corpus()
    launch = resolve_strategy(task.launch, task.pack)
    notes: tuple[str, ...] = ()

    def end(trained: "Mapping[RunPlan, TrainedRun]") -> None:
        log.end(trained, check_trained(task, launch, trained, corpus, log))

    listener = Listener(
        on_start=log.start,
        on_point=log.add,
        on_seconds=log.count_seconds,
        on_pulse=log.pulse,
        on_end=end,
    )
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
            launch = launch.changed(speed={"micro_sequences": error.micro_sequences})
            notes = (*notes, str(error))
