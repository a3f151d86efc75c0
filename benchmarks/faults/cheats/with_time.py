"""Cheats with time: forecasts that are sealed late, filtered, dated anew, or by a wrong clock."""

import os
from datetime import timedelta
from typing import Any

from benchmarks.faults.cheats.case import PAST, SWEEP, WEEK, Case, clock_at, must, now, verify
from benchmarks.faults.verb import Ending


def dated(document: dict[str, Any]) -> None:
    """A date before everything."""
    document["sealed_at"] = PAST


# late


@must("noticed")
def _late_from_a_table_without_the_row(case: Case) -> Ending:
    case.land()
    case.seal("good", "runs.csv")
    return verify("good", f"mlflow:{SWEEP}")


@must("noticed")
def _late_while_the_run_trains(case: Case) -> Ending:
    end = case.begin()
    case.seal("good", "runs.csv")
    end()
    return verify("good", f"mlflow:{SWEEP}")


@must("noticed")
def _late_by_a_table_with_times(case: Case) -> Ending:
    began = now() - timedelta(hours=case.dice.randint(1, 90))
    case.seal("good", "runs.csv")
    column = case.dice.choice(("started_at", "start_time", "Created", "created_at"))
    case.write_with(**{column: began.isoformat()})
    return verify()


@must("noticed")
def _late_between_a_deleted_try_and_the_next(case: Case) -> Ending:
    from scaling.store.connection.mlflow_client import connect
    from scaling.store.run_store import RunStore

    case.land()
    store, client = RunStore.find(SWEEP), connect(os.environ["MLFLOW_TRACKING_URI"])
    (run,) = client.search_runs([store.experiment_id], "tags.`scaling.run_id` = 'big'")
    client.delete_run(run.info.run_id)
    case.seal("good")
    case.land()
    return verify()


@must("said: time cannot be compared")
def _late_by_a_table_without_times(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with()
    return verify()


# filtered


@must("noticed")
def _filtered_in_a_table(case: Case) -> Ending:
    case.write_with(seed=2)
    case.seal("good", "runs.csv", "--where", "seed == 1")
    case.write_with(seed=1)
    return verify()


@must("noticed")
def _filtered_and_renamed(case: Case) -> Ending:
    case.write_with(seed=2, run_id="first")
    case.seal("good", "runs.csv", "--where", "seed == 1")
    case.write_with(seed=1, run_id="second")
    return verify()


@must("noticed")
def _filtered_in_the_store(case: Case) -> Ending:
    case.land(seed=2)
    case.seal("good", "", "--where", "seed == 1")
    return verify("good", f"mlflow:{SWEEP}")


@must("noticed")
def _filtered_by_its_own_size(case: Case) -> Ending:
    case.land()
    refused = case.seal("good", "", "--where", f"params < {case.params / 2}")
    return refused if refused.code else verify()


# forged date


@must("noticed")
def _forged_date(case: Case) -> Ending:
    case.land()
    case.seal("good", "runs.csv")
    case.forge("good", dated, thorough=True)
    return verify("good", f"mlflow:{SWEEP}")


@must("noticed")
def _forged_date_in_the_store_too_against_the_runs_it_saw(case: Case) -> Ending:
    case.land()
    case.seal("good", "runs.csv")
    case.forge("good", dated, thorough=True)
    case.date_in_store("good", now() - 365 * WEEK)
    return verify("good", f"mlflow:{SWEEP}")


@must("noticed")
def _forged_date_after_an_honest_seal(case: Case) -> Ending:
    case.seal("first", "runs.csv")
    case.seal("good", "runs.csv")
    week_ago = now() - WEEK

    def date_back(document: dict[str, Any]) -> None:
        document["sealed_at"] = week_ago.isoformat()

    case.forge("good", date_back, thorough=True)
    case.date_in_store("good", week_ago)
    case.write_with()
    return verify()


@must("said: when it was sealed")
def _forged_date_of_a_lone_seal_everywhere(case: Case) -> Ending:
    week_ago = now() - WEEK
    case.seal("good", "runs.csv")

    def date_back(document: dict[str, Any]) -> None:
        document["sealed_at"] = week_ago.isoformat()

    case.forge("good", date_back, thorough=True)
    case.date_in_store("good", week_ago)
    case.write_with(started_at=(now() - WEEK / 2).isoformat())
    return verify()


# a clock that was set back


@must("noticed")
def _clock_behind_the_last_seal(case: Case) -> Ending:
    case.seal("first")
    case.land()
    with clock_at(now() - WEEK / 2):
        return case.seal("good", "runs.csv")


@must("noticed")
def _clock_behind_the_runs_that_it_saw(case: Case) -> Ending:
    case.land()
    back = now() - 2 * WEEK
    with clock_at(back):
        case.seal("good", "runs.csv")
    case.date_in_store("good", back)
    return verify("good", f"mlflow:{SWEEP}")


@must("said: when it was sealed")
def _clock_between_the_runs_that_it_saw_and_its_own(case: Case) -> Ending:
    case.land()
    back = now() - WEEK / 2
    with clock_at(back):
        case.seal("good", "runs.csv")
    case.date_in_store("good", back)
    return verify("good", f"mlflow:{SWEEP}")


@must("said: sealed before its run began")
def _clock_of_the_tag_set_back_behind_its_commit(case: Case) -> Ending:
    case.land()
    case.repository()
    back = now() - WEEK / 2
    os.environ["GIT_COMMITTER_DATE"] = back.isoformat()
    with clock_at(back):
        case.seal("good", "runs.csv", "--publish")
    case.date_in_store("good", back)
    return verify("good", f"mlflow:{SWEEP}", "--published", "git")
