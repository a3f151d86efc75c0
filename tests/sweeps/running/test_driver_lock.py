"""Facts about the lock that lets one process at a time drive a sweep."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.errors import StoreError
from sweeps.running import driver_lock
from sweeps.running.driver_lock import DriverLock, is_driven


class SweepStore:
    """What the lock uses of a store."""

    def __init__(self, said=""):
        self.sweep, self.key, self.said = "tiny", "driver-lock-test", said

    def driver(self):
        return self.said

    def set_driver(self, driver):
        self.said = driver


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path))


def test_a_second_driver_is_refused_with_the_first_one_s_place_and_a_later_one_is_not():
    with DriverLock(SweepStore()):
        assert is_driven(SweepStore())
        with pytest.raises(StoreError, match='"tiny" is being trained by process [0-9]+ on '):
            DriverLock(SweepStore()).__enter__()
    assert not is_driven(SweepStore())
    with DriverLock(SweepStore()):
        pass


@pytest.mark.parametrize(("seconds_ago", "refused"), [(10, True), (600, False)])
def test_a_driver_on_another_machine_counts_while_it_says_that_it_lives(
    monkeypatch, seconds_ago, refused
):
    now = 1_800_000_000.0
    monkeypatch.setattr(driver_lock, "time", SimpleNamespace(time=lambda: now))
    elsewhere = {"host": "another", "pid": 7, "at": now - seconds_ago}
    assert is_driven(SweepStore(json.dumps(elsewhere))) is refused
    if refused:
        with pytest.raises(StoreError, match="by process 7 on another"):
            DriverLock(SweepStore(json.dumps(elsewhere))).__enter__()


def test_a_lock_that_cannot_be_written_is_one_line(monkeypatch, tmp_path):
    full = Path("/dev/full").open("a+")  # noqa: SIM115  (the lock closes it)
    monkeypatch.setattr(driver_lock, "_open", lambda store: full)
    with pytest.raises(StoreError, match=r"/dev/full: cannot be written .* SCALING_STATE_DIR"):
        DriverLock(SweepStore()).__enter__()
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCALING_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="locks: cannot be written"):
        DriverLock(SweepStore()).__enter__()


GARBAGE = ["", "\0" * 40, "[" * 100_000, "[]", "5", '{"host": 3}', '{"host": "far", "at": "soon"}']


@pytest.mark.parametrize("said", [*GARBAGE, '{"host": "far", "pid": 1, "at": Infinity}'])
def test_what_no_driver_has_written_neither_holds_a_sweep_nor_breaks_a_reader(said, tmp_path):
    store = SweepStore(said)
    assert not is_driven(store)
    with DriverLock(store):
        (lock,) = (tmp_path / "locks").iterdir()
        lock.write_text(said)
        with pytest.raises(StoreError, match="is being trained by process"):
            DriverLock(SweepStore()).__enter__()


def test_a_driver_that_was_stopped_so_long_that_another_took_its_place_ends(
    monkeypatch, caplog, eventually
):
    ended = []
    monkeypatch.setattr(driver_lock, "_RENEWED_SECONDS", 0.01)
    monkeypatch.setattr(driver_lock.os, "kill", lambda *what: ended.append(what))
    store = SweepStore()
    with DriverLock(store):
        other = json.dumps({"host": "far", "pid": 7, "at": driver_lock.time.time()})
        monkeypatch.setattr(store, "driver", lambda: other)
        now = driver_lock.time.time
        monkeypatch.setattr(driver_lock.time, "time", lambda: now() + 119)  # it is not late yet
        store.said = ""
        eventually(lambda: '"pid"' in store.said)
        assert not ended
        monkeypatch.setattr(driver_lock, "_STALE_SECONDS", 1e9)  # so the other is fresh
        monkeypatch.setattr(driver_lock.time, "time", lambda: now() + 3e9)
        store.driver = lambda: other.replace(other.split(": ")[-1], f"{now() + 3e9}}}")
        eventually(lambda: ended)
    assert ended == [(os.getpid(), signal.SIGINT)]
    assert "by process 7 on far" in caplog.text
