"""The store in which sealed forecasts are cheated on, and the hands of its owner."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from benchmarks.faults.verb import Ending, run_verb

SWEEP = "ladder"
WEEK = timedelta(days=7)
PAST = "2020-01-01T00:00:00+00:00"

Cheat = Callable[["Case"], Ending]
VARIATIONS: list[tuple[Cheat, str]] = []


def must(expected: str) -> Callable[[Cheat], Cheat]:
    """Enter a way to cheat, or not to, with what must come of it: noticed, said, honest."""

    def enter(cheat: Cheat) -> Cheat:
        VARIATIONS.append((cheat, expected))
        return cheat

    return enter


def loss_at(params: float, tokens: float) -> float:
    """The loss of a run, exactly."""
    return 1.7 + 400 / params**0.34 + 410 / tokens**0.28


def facts_at(params: float, tokens: float) -> dict[str, Any]:
    """What the record of a run says before its loss."""
    measured = {"eval_hash": "set-1", "tokenizer_hash": "bytes", "data": "text", "seed": 1}
    return {"params": params, "tokens": tokens, "train_flops": 6 * params * tokens, **measured}


class Ladder:
    """The store that every trial copies: twelve runs that ended a week ago."""

    def __init__(self, folder: Path) -> None:
        from scaling.store.run_store import RunStore

        folder.mkdir()
        self.database = folder / "mlflow.db"
        with owned(folder):
            store = RunStore.open(SWEEP).with_parent({"sweep": SWEEP})
            rows = []
            for n in (1e6, 3e6, 9e6, 27e6):
                for ratio in (10, 20, 40):
                    facts = facts_at(n, n * ratio)
                    row = {"run_id": f"r{len(rows)}", **facts, "loss": loss_at(n, n * ratio)}
                    writer = store.start_run(row["run_id"], row["run_id"], facts)
                    writer.finish({**facts, "loss": row["loss"]})
                    rows.append(row)
        self.table = pd.DataFrame(rows)
        change(self.database, f"UPDATE runs SET {earlier('start_time')}, {earlier('end_time')}")


def earlier(column: str) -> str:
    """Set a time of MLflow's a week back."""
    return f"{column} = {column} - {int(WEEK.total_seconds() * 1000)}"


def change(database: Path, statement: str, **values: Any) -> None:
    """Change a database past MLflow."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """The store, and the state of this machine, of one folder."""
    kept = os.environ.copy(), Path.cwd()
    os.environ |= {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "SCALING_STATE_DIR": str(folder / "state"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{f"GIT_{who}_NAME": "owner" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "owner@localhost" for who in ("AUTHOR", "COMMITTER")},
    }
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(kept[1])
        os.environ.clear()
        os.environ.update(kept[0])


class Case:
    """One store of an owner, the forecast that is sealed in it, and the run that it speaks of."""

    def __init__(self, ladder: Ladder, folder: Path, dice: random.Random) -> None:
        folder.mkdir()
        shutil.copy(ladder.database, folder)
        self.folder, self.dice, self.table = folder, dice, ladder.table
        self.params = dice.choice((5e7, 8e7, 1e8))
        self.tokens = self.params * dice.choice((15, 20, 30))
        self.loss = loss_at(self.params, self.tokens) * dice.uniform(0.98, 1.02)
        self.csv = folder / "runs.csv"
        self.write(self.table)

    def write(self, table: pd.DataFrame) -> None:
        """The table as a file that forecasts are made from, too."""
        table.to_csv(self.csv, index=False)

    def row(self, **also: Any) -> dict[str, Any]:
        """The run as a row of a table."""
        facts = facts_at(self.params, self.tokens)
        return {"run_id": "big", **facts, "loss": self.loss, **also}

    def write_with(self, **also: Any) -> None:
        """The table with the run in it."""
        self.write(pd.concat([self.table, pd.DataFrame([self.row(**also)])]))

    def seal(self, name: str, source: str = "", *words: str) -> Ending:
        """Seal a forecast of the run, from the sweep of the store unless said otherwise."""
        place = ("--params", str(self.params), "--tokens", str(self.tokens), "--draws", "100")
        ending = run_verb("forecast", source or f"mlflow:{SWEEP}", *place, "--seal", name, *words)
        return ending

    def begin(self, **also: Any) -> Callable[[], None]:
        """Begin the run in the store; what ends it."""
        from scaling.store.run_store import RunStore

        facts = facts_at(self.params, self.tokens) | also
        writer = RunStore.open(SWEEP).start_run("big", "big", facts)
        writer.flush()
        return lambda: writer.finish({**facts, "loss": self.loss})

    def land(self, **also: Any) -> None:
        """Train the run in the store, from its beginning to its end."""
        self.begin(**also)()

    def forget(self) -> None:
        """Another machine, or one whose owner has cleaned up."""
        shutil.rmtree(self.folder / "state")

    def run_of(self, name: str) -> tuple[Any, str, str]:
        """MLflow's client, the id of the run that is a seal, and of its experiment."""
        from scaling.store.connection.mlflow_client import connect

        client = connect(os.environ["MLFLOW_TRACKING_URI"])
        found = client.get_experiment_by_name("sealed-forecasts").experiment_id
        (run,) = client.search_runs([found], f"tags.`scaling.seal` = '{name}'")
        return client, run.info.run_id, found

    def forge(self, name: str, edit: Callable[[dict[str, Any]], None], *, thorough: bool) -> None:
        """Edit a sealed document and its digest; thoroughly: whatever else would tell, too."""
        client, run, experiment = self.run_of(name)
        path = Path(client.get_run(run).info.artifact_uri.removeprefix("file://")) / "seal.json"
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document, indent=2))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        client.set_tag(run, "scaling.seal.digest", digest)
        if thorough:
            head = f"{document['chain']} {document['number']} {digest}"
            client.set_experiment_tag(experiment, "scaling.seal.head", head)
            self.forget()

    def date_in_store(self, name: str, time: datetime) -> None:
        """Give a seal another time in the store."""
        _, run, _ = self.run_of(name)
        statement = "UPDATE runs SET start_time = :time, end_time = :time WHERE run_uuid = :run"
        milliseconds = int(time.timestamp() * 1000)
        change(self.folder / "mlflow.db", statement, time=milliseconds, run=run)

    def git(self, *words: str) -> None:
        """A command of git in the folder."""
        subprocess.run(["git", *words], check=True, capture_output=True)

    def repository(self) -> None:
        """Make the folder a repository with a commit, and a remote beside it."""
        self.git("init", "--quiet", "--bare", str(self.folder / "remote"))
        self.git("init", "--quiet")
        self.git("commit", "--quiet", "--allow-empty", "--message", "before the run")
        self.git("remote", "add", "origin", str(self.folder / "remote"))

    def push(self) -> None:
        """Publish the tags."""
        self.git("push", "--quiet", "origin", "--tags")


def verify(*words: str) -> Ending:
    """`scaling verify` with its JSON."""
    return run_verb("verify", *(words or ("good",)), "--json")


@contextlib.contextmanager
def clock_at(time: datetime) -> Iterator[None]:
    """The clock of this process, as our own code reads it, stands at a time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return time.astimezone(tz)

    with (
        mock.patch("analysis.evaluation.sealed.datetime", Clock),
        mock.patch("scaling.store.seals.kept.datetime", Clock),
    ):
        yield


def now() -> datetime:
    """The time by the right clock."""
    return datetime.now(UTC)
