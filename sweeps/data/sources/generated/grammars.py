"""A probabilistic context-free grammar among sentences of bounded length: what is known exactly.

The distribution is the grammar's on the condition that a sentence has at most `longest` tokens.
Probability, entropy and mean length come from the probability of every nonterminal and length, as
the least solution of their equations, to rounding. Where the rules are LL(1) a sentence has one
derivation, so the entropy of derivations is that of sentences; of other rules nothing is claimed,
since no procedure decides in general whether a context-free grammar is ambiguous.
Next-token probabilities are exact for every grammar without left recursion: all leftmost
derivations of a prefix are followed at once, each weighed by how likely it still ends in time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.rules.grammar import Rules

#: The first tokens of every vocabulary of sentences; the grammar's symbols follow.
START, END, PADDING = 0, 1, 2
SPECIAL = ("<start>", "<end>", "<pad>")
_SETTLED = 1e-15
_MOST_SWEEPS = 100_000
#: Derivations of one prefix that are followed at once.
_MOST_STACKS = 4096

Stack = tuple[int, ...]
"""What is still to come, first symbol first: a token, or ~index of a nonterminal."""


@dataclass(frozen=True, eq=False)
class Language:
    """The sentences of a grammar of at most `longest` tokens, without start and end."""

    rules: Rules
    longest: int

    @functools.cached_property
    def symbols(self) -> tuple[str, ...]:
        """The name of each token of the vocabulary."""
        return (*SPECIAL, *self.rules.terminals)

    @functools.cached_property
    def coded(self) -> tuple[tuple[int, Stack, float], ...]:
        """Of each rule: nonterminal, right side, probability; probabilities made to add up to 1."""
        place = {name: ~index for index, name in enumerate(self.rules.nonterminals)}
        place |= {name: len(SPECIAL) + i for i, name in enumerate(self.rules.terminals)}
        totals = dict.fromkeys(self.rules.nonterminals, 0.0)
        for rule in self.rules.rules:
            totals[rule.left] += rule.probability
        return tuple(
            (
                ~place[rule.left],
                tuple(place[symbol] for symbol in rule.right),
                rule.probability / totals[rule.left],
            )
            for rule in self.rules.rules
        )

    @functools.cached_property
    def by_nonterminal(self) -> tuple[tuple[tuple[Stack, float], ...], ...]:
        """Of each nonterminal, its right sides and their probabilities."""
        found: list[list[tuple[Stack, float]]] = [[] for _ in self.rules.nonterminals]
        for left, right, probability in self.coded:
            found[left].append((right, probability))
        return tuple(map(tuple, found))

    @functools.cached_property
    def _by_length(self) -> tuple[np.ndarray, np.ndarray]:
        """(nonterminals, longest + 1) twice: the probability of a yield of each length, and the sum
        of -p ln p over its derivations.

        Sweeps from the last nonterminal to the first, from nothing up, until nothing changes.
        """
        count = len(self.rules.nonterminals)
        mass, cost = np.zeros((2, count, self.longest + 1))
        for _ in range(_MOST_SWEEPS):
            change = 0.0
            for left in reversed(range(count)):
                new_mass, new_cost = np.zeros((2, self.longest + 1))
                for right, probability in self.by_nonterminal[left]:
                    part, parts_cost = self._product(right, mass, cost)
                    new_mass += probability * part
                    new_cost += probability * (parts_cost - math.log(probability) * part)
                change = max(change, float(np.abs(new_mass - mass[left]).max()))
                change = max(change, float(np.abs(new_cost - cost[left]).max() / 1e3))
                mass[left], cost[left] = new_mass, new_cost
            if change <= _SETTLED:
                return mass, cost
        raise CorpusError("data.rules: the sentences' lengths did not settle; end them sooner")

    def _product(
        self, stack: Sequence[int], mass: np.ndarray, cost: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mass and cost by length of a row of symbols."""
        size = self.longest + 1
        tokens = sum(symbol >= 0 for symbol in stack)
        whole, whole_cost = np.zeros((2, size))
        if tokens > self.longest:
            return whole, whole_cost
        whole[tokens] = 1.0
        for symbol in stack:
            if symbol < 0:
                other, other_cost = mass[~symbol], cost[~symbol]
                whole_cost = (
                    np.convolve(whole, other_cost)[:size] + (np.convolve(whole_cost, other)[:size])
                )
                whole = np.convolve(whole, other)[:size]
        return whole, whole_cost

    @functools.cached_property
    def fits(self) -> float:
        """The share of the grammar's sentences that have at most `longest` tokens."""
        return float(self._by_length[0][0].sum())

    @property
    def mean_targets(self) -> float:
        """Targets of a sentence on the average: its tokens, and its end."""
        mass = self._by_length[0][0]
        return float(mass @ np.arange(1, self.longest + 2)) / self.fits

    @property
    def entropy(self) -> float | None:
        """Nats a sentence, exactly; None where a sentence may have several derivations."""
        if not self.is_ll1:
            return None
        cost = float(self._by_length[1][0].sum())
        return max(0.0, cost / self.fits + math.log(self.fits))

    # what may come next

    @functools.cached_property
    def nullable(self) -> frozenset[int]:
        """Nonterminals that can be nothing, as ~index."""
        found: set[int] = set()
        while True:
            new = {~left for left, right, _ in self.coded if all(one in found for one in right)}
            if new <= found:
                return frozenset(found)
            found |= new

    @functools.cached_property
    def is_ll1(self) -> bool:
        """Whether the next token always decides the rule, which makes the grammar unambiguous
        (Lewis and Stearns 1968, Syntax-directed transduction)."""
        names = [~index for index in range(len(self.by_nonterminal))]
        first: dict[int, set[int]] = {name: set() for name in names}
        follow: dict[int, set[int]] = {name: set() for name in names}
        follow[~0].add(END)
        before = -1
        while before != (now := sum(map(len, (*first.values(), *follow.values())))):
            before = now
            for left, right, _ in self.coded:
                first[~left] |= self._first(right, first)
                for place, symbol in enumerate(right):
                    if symbol < 0:
                        rest = right[place + 1 :]
                        follow[symbol] |= self._first(rest, first)
                        if all(one in self.nullable for one in rest):
                            follow[symbol] |= follow[~left]
        for name in names:
            seen: set[int] = set()
            for right, _ in self.by_nonterminal[~name]:
                ahead = self._first(right, first)
                if all(one in self.nullable for one in right):
                    ahead = ahead | follow[name]
                if ahead & seen or not ahead:
                    return False
                seen |= ahead
        return True

    def _first(self, stack: Sequence[int], first: Mapping[int, set[int]]) -> set[int]:
        found: set[int] = set()
        for symbol in stack:
            found |= {symbol} if symbol >= 0 else first[symbol]
            if symbol not in self.nullable:
                break
        return found

    @functools.cached_property
    def is_left_recursive(self) -> bool:
        """Whether a nonterminal can begin with itself: prefixes have derivations without end."""
        begins: dict[int, set[int]] = {~i: set() for i in range(len(self.by_nonterminal))}
        for left, right, _ in self.coded:
            for symbol in right:
                if symbol < 0:
                    begins[~left].add(symbol)
                if symbol not in self.nullable:
                    break
        while True:
            grown = {
                name: ones.union(*(begins[one] for one in ones)) for name, ones in begins.items()
            }
            if grown == begins:
                return any(name in ones for name, ones in begins.items())
            begins = grown

    def next_token(self, prefix: Sequence[int]) -> np.ndarray | None:
        """(vocabulary,) Probabilities of the token after a prefix without its start; None where no
        sentence begins so. Raises CorpusError where they are not known: left recursion, or more
        derivations of the prefix than are followed."""
        return list(self.next_tokens(prefix))[-1]

    def next_tokens(self, sentence: Sequence[int]) -> Iterator[np.ndarray | None]:
        """`next_token` of every prefix of a row of tokens: the empty one, and after each token."""
        if self.is_left_recursive:
            raise CorpusError(
                "data.rules: next-token probabilities need rules without left recursion"
            )
        stacks: dict[Stack, float] | None = {(~0,): 1.0}
        yield self._ahead({(~0,): 1.0}, self.longest)[0]
        for place, token in enumerate(sentence):
            room = self.longest - place
            if stacks is not None:
                probabilities, after = self._ahead(stacks, room)
                possible = token >= len(SPECIAL) and probabilities is not None
                stacks = after.get(token) if possible else None
                if stacks and (largest := max(stacks.values())):
                    stacks = {stack: weight / largest for stack, weight in stacks.items()}
            yield self._ahead(stacks, room - 1)[0] if stacks else None

    def log_probability(self, sentence: Sequence[int]) -> float:
        """ln of a whole sentence's probability, without start and end; -inf where it is none."""
        total = 0.0
        rows = self.next_tokens(sentence)
        for token, probabilities in zip((*sentence, END), rows, strict=True):
            share = 0.0 if probabilities is None else float(probabilities[token])
            if share == 0:
                return -math.inf
            total += math.log(share)
        return total

    def _ahead(
        self, stacks: Mapping[Stack, float], room: int
    ) -> tuple[np.ndarray | None, dict[int, dict[Stack, float]]]:
        """The distribution of the next token, and the stacks after each."""
        after: dict[int, dict[Stack, float]] = {}
        weights = np.zeros(len(self.symbols))
        waiting = list(stacks.items())
        opened = 0
        while waiting:
            stack, weight = waiting.pop()
            opened += 1
            if opened > _MOST_STACKS:
                raise CorpusError(
                    f"data.rules: a prefix has more than {_MOST_STACKS:,} derivations; its next "
                    "token's probabilities are not computed"
                )
            if not stack:
                weights[END] += weight
            elif stack[0] < 0:
                waiting += [
                    (right + stack[1:], weight * probability)
                    for right, probability in self.by_nonterminal[~stack[0]]
                ]
            elif (ends := self._ends_within(stack, room)) > 0:
                weights[stack[0]] += weight * ends
                rest = after.setdefault(stack[0], {})
                rest[stack[1:]] = rest.get(stack[1:], 0.0) + weight
        total = weights.sum()
        return (weights / total if total > 0 else None), after

    def _ends_within(self, stack: Stack, room: int) -> float:
        """How likely the symbols become at most `room` tokens."""
        if sum(symbol >= 0 for symbol in stack) > room:
            return 0.0
        mass, cost = self._by_length
        return float(self._product(stack, mass, cost)[0][: room + 1].sum())
