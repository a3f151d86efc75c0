"""Facts about forms: derivatives, what is written, and that fits find the constants."""

from pathlib import Path

import numpy as np
import pytest

from analysis.discovery.forms.factors import KINDS, Columns, Factor
from analysis.discovery.forms.form import Bowl, Form, Term
from analysis.discovery.forms.grammar import grown
from analysis.discovery.forms.solver import Observed, solve
from analysis.discovery.forms.table import Table
from scaling.laws.written.expression import Arithmetic, numeric

RUNS = np.random.default_rng(0)
CENTRES = (2.0, 3.0, 1.0, 1.0)
VALUES = np.array(
    [
        RUNS.uniform(5, 9, 12),
        RUNS.uniform(1, 4, 12),
        RUNS.uniform(0, 1, 12),
        RUNS.uniform(0, 1, 12),
    ]
)
AT = Columns(
    tuple(np.log(v / c)[None] for v, c in zip(VALUES, CENTRES, strict=True)),
    tuple(v[None] for v in VALUES),
    CENTRES,
)
INPUTS = {"mixture": (2, 3), "share": (2,), "power": (0,), "shifted": (0,), "saturated": (0,)}
FORMS = [Form((Term((Factor(kind, INPUTS.get(kind, (0, 1))),)),)) for kind in KINDS]
FORMS = [
    f if f.terms[0].key[:7] != "boosted" else Form((Term((Factor("boosted", (0,)),)),))
    for f in FORMS
]
FORMS += [
    Form((Term((), Bowl(0, (1,))),)),
    Form((Term((), Bowl(0, (1,), tilted=True)),)),
    Form((Term((Factor("power", (0,)),), Bowl(1)), Term((Factor("power", (1,)),)))),
]


def constants_of(form):
    rng = np.random.default_rng(1)
    return np.array([[[c.mean + 0.4 * c.spread * rng.normal() for c in form.constants]]])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.key)
def test_derivatives_are_those_of_small_steps(form):
    theta, step = constants_of(form), 1e-6
    _, by = form.columns(theta, AT)
    for k, (term, slope) in enumerate(by):
        up, down = theta.copy(), theta.copy()
        up[..., k] += step
        down[..., k] -= step
        change = form.columns(up, AT)[0] - form.columns(down, AT)[0]
        # the error of a central step of 1e-6 is of order 1e-9 of the value
        assert slope == pytest.approx(change[..., term] / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.key)
def test_the_written_formula_is_the_form(form):
    names = ("N", "k", "web", "code")
    theta = constants_of(form)
    outside, inside = form.names
    values = dict(zip(names, VALUES, strict=True)) | dict.fromkeys(outside, 1.3)
    values |= {
        name: np.exp(t) if c.is_log else t
        for name, t, c in zip(inside, theta[0, 0], form.constants, strict=True)
    }
    tree = Arithmetic.of(form.written(names, CENTRES), of_laws=True)
    said = tree.fold(lambda of: values[of] if isinstance(of, str) else float(of), _with_max)
    ours = 1.3 * form.columns(theta, AT)[0].sum(axis=-1)[0, 0]
    assert said == pytest.approx(ours, rel=1e-9)  # rounding


def _with_max(name, arguments):
    return numeric(name, arguments)


def test_a_fit_finds_the_law_that_made_the_runs():
    form = Form((Term((Factor("power", (0,)),)), Term((Factor("power", (1,)),))))
    truth = np.array([[[0.7, 0.25]]])
    y = (form.columns(truth, AT)[0] * [1.5, 2.0, 0.8]).sum(axis=-1)[0]
    seen = Observed(AT, y, 1 / y, floor_is_free=False)
    found = solve(form, seen, np.array([[[0.3, 0.5]]]), seen.weight[None], shared=False, rounds=3)
    assert found.coefficients[0, 0] == pytest.approx([1.5, 2.0, 0.8], rel=1e-3)  # the priors' pull
    assert found.theta[0, 0] == pytest.approx([0.7, 0.25], rel=1e-3)


def test_coefficients_stay_at_or_above_zero_unless_the_floor_is_free():
    form = Form((Term((Factor("power", (0,)),)),))
    y = form.columns(np.array([[[0.5]]]), AT)[0][0, :, :, 1] - 3.0
    for is_free in (False, True):
        seen = Observed(AT, y, np.ones_like(y), floor_is_free=is_free)
        start = np.array([[[0.4]]])
        found = solve(form, seen, start, seen.weight[None], shared=False)
        assert (found.coefficients[0, 0, 0] < -1) == is_free
        assert found.coefficients[0, 0, 1] >= 0


def test_the_page_on_discovery_has_every_factor_as_it_is_written():
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "discover_a_law.md").read_text()
    proportions = {"mixture": ("web", "code"), "share": ("web",)}
    for name, kind in KINDS.items():
        of = proportions.get(name, ("N", "D"))
        constants = "abcd"[: len(kind.constants(len(of)))]
        assert f"| {kind.meaning} | `{kind.written(of, of, constants)}` |" in page


def test_repeats_are_offered_where_an_input_counts_distinct_tokens_and_nowhere_else():
    """A model is smaller than its data in any ladder: that is no repeat."""
    x = np.array([[1e9, 1e7], [2e9, 3e7], [4e9, 1e8]])

    def table(names):
        return Table(names, x, np.ones(3), np.zeros(3, np.int64), ("scale", "scale"), True)

    plain, repeated = table(("tokens", "params")), table(("tokens", "unique_tokens"))
    begun = Form((Term((Factor("power", (0,)),)),))
    assert not any("repeated" in form.key for form in grown(begun, plain))
    assert any("repeated" in form.key for form in grown(begun, repeated))
    passed = table(("tokens", "epochs"))
    assert any("passed" in form.key for form in grown(begun, passed))
    assert not any("passed" in form.key for form in grown(begun, repeated))
