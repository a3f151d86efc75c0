"""Where a run stands, and the tags under which the store keeps that."""

from enum import StrEnum

#: A value in the record of a run.
Fact = float | int | str | bool | None

#: Tags of a run in MLflow.
RECORD = "scaling.record"
RUN_ID = "scaling.run_id"
STATE = "scaling.state"
REASON = "scaling.reason"
KIND = "scaling.kind"
DRIVER = "scaling.driver"
SETTLEMENT = "scaling.settlement"
PARENT = "mlflow.parentRunId"

#: The tag that makes an experiment one of model training in MLflow's list of them.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}


class RunState(StrEnum):
    """Where a planned run stands."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    SETTLED = "settled"  # stopped, since its outcome was forecast well enough
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"  # its process is gone; the next call of `scaling run` takes it up
    FAILED = "failed"
    EXCLUDED = "excluded"

    @property
    def has_outcome(self) -> bool:
        """Whether training has told what it can: a loss, a divergence, or a forecast that settles
        it."""
        return self in (RunState.FINISHED, RunState.SETTLED, RunState.DIVERGED)

    @property
    def has_ended(self) -> bool:
        """Whether training began and goes on no more, well or not; a failed or interrupted run may
        be tried again."""
        return self.has_outcome or self in (RunState.FAILED, RunState.INTERRUPTED)

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to spend on it: it has its outcome, or a person wants none."""
        return self.has_outcome or self is RunState.EXCLUDED


#: A later state in this order outranks an earlier one of the same run; those of one rank do not.
RANK = {"interrupted": 0} | {
    state: rank
    for rank, state in enumerate(
        ("failed", "settled", "running", "diverged", "finished", "excluded")
    )
}
