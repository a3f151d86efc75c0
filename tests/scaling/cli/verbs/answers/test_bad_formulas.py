"""Formulas and columns that no law can be made of: in every verb that takes them, one line that
says where, or a limit that counts the rows."""

import numpy as np
import pandas as pd
import pytest

from scaling.cli import main

GOOD = "E + A*N^-alpha + B*vocab^-beta"
SHARES = "E + A*exp(t*web + u*code + v*books)"
MIXTURE = "data_mixture(web, code, books)"


def vocabulary(**changes):
    n, v = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(4e3, 1e5, 5)))
    noise = np.exp(0.003 * np.random.default_rng(0).normal(size=n.size))
    loss = (1.7 + 400 * n**-0.34 + 3 * v**-0.2) * noise
    tokens = 20 * n * (v / 2e4)
    return pd.DataFrame({"params": n, "tokens": tokens, "vocab": v, "loss": loss}).assign(**changes)


def mixture():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=30)
    table = pd.DataFrame(shares, columns=["web", "code", "books"])
    return table.assign(loss=1.5 + np.exp(shares @ [-0.5, 0.2, 0.4]))


def with_cell(table, row, column, value):
    changed = table.astype({column: object})
    changed.loc[row, column] = value
    return changed


POINTS = pd.DataFrame({"params": [1e9, 2e9], "vocab": [2e5, 2e5]})
MIXED_POINTS = pd.DataFrame({"web": [0.2, 0.1], "code": [0.3, 0.5], "books": [0.5, 0.4]})


@pytest.fixture
def told(tmp_path, capsys):
    """What a verb says of a law, a table and points, with its exit code."""

    def ask(verb, law, runs, points=POINTS):
        source, at = tmp_path / "runs.csv", tmp_path / "points.csv"
        runs.to_csv(source, index=False)
        points.to_csv(at, index=False)
        asked = {
            "fit": ["--bootstrap", "0"],
            "forecast": ["--at", at],
            "next": ["--offer", at, "--at", at, "--budget", "2"],
            "discover": ["--at", at, "--inputs", *points.columns],
            "backtest": [],
            "allocate": ["--flops", "1e20"],
            "report": ["-o", tmp_path / "page"],
        }[verb]
        law_asked = [] if law is None else ["--law", law]
        code = main([verb, str(source), *map(str, asked), *law_asked])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


def refused(answer, *words):
    code, out, err = answer
    assert code == 2 and out == "" and err.count("\n") == 1, (code, out, err)
    assert all(word in err for word in words), err


@pytest.mark.parametrize("verb", ["fit", "forecast", "next", "backtest", "allocate", "report"])
@pytest.mark.parametrize(
    ("law", "words"),
    [
        ("E + A*vocab_sise^-g", ["vocab_sise (character 7)"]),
        ("E + A*N^-a + B*vocap^-b", ['no column "vocap" (character 16', "did you mean vocab"]),
        ("3 + N", ["has no constants"]),
        ("E + A*loss^-a", ['"loss" (character 7', "is the loss itself"]),
        ("E + A*N^", ["from character 8 on"]),
        ("E + A*N^-a + B*(vocab", ["from character 16 on"]),
        ("E + __import__('os').system('x')*N", ["at character 5 is no arithmetic"]),
        ("E + A*N.real", ["at character 7 is no arithmetic"]),
        ("E + " + "-" * 60 + "N", ["nested more than 40 deep at character"]),
        ("E + A*N^-a + " + "(" * 300 + "vocab" + ")" * 300, ["from character"]),
        ("E + A*N^(9^9^9^9)", ["overflows or divides by zero at character"]),
        ("E + A*N^-1e400", ["beyond 1e308 at character 10"]),
        (" ", ["--law is empty"]),
    ],
)
def test_a_formula_that_cannot_be_is_one_line_with_its_place(verb, law, words, told):
    refused(told(verb, law, vocabulary()), *words)


