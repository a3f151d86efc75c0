"""The check of the runs of a task that carry one, made in its worker: columns of their records."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from scaling.errors import ConfigError, StoreError
from scaling.words import counted
from sweeps.config.launch import LaunchConfig
from sweeps.launchers.crash import Crash
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.variants.arms import other_recipe
from sweeps.running.events import EventKind, RunEvent
from sweeps.running.run_log import Pulse, TaskLog
from sweeps.running.task import Task

if TYPE_CHECKING:
    from sweeps.data.sources.base import Corpus
    from sweeps.training.learning_rate_check import LearningRateCheck
    from sweeps.training.pack import TrainedRun
    from sweeps.training.recipe_check import RecipeCheck

_NOT_CHECKED = "not checked"


def check_trained(
    task: Task,
    launch: LaunchConfig,
    trained: "Mapping[RunPlan, TrainedRun]",
    corpus: "Corpus",
    log: TaskLog,
) -> dict[str, dict[str, float | str]]:
    """By run id, what the check adds to the records of those of the trained runs that carry it."""
    found: dict[str, dict[str, float | str]] = {}
    for run, result in trained.items():
        if run.run_id in task.checked and result.diverged_at_step is None:
            try:
                found[run.run_id] = _check(task, launch, run, corpus, log.pulse).record()
            except Exception as error:  # what was measured stays
                crash = Crash.of(error)
                log.keep_traceback(run, crash)
                notes = (*result.notes, f"{_NOT_CHECKED}: {crash.reason}")
                found[run.run_id] = {"notes": "; ".join(notes)}
    return found


def check_finished(task: Task, send: Callable[[RunEvent], None]) -> None:
    """Check runs that have finished without it, and add what is found to their records."""
    from sweeps.training.devices.strategy import resolve_strategy

    for run in task.pack.runs:
        pulse = Pulse(lambda run=run: send(RunEvent(kind=EventKind.ALIVE, run=run)))  # type: ignore[misc]
        try:
            launch = resolve_strategy(task.launch, task.pack)
            check = _check(task, launch, run, task.load_corpus(), pulse)
            task.store.add_facts(run.run_id, check.record())
            outcome = _outcome(check)
        except Exception as error:  # the run stays what it is
            crash = Crash.of(error)
            with suppress(StoreError):  # the event tells it
                task.store.add_facts(run.run_id, {}, traceback=crash.traceback)
            outcome = f"it was not checked: {crash.reason}"
        send(RunEvent(kind=EventKind.CHECKED, run=run, reason=outcome))


def _outcome(check: "LearningRateCheck | RecipeCheck") -> str:
    """What to say of a check once it is done."""
    from sweeps.training.recipe_check import RecipeCheck

    rate = check.learning_rate if isinstance(check, RecipeCheck) else check
    said = f"learning rate {rate.status}, {rate.gap:.2%} above the best"
    if isinstance(check, RecipeCheck):
        said += f"; {counted(len(check.arms), 'arm')} of its recipe tried"
    return said


def _check(
    task: Task,
    launch: LaunchConfig,
    run: RunPlan,
    corpus: "Corpus",
    pulse: Callable[[], None],
) -> "LearningRateCheck | RecipeCheck":
    from sweeps.training.learning_rate_check import check_learning_rate
    from sweeps.training.recipe_check import check_recipe

    if launch.resources.strategy == "fsdp":
        raise ConfigError("the check trains on one device, and the model is shared among several")
    health, planned = task.health, task.checked[run.run_id]
    if health.check_recipe:
        assert task.recipe is not None, "the runner gives the recipe to every task that checks it"
        return check_recipe(
            run,
            corpus,
            task.recipe,
            health.factors,
            planned.corners,
            seeds=planned.seeds,
            against=other_recipe(health),
            launch=launch,
            on_step=pulse,
        )
    return check_learning_rate(
        run, corpus, health.factors, seeds=planned.seeds, launch=launch, on_step=pulse
    )
