"""Facts about the ledger: exclusions, changed configs, running runs, and watching it."""

import io
import json

import pytest
from rich.console import Console

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.changed_config import earlier_runs
from sweeps.planning.plan import plan_sweep
from sweeps.running.driver_lock import DriverLock
from sweeps.status.ledger import sweep_standing
from sweeps.status.text import standing_text
from sweeps.status.watch import watch


class KnownStore:
    """A store that knows some runs, and can be driven."""

    def __init__(self, key, known=None, said=""):
        self.sweep, self.key, self.known, self.said = "tiny", key, known or {}, said

    def facts(self):
        return self.known

    def driver(self):
        return self.said

    def set_driver(self, driver):
        self.said = driver


def finished(run, **facts):
    return (
        run.facts_when_finished()
        | {"status": "finished", "loss": 2.0, "device_seconds": 4.0}
        | facts
    )


@pytest.fixture
def plan(tiny_mapping):
    return plan_sweep(config_from_mapping(tiny_mapping))


def test_an_excluded_run_is_in_the_ledger_with_its_reason_and_costs_nothing(tiny_mapping):
    exclude = [{"where": ["width == 16"], "reason": "too small for the law"}]
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"exclude": exclude}))
    standing = sweep_standing(plan, KnownStore("excluded"))
    assert standing.counts == {"excluded": 1, "planned": 2}
    (cell,) = [cell for cell in standing.runs if cell.state is RunState.EXCLUDED]
    assert (cell.reason, cell.seconds_left) == ("too small for the law", 0.0)
    assert standing.flops_left == sum(c.planned_train_flops for c in standing.runs if c is not cell)
    assert "too small for the law" in standing_text(standing)


def test_an_exclusion_that_no_run_fulfils_is_refused(tiny_mapping):
    exclude = [{"where": ["width == 16", "depth == 9"], "reason": "too deep"}]
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"exclude": exclude}))
    with pytest.raises(ConfigError, match=r"exclude\[0\]: no planned run has width == 16 and dep"):
        sweep_standing(plan, KnownStore("excluded"))


def test_failed_and_diverged_runs_tell_their_reasons_and_how_often_they_were_tried(plan):
    first, second, _ = plan.runs
    known = {
        first.run_id: first.facts() | {"status": "failed", "reason": "out of memory", "tries": 3},
        second.run_id: second.facts() | {"status": "diverged", "reason": "not finite", "tries": 1},
    }
    standing = sweep_standing(plan, KnownStore("reasons", known))
    cells = {cell.run_id: cell for cell in standing.runs}
    assert (cells[first.run_id].reason, cells[first.run_id].tries) == ("out of memory", 3)
    assert cells[second.run_id].seconds_left == 0.0  # the same would come out
    assert cells[first.run_id].seconds_left > 0.0  # it is tried again
    text = standing_text(standing)
    assert "out of memory" in text
    assert "not finite" in text


def test_a_run_counts_as_running_while_its_driver_lives_and_as_interrupted_after(plan):
    run = plan.runs[0]
    store = KnownStore("running", {run.run_id: run.facts() | {"status": "running"}})
    with DriverLock(store):
        assert sweep_standing(plan, store).counts == {"running": 1, "planned": 2}
    standing = sweep_standing(plan, store)
    assert standing.counts == {"interrupted": 1, "planned": 2}
    assert standing.runs[0].reason.startswith("its driver is gone; begins again: ")


def test_a_config_that_changed_after_a_partial_run_says_which_runs_stay_valid(tiny_mapping):
    before = plan_sweep(config_from_mapping(tiny_mapping))
    grid = {"width": [16, 48], "tokens": 8000}
    after = plan_sweep(config_from_mapping(tiny_mapping | {"grid": grid, "held_out": []}))
    known = {run.run_id: finished(run) for run in before.runs}
    earlier = earlier_runs(after, known)
    assert (earlier.runs, earlier.finished, earlier.still_valid) == (2, 2, 1)
    assert earlier.differs_in == ("width",)
    standing = sweep_standing(after, KnownStore("changed", known))
    assert standing.counts == {"finished": 1, "planned": 1}
    assert "2 runs of the store, 2 of them finished, are not in this plan" in standing_text(
        standing
    )
    assert json.loads(standing.to_json())["earlier_runs"]["still_valid"] == 1
    assert earlier_runs(before, known) is None


def test_other_rules_make_every_run_another_and_the_ledger_says_which(tiny_mapping):
    before = plan_sweep(config_from_mapping(tiny_mapping))
    rules = {"name": "cpt-adamw-tiny/1", "overrides": {"learning_rate_rule": "none"}}
    after = plan_sweep(config_from_mapping(tiny_mapping | {"recipe": rules}))
    earlier = earlier_runs(after, {run.run_id: finished(run) for run in before.runs})
    assert (earlier.runs, earlier.still_valid) == (3, 0)
    assert earlier.differs_in == ("recipe_hash",)


def test_watching_shows_the_ledger_anew_until_nothing_is_left(plan):
    store, looks = KnownStore("watched"), []
    runs = sorted(plan.runs, key=lambda run: run.train_flops)

    def look():
        store.known = {run.run_id: finished(run) for run in runs[: len(looks)]}
        looks.append(sweep_standing(plan, store))
        return looks[-1]

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    watch(look, console=console, seconds=0.0)
    assert [one.counts.get("finished", 0) for one in looks] == [0, 1, 2, 3]
    shown = screen.getvalue()
    for line in ("tiny: 3 planned", "2 planned", "1 planned"):
        assert line in shown


def test_what_a_running_run_has_spent_is_not_left_to_spend(plan):
    run = plan.runs[0]
    spent = run.progress(run.settings.steps // 2)
    store = KnownStore("half done", {run.run_id: run.facts() | spent | {"status": "running"}})
    whole = sweep_standing(plan, KnownStore("not begun"))
    with DriverLock(store):
        half = sweep_standing(plan, store)
    assert whole.flops_left - half.flops_left == spent["marginal_flops"] > 0
    left = half.runs[0].flops_left / run.marginal_flops
    assert half.runs[0].seconds_left == pytest.approx(whole.runs[0].seconds_left * left)
    assert half.runs[0].tokens == spent["tokens"] < half.runs[0].planned_tokens
    # interrupted, and without a state, it begins again: all of it counts as left
    assert sweep_standing(plan, store).flops_left == whole.flops_left