@pytest.mark.parametrize("verb", ["fit", "forecast", "next", "backtest"])
@pytest.mark.parametrize(
    ("law", "runs", "words"),
    [
        (GOOD, vocabulary()[:3], []),
        (
            f"{GOOD} + H*N^-h*vocab^-d + F*N^-f + G*vocab^-g",
            vocabulary()[:11],
            ["12 ", "only 11 different"],
        ),
        (GOOD, vocabulary(vocab=32000), ["vocab"]),
        ("E + A*N^-a + B*log(vocab - 5000)^-b", vocabulary(), ["row 2", "vocab = 4000"]),
        (
            "E + A*N^99999 + B*vocab^-b",
            vocabulary(),
            ["no finite value in row 2", "params = 1e+07"],
        ),
    ],
)
def test_a_table_that_no_law_can_be_of_is_one_line_with_the_column(verb, law, runs, words, told):
    refused(told(verb, law, runs), *words)


@pytest.mark.parametrize("verb", ["forecast", "next", "discover"])
@pytest.mark.parametrize("value", [-5, "many", ""])
def test_a_cell_of_the_points_that_is_no_input_is_one_line_with_its_row(verb, value, told):
    law = None if verb == "discover" else GOOD
    points = with_cell(POINTS, 1, "vocab", value)
    words = f'points: vocab is "{value}" in row 3; give a number above zero'
    refused(told(verb, law, vocabulary(), points), words)


@pytest.mark.parametrize("verb", ["forecast", "next", "discover"])
def test_runs_with_negative_inputs_are_refused_with_row_and_value(verb, told):
    law = None if verb == "discover" else GOOD
    runs = with_cell(vocabulary(), 7, "vocab", -5)
    refused(told(verb, law, runs), "vocab is -5 in row 9", "take powers")


def test_a_fit_counts_the_rows_that_it_leaves_out_and_names_the_first(told):
    runs = with_cell(with_cell(vocabulary(), 3, "vocab", 0), 7, "vocab", -5)
    code, out, _ = told("fit", GOOD, runs)
    assert code == 0 and "left out: vocab is not above zero (2, first 0 in row 5)" in out


@pytest.mark.parametrize(
    ("verb", "law"),
    [("fit", MIXTURE), ("fit", SHARES), ("forecast", SHARES), ("next", SHARES), ("discover", None)],
)
def test_proportions_that_do_not_add_up_are_refused_with_their_row(verb, law, told):
    runs = mixture()
    runs.loc[4, "web"] += 0.5
    found = told(verb, law, runs, MIXED_POINTS)
    refused(found, "proportions (web, code, books) add up to 1.5 in row 6", "to 1")


@pytest.mark.parametrize(("verb", "law"), [("forecast", SHARES), ("next", SHARES)])
def test_points_whose_proportions_do_not_add_up_are_refused(verb, law, told):
    points = MIXED_POINTS.assign(web=[0.2, 0.9])
    refused(told(verb, law, mixture(), points), "add up to 1.8 in row 3, to 1 in the runs")


def test_shares_of_a_mixture_in_percent_are_refused(told):
    percent = mixture().assign(**{c: 100 * mixture()[c] for c in MIXED_POINTS})
    refused(told("fit", MIXTURE, percent), "add up to 100 in row", "to 1")


@pytest.mark.parametrize("has_compute", [True, False])
def test_a_formula_of_other_columns_is_sent_to_the_verbs_that_answer_it(has_compute, told):
    runs = vocabulary() if has_compute else vocabulary().drop(columns="tokens")
    refused(told("allocate", GOOD, runs), "reads vocab", "scaling fit", "scaling forecast --at")


@pytest.mark.parametrize("flags", [["--certificate"], ["--draws", "500"]])
@pytest.mark.parametrize("laws", [["--law", GOOD], ["--inputs", "params", "vocab"]])
def test_a_flag_that_predictions_in_any_inputs_pass_over_is_refused(flags, laws, tmp_path, capsys):
    source, at = tmp_path / "runs.csv", tmp_path / "points.csv"
    vocabulary().to_csv(source, index=False)
    POINTS.to_csv(at, index=False)
    assert main(["forecast", str(source), "--at", str(at), *laws, *flags]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert flags[0] in said.err
