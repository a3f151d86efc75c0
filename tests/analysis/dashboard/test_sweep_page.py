"""Facts about the page Sweep: states, cost, curves and reasons, as `scaling status` tells them."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.dashboard.figures.ladder import STATES, cells_of, map_figure
from analysis.dashboard.figures.live_curves import (
    MOST_ENDED,
    MOST_RUNNING,
    curves_figure,
    runs_to_draw,
)
from analysis.dashboard.pages.sweep import _seen, what_next
from analysis.forecasting.unfinished_runs import RunningForecast
from scaling.errors import StoreError
from scaling.records import read_records
from scaling.store.one_run.run_state import RunState
from tests.analysis.dashboard.conftest import draw, figures, shown

HEADING = RunningForecast(
    run_id="r3",
    share_done=0.4,
    loss_so_far=2.9,
    predicted=2.5,
    low=2.4,
    high=2.6,
    confidence_level=0.9,
    finished_runs=5,
    outcome_settled=False,
)


def run(number, **facts):
    return {
        "run_id": f"r{number}",
        "name": f"run {number}",
        "state": "finished",
        "held_out": False,
        "params": 1e6 * (1 + number % 3),
        "tokens": 1e7,
        "planned_tokens": 1e8,
        "steps": 100,
        "planned_steps": 100,
        "loss": 3.0,
        "reason": "",
        "traceback": "",
        **facts,
    }


def ledger(runs, **facts):
    return {
        "runs": runs,
        "currency": "USD",
        "device_hours_spent": 2.0,
        "money_spent": 5.0,
        "flops_left": 3e12,
        "wall_seconds_left": 5400.0,
        "device_hours_left": 3.0,
        "money_left": 7.5,
        **facts,
    }


def curves_of(source, run_ids=None):
    steps = np.arange(1, 41)
    tables = [
        pd.DataFrame({"run_id": name, "step": steps, "train_loss": 4 - np.log(steps) / 4})
        for name in (run_ids if run_ids is not None else ["r0"])
    ]
    return pd.concat(tables)


def test_every_state_of_a_run_has_a_colour_of_its_own():
    assert {state.value for state in RunState} == set(STATES)
    assert len(set(STATES.values())) == len(STATES)


def test_the_map_holds_every_run_once_and_each_where_it_belongs(runs):
    cells = cells_of(None, read_records(runs))
    drawn = map_figure(cells, {})
    placed = {trace.name: len(trace.x) for trace in drawn.data}
    assert placed == {"finished (14)": 14, "running (1)": 1, "failed (1)": 1}
    xs = np.concatenate([trace.x for trace in drawn.data])
    assert np.log10(xs.max() / xs.min()) == pytest.approx(2, abs=0.3)  # the squares' own room


def test_runs_of_one_cell_lie_side_by_side():
    cells = cells_of(ledger([run(0, run_id=f"s{i}") for i in range(4)]), None)
    drawn = map_figure(cells, {})
    places = {(x, y) for trace in drawn.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert len(places) == 4


def test_the_loss_of_a_held_out_run_is_told_nowhere_on_the_map():
    cells = cells_of(ledger([run(0, held_out=True, loss=1.2345)]), None)
    (trace,) = map_figure(cells, {}).data
    assert "1.23" not in trace.text[0] and "stays unread" in trace.text[0]
    assert runs_to_draw(cells).empty


def test_running_runs_are_drawn_first_and_others_to_compare_with():
    many = [run(i) for i in range(60)] + [run(i, state="running") for i in range(60, 100)]
    chosen = runs_to_draw(cells_of(ledger(many), None))
    assert (chosen["state"] == "running").sum() == MOST_RUNNING
    assert (chosen["state"] == "finished").sum() == MOST_ENDED


def test_a_running_curve_carries_its_forecast_to_its_planned_end():
    cells = cells_of(ledger([run(3, state="running", planned_steps=100)]), None)
    drawn = curves_figure(curves_of("", ["r3"]), cells, {"r3": HEADING})
    line, heading = drawn.data
    assert (heading.x[1], heading.y[1]) == (100, HEADING.predicted)
    assert heading.y[1] + heading.error_y.array[1] == pytest.approx(HEADING.high)
    assert heading.y[1] - heading.error_y.arrayminus[1] == pytest.approx(HEADING.low)
    assert line.x[-1] == 40


def test_the_page_tells_cost_so_far_and_to_come_and_each_reason_once(runs):
    cells = [run(0), *(run(i, state="failed", reason="out of memory") for i in (1, 2))]
    cells.append(run(3, state="running", traceback="Traceback <b>x</b>"))
    feeds = {
        "ledger": lambda source: ledger(cells),
        "curves": curves_of,
        "outlooks": lambda source: {"r3": HEADING},
    }
    test = draw("sweep", [runs], feeds=feeds)
    assert not test.exception and not test.error
    text = shown(test)
    for told in ("spent, device time 2 h, 5 USD", "left 90 min", "left, device time 3 h, 7.5 USD"):
        assert told in text
    assert "2 failed out of memory run 1, run 2" in text
    assert "40% done, heading for 2.5000 [2.4000, 2.6000]" in text
    assert len(figures(test)) == 2
    assert test.code[0].value == "Traceback <b>x</b>"


def test_the_page_needs_neither_a_plan_nor_sizes(tmp_path):
    path = tmp_path / "flops.csv"
    path.write_text("train_flops,loss\n" + "".join(f"1e{i},{5 - i / 10}\n" for i in range(14, 20)))
    test = draw("sweep", [str(path)])
    assert not test.exception and not test.error
    assert "No map: no run has both a size (params) and tokens" in shown(test)


def test_a_store_that_is_lost_leaves_the_last_state_and_its_age(runs):
    answers = [ledger([run(0), run(1, state="running")])]

    def asked(source):
        if answers:
            return answers.pop()
        raise StoreError("http://somewhere: does not answer; start it")

    counting = iter(range(100))
    feeds = {"ledger": asked, "fingerprint": lambda source: next(counting)}
    source = [str(runs)]
    before = shown(draw("sweep", source, feeds=feeds))
    after = shown(draw("sweep", source, feeds=feeds))
    assert "running 1" in before and "does not answer" not in before
    assert "running 1" in after and "does not answer; start it; shown is what it said" in after


@pytest.mark.parametrize(
    "counts, told",
    [
        ({}, "scaling run CONFIG"),
        ({"planned": 9}, "Nothing trains at this moment, and 9 runs of 9 are left"),
        ({"failed": 3, "diverged": 1}, "Every run failed or diverged"),
        ({"running": 2, "planned": 5, "finished": 1}, "2 runs of 8 train"),
        ({"finished": 5, "interrupted": 3}, "3 runs of 8 are left"),
        ({"finished": 5, "failed": 1}, "1 run of 6 is left"),
        ({"running": 1, "finished": 5}, "1 run of 6 trains"),
        ({"finished": 5, "diverged": 1}, "1 run of 6 failed or diverged"),
        ({"finished": 6}, "All runs are done"),
    ],
)
def test_a_sweep_in_every_state_says_what_to_do_next(counts, told):
    assert told in what_next(counts, planned=True)


def test_the_health_of_a_ladder_is_what_the_verb_tells(runs, tmp_path, capsys):
    from scaling.cli import main

    checks = {"ok": 0.0004, "soft": 0.012, "edge": 0.03, "cap": 0.02}  # what each rung's rule costs
    table = pd.read_csv(runs)
    rung = table["params"].rank(method="dense").astype(int) - 1
    table["health"] = rung.map(dict(enumerate(checks)))
    table["lr_gap"] = rung.map(dict(enumerate(checks.values())))
    table["lr_gap_stderr"], table["lr_offset"], table["lr_curvature"] = 0.001, 0.3, 0.5
    path = tmp_path / "checked.csv"
    table.to_csv(path, index=False)
    assert main(["health", str(path), "--json"]) == 0
    verb = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in verb["rungs"]] == [*checks]
    text = shown(draw("sweep", [str(path)], health="1"))
    for one in verb["rungs"]:
        assert f"{one['status']} +0.30 {100 * one['gap']:.2f} \u00b1 0.10%" in text
    (limit,) = (one for one in verb["limits"] if one["code"] == "no trend")
    assert 'no column "width"' in limit["text"]
    assert 'no column "width"' in text


def test_a_look_that_finds_what_there_was_is_not_drawn_again():
    first, again = (
        _seen(ledger([run(0), run(1, state="running")]), None, {"r1": HEADING}) for _ in range(2)
    )
    later = _seen(ledger([run(0), run(1)]), None, {})
    assert first.content == again.content != later.content
