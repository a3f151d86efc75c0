"""Facts about laws that people write: what their names mean, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from scaling.errors import FitError, RecordError
from scaling.laws.base import Power
from scaling.laws.registry import LAWS
from scaling.laws.written.formula import Formula, is_formula, law_for, law_from, law_to_dict
from scaling.records import records_from_table

RECORDS = records_from_table(
    pd.DataFrame(
        {
            "params": [1e6, 2e6, 4e6],
            "tokens": [1e8, 2e8, 8e8],
            "vocab_size": [4096, 8192, 16384],
            "my experts": [1, 2, 4],
            "loss": [4.0, 3.5, 3.0],
        }
    ),
    source="runs",
)
VOCABULARY = "L = E + A*N^-alpha + B*D^-beta + G*vocab_size^-gamma"


def test_names_that_are_columns_are_inputs_and_all_others_constants():
    law = law_for(VOCABULARY, RECORDS)
    assert law.inputs == ("params", "tokens", "vocab_size")
    assert law.constant_names() == ("E", "A", "alpha", "B", "beta", "G", "gamma")
    assert law.floor == "E" and law.linear == ("E", "A", "B", "G")
    assert law.positive == ("E", "A", "B", "G")  # exponents are searched as they are, above zero
    assert law.bounds()["gamma"] == (0.0, 10.0)


def test_a_floor_with_single_powers_is_known_as_one():
    law = law_for("E + A*N^-alpha + B/D^beta", RECORDS)
    assert law.powers == (Power("A", 0, "alpha", -1.0), Power("B", 1, "beta", -1.0))
    assert law_for("E + (A*N^-alpha + B/D^beta)^k", RECORDS).powers == ()


def test_the_loss_of_a_formula_is_its_arithmetic():
    law = law_for(VOCABULARY, RECORDS)(E=1.7, A=400, alpha=0.3, B=300, beta=0.28, G=2, gamma=0.2)
    n, d, v = 1e7, 1e9, 32000.0
    expected = 1.7 + 400 * n**-0.3 + 300 * d**-0.28 + 2 * v**-0.2
    assert law.loss(params=n, tokens=d, vocab_size=v) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        VOCABULARY,
        "E + (A*N^(-alpha) + B/D^beta)^k",
        "E + A*N^-alpha*(1 + B*D^-beta) + g*log(vocab_size)",
        "E + A*max(N, n0)^-a + B*min(D, d0)^-b",
        "E + A*exp(-k*sqrt(vocab_size)) + B/(1 + log10(N)/s)",
        "E + exp(A - a*log(N)) + exp(B - b*log(D) + c*log(N)*log(D) - k)",
    ],
)
def test_first_and_second_derivatives_are_those_of_complex_and_finite_steps(text):
    law = law_for(text, RECORDS)
    inputs = tuple(RECORDS.column(name) for name in law.inputs)
    at = {name: 0.3 + 0.1 * i for i, name in enumerate(law.constant_names())}
    at |= {k: v for k, v in {"n0": 1.5e6, "d0": 3e8, "k": 0.01}.items() if k in at}
    columns = {name: np.full((1, 1), value) for name, value in at.items()}
    loss, first, second = law.second_derivatives(inputs, columns)
    np.testing.assert_allclose(loss[0], law(**at).loss(*inputs), rtol=1e-13)

    def slope(name, values):
        stepped = {k: v + (1e-30j if k == name else 0) for k, v in values.items()}
        return np.imag(law.formula(*inputs, *stepped.values())) / 1e-30

    for j, one in enumerate(at):
        np.testing.assert_allclose(first[j][0], slope(one, at), rtol=1e-10, atol=1e-14)
        for k, other in enumerate(at):
            h = 1e-6 * abs(at[other])
            up, down = (slope(one, at | {other: at[other] + s}) for s in (h, -h))
            scale = np.abs(second[j][k]).max() + np.abs(first[j]).max() / abs(at[other])
            np.testing.assert_allclose(
                second[j][k][0], (up - down) / (2 * h), rtol=1e-5, atol=1e-6 * scale
            )


def test_an_exponential_of_a_logarithm_is_the_power_that_it_is():
    law = law_for("E + exp(a - alpha*log(N)) + exp(b - beta*ln(D))", RECORDS)
    assert set(law.own_priors) == {"alpha", "beta"}  # they are searched as exponents are
    assert law.floor == "E"


@pytest.mark.parametrize(
    "text, told",
    [
        ("E + A*my-experts^-a", r'"my-experts" \(character 7 .*--columns "my_experts=my-experts"'),
        ("E + A*my experts^-a", r'"my experts" \(character 7 '),
        ("E + A*vocab-size^-a", r'"vocab-size" \(character 7 .*write vocab_size'),
    ],
)
def test_a_column_whose_name_is_arithmetic_is_no_difference_of_two_constants(text, told):
    table = RECORDS.table.rename(columns={"vocab_size": "vocab-size"})
    table["my-experts"] = table["my experts"]
    with pytest.raises(FitError, match=told):
        law_for(text, records_from_table(table, source="runs"))


def test_a_column_that_the_table_lacks_or_leaves_unclear_is_no_constant():
    with pytest.raises(FitError, match=r'no column "num_experts".*--columns experts='):
        law_for("E + A*N^-a + G*num_experts^-g", RECORDS)
    table = pd.DataFrame({"params": [1e6, 2e6], "tokens": [1.0, 2.0], "loss": [4.0, 3.0]})
    unclear = records_from_table(table, source="runs")  # of tokens a unit seems to be left out
    for text in ("E + A*N^-a + B*D^-b", "E + A*params^-a + B*tokens^-b"):
        with pytest.raises(RecordError, match="say --unit"):
            law_for(text, unclear)
    bounded = Formula("E + A*N^-a + G*width^-g", bounds={"width": (1.0, 2.0)})
    assert "width" in bounded.on(RECORDS).constant_names()


def test_a_guess_of_many_constants_takes_no_more_memory_than_one_of_few():
    terms = " + ".join(f"a{i}*N^-b{i}*D^-c{i}" for i in range(20))
    law = law_for(f"E + {terms}", RECORDS)
    inputs = tuple(RECORDS.column(name) for name in law.inputs)
    guesses = law.guesses(inputs, RECORDS.column("loss"))  # of 60 axes; all of them: 5^40 or more
    assert 100 < len(next(iter(guesses.values()))) < 1000
    assert len(np.unique(guesses["b0"])) == 5


def test_guesses_that_overflow_are_passed_over_without_a_word(recwarn):
    law = law_for("E + A*exp(-alpha*N)^k + B*exp(N/s)", RECORDS)
    inputs = tuple(RECORDS.column(name) for name in law.inputs)
    starts = law.starts(inputs, RECORDS.column("loss"), np.ones(3), {})
    assert np.isfinite(np.stack(list(starts.values()))).all(axis=0).any()
    assert not recwarn


def test_a_constant_may_be_negative_where_its_bounds_begin_below_zero():
    signed = law_for("E + A*N^-alpha + g*log(vocab_size)", RECORDS, {"g": (-2.0, 2.0)})
    assert "g" not in signed.positive and signed.bounds()["g"] == (-2.0, 2.0)
    assert signed.floor is None  # with a negative term the sum falls below E


def test_a_sum_that_falls_below_a_constant_has_no_floor():
    assert law_for("E + A*N^-alpha - g*log(vocab_size)", RECORDS).floor is None


def test_a_formula_comes_back_from_json_as_the_same_law():
    law = Formula(VOCABULARY, name="words", bounds={"gamma": (0.0, np.inf)}).on(RECORDS)
    assert law_from(law_to_dict(law)) is law
    assert law_from(law_to_dict(LAWS["chinchilla"])) is LAWS["chinchilla"]


def test_columns_are_read_in_any_spelling_of_the_table():
    table = pd.DataFrame({"n_params": [1e6, 2e6], "loss": [4.0, 3.0], "tokens": [1e8, 2e8]})
    records = records_from_table(table, source="runs")
    assert law_for("E + A*n_params^-a", records).inputs == ("params",)
    assert law_for("E + A*N^-a", records).inputs == ("params",)


@pytest.mark.parametrize("name", ["chinchilla", "power-law", "my_law"])
def test_a_name_is_no_formula(name):
    assert not is_formula(name)


@pytest.mark.parametrize(
    "text, told",
    [
        ("E + A*vocab_sise^-g", 'no column "vocab_sise" (character 7 of the formula)'),
        ("E + A*U^-g", '"U" (character 7 of the formula) stands for unique_tokens'),
        ("3 + N", "has no constants"),
        ("E + A^alpha", "reads no column of runs"),
        ("E + A*N^^2", "from character 9 on"),
        ("E + A*(N", "from character"),
        ("E + lambda*N", "at character 5 is reserved"),
        ("E + A*N.real", '"N.real" at character 7 is no arithmetic'),
        ("E + A*N^-a/0", "divides by zero at character 5"),
        ("E + A*N^-a + nan", '"nan" (character 14'),
        ("E + __import__('os').system('x')*N", "at character 5 is no arithmetic"),
        ("E + A*N^-a if N else 3", "is no arithmetic"),
        ("E + F + A*N^-alpha", "E and F are only ever added to each other"),
        ("A - A + B*N^-b", "A cancels out"),
        ("E/0 + A*N^-a", "divides by zero"),
        ("9**9**9**9 + A*N^-a", "overflows"),
        ("loss2 = E + A*N^-a", "a formula is of the loss"),
        ("E + A*min(N)^-a", "is no arithmetic"),
    ],
)
def test_what_is_no_law_of_the_table_is_refused_in_one_line_with_its_place(text, told):
    with pytest.raises(FitError) as refused:
        law_for(text, RECORDS)
    assert told in str(refused.value) and "\n" not in str(refused.value)
