"""Several laws that are given answer together, weighted by their backtests."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.discovery.discover import discover
from analysis.evaluation.backtest import backtest
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from scaling.cli import main
from scaling.errors import ForecastError, ScalingError
from scaling.laws.written.formula import law_for
from scaling.sources import records_from

SUM = "E + A*N^-alpha + B*D^-beta"
NO_FLOOR = "A*N^-alpha + B*D^-beta"
WORDS, NO_WORDS = "E + A*N^-alpha + G*vocab^-gamma", "E + A*N^-alpha"


@pytest.fixture(scope="module")
def runs():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 3e10, 6)))
    vocab = np.resize([4e3, 3e4, 1e5], n.size)
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=n.size))
    loss = (1.7 + 400 * n**-0.34 + 410 * d**-0.28) * noise
    return pd.DataFrame({"params": n, "tokens": d, "vocab": vocab, "loss": loss})


@pytest.fixture
def file(tmp_path, runs):
    runs.to_csv(tmp_path / "runs.csv", index=False)

    def written(**laws):
        path = tmp_path / "laws.yaml"
        path.write_text("".join(f"{name}: {law}\n" for name, law in laws.items()))
        return [str(tmp_path / "runs.csv"), "--laws", str(path)]

    return written


def several(runs, *laws):
    records = records_from(runs)
    return ForecastOptions(law=tuple(law_for(law, records) for law in laws))


def test_the_law_that_predicts_hidden_runs_has_the_say(runs):
    made = forecast(runs, Targets.flops(1e21), options=several(runs, NO_FLOOR, SUM))
    weights = made.targets[0].weights
    assert set(weights) == {NO_FLOOR, SUM}
    assert weights[SUM] > 0.9
    alone = forecast(runs, Targets.flops(1e21), options=several(runs, SUM))
    assert made.targets[0].median == pytest.approx(alone.targets[0].median, rel=0.003)


def test_one_law_in_a_row_is_that_law(runs):
    one, same = several(runs, SUM), ForecastOptions(law=law_for(SUM, records_from(runs)))
    assert one.one_law is same.one_law and one.law_name == same.law_name == SUM
    a, b = (forecast(runs, Targets.flops(1e21), options=o).targets[0] for o in (one, same))
    assert a.median == b.median


def test_backtests_are_of_all_of_them(runs):
    both, wrong = several(runs, NO_FLOOR, SUM), several(runs, NO_FLOOR)
    assert backtest(runs, options=both).overall.error < backtest(runs, options=wrong).overall.error
    assert backtest(runs, options=both).law == f"{NO_FLOOR}, {SUM}"


def test_laws_of_other_columns_answer_at_points_together(runs):
    runs = runs.assign(loss=runs["loss"] + 3 * runs["vocab"] ** -0.3)
    at = pd.DataFrame({"params": [1e9], "vocab": [1e5]})
    found = discover(runs, law=[NO_WORDS, WORDS], at=at)
    assert {form.formula for form in found.forms} <= {NO_WORDS, WORDS}
    assert sum(form.weight for form in found.forms) == pytest.approx(1)
    assert found.inputs == ("params", "vocab")


def test_a_constant_is_held_of_one_law_alone(runs):
    with pytest.raises(ForecastError, match="holds a constant of one law"):
        ForecastOptions(law=several(runs, SUM, NO_FLOOR).laws, fix={"E": 1.7})
    with pytest.raises(ScalingError, match="holds a constant of one law"):
        discover(runs, law=[WORDS, NO_WORDS], fix={"E": 1.7})


def test_the_verbs_answer_by_all_laws_of_a_file(runs, file, capsys):
    assert main(["forecast", *file(a=NO_FLOOR, b=SUM), "--flops", "1e21", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    library = forecast(runs, Targets.flops(1e21), options=several(runs, NO_FLOOR, SUM))
    assert told["targets"][0]["median"] == pytest.approx(library.targets[0].median)
    assert told["law"] == "a, b"
    assert main(["backtest", *file(a=WORDS, b=NO_WORDS), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["law"] == "a, b"
    assert main(["forecast", *file(a=WORDS, b=SUM), "--flops", "1e21"]) == 2
    assert "reads vocab" in capsys.readouterr().err


def test_laws_of_different_questions_are_refused_in_one_line(runs, file, capsys):
    assert main(["forecast", *file(a="E + A*N^-a", b=SUM), "--flops", "1e21"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("scaling: ")
