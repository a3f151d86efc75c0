"""Facts about the SQLite file of the run store: made in one piece, and refused in one line."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from benchmarks.faults.verb import run_verb
from scaling.errors import StoreError
from scaling.store.connection import database
from scaling.store.connection.database import Content, content_of, require_database
from scaling.store.run_store import RunStore


@pytest.fixture
def path(tracking_uri):
    return database.sqlite_file(tracking_uri)


def unmade(uri):
    raise AssertionError("it was made anew")


def drop_tables(path, *kept):
    """Leave a database as a kill does while MLflow makes its tables."""
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA foreign_keys = OFF")
        names = [n for (n,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name not in kept:
                made.execute(f"DROP TABLE {name}")
        for name in kept:
            made.execute(f"DELETE FROM {name}")
        made.commit()


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()


def folder(path):
    path.unlink()
    path.mkdir()


def torn(path):
    """Random pages, as a disk gives back that has lost them."""
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(content)


BROKEN = {
    "cut short": truncated,
    "is no SQLite database": lambda path: path.write_bytes(b"<html>" * 999),
    "not one of MLflow's": foreign,
    "is a folder": folder,
    "damaged": torn,
}


@pytest.mark.parametrize("said", BROKEN)
@pytest.mark.parametrize("verb", ["fit", "run", "import"])
def test_a_broken_database_is_one_line_and_stays_as_it_is(
    said, verb, path, tmp_path, tiny_mapping, monkeypatch
):
    BROKEN[said](path)
    before = path.is_file() and path.read_bytes()
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny_mapping))
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n1e7,1e8,3.5\n2e7,1e8,3.25\n")
    words = {
        "fit": ("fit", "mlflow:tiny"),
        "run": ("run", str(tmp_path / "tiny.yaml")),
        "import": ("import", str(tmp_path / "runs.csv"), "--sweep", "past"),
    }
    ending = run_verb(*words[verb])
    assert (ending.fault, ending.code) == ("", 2)
    assert str(path) in ending.refusals[0] and said in ending.refusals[0]
    assert "MLFLOW_TRACKING_URI" in ending.refusals[0]  # how to go on
    assert before == (path.is_file() and path.read_bytes())


def test_a_locked_database_is_one_line(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for verb in (("fit", "mlflow:tiny"), ("collect", "tiny", "-o", "runs.csv")):
            ending = run_verb(*verb)
            assert (ending.fault, ending.code) == ("", 2)
            assert "locked by another process" in ending.refusals[0]
        other.execute("ROLLBACK")
        other.execute("BEGIN IMMEDIATE")  # one that writes lets others read
        assert content_of(path) is Content.WHOLE
        with pytest.raises(StoreError, match="locked by another process"):
            require_database(path, unmade)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_read_only_store_is_read_and_what_writes_to_it_is_one_line(
    path, tmp_path, tiny_mapping, monkeypatch
):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    (config := tmp_path / "tiny.yaml").write_text(json.dumps(tiny_mapping))
    (table := tmp_path / "runs.csv").write_text("params,tokens,loss\n1e7,1e8,3.5\n2e7,1e8,3.25\n")
    RunStore.open("tiny")
    try:
        shutil.copy(path, disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert content_of(disk / "mlflow.db") is Content.WHOLE
        with pytest.raises(StoreError, match="no database can be made there"):
            require_database(disk / "other.db", unmade)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{disk}/mlflow.db")
        ending = run_verb("status", str(config))
        assert (ending.fault, ending.code) == ("", 0), ending.err
        for verb in ("run", str(config)), ("import", str(table), "--sweep", "past"):
            ending = run_verb(*verb)
            assert (ending.fault, ending.code) == ("", 2)
            assert "read-only" in ending.refusals[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("kept", [("experiments",), ("experiments", "alembic_version"), ()])
def test_a_half_made_database_is_put_aside_and_made_anew(kept, path, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(database, "_SETTLED_SECONDS", 0)
    whole = tmp_path / "whole"
    shutil.copy(path, whole)
    drop_tables(path, *kept)
    assert content_of(path) is Content.HALF_MADE
    assert run_verb("fit", "mlflow:tiny").code == 2  # whoever reads finds nothing, and says so
    require_database(path, lambda uri: shutil.copy(whole, uri.removeprefix("sqlite:///")))
    assert content_of(path) is Content.WHOLE
    assert path.with_name("mlflow.db.half-made").exists()
    assert not path.with_name("mlflow.db.making").exists()
    assert "its making was cut off" in caplog.text


def test_tables_that_cannot_be_made_leave_nothing_behind(tmp_path):
    path = tmp_path / "mlflow.db"

    def full(uri):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device"):
        require_database(path, full)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_a_database_that_is_gone_does_not_reach_a_new_one(path, tmp_path):
    journal, whole = tmp_path / "new.db-journal", path.read_bytes()
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\xff" * 4096)
    new = tmp_path / "new.db"
    require_database(new, lambda uri: shutil.copy(path, uri.removeprefix("sqlite:///")))
    assert new.read_bytes() == whole and not journal.exists()


def test_whoever_comes_second_waits_for_the_first_and_makes_nothing(path, tmp_path, eventually):
    new, begun, go_on = tmp_path / "new.db", threading.Event(), threading.Event()

    def slowly(uri):
        begun.set()
        go_on.wait()
        shutil.copy(path, uri.removeprefix("sqlite:///"))

    first = threading.Thread(target=require_database, args=(new, slowly))
    first.start()
    begun.wait()
    second = threading.Thread(target=require_database, args=(new, unmade))
    second.start()
    go_on.set()
    first.join()
    second.join()
    assert content_of(new) is Content.WHOLE


OPENS = """
import sys
from scaling.store.run_store import RunStore
print(RunStore.open("tiny", f"sqlite:///{sys.argv[1]}/mlflow.db").experiment_id)
"""


def opening(folder):
    return subprocess.Popen([sys.executable, "-c", OPENS, str(folder)], stdout=subprocess.PIPE)


@pytest.mark.slow
def test_three_processes_that_open_a_new_store_at_once_find_one_experiment(tmp_path):
    started = [opening(tmp_path) for _ in range(3)]
    found = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 3
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("looks", range(1, 60, 12))
def test_a_kill_while_the_tables_are_made_costs_nothing(looks, tmp_path, eventually):
    process = opening(tmp_path)
    making = tmp_path / "mlflow.db.making"
    assert eventually(lambda: making.exists() or process.poll() is not None)
    seen = iter(range(looks))
    eventually(lambda: next(seen, None) is None or process.poll() is not None)
    process.kill()
    process.communicate()
    assert RunStore.open("tiny", f"sqlite:///{tmp_path}/mlflow.db").facts() == {}
    assert not making.exists()
