"""A run store without MLflow, for tests of what writes to one; it keeps the contract of stores."""

from scaling.store.one_run.run_state import RANK, RunState


class MemoryStore:
    """What RunStore is to a driver and its workers, in this process."""

    key, spool_folder = "memory", "nowhere: it has no spool"

    def __init__(self):
        self.said, self.tries, self.curves = "", {}, {}

    def with_parent(self, facts):
        return self

    def page(self):
        return None  # it shows nothing anywhere

    def driver(self):
        return self.said

    def set_driver(self, driver):
        self.said = driver

    def replay(self):
        return 0

    def start_run(self, run_id, name, facts):
        writer = MemoryWriter(self, {"run_id": run_id, **facts})
        self.tries.setdefault(run_id, []).append(writer)
        return writer

    def counts(self, run_id):
        """The try that stands for the run: the furthest, of equals the latest."""
        return max(self.tries[run_id][::-1], key=lambda one: RANK[one.state])

    @property
    def records(self):
        """What is known of the runs that have finished, by run id."""
        return {
            run_id: facts
            for run_id, facts in self.facts().items()
            if facts["status"] == RunState.FINISHED
        }

    @property
    def reasons(self):
        """Why runs ended otherwise, by run id."""
        return {run_id: one["reason"] for run_id, one in self.facts().items() if "reason" in one}

    def states(self):
        return {run_id: self.counts(run_id).state for run_id in self.tries}

    def facts(self):
        found = {}
        for run_id, tries in self.tries.items():
            one = self.counts(run_id)
            found[run_id] = one.facts | {"status": str(one.state), "tries": len(tries)}
            if one.reason:
                found[run_id]["reason"] = one.reason
        return found

    def add_facts(self, run_id, facts, *, traceback=""):
        self.counts(run_id).facts |= facts | ({"has_traceback": True} if traceback else {})

    def ask_to_settle(self, run_id, settlement):
        one = self.counts(run_id)
        if one.state is RunState.RUNNING:
            one.settlement = settlement

    def settlements(self, writers):
        return {run_id: one.settlement for run_id, one in writers.items() if one.settlement}

    def close_interrupted(self, run_ids=None, reason="gone", state=RunState.INTERRUPTED):
        gone = [
            (run_id, one)
            for run_id, tries in self.tries.items()
            for one in tries
            if one.state is RunState.RUNNING and (run_ids is None or run_id in run_ids)
        ]
        for _, one in gone:
            one.fail(state, reason)
        return tuple(run_id for run_id, _ in gone)


class MemoryWriter:
    """What RunWriter is to a worker."""

    def __init__(self, store, facts):
        self.store, self.facts = store, facts
        self.state, self.reason, self.settlement = RunState.RUNNING, "", None

    def log_facts(self, facts):
        self.facts |= facts

    log_progress = log_facts

    def log_curve(self, points):
        self.store.curves.setdefault(self.facts["run_id"], []).extend(points)

    def log_traceback(self, text):
        self.facts["has_traceback"] = True

    def flush(self, seconds=0.0):
        return True

    def finish(self, record):
        self.facts |= record
        self.state = RunState.FINISHED

    def fail(self, state, reason):
        self.state, self.reason = state, reason
