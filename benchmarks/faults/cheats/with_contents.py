"""Cheats on what is stored: medians, seals, names, copies of a store, runs; and honest seals."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.faults.cheats.case import SWEEP, WEEK, Case, change, must, now, verify
from benchmarks.faults.verb import Ending


def better(document: dict[str, Any]) -> None:
    """A median and intervals that nobody had forecast."""
    for target in document["targets"]:
        target["median"] *= 0.9
        target["intervals"] = {level: [1.0, 9.0] for level in target["intervals"]}


# forged median


@must("noticed")
def _forged_median_before_a_later_seal(case: Case) -> Ending:
    case.seal("good")
    case.seal("second")
    case.forge("good", better, thorough=False)
    case.forget()
    case.land()
    return verify()


@must("noticed")
def _forged_median_of_the_last_seal(case: Case) -> Ending:
    case.seal("good")
    case.forge("good", better, thorough=False)
    case.forget()
    case.land()
    return verify()


@must("noticed")
def _forged_median_without_its_digest(case: Case) -> Ending:
    case.seal("good")
    path = next(case.folder.rglob("seal.json"))
    document = json.loads(path.read_text())
    better(document)
    path.write_text(json.dumps(document))
    case.land()
    return verify()


@must("noticed")
def _forged_median_everywhere_but_on_the_remote(case: Case) -> Ending:
    case.repository()
    case.seal("good", "", "--publish")
    case.push()
    case.forge("good", better, thorough=True)
    case.land()
    return verify("good", "--published", "git")


@must("noticed")
def _forged_median_and_the_tag_made_anew(case: Case) -> Ending:
    from scaling.store.seals.chain import Link
    from scaling.store.seals.kept import read_seals
    from scaling.store.seals.publication import publish_in_git

    case.repository()
    case.seal("good", "", "--publish")
    case.push()
    case.forge("good", better, thorough=True)
    chain = read_seals("good")
    link = Link(chain=chain.name, number=1, previous="")
    case.git("tag", "--delete", f"scaling-seals/{chain.name[:8]}/1")
    publish_in_git(chain.named("good"), link)
    case.land()
    return verify("good", "--published", "git")


@must("noticed")
def _forged_median_of_a_digest_that_was_kept(case: Case) -> Ending:
    sealed = case.seal("good")
    digest = sealed.err.partition("sha256:")[2].split()[0]
    case.forge("good", better, thorough=True)
    case.land()
    return verify("good", "--published", digest)


@must("said: make all of this anew")
def _forged_median_everywhere(case: Case) -> Ending:
    case.seal("good")
    case.forge("good", better, thorough=True)
    case.land()
    return verify()


# deleted


def delete(case: Case, name: str) -> None:
    """Delete a seal as MLflow's pages do, and what this machine has read."""
    client, run, _ = case.run_of(name)
    client.delete_run(run)
    case.forget()


@must("noticed")
def _deleted_seal(case: Case) -> Ending:
    names = ["one", "two", "good"]
    for name in names:
        case.seal(name)
    delete(case, case.dice.choice(names[:2]))
    case.land()
    return verify(*case.dice.choice((("good",), ("--all",))))


@must("noticed")
def _deleted_last_seal(case: Case) -> Ending:
    for name in ("good", "bad"):
        case.seal(name)
    delete(case, "bad")
    case.land()
    return verify("--all")


@must("noticed")
def _deleted_only_seal(case: Case) -> Ending:
    case.seal("bad")
    delete(case, "bad")
    case.land()
    return verify("--all")


@must("noticed")
def _deleted_from_the_database(case: Case) -> Ending:
    for name in ("bad", "good"):
        case.seal(name)
    _, run, _ = case.run_of("bad")
    change(case.folder / "mlflow.db", "DELETE FROM runs WHERE run_uuid = :run", run=run)
    change(case.folder / "mlflow.db", "DELETE FROM tags WHERE run_uuid = :run", run=run)
    case.forget()
    case.land()
    return verify()


