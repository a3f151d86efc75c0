"""What every run store keeps for a driver and its workers. Subclass StoreContract, and give a
fixture `store`: one in which nothing is stored."""

from scaling.store.one_run.run_state import RunState
from scaling.store.one_run.settlement import Settlement

FACTS = {"width": 32, "depth": 1, "seed": 7, "recipe": "tiny/1"}
RECORD = {"loss": 2.0 / 3.0, "params": 12_345, "tokens": 1e6, "train_flops": 7.5e10}


class StoreContract:
    """Facts that hold wherever runs are kept."""

    @staticmethod
    def start(store, run_id="abc"):
        writer = store.start_run(run_id, "d32", FACTS)
        assert writer.flush()
        return writer

    def test_nothing_is_known_of_runs_that_were_never_started(self, store):
        assert store.states() == store.facts() == {}
        assert store.close_interrupted() == ()
        assert store.replay() == 0

    def test_a_run_is_visible_while_it_trains(self, store):
        self.start(store)
        assert store.states() == {"abc": RunState.RUNNING}
        assert store.facts()["abc"].items() >= FACTS.items()

    def test_a_finished_run_reads_back_with_every_digit(self, store):
        writer = self.start(store)
        writer.log_curve([{"step": step, "train_loss": 3.0 - step / 10} for step in range(5)])
        writer.finish(RECORD)
        facts = store.facts()["abc"]
        assert facts.items() >= (FACTS | RECORD).items()
        assert (facts["run_id"], facts["status"], facts["tries"]) == ("abc", "finished", 1)
        assert "reason" not in facts

    def test_a_run_that_ends_otherwise_keeps_why_and_what_was_found(self, store):
        for number, state in enumerate((RunState.DIVERGED, RunState.FAILED, RunState.SETTLED)):
            writer = self.start(store, str(number))
            writer.log_facts({"share_done": 0.8})
            writer.fail(state, f"reason {number}")
            facts = store.facts()[str(number)]
            assert (facts["status"], facts["reason"]) == (state, f"reason {number}")
            assert facts["share_done"] == 0.8

    def test_what_a_run_has_spent_so_far_is_seen_while_it_trains(self, store):
        writer = self.start(store)
        for steps in (5, 10):
            writer.log_progress({"steps": steps, "train_flops": steps * 1e9})
            assert writer.flush()
            assert store.facts()["abc"]["steps"] == steps
        writer.fail(RunState.FAILED, "killed")
        assert store.facts()["abc"]["train_flops"] == 10e9

    def test_a_running_run_hears_that_it_may_end_and_an_ended_one_is_not_asked(self, store):
        settlement = Settlement(reason="80% done", facts={"forecast_loss": 2.5})
        running, ended = self.start(store, "abc"), self.start(store, "abd")
        ended.finish(RECORD)
        for run_id in ("abc", "abd"):
            store.ask_to_settle(run_id, settlement)
        assert store.settlements({"abc": running, "abd": ended}) == {"abc": settlement}

    def test_an_interrupted_try_is_closed_with_its_reason_and_ended_ones_are_left(self, store):
        for run_id in ("abc", "abd", "done"):
            self.start(store, run_id)
        self.start(store, "done").finish(RECORD)
        assert store.close_interrupted(["abc"], "killed") == ("abc",)
        assert store.facts()["abc"]["reason"] == "killed"
        assert store.states() == {
            "abc": RunState.INTERRUPTED,
            "abd": RunState.RUNNING,
            "done": RunState.FINISHED,
        }
        assert set(store.close_interrupted(reason="killed")) == {
            "abd",
            "done",
        }  # the first try of it
        assert store.states()["done"] is RunState.FINISHED

    def test_a_run_started_twice_counts_once_by_the_try_that_came_furthest(self, store):
        self.start(store)
        store.close_interrupted(reason="killed")
        self.start(store).finish(RECORD)
        self.start(store)  # a third try does not hide the finished one
        assert store.states() == {"abc": RunState.FINISHED}
        assert store.facts()["abc"].items() >= (RECORD | {"tries": 3}).items()

    def test_facts_that_are_added_after_the_end_reach_every_reader(self, store):
        self.start(store).finish(RECORD)
        before = store.facts()["abc"]
        store.add_facts("abc", {"health": "soft", "lr_gap": 0.01})
        assert store.facts()["abc"] == before | {"health": "soft", "lr_gap": 0.01}

    def test_who_drives_is_read_by_others_and_is_no_run(self, store):
        driven = store.with_parent({"runs": 3})
        assert driven.driver() == ""
        driven.set_driver("somebody")
        assert store.driver() == "somebody"
        assert store.states() == {}
