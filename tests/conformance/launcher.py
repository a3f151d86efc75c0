"""What every launcher keeps. Subclass LauncherContract, and say how tasks are launched.

Work comes from this module: worker processes find it by name.
"""

import os
import signal
import time
from pathlib import Path

from sweeps.launchers.base import TaskEnded, TaskLost, TaskMessage
from sweeps.training.stop import Stopped


def double(task, send):
    send(2 * task)


def die_once(task, send):
    """Kill the worker on the first try of a task; a file remembers it."""
    mark = Path(task)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    send(mark.name)


def fail(task, send):
    if task == "wrong":
        raise ValueError("no such thing")
    send(task)


def go_on_until_stopped(task, send):
    """A training that saves its state when it is stopped."""
    try:
        while True:
            send(os.getpid())
            time.sleep(0.05)
    except Stopped:
        Path(task).write_text("saved")
        raise


def answers(happenings):
    return sorted(event.message for event in happenings if isinstance(event, TaskMessage))


def lost(happenings):
    return [event for event in happenings if isinstance(event, TaskLost)]


def ended(happenings):
    return sorted(event.task for event in happenings if isinstance(event, TaskEnded))


class LauncherContract:
    """Facts that hold wherever the workers are."""

    def launch(self, tasks, work, folder, again=lambda lost: None):
        """The happenings of these tasks, with two workers; `folder` is the launcher's to use."""
        raise NotImplementedError

    def test_every_task_is_done_once(self, tmp_path):
        happenings = list(self.launch([1, 2, 3], double, tmp_path / "jobs"))
        assert answers(happenings) == [2, 4, 6]
        assert ended(happenings) == [1, 2, 3]
        assert not lost(happenings)

    def test_a_killed_worker_is_told_and_its_task_tried_again_while_others_go_on(self, tmp_path):
        (tmp_path / "well").touch()  # only the other one dies
        tasks = [str(tmp_path / name) for name in ("ill", "well")]
        happenings = list(
            self.launch(tasks, die_once, tmp_path / "jobs", again=lambda lost: lost.task)
        )
        assert answers(happenings) == ["ill", "well"]
        (told,) = lost(happenings)
        assert told.task == tasks[0]
        assert told.reason and not told.traceback  # nothing of ours went wrong
        assert ended(happenings) == tasks

    def test_a_task_whose_work_raises_is_lost_alone_and_given_up_where_asked(self, tmp_path):
        happenings = list(self.launch(["wrong", "well"], fail, tmp_path / "jobs"))
        (told,) = lost(happenings)
        assert told.task == "wrong"
        assert "no such thing" in told.reason and "\n" not in told.reason
        assert "Traceback" in told.traceback and ", in fail\n" in told.traceback
        assert answers(happenings) == ended(happenings) == ["well"]

    def test_leaving_early_lets_workers_save_and_ends_them(self, tmp_path):
        from benchmarks.faults.kills import is_running

        saved = tmp_path / "state"
        happenings = self.launch([str(saved)], go_on_until_stopped, tmp_path / "jobs")
        worker = next(happenings).message
        happenings.close()
        assert saved.read_text() == "saved"
        assert not is_running(worker)
