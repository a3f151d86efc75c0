"""Rules of a probabilistic context-free grammar, as a config states them: `S -> a S b [0.4]`.

A symbol is what blanks part; those that stand on the left of a rule are nonterminals, and the first
rule's is the start. A right side may be empty: `S -> [0.6]`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling.errors import ConfigError
from scaling.tables.notes import printable

#: Bounds: every length's probability is computed for every rule.
MOST_RULES, LONGEST_RIGHT_SIDE, LONGEST_SYMBOL = 1000, 64, 40
_RULE = re.compile(r"\s*(\S+)\s*->([^\[\]]*)\[\s*([^\[\]\s]+)\s*\]\s*")
_SUM_TOLERANCE = 1e-6
_EIGENVALUE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Rule:
    """One way to replace a nonterminal, and how often it is taken."""

    left: str
    right: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class Rules:
    """The rules of a grammar, in order."""

    rules: tuple[Rule, ...]

    @cached_property
    def nonterminals(self) -> tuple[str, ...]:
        """The start first."""
        return tuple(dict.fromkeys(rule.left for rule in self.rules))

    @cached_property
    def terminals(self) -> tuple[str, ...]:
        """In the order in which they are first named."""
        named = dict.fromkeys(symbol for rule in self.rules for symbol in rule.right)
        return tuple(symbol for symbol in named if symbol not in self.nonterminals)

    @cached_property
    def means(self) -> np.ndarray:
        """(nonterminals, nonterminals) How many of each one step makes of each, on the average."""
        place = {name: index for index, name in enumerate(self.nonterminals)}
        means = np.zeros((len(place), len(place)))
        for rule in self.rules:
            for symbol in rule.right:
                if symbol in place:
                    means[place[rule.left], place[symbol]] += rule.probability
        return means

    @property
    def spectral_radius(self) -> float:
        """Of the mean matrix: sentences end, after a finite number of steps on the average, where
        it is below 1 (Harris 1963, The theory of branching processes)."""
        return float(np.abs(np.linalg.eigvals(self.means)).max())


def parsed_rules(lines: Sequence[str], key: str) -> Rules:
    """The rules of a config's lines; `key` is where they lie.

    Raises ConfigError for a line that is none, probabilities that do not add up to 1, a nonterminal
    that nothing leads to, and a grammar whose sentences never end.
    """
    if not 0 < len(lines) <= MOST_RULES:
        raise ConfigError(f"{key} holds {len(lines):,} rules; give 1 to {MOST_RULES:,}")
    rules = Rules(tuple(_rule(line, f"{key}[{place}]") for place, line in enumerate(lines)))
    for name in rules.nonterminals:
        total = sum(rule.probability for rule in rules.rules if rule.left == name)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ConfigError(
                f"{key}: the probabilities of {name} add up to {total:.7g}; they must make 1"
            )
    _check_reached(rules, key)
    if not rules.terminals:
        raise ConfigError(f"{key} name no terminal, so no sentence has a token; name one")
    if (radius := rules.spectral_radius) >= 1 - _EIGENVALUE_TOLERANCE:
        raise ConfigError(
            f"{key}: sentences never end, or have no mean length (the spectral radius of the mean "
            f"matrix is {radius:.4g}; it must be below 1); give rules that name nonterminals a "
            "lower probability"
        )
    return rules


def _rule(line: str, key: str) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise ConfigError(f'{key} is "{printable(line)}"; write a rule as "S -> a S b [0.4]"')
    left, right, stated = found[1], tuple(found[2].split()), found[3]
    try:
        probability = float(stated)
    except ValueError:
        probability = 0.0
    if not 0 < probability <= 1:
        raise ConfigError(
            f"{key} has the probability {printable(stated)}; it lies above 0 and is at most 1"
        )
    if len(right) > LONGEST_RIGHT_SIDE or max(map(len, (left, *right))) > LONGEST_SYMBOL:
        raise ConfigError(
            f"{key} is too long: at most {LONGEST_RIGHT_SIDE} symbols, of {LONGEST_SYMBOL} "
            "characters each"
        )
    if any(printable(symbol) != symbol for symbol in (left, *right)):
        raise ConfigError(f"{key} names a symbol that cannot be printed; use another")
    return Rule(left, right, probability)


def _check_reached(rules: Rules, key: str) -> None:
    """Refuse nonterminals that no sentence makes: a slip of the pen."""
    reached, new = set(), {rules.nonterminals[0]}
    while new:
        reached |= new
        new = {s for rule in rules.rules if rule.left in new for s in rule.right}
        new = (new & set(rules.nonterminals)) - reached
    for name in rules.nonterminals:
        if name not in reached:
            raise ConfigError(
                f"{key}: nothing leads from {rules.nonterminals[0]} to {name}; name it in a rule, "
                "or drop its own"
            )
