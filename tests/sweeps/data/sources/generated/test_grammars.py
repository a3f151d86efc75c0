"""Facts about grammars: entropy, probabilities and next tokens against counting every sentence."""

import math
from itertools import product

import numpy as np
import pytest

from scaling.errors import CorpusError
from sweeps.config.rules.grammar import parsed_rules
from sweeps.data.sources.generated.grammars import END, Language
from sweeps.data.sources.generated.sentences import geometric_anbn, uniform_anbn

NESTED = ("S -> a S b [0.3]", "S -> c T [0.5]", "S -> [0.2]", "T -> d T [0.5]", "T -> e S [0.5]")
AMBIGUOUS = ("S -> S1 [0.5]", "S -> a b [0.5]", "S1 -> a b [0.25]", "S1 -> a S1 b [0.75]")
REGULAR = ("A -> x A [0.2]", "A -> y B [0.5]", "A -> [0.3]", "B -> x B [0.5]", "B -> y [0.5]")


def language(lines, longest):
    return Language(parsed_rules(lines, "data.rules"), longest)


def sentences(of):
    """Every row of tokens up to the longest that has a probability, with it."""
    tokens = range(3, len(of.symbols))
    rows = (row for n in range(of.longest + 1) for row in product(tokens, repeat=n))
    found = {row: of.log_probability(row) for row in rows}
    return {row: math.exp(value) for row, value in found.items() if value > -math.inf}


@pytest.mark.parametrize("lines", [NESTED, REGULAR, AMBIGUOUS])
def test_sentences_have_probabilities_that_add_up_to_one(lines):
    assert sum(sentences(language(lines, 5)).values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("lines", [NESTED, REGULAR])
def test_entropy_and_mean_length_are_those_of_all_sentences(lines):
    of = language(lines, 5)
    shares = np.array(list(sentences(of).values()))
    lengths = np.array([len(row) + 1 for row in sentences(of)])
    assert of.entropy == pytest.approx(-float(shares @ np.log(shares)), rel=1e-12)
    assert of.mean_targets == pytest.approx(float(shares @ lengths), rel=1e-12)


def test_no_entropy_is_claimed_of_rules_that_may_be_ambiguous():
    assert language(AMBIGUOUS, 6).entropy is None
    # a b in two ways: .5 + .5 * .25 of the sentences, of which .5 .75^2 a^n b^n are longer than 6
    assert language(AMBIGUOUS, 2).log_probability([3, 4]) == pytest.approx(0, abs=1e-12)
    whole = language(AMBIGUOUS, 60)
    assert math.exp(whole.log_probability([3, 4])) == pytest.approx(0.625, rel=1e-3)


def test_left_recursion_leaves_next_tokens_unknown_and_says_so():
    of = language(("S -> S a [0.5]", "S -> a [0.5]"), 8)
    assert of.entropy is None
    assert of.mean_targets == pytest.approx(2.97, abs=0.01)  # 3 but for the longest
    with pytest.raises(CorpusError, match="without left recursion"):
        of.next_token([])
    hidden = language(("S -> N S a [0.3]", "S -> b [0.7]", "N -> [0.5]", "N -> c [0.5]"), 8)
    assert hidden.is_left_recursive


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_geometric_anbn_has_its_entropy_in_closed_form(q):
    of = Language(geometric_anbn(q), 800)
    exact = -math.log(1 - q) - q * math.log(q) / (1 - q)
    assert of.entropy == pytest.approx(exact, rel=1e-12)  # the tail of .9^400 is below rounding
    assert of.mean_targets == pytest.approx(2 * q / (1 - q) + 1, rel=1e-12)


def test_uniform_anbn_is_every_n_once():
    of = Language(uniform_anbn(128), 256)
    assert of.entropy == pytest.approx(math.log(128), rel=1e-12)
    assert of.mean_targets == pytest.approx(130, rel=1e-12)
    assert of.log_probability([3] * 9 + [4] * 9) == pytest.approx(-math.log(128), rel=1e-12)
    assert of.log_probability([3] * 129 + [4] * 129) == -math.inf
    after = of.next_token([3] * 120)
    assert after[3:] == pytest.approx([8 / 9, 1 / 9], rel=1e-12)  # 9 of the n are 120 or more
    assert of.next_token([3, 4])[END] == 1
    assert of.next_token([4]) is None
    assert of.next_token([3, END]) is None


def test_what_does_not_fit_is_left_out_of_the_distribution():
    of = Language(geometric_anbn(0.5), 4)  # n is 0, 1 or 2, as 4 : 2 : 1
    assert of.fits == pytest.approx(7 / 8)
    assert math.exp(of.log_probability([])) == pytest.approx(4 / 7)
    assert of.next_token([3])[3] == pytest.approx(1 / 3)
    assert of.next_token([3, 3])[4] == 1