@must("noticed")
def _deleted_with_its_experiment(case: Case) -> Ending:
    case.seal("bad")
    client, _, experiment = case.run_of("bad")
    client.delete_experiment(experiment)
    case.land()
    return verify("--all")


@must("noticed")
def _deleted_though_it_was_published(case: Case) -> Ending:
    case.repository()
    case.seal("good", "", "--publish")
    case.seal("bad", "", "--publish")
    case.push()
    delete(case, "bad")
    _shorten(case, "good")
    case.land()
    return verify("good", "--published", "git")


@must("said: no other forecast of its runs")
def _deleted_last_seal_everywhere(case: Case) -> Ending:
    case.seal("good")
    case.seal("bad")
    delete(case, "bad")
    _shorten(case, "good")
    case.land()
    return verify()


def _shorten(case: Case, name: str) -> None:
    """Make a seal the last that the store knows of."""
    client, run, experiment = case.run_of(name)
    tags = client.get_run(run).data.tags
    head = f"{tags['scaling.seal.link']} {tags['scaling.seal.digest']}"
    client.set_experiment_tag(experiment, "scaling.seal.head", head)


# renamed


@must("noticed")
def _renamed_seal(case: Case) -> Ending:
    case.seal("bad")
    client, run, _ = case.run_of("bad")
    client.set_tag(run, "scaling.seal", "good")
    client.update_run(run, name="good")
    case.land()
    return verify()


@must("noticed")
def _renamed_seals_that_trade_places(case: Case) -> Ending:
    for name in ("good", "bad"):
        case.seal(name)
    client, good, _ = case.run_of("good")
    _, bad, _ = case.run_of("bad")
    client.set_tag(good, "scaling.seal", "bad")
    client.set_tag(bad, "scaling.seal", "good")
    case.land()
    return verify()


@must("noticed")
def _renamed_experiment(case: Case) -> Ending:
    case.seal("bad")
    client, _, experiment = case.run_of("bad")
    client.rename_experiment(experiment, "old")
    case.seal("good")
    case.forget()
    case.land()
    return verify()


# copied store


def in_copy(case: Case, act: Callable[[], Any]) -> None:
    """Act in a copy of the store, which then stands beside it."""
    copy = case.folder / "copy"
    copy.mkdir(exist_ok=True)
    shutil.copy(case.folder / "mlflow.db", copy)
    kept = os.environ["MLFLOW_TRACKING_URI"]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{copy}/mlflow.db"
    try:
        act()
    finally:
        os.environ["MLFLOW_TRACKING_URI"] = kept


@must("noticed")
def _copied_store_on_one_machine(case: Case) -> Ending:
    case.seal("first")
    in_copy(case, lambda: case.seal("bad"))
    case.seal("good")
    case.land()
    return verify()


@must("noticed")
def _copied_store_that_publishes_one_number_twice(case: Case) -> Ending:
    case.repository()
    case.seal("first", "", "--publish")
    in_copy(case, lambda: case.seal("bad", "", "--publish"))
    case.forget()
    return case.seal("good", "", "--publish")


@must("noticed")
def _copied_store_of_which_the_other_was_published(case: Case) -> Ending:
    case.repository()
    case.seal("first", "", "--publish")
    in_copy(case, lambda: case.seal("bad", "", "--publish"))
    case.seal("good")
    case.forget()
    case.land()
    return verify("good", "--published", "git")


@must("said: no other forecast of its runs")
def _copied_store_on_two_machines(case: Case) -> Ending:
    case.seal("first")
    in_copy(case, lambda: case.seal("bad"))
    case.forget()
    case.seal("good")
    case.land()
    return verify()


# edited run


@must("noticed")
def _edited_run_in_the_store(case: Case) -> Ending:
    case.seal("good")
    case.land()
    _edit_record(case, metric=False)
    return verify()


