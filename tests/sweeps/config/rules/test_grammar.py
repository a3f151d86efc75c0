"""Facts about the rules of a grammar: what is none is refused in one line."""

import pytest

from scaling.errors import ConfigError
from sweeps.config.rules.grammar import MOST_RULES, parsed_rules


def test_a_rule_is_read_with_its_probability_and_an_empty_side():
    rules = parsed_rules(("S -> a S b [0.4]", "S->[ 0.6 ]"), "data.rules")
    assert [(rule.right, rule.probability) for rule in rules.rules] == [
        (("a", "S", "b"), 0.4),
        ((), 0.6),
    ]
    assert rules.nonterminals == ("S",)
    assert rules.terminals == ("a", "b")
    assert rules.spectral_radius == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "data.rules holds 0 rules; give 1 to 1,000"),
        (("S -> a [1]",) * (MOST_RULES + 1), "data.rules holds 1,001 rules"),
        (("S a b",), 'data.rules[0] is "S a b"; write a rule as "S -> a S b [0.4]"'),
        (("S -> a [1.5]",), "data.rules[0] has the probability 1.5; it lies above 0"),
        (("S -> a [nan]",), "data.rules[0] has the probability nan"),
        (("S -> a [half]",), "data.rules[0] has the probability half"),
        (("S -> a [0.4]",), "data.rules: the probabilities of S add up to 0.4; they must make 1"),
        (("S -> a [1]", "T -> b [1]"), "data.rules: nothing leads from S to T"),
        (("S -> [1]",), "data.rules name no terminal"),
        (("S -> " + "a " * 65 + "[1]",), "data.rules[0] is too long: at most 64 symbols"),
        (("S -> a S [1]",), "data.rules: sentences never end"),
        (("S -> S S [0.5]", "S -> a [0.5]"), "data.rules: sentences never end, or have no mean"),
        (("S -> T [1]", "T -> S a [1]"), "data.rules: sentences never end"),
    ],
)
def test_what_is_no_grammar_is_one_line(lines, said):
    with pytest.raises(ConfigError) as error:
        parsed_rules(lines, "data.rules")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
