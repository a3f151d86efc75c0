"""Facts about the way from a run to the store: nothing is lost, nothing counts twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.errors import StoreError
from scaling.store.connection import spool as spools
from scaling.store.connection.spool import Shipper, Spool, Unavailable, left_behind, ship

PATIENCE = 300  # seconds: keeps a broken test from hanging, and is never waited for


class Store:
    """Takes lines, and can be away, or refuse them for good."""

    def __init__(self):
        self.lines, self.away, self.refuses = [], False, False

    def __call__(self, spool, operations):
        if self.away:
            raise Unavailable("away")
        if self.refuses:
            raise StoreError("the run was deleted")
        self.lines += [operation["number"] for operation in operations]


def write(spool, *numbers, op="points"):
    for number in numbers:
        spool.append({"op": op, "number": number})


def test_lines_arrive_in_order_and_the_file_goes_with_the_end_of_the_run(tmp_path):
    store, spool = Store(), Spool.create(tmp_path)
    shipper = Shipper(store)
    shipper.add(spool)
    write(spool, 1, 2, 3)
    assert shipper.wait(spool, PATIENCE)
    write(spool, 4, op="end")
    assert shipper.wait(spool, PATIENCE)
    assert store.lines == [1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_gets_everything_when_it_is_back(tmp_path, monkeypatch):
    store, spool = Store(), Spool.create(tmp_path)
    store.away = True
    shipper = Shipper(store)
    shipper.add(spool)
    write(spool, 1, 2)
    assert not shipper.wait(spool, 0.1)  # it comes back though nobody answers
    store.away = False
    # the thread may not have asked again yet, however long that takes
    monkeypatch.setattr(spools, "_PATIENCE", PATIENCE)
    write(spool, 3, op="end")
    assert shipper.wait(spool, PATIENCE)
    assert store.lines == [1, 2, 3]


def test_a_refused_run_says_so_to_whoever_writes_it_and_is_put_aside(tmp_path):
    store, spool = Store(), Spool.create(tmp_path)
    store.refuses = True
    shipper = Shipper(store)
    shipper.add(spool)
    write(spool, 1)
    with pytest.raises(StoreError, match="was deleted"):
        shipper.wait(spool, PATIENCE)
    with pytest.raises(StoreError, match="was deleted"):
        write(spool, 2)
    assert [path.suffix for path in tmp_path.iterdir()] == [".refused"]


def test_a_living_writer_keeps_its_spool_to_itself(tmp_path):
    spool = Spool.create(tmp_path)
    write(spool, 1)
    assert list(left_behind(tmp_path)) == []
    spool.discard()


KILLED = """
import sys, os, signal
from pathlib import Path
from scaling.store.connection.spool import Spool
spool = Spool.create(Path(sys.argv[1]))
spool.append({"op": "points", "number": 1})
spool._file.write(b'{"op": "poi')  # killed while it wrote a line
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_adopted_without_its_half_line(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL
    (spool,) = left_behind(tmp_path)
    assert spool.doubtful
    assert [operation["number"] for operation in spool.pending()[0]] == [1]
    spool.discard()


def left_by_a_killed_writer(folder, *numbers):
    spool = Spool.create(folder)
    write(spool, *numbers)
    spool.release()
    return spool.path


def half_zeros(lines):
    return [*lines[:2], b"\0" * 200]


DAMAGE = {
    "zeros after a power failure": half_zeros,
    "a line in UTF-16": lambda lines: [*lines[:2], lines[2].decode().encode("utf-16"), lines[3]],
    "a torn line": lambda lines: [*lines[:2], lines[2][:20] + b"\n", lines[3]],
    "a line twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "lines in another order": lambda lines: [*lines[:2], lines[3], lines[2]],
    "a line of another run": lambda lines: [*lines[:2], lines[0], *lines[2:]],
    "a line that is lost": lambda lines: [*lines[:2], lines[3]],
    "another number": lambda lines: [*lines[:2], lines[2].replace(b"3", b"4"), lines[3]],
    "JSON of another program": lambda lines: [*lines[:2], b'{"op": "end"}\n', lines[3]],
    "a number for a line": lambda lines: [*lines[:2], b"5\n", lines[3]],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_spool_is_cut_there_and_put_aside_and_the_next_one_goes_on(how, tmp_path, caplog):
    damaged = left_by_a_killed_writer(tmp_path, 1, 2, 3, 4)
    left_by_a_killed_writer(tmp_path, 7, 8)
    damaged.write_bytes(b"".join(DAMAGE[how](damaged.read_bytes().splitlines(keepends=True))))
    os.utime(damaged, (1, 1))  # it is the older one
    before, store = damaged.read_bytes(), Store()
    for spool in left_behind(tmp_path):
        ship(spool, store)
        spool.discard()
    assert store.lines == [1, 2, 7, 8]
    (aside,) = tmp_path.iterdir()
    assert aside == damaged.with_suffix(".damaged") and aside.read_bytes() == before
    (said,) = [record.getMessage() for record in caplog.records]
    assert str(aside) in said and "damaged after 2 lines" in said


def test_lines_whose_parts_are_of_the_wrong_kinds_are_not_sent(tmp_path):
    spool = Spool.create(tmp_path)
    write(spool, 1)
    spool.append({"op": "points", "metrics": [["loss", "low", 1, 1]]})
    assert [operation["number"] for operation in spool.pending()[0]] == [1]
    assert spool.is_damaged
    spool.discard()


def test_a_store_that_was_away_gets_the_same_lines_again(tmp_path):
    left_by_a_killed_writer(tmp_path, 1, 2)
    store, (spool,) = Store(), left_behind(tmp_path)
    store.away = True
    with pytest.raises(Unavailable):
        ship(spool, store)
    store.away = False
    ship(spool, store)
    assert store.lines == [1, 2]
    spool.discard()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_one_line_and_leaves_whole_lines(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        spool = Spool.create(tmp_path)
        with pytest.raises(StoreError, match="make room there"):
            while True:
                spool.append({"op": "points", "number": 0, "text": "x" * 1000})
        whole = spool.pending()[0]
        assert len(whole) > 10
        spool.discard()  # room again: the next run is spooled as ever
        spool = Spool.create(tmp_path)
        write(spool, 7)
        assert spool.pending()[0][0]["number"] == 7
        spool.discard()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
