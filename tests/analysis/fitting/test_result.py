"""Facts about the result of a fit: its file, its card, constraints, profile intervals."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.checklist import checklist_card
from analysis.fitting.fit import fit_as_asked
from analysis.fitting.lmfit_bridge import profile_intervals
from analysis.fitting.result import Fit, FitStatus
from scaling.errors import FitError
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.simulate import simulate_records

TRUTH = Chinchilla.example()
RECORDS = simulate_records(TRUTH, Chinchilla.example_runs(), relative_noise=0.003, seed=5)


@pytest.fixture(scope="module")
def fit():
    return fit_as_asked(RECORDS, "chinchilla", objective="least_squares", bootstrap=100, seed=3)


def test_the_document_has_the_keys_that_programs_read(fit):
    document = json.loads(fit.to_json())
    assert document["law"] == "chinchilla"
    assert set(document["constants"]) == {"E", "A", "B", "alpha", "beta"}
    assert set(document["constants"]["E"]) == {"estimate", "stderr", "intervals", "identified"}
    assert document["objective"] == "least_squares"
    assert document["status"] == "converged"
    assert document["n_runs"] == 49
    assert document["dropped"] == {}
    exponent = document["derived"]["optimal_params_exponent"]
    low, high = exponent["intervals"]["0.9"]
    assert low < exponent["estimate"] < high


def test_a_fit_survives_writing_and_reading(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    back = Fit.load(tmp_path / "fit.json")
    assert back.to_json() == fit.to_json()
    assert back.law == fit.law
    np.testing.assert_array_equal(back.draws.E, fit.draws.E)
    assert back.interval(lambda law: law.E) == fit.interval(lambda law: law.E)


def test_draws_can_be_left_out_of_the_document(fit):
    short = Fit.from_json(fit.to_json(draws=False))
    assert short.draws is None
    assert short.law == fit.law
    assert len(fit.to_json(draws=False)) < len(fit.to_json())


def test_a_fit_without_draws_survives_too():
    fit = fit_as_asked(RECORDS, "chinchilla", bootstrap=0, card=False, bounds={"E": (0.0, None)})
    assert Fit.from_json(fit.to_json()).to_json() == fit.to_json()


@pytest.mark.parametrize("text", ["", "[]", '{"law": "chinchilla"}', '{"law": "nonsense"}'])
def test_another_document_is_not_a_fit(text):
    with pytest.raises(FitError):
        Fit.from_json(text)


def test_residuals_are_observed_less_predicted(fit):
    predicted = fit.law.loss(RECORDS.column("params"), RECORDS.column("tokens"))
    expected = np.log(RECORDS.column("loss") / predicted)
    np.testing.assert_allclose(fit.log_residuals, expected, atol=1e-13)  # rounding


def test_the_objective_is_a_sum_over_runs(fit):
    assert fit.objective_value == pytest.approx(0.5 * np.sum(np.square(fit.log_residuals)))


def test_the_card_says_what_a_reader_must_know(fit):
    card = checklist_card(fit, RECORDS)
    for key in ("form", "objective", "data", "runs used", "runs left out", "counting", "starts"):
        assert key in card.entries
    assert card.entries["form"] == "L(N, D) = E + A N**-alpha + B D**-beta"
    assert card.entries["data"]["hash"] == RECORDS.data_hash
    assert set(card.entries["by Huber delta"]) == {
        "0.0001",
        "0.001",
        "0.01",
        "0.1",
        "least squares",
    }
    assert "starts that agree" in str(card)
    assert json.loads(json.dumps(card.entries)) == json.loads(fit.to_json())["card"]


def test_the_sensitivity_to_delta_holds_the_fit_itself(fit):
    same = checklist_card(fit, RECORDS).entries["by Huber delta"]["least squares"]
    assert same["E"] == pytest.approx(fit.law.E, rel=1e-5)  # solver tolerance


def test_the_card_refits_with_other_counts_of_parameters():
    embedding = 512.0 * np.sqrt(RECORDS.column("params") / 50)
    table = RECORDS.table.assign(params_embedding=embedding)
    records = type(RECORDS)(table=table)
    fit = fit_as_asked(records, "chinchilla", bootstrap=0)
    counted = fit.card["by counting of parameters"]
    assert set(counted) == {"all parameters", "without embedding"}
    assert counted["without embedding"]["alpha"] < counted["all parameters"]["alpha"]


def test_the_card_says_which_columns_the_table_has_and_which_follow():
    n, d = RECORDS.column("params"), RECORDS.column("tokens")
    table = pd.DataFrame({"non_embedding_params": n, "D": d, "loss": RECORDS.column("loss")})
    records = records_from_table(table)
    along_compute = fit_as_asked(records, "power_law", bootstrap=0)
    assert along_compute.card["counting"] == (
        "train_flops is computed from C = 6 N D, the table has none"
    )
    by_size = fit_as_asked(records, "chinchilla", bootstrap=0)
    assert by_size.card["counting"] == (
        "params is the table's non_embedding_params, which counts no embeddings; "
        "tokens is the table's D"
    )
    rows = {line.split()[0]: line for line in str(records).splitlines() if line.strip()}
    assert "C = 6 N D" in rows["train_flops"]


def test_a_fixed_constant_stays_and_the_rest_adapts():
    fit = fit_as_asked(RECORDS, "chinchilla", fix={"E": 1.5}, bootstrap=50, card=False)
    assert fit.law.E == 1.5
    assert (fit.draws.E == 1.5).all()
    assert fit.law.alpha < 0.33


def test_fixing_the_floor_at_zero_gives_a_pure_power_law():
    records = simulate_records(PowerLaw(a=900.0, b=-0.15, c=0.0), PowerLaw.example_runs())
    fit = fit_as_asked(records, fix={"c": 0.0}, bootstrap=20, card=False)
    assert fit.law.c == 0.0
    assert fit.law.b == pytest.approx(-0.15, rel=1e-9)  # noiseless


def test_fixing_at_the_optimum_changes_nothing():
    free = fit_as_asked(RECORDS, "chinchilla", bootstrap=0, card=False)
    held = fit_as_asked(
        RECORDS, "chinchilla", fix={"alpha": free.law.alpha}, bootstrap=0, card=False
    )
    assert held.objective_value == pytest.approx(free.objective_value, rel=1e-9)
    assert pytest.approx(free.law.B, rel=1e-5) == held.law.B  # solver tolerance


def test_a_bound_that_binds_is_a_status_and_holds_in_every_draw():
    free = fit_as_asked(RECORDS, "chinchilla", bootstrap=0, card=False)
    edge = free.law.E + 0.02
    fit = fit_as_asked(RECORDS, "chinchilla", bounds={"E": (edge, None)}, bootstrap=100, card=False)
    held = fit_as_asked(RECORDS, "chinchilla", fix={"E": edge}, bootstrap=0, card=False)
    assert fit.status is FitStatus.AT_BOUND
    assert first_of(LimitCode.AT_BOUND, fit.limits)
    assert edge == fit.law.E
    assert fit.objective_value == pytest.approx(held.objective_value, rel=1e-9)
    assert (edge <= fit.draws.E).all()


def test_a_bound_that_does_not_bind_changes_nothing():
    free = fit_as_asked(RECORDS, "chinchilla", bootstrap=0, card=False)
    fit = fit_as_asked(
        RECORDS, "chinchilla", bounds={"E": (0, 3), "alpha": (0, 1)}, **{"bootstrap": 0}
    )
    assert fit.law == free.law
    assert fit.status is FitStatus.CONVERGED


def test_tying_the_exponents_gives_the_overtraining_law():
    tied = fit_as_asked(RECORDS, "chinchilla", expressions={"beta": "alpha"}, bootstrap=20)
    shared = fit_as_asked(RECORDS, "overtraining", bootstrap=0, card=False)
    assert tied.law.beta == tied.law.alpha
    assert tied.law.alpha == pytest.approx(shared.law.alpha, rel=1e-6)  # solver tolerance
    np.testing.assert_array_equal(tied.draws.alpha, tied.draws.beta)
    assert Fit.from_json(tied.to_json()).tied == {"beta": "alpha"}


def test_profile_intervals_agree_with_the_bootstrap_on_clean_runs(fit):
    profile = profile_intervals(fit, RECORDS)
    assert set(profile) == {"E", "A", "B", "alpha", "beta"}
    for name in ("E", "alpha", "beta"):
        low, high = profile[name]
        assert low < getattr(fit.law, name) < high
        boot = fit.constants[name]
        # 49 runs and 100 draws: the two widths agree to a third
        assert high - low == pytest.approx(boot.high - boot.low, rel=0.4)


def test_profile_intervals_are_refused_where_lmfit_would_mislead():
    fit = fit_as_asked(RECORDS, "chinchilla", objective="huber", bootstrap=0, card=False)
    with pytest.raises(FitError, match="need a plain least-squares fit, not huber"):
        profile_intervals(fit, RECORDS)
