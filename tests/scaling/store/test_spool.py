"""Facts about the way from a run to the store: nothing is lost, nothing counts twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.errors import StoreError
from scaling.store import spool as spools
from scaling.store.spool import Shipper, Spool, Unavailable, left_behind

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
from scaling.store.spool import Spool
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
