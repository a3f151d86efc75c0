"""Random languages whose entropy is known exactly: order-k Markov chains, and many bigram tasks.

Probabilities are whole numbers over 2**32, and a token is looked up in their running sums, so what
is generated has exactly the distribution whose entropy is computed, and numpy and torch agree to
the token on every device.
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.errors import CorpusError
from sweeps.data.sources.generated.walks import (
    ROW_TOTAL,
    Tables,
    pays_in_blocks,
    walk,
    walk_in_blocks,
)
from sweeps.data.sources.philox import philox, seed_key

if TYPE_CHECKING:
    import torch

_START_TOTAL = 1 << 62
#: Share of every row that is uniform: it makes each token possible after each, so the chain mixes.
_UNIFORM_SHARE = 0.01
#: Entries of a table: 256 MiB of running sums and of what follows, in 64 bits each.
_MOST_ENTRIES = 1 << 24
_TOLERANCE = 1e-14


Words = tuple[Any, Any, Any, Any]
"""Four arrays (blocks, sequences) of 32-bit words."""


@dataclass(frozen=True, eq=False)
class Chain(ABC):
    """A language: a start, then token after token by the table's row that the state picks."""

    symbols: int
    starts: np.ndarray
    """(starts,) int64 weights of the ways to begin, over 2**62."""
    rows: np.ndarray
    """(states, symbols) int64 weights of the next symbol, over 2**32."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Tokens that can occur."""

    @property
    @abstractmethod
    def prefix_length(self) -> int:
        """Tokens that the start decides."""

    @abstractmethod
    def prefix_token(self, start: Any, place: int) -> Any:
        """The token at a place of the prefix."""

    @abstractmethod
    def start_of(self, prefix: np.ndarray) -> Any:
        """(sequences, prefix_length) -> (sequences,) The start that a prefix shows."""

    @abstractmethod
    def first_state(self, start: Any) -> Any:
        """The state after the prefix."""

    @abstractmethod
    def next_state(self, state: Any, token: Any) -> Any:
        """The state after one more token."""

    @abstractmethod
    def states_of(self, start: Any) -> tuple[Any, int]:
        """The states that a sequence of this start passes through: the first of them, and how many
        follow one another."""

    def after_part(self, rows: np.ndarray) -> np.ndarray:
        """(sequences, vocabulary) Probabilities of the token after rows that show a part of the
        prefix, of one that has several tokens."""
        raise NotImplementedError(f"{type(self).__name__} has no prefix of several tokens")

    @abstractmethod
    def entropy(self, context: int) -> float:
        """Nats per target of the best possible model, which sees the sequence from its start."""

    @property
    def hash(self) -> str:
        """Identity of the language."""
        digest = hashlib.sha256(f"{type(self).__name__} {self.symbols}".encode())
        digest.update(self.starts.astype("<i8").tobytes())
        digest.update(self.rows.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def row_entropies(self) -> np.ndarray:
        """(states,) Nats of the next symbol in each state."""
        return entropy_of(self.rows / ROW_TOTAL)

    @functools.cached_property
    def tables(self) -> Tables:
        """The chain, to be looked up by numpy."""
        states = np.arange(len(self.rows), dtype=np.int64)[:, None]
        following = self.next_state(states, np.arange(self.symbols, dtype=np.int64))
        sums = np.cumsum(self.rows, axis=1) + states * ROW_TOTAL
        return Tables(np.cumsum(self.starts), sums.ravel(), (following * ROW_TOTAL).ravel())

    def sequences(self, numbers: np.ndarray, length: int, seed: int, domain: int) -> np.ndarray:
        """(sequences, length) int64: the seed's sequences of those numbers, computed by numpy."""
        blocks = np.arange(1 + -(-length // 4), dtype=np.int64)
        words = _words(numbers.astype(np.int64), blocks, seed_key(seed), domain)
        search = functools.partial(np.searchsorted, side="right")
        start = search(self.tables.starts, _of_starts(words))
        uniforms = np.stack(words, axis=1)[1:].reshape(-1, len(numbers))
        places = uniforms[: max(0, length - self.prefix_length)]
        raised = self.first_state(start) * ROW_TOTAL
        entries = [entry % self.symbols for entry in walk(places, raised, self.tables, search)]
        return np.stack([*self._prefix(start), *entries], axis=1)[:, :length]

    def sequences_on(
        self,
        numbers: torch.Tensor,
        length: int,
        seeds: Sequence[int],
        domain: int,
        tables: Tables,
        *,
        in_blocks: bool | None = None,
    ) -> torch.Tensor:
        """(seeds, sequences, length) The same by torch, on the device of `numbers` and `tables`, of
        several seeds in one walk: each sequence has the key of its seed.

        `in_blocks`: how they are walked, by default as pays on that device.
        """
        import torch

        blocks = torch.arange(1 + -(-length // 4), device=numbers.device)
        keys = torch.tensor([seed_key(seed) for seed in seeds], device=numbers.device)
        low, high = keys.repeat_interleave(len(numbers), dim=0).unbind(dim=1)
        words = _words(numbers.repeat(len(seeds)), blocks, (low, high), domain)
        search = functools.partial(torch.searchsorted, right=True)
        start = search(tables.starts, _of_starts(words))
        uniforms = torch.stack(words, dim=1)[1:].flatten(0, 1)
        places, state = uniforms[: max(0, length - self.prefix_length)], self.first_state(start)
        first, ways = self.states_of(start)
        if pays_in_blocks(places, ways) if in_blocks is None else in_blocks:
            entries = walk_in_blocks(places, state, first, ways, tables, search)
        else:
            found = list(walk(places, state * ROW_TOTAL, tables, search))
            entries = torch.stack(found) if found else places
        tokens = torch.cat((torch.stack(self._prefix(start)), entries % self.symbols))[:length]
        return tokens.T.contiguous().view(len(seeds), len(numbers), length)

    def _prefix(self, start: Any) -> list[Any]:
        """The tokens that the start decides."""
        return [self.prefix_token(start, place) for place in range(self.prefix_length)]

    def next_tokens(self, rows: np.ndarray) -> np.ndarray:
        """(sequences, length, vocabulary) Probabilities of the token after each place of rows that
        are the chain's."""
        known = np.full((*rows.shape, self.vocab_size), np.nan)
        first = self.prefix_length
        for place in range(min(first - 1, rows.shape[1])):
            known[:, place] = self.after_part(rows[:, : place + 1])
        if rows.shape[1] < first:
            return known
        state = self.first_state(self.start_of(rows[:, :first]))
        for place in range(first - 1, rows.shape[1]):
            if place >= first:
                state = self.next_state(state, rows[:, place])
            known[:, place] = 0.0
            known[:, place, : self.symbols] = self.rows[state] / ROW_TOTAL
        return known


def _of_starts(words: Words) -> Any:
    """(sequences,) What picks the starts: 62 bits of the first block."""
    return (words[0][0] << 30) + (words[1][0] >> 2)


def _words(numbers: Any, blocks: Any, key: tuple[Any, Any], domain: int) -> Words:
    """Four arrays (blocks, sequences) of 32-bit words, from the sequences' numbers and the key
    alone, which may be one of each sequence."""
    mask = ROW_TOTAL - 1
    numbers = numbers[None, :] + 0 * blocks[:, None]
    blocks = blocks[:, None] + 0 * numbers
    return philox((numbers & mask, numbers >> 32, blocks, blocks * 0 + domain), key)


@dataclass(frozen=True, eq=False)
class MarkovChain(Chain):
    """Each token depends on the `order` tokens before it. A sequence begins in the steady state."""

    order: int

    @property
    def vocab_size(self) -> int:
        """The symbols."""
        return self.symbols

    @property
    def prefix_length(self) -> int:
        """As many tokens as a state remembers."""
        return self.order

    def prefix_token(self, start: Any, place: int) -> Any:
        """A digit of the state, oldest first."""
        return start // self.symbols ** (self.order - 1 - place) % self.symbols

    def start_of(self, prefix: np.ndarray) -> Any:
        """The tokens are its digits."""
        return prefix @ self.symbols ** np.arange(self.order - 1, -1, -1)

    def first_state(self, start: Any) -> Any:
        """The start is the state."""
        return start

    def next_state(self, state: Any, token: Any) -> Any:
        """The oldest token goes."""
        return (state * self.symbols + token) % len(self.rows)

    def states_of(self, start: Any) -> tuple[Any, int]:
        """All."""
        return start * 0, len(self.rows)

    def after_part(self, rows: np.ndarray) -> np.ndarray:
        """Of the steady state, what the tokens seen leave of it."""
        seen = rows.shape[1]
        whole = self.starts.reshape(self.symbols**seen, self.symbols, -1).sum(axis=-1)
        chances = whole[rows @ self.symbols ** np.arange(seen - 1, -1, -1)] / _START_TOTAL
        shares: np.ndarray = chances / chances.sum(axis=1, keepdims=True)
        return shares

    @property
    def entropy_rate(self) -> float:
        """Nats per token of a sequence without end."""
        return float(self.starts / _START_TOTAL @ self.row_entropies)

    def entropy(self, context: int) -> float:
        """Nats per target, exactly.

        From the place `order` on, a target costs the entropy rate. The targets before it see less
        than a whole state and cost more: with H(n) the entropy of n tokens in the steady state,
        the targets 1 to T cost H(T + 1) - H(1) together.
        """
        steady = self.starts / _START_TOTAL
        known = min(context + 1, self.order)
        blocks = [
            float(entropy_of(steady.reshape(self.symbols**length, -1).sum(axis=1)))
            for length in (1, known)
        ]
        whole_states = context + 1 - known
        return (blocks[1] - blocks[0] + whole_states * self.entropy_rate) / context


@dataclass(frozen=True, eq=False)
class BigramTasks(Chain):
    """A task token first, then symbols by the bigram table of that task.

    The task token is an input and never a target, so it adds nothing to the entropy, and a model
    that has learnt it knows the table. Tasks are rare as a power law says, which is what makes the
    excess loss a power law: the picture of Michaud et al. 2023, arXiv:2303.13506.
    """

    @property
    def vocab_size(self) -> int:
        """Symbols, and behind them one token a task."""
        return self.symbols + len(self.starts)

    @property
    def prefix_length(self) -> int:
        """The task token."""
        return 1

    def prefix_token(self, start: Any, place: int) -> Any:
        """Task tokens lie behind the symbols."""
        return self.symbols + start

    def start_of(self, prefix: np.ndarray) -> Any:
        """The task's number."""
        return prefix[:, 0] - self.symbols

    def first_state(self, start: Any) -> Any:
        """A task's first row is its steady state, from which its first symbol comes."""
        return start * (self.symbols + 1)

    def next_state(self, state: Any, token: Any) -> Any:
        """The row of the task and of the symbol."""
        block = self.symbols + 1
        return state // block * block + 1 + token

    def states_of(self, start: Any) -> tuple[Any, int]:
        """The rows of the task."""
        return self.first_state(start), self.symbols + 1

    def entropy(self, context: int) -> float:
        """Nats per target: sum over tasks of p_i (H(first symbol) + (T - 1) h_i) / T."""
        entropies = self.row_entropies.reshape(len(self.starts), -1)
        steady = self.rows.reshape(len(self.starts), self.symbols + 1, -1)[:, 0] / ROW_TOTAL
        rates = (steady * entropies[:, 1:]).sum(axis=1)
        totals = entropies[:, 0] + (context - 1) * rates
        return float(self.starts / _START_TOTAL @ totals) / context


def markov_chain(symbols: int, order: int, concentration: float, seed: int) -> MarkovChain:
    """An order-k chain with rows drawn from a symmetric Dirichlet distribution.

    Raises CorpusError for a table too large to hold.
    """
    _check_entries(symbols ** (order + 1), f"{symbols} symbols at order {order}")
    rows = _random_rows(symbols**order, symbols, concentration, seed)
    steady = steady_state((rows / ROW_TOTAL)[None])[0]
    starts = whole_weights(steady[None], _START_TOTAL)[0]
    return MarkovChain(symbols=symbols, starts=starts, rows=rows, order=order)


def bigram_tasks(
    symbols: int, tasks: int, zipf: float, concentration: float, seed: int
) -> BigramTasks:
    """Bigram tables drawn from a symmetric Dirichlet distribution, task i with weight i**-zipf.

    Raises CorpusError for tables too large to hold.
    """
    _check_entries(tasks * symbols * (symbols + 1), f"{tasks} tasks of {symbols} symbols")
    tables = _random_rows(tasks * symbols, symbols, concentration, seed)
    tables = tables.reshape(tasks, symbols, symbols)
    first = whole_weights(steady_state(tables / ROW_TOTAL), ROW_TOTAL)
    rows = np.concatenate([first[:, None], tables], axis=1).reshape(-1, symbols)
    odds = np.arange(1, tasks + 1, dtype=np.float64) ** -zipf
    starts = whole_weights((odds / odds.sum())[None], _START_TOTAL)[0]
    return BigramTasks(symbols=symbols, starts=starts, rows=rows)


def _check_entries(entries: int, what: str) -> None:
    if entries > _MOST_ENTRIES:
        raise CorpusError(
            f"data: {what} need {entries:,} probabilities, more than {_MOST_ENTRIES:,}; "
            "take fewer symbols, a lower order, or fewer tasks"
        )


def _random_rows(rows: int, symbols: int, concentration: float, seed: int) -> np.ndarray:
    """(rows, symbols) Whole weights over 2**32; a hundredth of each row is uniform."""
    shares = np.random.default_rng(seed).gamma(concentration, size=(rows, symbols))
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    mixed = (1 - _UNIFORM_SHARE) * shares + _UNIFORM_SHARE / symbols
    return whole_weights(mixed / mixed.sum(axis=1, keepdims=True), ROW_TOTAL)


def whole_weights(probabilities: np.ndarray, total: int) -> np.ndarray:
    """Rows of probabilities as whole numbers of at least 1 that add up to `total` exactly."""
    weights = np.maximum(np.floor(probabilities * total).astype(np.int64), 1)
    largest = weights.argmax(axis=1)
    weights[np.arange(len(weights)), largest] += total - weights.sum(axis=1)
    return weights


def steady_state(tables: np.ndarray) -> np.ndarray:
    """(chains, states) The distribution that each chain keeps.

    tables: (chains, states, symbols), where a state is the last tokens and the oldest goes. The
    uniform share of each row makes the steps contract, so repeated steps find it.
    """
    chains, states, symbols = tables.shape
    steady = np.full((chains, states), 1 / states)
    while True:
        flow = steady[:, :, None] * tables
        after = flow.reshape(chains, symbols, -1).sum(axis=1)
        after /= after.sum(axis=1, keepdims=True)
        if np.abs(after - steady).sum(axis=1).max() < _TOLERANCE:
            return after
        steady = after


def entropy_of(probabilities: np.ndarray) -> np.ndarray:
    """Nats of the distributions along the last axis."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return -(probabilities * logs).sum(axis=-1)
