"""Which planned runs are not trained: left out by the config, or ended for good."""

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.launch import LaunchConfig
from sweeps.planning.plan import SweepPlan


def excluded_runs(plan: SweepPlan) -> dict[str, str]:
    """The runs that the config leaves out, by run id, with the reason.

    Raises RecordError for a condition on a column that runs do not have, ConfigError for conditions
    that no run fulfils.
    """
    if not plan.config.exclude:
        return {}
    import pandas as pd

    from scaling.records import Records

    rows = [{"run_id": run.run_id, **run.facts_when_finished()} for run in plan.runs]
    table = pd.DataFrame(rows)
    reasons: dict[str, str] = {}
    for index, exclusion in enumerate(plan.config.exclude):
        chosen = Records(table, source="exclude").where(exclusion.where)
        if chosen.table.empty:
            where = " and ".join(exclusion.where)
            raise ConfigError(f"exclude[{index}]: no planned run has {where}; mend it or drop it")
        reasons |= dict.fromkeys(chosen.table["run_id"], exclusion.reason)
    return reasons


def final_states(launch: LaunchConfig) -> frozenset[RunState]:
    """The states of runs that are not trained, or not again: training finished, diverged and
    excluded ones would give the same result. A settled run goes on once stopping is turned off."""
    final = frozenset(state for state in RunState if state.is_final)
    stops = launch.policy.stop_settled_relative_width is not None
    return final if stops else final - {RunState.SETTLED}