@must("noticed")
def _edited_run_after_it_was_verified(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with()
    verify()
    case.loss *= case.dice.choice((0.999, 1.001, 0.9))
    case.write_with()
    return verify()


@must("noticed")
def _edited_run_in_the_database_after_it_was_verified(case: Case) -> Ending:
    case.seal("good")
    case.land()
    verify()
    _edit_record(case, metric=True)
    return verify()


@must("noticed")
def _run_deleted_after_it_was_verified(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with()
    verify()
    case.write(case.table)
    return verify()


@must("said: losses and times")
def _edited_run_before_anybody_verified_it(case: Case) -> Ending:
    case.seal("good")
    case.land()
    _edit_record(case, metric=True)
    return verify()


def _edit_record(case: Case, *, metric: bool) -> None:
    """Another loss in the record of the run with the right digest; in its metric, too."""
    from scaling.store.one_run.run_writer import record_json

    database, loss = case.folder / "mlflow.db", case.loss * 0.9
    with closing(sqlite3.connect(database)) as connection:
        find = "SELECT run_uuid FROM tags WHERE key = 'scaling.run_id' AND value = 'big'"
        (run,) = connection.execute(find).fetchone()
    from scaling.store.run_store import RunStore

    facts = RunStore.find(SWEEP).facts()["big"]
    record = {name: value for name, value in facts.items() if name not in ("status", "tries")}
    statement = "UPDATE tags SET value = :value WHERE key = 'scaling.record' AND run_uuid = :run"
    change(database, statement, value=record_json(record | {"loss": loss}), run=run)
    if metric:
        for table in ("metrics", "latest_metrics"):
            statement = f"UPDATE {table} SET value = :loss WHERE key = :key AND run_uuid = :run"
            change(database, statement, loss=loss, key="final.loss", run=run)
    shutil.rmtree(case.folder / "state" / "cache", ignore_errors=True)


# another evaluation set


@must("noticed")
def _other_evaluation(case: Case) -> Ending:
    case.seal("good")
    column = case.dice.choice(("eval_hash", "tokenizer_hash", "data"))
    case.land(**{column: "another"})
    return verify()


@must("noticed")
def _other_kind_of_loss(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with(loss_kind="accuracy")
    return verify()


@must("said: not compared")
def _unsaid_evaluation(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with(eval_hash=None)
    return verify()


# nobody cheats


@must("honest")
def _honest_sweep(case: Case) -> Ending:
    case.seal("good")
    case.land()
    verify()
    return verify(*case.dice.choice((("good",), ("--all",))))


@must("honest")
def _honest_table_with_times(case: Case) -> Ending:
    case.seal("good", "runs.csv", "--where", "seed == 1")
    began = now() + timedelta(seconds=case.dice.randint(1, 10**6))
    case.write_with(started_at=began.isoformat(), ended_at=(began + WEEK).isoformat())
    return verify()


@must("honest")
def _honest_table_without_times(case: Case) -> Ending:
    case.seal("good", "runs.csv")
    case.write_with()
    verify()
    return verify()


@must("honest")
def _honest_and_published(case: Case) -> Ending:
    case.repository()
    for name in ("first", "good"):
        case.seal(name, "", "--publish")
    case.push()
    time.sleep(1.1)  # git counts whole seconds
    case.land()
    return verify("good", "--published", "git")


@must("honest")
def _honest_and_a_digest_was_kept(case: Case) -> Ending:
    case.seal("good")
    digest = case.seal("second").err.partition("sha256:")[2].split()[0]
    case.land()
    return verify("good", "--published", digest[: case.dice.randint(16, 64)])


@must("honest")
def _honest_store_that_was_moved(case: Case) -> Ending:
    case.seal("good")
    case.land()
    moved = case.folder / "moved"
    moved.mkdir()
    Path("mlflow.db").rename(moved / "mlflow.db")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{moved}/mlflow.db"
    return verify()
