"""What the forecasts reach on published tables, and that they mean what they say on known truth.

`benchmarks/forecasts/forecast_skill.py` prints the whole comparison; these hold its main numbers.
"""

from pathlib import Path

import numpy as np
import pytest

from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.targets import Targets
from benchmarks.forecasts.forecast_skill import (
    learning_curves,
    ours,
    published_splits,
    run,
    simulated_splits,
    summary,
)
from scaling.records import read_records


@pytest.fixture(scope="module")
def hoffmann(published: Path):
    where = ["excluded_in_published_fit == 0"]
    return read_records(published / "hoffmann2022_epoch.csv", where=where)


def test_runs_a_hundred_times_larger_are_predicted_within_two_percent(hoffmann):
    flops = hoffmann.column("train_flops")
    seen = hoffmann.select(flops <= 1e20, "hidden")
    hidden = hoffmann.select(flops > 1e21, "seen")
    answer = forecast(seen, Targets.runs(hidden.column("params"), hidden.column("tokens")))
    predicted = np.array([t.median for t in answer.targets])
    assert len(predicted) == 23
    # the plain Huber fit errs by -2.7 to +4.1% here and 1.6% on average (the tables' README)
    assert np.mean(np.abs(predicted / hidden.column("loss") - 1)) < 0.016


@pytest.mark.slow
def test_learning_curves_reach_the_goal(published: Path):
    reached = summary(run(learning_curves(published), {"auto": ours("auto")})).iloc[0]
    assert reached["splits"] == 47
    assert reached["rms_log"] <= 0.0235
    assert 0.86 <= reached["in90"] <= 0.94
    assert reached["score90"] <= 12.0


@pytest.mark.slow
def test_published_tables_reach_the_goal(published: Path):
    reached = summary(run(published_splits(published), {"auto": ours("auto")}))
    error = reached["error"].droplevel("method")
    assert error["gadre, README"] < 1.6  # 1.39; the goal is 3.3
    assert error["gadre, by cut"] < 1.6  # 1.32; the goal is 3.3
    assert error["hoffmann, by cut"] < 1.06
    per_split = np.average(reached["in90"], weights=reached["splits"])
    assert 0.86 <= per_split <= 0.94


@pytest.mark.slow
def test_ninety_percent_intervals_cover_the_truth_whichever_law_made_the_ladder():
    reached = summary(run(simulated_splits(25, seed=5, checked=False), {"auto": ours("auto")}))
    for group, row in reached.droplevel("method").iterrows():
        if "under 12" not in group:
            # goal .87 to .93 (.85 mistuned); some 18 ladders of correlated targets: sd about .05
            assert 0.80 <= row["in90"] <= 1.0, group
