"""Facts about fits of laws that people write."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.minimising.law_on_runs import general_model
from analysis.fitting.minimising.models.any_law import AnyLaw, ExactLaw
from analysis.fitting.minimising.penalties import penalty_named
from analysis.fitting.policy import fit_law
from analysis.fitting.result import Fit
from scaling.cli import main
from scaling.errors import FitError
from scaling.laws.surfaces import Chinchilla
from scaling.laws.written.formula import law_for
from scaling.records import records_from_table

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 410.0, "beta": 0.28, "G": 2.0, "gamma": 0.3}
VOCABULARY = "E + A*N^-alpha + B*D^-beta + G*vocab_size^-gamma"
COUPLED = "E + (A*N^-alpha + B*D^-beta)^k"


def runs(noise=0.0):
    n, d, v = (
        np.repeat(np.geomspace(1e6, 1e9, 8), 6),
        np.tile(np.geomspace(1e8, 1e11, 6), 8),
        np.tile([2048, 8192, 32768, 131072], 12),
    )
    t = TRUTH
    loss = t["E"] + t["A"] * n ** -t["alpha"] + t["B"] * d ** -t["beta"]
    loss = loss + t["G"] * v ** -t["gamma"]
    loss = loss * np.exp(noise * np.random.default_rng(0).normal(size=48))
    return pd.DataFrame({"params": n, "tokens": d, "vocab_size": v, "loss": loss})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("formula") / "runs.csv"
    runs(0.002).to_csv(path, index=False)
    return path


def test_constants_of_a_formula_of_three_columns_are_found():
    records = records_from_table(runs(), source="runs")
    fit = fit_as_asked(records, VOCABULARY, objective="least_squares", bootstrap=0, card=False)
    for name, value in fit.law.constants().items():
        assert value == pytest.approx(TRUTH[name], rel=1e-4)


def test_the_chinchilla_law_written_out_gives_its_own_constants():
    records = records_from_table(runs(0.002), source="runs")
    own, written = (
        fit_law(records, law, bootstrap=100, card=False)
        for law in (Chinchilla, "E + A*N^-alpha + B*D^-beta")
    )
    for name, value in own.law.constants().items():
        assert written.law.constants()[name] == pytest.approx(value, rel=1e-5)
        assert written.constants[name].stderr == pytest.approx(own.constants[name].stderr, rel=0.05)


@pytest.mark.parametrize("fixed", [{}, {"k": 0.9}])
@pytest.mark.parametrize("objective", ["huber", "least_squares"])
def test_derivatives_of_the_objective_are_those_of_complex_steps(objective, fixed):
    records = records_from_table(runs(0.01), source="runs")
    law = law_for(COUPLED, records)
    inputs = tuple(records.column(name) for name in law.inputs)
    exact = general_model(law, inputs, fixed)
    assert isinstance(exact, ExactLaw)
    start = {"E": 1.6, "A": 300.0, "alpha": 0.3, "B": 500.0, "beta": 0.3, "k": 1.1}
    theta = exact.to_coordinates(start)[None] + np.array([[0.0], [0.01]])
    weights, y = np.ones((2, 48)), np.tile(np.log(records.column("loss")), (2, 1))
    penalty = penalty_named(objective, huber_delta=1e-2)
    found = exact.derivatives(penalty)(theta, weights, y)
    steps = AnyLaw(law, inputs, fixed).derivatives(penalty)(theta, weights, y)
    for ours, theirs in zip(found, steps, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_a_fit_of_a_formula_is_saved_and_loaded(tmp_path):
    fit = fit_law(records_from_table(runs(0.002), source="runs"), VOCABULARY, bootstrap=50)
    fit.save(tmp_path / "fit.json")
    again = Fit.load(tmp_path / "fit.json")
    assert type(again.law) is type(fit.law) and again.law == fit.law
    at = {"params": 2e9, "tokens": 1e11, "vocab_size": 50_000}
    assert again.predict(**at).loss == fit.predict(**at).loss


def test_a_bound_below_zero_lets_a_constant_of_a_formula_be_negative():
    table = runs().assign(
        loss=lambda t: 3 - 0.1 * np.log10(t["vocab_size"]) + 400 * t["params"] ** -0.34
    )
    fit = fit_as_asked(
        records_from_table(table, source="runs"),
        "E + A*N^-alpha + g*log10(vocab_size)",
        bounds={"g": (-1.0, 1.0)},
        objective="least_squares",
        bootstrap=0,
        card=False,
    )
    assert fit.law.constants()["g"] == pytest.approx(-0.1, rel=1e-3)


def test_more_constants_than_runs_are_refused():
    few = records_from_table(runs().iloc[::8], source="runs")
    with pytest.raises(FitError, match="7 free constants"):
        fit_law(few, VOCABULARY)


def test_a_column_that_never_varies_is_refused():
    flat = records_from_table(runs().assign(vocab_size=4096), source="runs")
    with pytest.raises(FitError, match="1 different value of vocab_size"):
        fit_law(flat, VOCABULARY)


def test_the_verb_takes_a_formula_and_says_what_its_names_are(table, capsys):
    main(["fit", str(table), "--law", VOCABULARY, "--bootstrap", "50", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["columns"] == ["params", "tokens", "vocab_size"]
    assert document["formula"]["columns_of"] == {
        "N": "params",
        "D": "tokens",
        "vocab_size": "vocab_size",
    }
    assert document["reference"] is None
    assert document["choices"]["inputs"]["chosen"] == "N = params, D = tokens, vocab_size"


def test_a_file_of_laws_names_a_formula_for_the_verb(table, tmp_path, capsys):
    (tmp_path / "laws.yaml").write_text(
        f"words: {{formula: {VOCABULARY}, bounds: {{gamma: [0, 1]}}}}\n"
    )
    laws = ["--laws", str(tmp_path / "laws.yaml")]
    main(["fit", str(table), "--law", "words", *laws, "--bootstrap", "50", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["law"] == "words" and document["formula"]["bounds"] == {"gamma": [0.0, 1.0]}
    assert main(["fit", str(table), "--law", "wrds", *laws]) == 2
    assert 'has no law "wrds"; it has: words' in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked", ["fit", "fit --law", "backtest --law", "forecast --flops 3x --law"]
)
def test_a_file_of_laws_is_never_passed_over(asked, table, tmp_path, capsys):
    (tmp_path / "laws.yaml").write_text(f"words: {VOCABULARY}\n")
    verb, *more = asked.split()
    law = ["E + A*N^-a"] if "--law" in more else []
    assert main([verb, str(table), *more, *law, "--laws", str(tmp_path / "laws.yaml")]) == 2
    assert "choose a law of it with --law: words" in capsys.readouterr().err


def test_a_forecast_by_a_formula_of_size_and_tokens_answers(table, capsys):
    main(["forecast", str(table), "--law", "E + A*N^-alpha + B*D^-beta", "--flops", "3x", "--json"])
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert target["low_90"] if "low_90" in target else target["intervals"]


def test_a_forecast_by_a_formula_of_other_columns_says_what_is_asked_of_it(table, capsys):
    assert main(["forecast", str(table), "--law", VOCABULARY, "--flops", "3x"]) == 2
    assert "reads vocab_size, and this answer is of compute" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "forecast --values 1e10", "backtest"])
def test_another_column_than_the_formulas_own_is_refused(verb, table, capsys):
    name, *more = verb.split()
    asked = [name, str(table), "--law", "E + A*tokens^-a", "--x", "params", *more]
    assert main(asked) == 2
    assert '--x params: "E + A*tokens^-a" reads tokens' in capsys.readouterr().err
