"""Facts about one law for groups of runs: alone, together, and with a group that is too small."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import GroupedFit, fit_groups, fit_law
from analysis.text.fitting import grouped_text
from scaling.errors import FitError, RecordError
from scaling.laws.base import runs_at_all
from scaling.laws.surfaces import Chinchilla
from scaling.limits import LimitCode
from scaling.records import records_from_table

TRUTHS = {
    "big": Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28),
    "small": Chinchilla(E=1.9, A=300.0, B=600.0, alpha=0.34, beta=0.28),
}
FEW = Chinchilla(E=1.5, A=500.0, B=500.0, alpha=0.34, beta=0.28)
SIZES = runs_at_all(params=np.geomspace(1e7, 1e9, 5), tokens=np.geomspace(1e9, 1e11, 4))


def runs_of(truth, arch, rows=slice(None), noise=0.002, seed=0):
    inputs = {name: values[rows] for name, values in SIZES.items()}
    scatter = np.random.default_rng(seed).normal(size=len(inputs["params"]))
    return pd.DataFrame({**inputs, "loss": truth.loss(**inputs) * np.exp(noise * scatter)}).assign(
        arch=arch
    )


@pytest.fixture(scope="module")
def table():
    two = [runs_of(truth, name, seed=i) for i, (name, truth) in enumerate(TRUTHS.items())]
    few = runs_of(FEW, "few", [0, 6, 12, 18, 19], seed=7)
    one = runs_of(FEW, "one", [0])
    return pd.concat([*two, few, one], ignore_index=True)


@pytest.fixture(scope="module")
def together(table):
    records = records_from_table(table)
    return fit_groups(
        records, "chinchilla", by="arch", share=["alpha", "beta"], bootstrap=40, card=False
    )


def test_a_group_alone_is_fitted_as_its_runs_are(table):
    big = table[table.arch == "big"]
    alone = fit_groups(records_from_table(table), "chinchilla", by="arch", bootstrap=0, card=False)
    by_itself = fit_law(records_from_table(big), "chinchilla", bootstrap=0, card=False)
    assert alone.fits["big"].law == by_itself.law
    assert alone.fits["big"].choices == by_itself.choices
    assert alone.shared == ()


def test_shared_constants_are_one_and_the_others_each_groups_own(together):
    laws = {label: fit.law for label, fit in together.fits.items()}
    assert len({(law.alpha, law.beta) for law in laws.values()}) == 1
    for label, truth in {**TRUTHS, "few": FEW}.items():
        low, high = together.fits[label].interval(lambda law: law.E, 0.99)
        assert low <= truth.E <= high
    assert laws["big"].alpha == pytest.approx(0.34, abs=0.01)
    drawn = {label: fit.draws.alpha for label, fit in together.fits.items()}
    assert np.array_equal(drawn["big"], drawn["few"])


def test_a_group_of_too_few_runs_is_one_line_and_the_others_are_fitted(together):
    assert set(together.fits) == {"big", "few", "small"}
    (limit,) = [one for one in together.limits if one.code is LimitCode.LEFT_OUT]
    assert limit.text.startswith("arch one has no fit: chinchilla has 3 free constants")
    assert "\n" not in limit.text
    assert together.left_out["one"] in limit.text


def test_five_runs_tell_five_constants_nothing_until_two_are_shared(table, together):
    few = records_from_table(table[table.arch == "few"])
    alone = fit_law(few, "chinchilla", bootstrap=0, card=False)
    assert not alone.floor_identified
    assert together.fits["few"].floor_identified


def test_fixed_bounded_and_tied_constants_are_so_in_every_group(table):
    fit = fit_groups(
        records_from_table(table),
        "E + A*N^-alpha + B*D^-beta",
        by="arch",
        share=["alpha"],
        fix={"E": 1.4},
        bounds={"A": (None, 350.0)},
        expressions={"beta": "alpha"},
        bootstrap=0,
    )
    for one in fit.fits.values():
        constants = one.law.constants()
        assert constants["E"] == 1.4 and constants["A"] <= 350
        assert constants["beta"] == pytest.approx(constants["alpha"])
        assert one.fixed == {"E": 1.4} and one.tied == {"beta": "alpha"}
        assert one.bounds["A"][1] == 350


def test_one_wrong_answer_in_one_group_moves_the_shared_constant(table, together):
    """So the groups are fitted together, and not each for itself."""
    bent = table.copy()
    own = bent.arch == "small"
    bent.loc[own, "loss"] *= (bent.loc[own, "params"] / 1e8) ** -0.02
    fit = fit_groups(
        records_from_table(bent), "chinchilla", by="arch", share=["alpha", "beta"], bootstrap=0
    )
    assert abs(fit.fits["big"].law.alpha - together.fits["big"].law.alpha) > 0.005


def test_fits_of_groups_are_saved_and_read_again(together):
    again = GroupedFit.from_json(together.to_json())
    assert again.fits["few"].law == together.fits["few"].law
    assert again.to_dict() == together.to_dict()
    assert set(together.to_dict()["groups"]) == set(together.fits)
    with pytest.raises(FitError, match="not fits of groups"):
        GroupedFit.from_json(json.dumps({"law": "chinchilla"}))


def test_the_text_has_shared_constants_once(together):
    text = grouped_text(together)
    assert text.count("alpha") == 2  # its row, and that it is shared
    assert "all groups" in text
    frame = together.to_frame()
    assert frame.index.names == ["arch", "constant"]


def test_what_no_groups_can_be_made_of_is_refused(table):
    records = records_from_table(table)
    for how, said in (
        ({"by": "params"}, "reads it"),
        ({"by": "arch", "share": ["gamma"]}, "no such constant"),
        ({"by": "arch", "share": ["alpha"], "fix": {"alpha": 0.3}}, "leave one out"),
        ({"by": "arch", "share": ["beta"], "expressions": {"beta": "alpha"}}, "it is tied|gives"),
        ({"by": "arch", "share": ["alpha", "alpha"]}, "twice"),
    ):
        with pytest.raises(FitError, match=said):
            fit_groups(records, "chinchilla", **how)
    with pytest.raises(RecordError, match="no column"):
        fit_groups(records, "chinchilla", by="nothing")
    many = records_from_table(table.assign(arch=[f"run {i}" for i in range(len(table))]).head(45))
    with pytest.raises(FitError, match="no group can be fitted"):
        fit_groups(many, "chinchilla", by="arch")
