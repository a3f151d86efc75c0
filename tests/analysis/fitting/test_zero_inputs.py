"""Inputs that are zero: read where a law has a value there, left out with a reason elsewhere."""

import numpy as np
import pandas as pd
import pytest

from analysis.discovery.discover import discover
from analysis.fitting.groups.fit import fit_groups
from analysis.fitting.policy import fit_law
from analysis.plots.residuals import residuals
from scaling.errors import FitError
from scaling.laws.written.formula import law_for
from scaling.sources import records_from

MIXTURE = "data_mixture(web, code, books)"
SHARES = "E + A*exp(t*web + u*code)"


@pytest.fixture
def runs():
    """40 mixtures, eight of them without any text of the web."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 40)
    shares[:8, 0] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    loss = (1.5 + np.exp(shares @ [-0.5, 0.2, 0.4])) * np.exp(0.001 * rng.normal(size=40))
    return pd.DataFrame(shares, columns=["web", "code", "books"]).assign(loss=loss)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("law", [MIXTURE, SHARES])
def test_mixtures_without_a_domain_take_part(law, runs):
    fitted = fit_law(runs, law, bounds={"t": (-9, 9), "u": (-9, 9)} if law == SHARES else None)
    assert fitted.n_runs == 40
    asked = {name: 0.0 if name == "web" else 0.5 for name in fitted.columns}
    assert float(fitted.predict(**asked).loss) == pytest.approx(1.5 + np.exp(0.3), rel=0.003)
    assert len(residuals(fitted, fitted.records, x="code")) == 40


def test_the_fit_and_the_forecast_at_points_read_the_same_runs(runs):
    assert discover(runs, law=MIXTURE).runs == fit_law(runs, MIXTURE, bootstrap=0).n_runs


def test_groups_of_mixtures_keep_them(runs):
    both = pd.concat([runs.assign(size="small"), runs.assign(size="large")])
    fitted = fit_groups(both, MIXTURE, by="size", share=["t1"], bootstrap=0)
    assert {fit.n_runs for fit in fitted.fits.values()} == {40}


def test_under_a_power_or_a_logarithm_zeros_are_left_out_with_their_count(runs):
    runs = runs.assign(loss=2 + (runs["web"] + 0.01) ** -0.1)
    fitted = fit_law(runs, "E + A*web^-a", bootstrap=0)
    assert fitted.n_runs == 32
    assert fitted.records.dropped_by_reason == {"web is not above zero": 8}
    with pytest.raises(FitError, match="above zero"):
        fitted.predict(web=0.0)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("E + A*exp(t*web)", ("web",)),
        ("E + A*web", ("web",)),
        ("E + A*(web + 1)^-a", ("web",)),
        ("E + A*(web + s)^-a", ("web",)),
        ("E + A*web^-a", ()),
        ("E + A*log(web)", ()),
        ("E + A/web", ()),
        ("E + A*web^a + B*code", ("code",)),
    ],
)
def test_a_formula_knows_which_of_its_inputs_may_be_zero(formula, expected, runs):
    assert law_for(formula, records_from(runs)).may_be_zero == expected
