"""Stopping a run whose outcome is settled: what its final loss will be is known well enough.

Off by default (`launch.policy.stop_settled_relative_width`). The driver looks at the store now and
then and asks for the end of what is settled by a tag on the runs; their workers, wherever they
are, share the store and read nothing else of the sweep. Who judges is not known here: the command
line passes a `Judge`, which forecasts final losses from curves. What was stopped is `settled`, a
state of its own: it has a forecast and no loss, so no fit can take it for a measurement.
"""

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from scaling.errors import StoreError
from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.settlement import Settlement
from scaling.store.run_store import RunStore
from sweeps.launchers.base import Happening, TaskMessage
from sweeps.launchers.crash import Crash
from sweeps.running.task import Task
from sweeps.training.stop import Stopped


class Judge(Protocol):
    """Says which of the runs that train at this moment need not go on. It stays with the driver."""

    @property
    def every_seconds(self) -> float:
        """Time between two looks at the sweep."""
        ...

    def __call__(self, store: RunStore, run_ids: Sequence[str]) -> Mapping[str, Settlement]:
        """By run id, those of the runs whose outcome is settled."""
        ...


class OutcomeSettled(Stopped):
    """Ends the training of a task all of whose runs are settled; its state is kept, so that the
    runs can go on should their losses be wanted after all."""

    def __init__(self, settlements: Mapping[str, Settlement]) -> None:
        super().__init__("the outcome is settled")
        self.settlements = settlements


class EarlyStop:
    """The driver's side: asks now and then for the end of tasks all of whose runs are settled."""

    def __init__(self, judge: Judge | None, store: RunStore) -> None:
        self._judge, self._store = judge, store
        self._training: dict[str, Task] = {}
        self._asked: set[str] = set()
        self._looked = time.monotonic()

    def hear(self, happening: Happening) -> None:
        """Learn which tasks are being trained."""
        if isinstance(happening, TaskMessage):
            self._training[happening.task.pack.key] = happening.task
        else:
            self._training.pop(happening.task.pack.key, None)
            self._asked -= happening.task.todo  # another try is asked anew

    def look(self, states: Mapping[str, RunState]) -> None:
        """Judge the running runs of these `states`, unless that was done a moment ago.

        A store that is away settles nothing. A judge that breaks is asked no more, with a warning:
        runs then train to their ends.
        """
        if self._judge is None or time.monotonic() - self._looked < self._judge.every_seconds:
            return
        self._looked = time.monotonic()
        tasks = [task for task in self._training.values() if task.may_settle]
        running = [
            [run.run_id for run in task.runs if states[run.run_id] is RunState.RUNNING]
            for task in tasks
        ]
        wanted = [run_id for group in running for run_id in group if run_id not in self._asked]
        if not wanted:
            return
        try:
            settled = self._judge(self._store, wanted)
            for group in running:
                if group and settled.keys() >= set(group):
                    self._ask({run_id: settled[run_id] for run_id in group})
        except StoreError:
            return
        except Exception as error:
            self._judge = None
            warnings.warn(
                f"no run is stopped early any more: {Crash.of(error).reason}", stacklevel=1
            )

    def _ask(self, settlements: Mapping[str, Settlement]) -> None:
        for run_id, settlement in settlements.items():
            self._store.ask_to_settle(run_id, settlement)
            self._asked.add(run_id)


class StopRequests:
    """The worker's side: what the driver has asked for, learnt in a thread of its own, so that
    training never waits for the store."""

    def __init__(self, ask: Callable[[], Mapping[str, Settlement]], seconds: float) -> None:
        self.latest: Mapping[str, Settlement] = {}
        """By run id, the runs that need not go on."""
        self._ask, self._seconds = ask, seconds
        self._done = threading.Event()
        threading.Thread(target=self._listen, name="stop requests", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._done.set()

    def _listen(self) -> None:
        while not self._done.wait(self._seconds):
            with suppress(StoreError):  # a store that is away asks for nothing
                self.latest = self._ask()
