"""Backtests of laws of other columns than size, tokens and compute, along any column."""

import numpy as np
import pandas as pd
import pytest

from analysis.evaluation.backtest import Backtest, backtest
from analysis.evaluation.by_groups import backtest_groups
from analysis.forecasting.question.options import ForecastOptions
from scaling.cli import main
from scaling.errors import ForecastError, ScalingError
from scaling.laws.written.formula import law_for
from scaling.limits import LimitCode, codes
from scaling.sources import records_from

LAW = "E + A*N^-alpha + G*vocab_size^-gamma"


def of_vocabularies(noise=0.002, seed=0):
    n, v = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(4e3, 3e5, 6)))
    noisy = np.exp(noise * np.random.default_rng(seed).normal(size=n.size))
    loss = (1.7 + 400 * n**-0.34 + 6 * v**-0.3) * noisy
    return pd.DataFrame({"params": n, "tokens": 20 * n, "vocab_size": v, "loss": loss})


def scored(runs, law=LAW, **how):
    return backtest(runs, options=ForecastOptions(law=law_for(law, records_from(runs)), **how))


def test_the_largest_budgets_are_hidden_and_predicted_within_their_intervals():
    found = scored(of_vocabularies())
    assert found.along == "train_flops" and found.inputs == ("params", "vocab_size")
    assert found.overall.error < 0.5 and found.overall.coverage[0.9] > 0.8
    for origin, one in zip(found.origins, found.by_origin, strict=True):
        assert origin.runs_seen + origin.runs_hidden == 42
        assert one.predictions == origin.runs_hidden
    beyond = [p for p in found.predictions if p.origin == 0]
    assert all(
        np.isclose(p.decades_beyond, np.log10(p.at / found.origins[0].largest_seen)) for p in beyond
    )


@pytest.mark.parametrize("x", ["vocab_size", "params", "tokens"])
def test_the_end_of_any_column_is_hidden(x):
    runs = of_vocabularies()
    found = scored(runs, x=x)
    assert found.along == x
    hidden = runs[runs[x] > found.origins[0].largest_seen]
    assert sorted(p.measured for p in found.predictions if p.origin == 0) == pytest.approx(
        sorted(hidden["loss"])
    )


def test_a_law_of_size_and_tokens_is_backtested_along_a_column_that_is_named():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 3e10, 6)))
    runs = pd.DataFrame({"params": n, "tokens": d, "loss": 1.7 + 400 * n**-0.34 + 410 * d**-0.28})
    for law in ("E + A*N^-alpha + B*D^-beta", "chinchilla"):
        found = scored(runs, law, x="params")
        assert found.along == "params" and found.overall.error < 0.1


def test_a_wrong_law_scores_worse_and_a_held_constant_is_told():
    runs = of_vocabularies()
    right, wrong = scored(runs), scored(runs, fix={"alpha": 1.5})
    assert wrong.overall.error > 3 * right.overall.error
    assert wrong.fixed == {"alpha": 1.5} and right.fixed == {}


def test_a_forecast_of_each_cut_has_not_seen_what_it_hides():
    runs = of_vocabularies()
    found = scored(runs, x="vocab_size")
    changed = runs.copy()
    changed.loc[changed["vocab_size"] > found.origins[0].largest_seen, "loss"] *= 1.1
    again = scored(changed, x="vocab_size")
    pairs = zip(found.predictions, again.predictions, strict=True)
    own = [(a, b) for a, b in pairs if a.origin == 0]
    assert all(a.predicted == b.predicted and a.measured < b.measured for a, b in own)


def test_without_compute_the_widest_input_is_chosen_and_said():
    found = scored(of_vocabularies().drop(columns="tokens"))
    assert found.along == "params"
    assert LimitCode.FALLBACK in codes(found.limits)


def test_groups_are_backtested_each_by_itself():
    runs = pd.concat(
        [of_vocabularies(seed=k).assign(lab=name) for k, name in enumerate(("ours", "theirs"))]
    )
    options = ForecastOptions(law=law_for(LAW, records_from(runs)))
    found = backtest_groups(runs, by="lab", options=options)
    assert {*found.groups} == {"ours", "theirs"} and not found.left_out
    alone = scored(of_vocabularies(seed=1))
    assert found.groups["theirs"].overall.error == pytest.approx(alone.overall.error)


def test_proportions_and_unknown_columns_have_no_end_to_hide():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=40)
    runs = pd.DataFrame(shares, columns=["web", "code", "books"])
    runs["loss"] = 1.5 + np.exp(shares @ [-0.5, 0.2, 0.4])
    law = "data_mixture(web, code, books)"
    with pytest.raises(ForecastError, match="name a column with --x"):
        scored(runs, law)
    with pytest.raises(ForecastError, match="web is a proportion"):
        scored(runs, law, x="web")
    with pytest.raises(ScalingError, match="paramz"):
        scored(of_vocabularies(), x="paramz")


def test_losses_below_zero_are_refused_since_errors_are_in_percent():
    runs = of_vocabularies()
    with pytest.raises(ForecastError, match="at or below zero"):
        scored(runs.assign(loss=runs["loss"] - 5))


@pytest.mark.parametrize("flags", [[], ["--x", "vocab_size"], ["--fix", "E=1.7"]])
def test_the_verb_says_what_the_library_does(flags, tmp_path, capsys):
    runs, source = of_vocabularies(), tmp_path / "runs.csv"
    runs.to_csv(source, index=False)
    assert main(["backtest", str(source), "--law", LAW, *flags, "--json"]) == 0
    told = Backtest.from_json(capsys.readouterr().out)
    how = dict(zip(flags[::2], flags[1::2], strict=True))
    fix = {"E": 1.7} if "--fix" in how else {}
    assert told.overall == scored(str(source), x=how.get("--x"), fix=fix).overall
    assert main(["backtest", str(source), "--law", LAW, *flags]) == 0
    text = capsys.readouterr().out
    assert told.origins[0].hides in text and ("E held at 1.7" in text) == bool(fix)
