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
from sweeps.data.sources.philox import philox, seed_key

if TYPE_CHECKING:
    import torch

_ROW_TOTAL = 1 << 32
_START_TOTAL = 1 << 62
#: Share of every row that is uniform: it makes each token possible after each, so the chain mixes.
_UNIFORM_SHARE = 0.01
#: Entries of a table, as 64-bit running sums: 128 MiB.
_MOST_ENTRIES = 1 << 24
_TOLERANCE = 1e-14


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
        return entropy_of(self.rows / _ROW_TOTAL)

    @functools.cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Running sums of the starts, and of all rows in one ascending array.

        Row s is raised by s * 2**32, so that one binary search finds a token in its own row.
        """
        offsets = np.arange(len(self.rows), dtype=np.int64)[:, None] * _ROW_TOTAL
        return np.cumsum(self.starts), (np.cumsum(self.rows, axis=1) + offsets).ravel()

    def sequences(self, numbers: np.ndarray, length: int, seed: int, domain: int) -> np.ndarray:
        """(sequences, length) int64: the seed's sequences of those numbers, computed by numpy."""
        blocks = np.arange(1 + -(-length // 4), dtype=np.int64)
        words = _words(numbers.astype(np.int64), blocks, seed_key(seed), domain)
        search = functools.partial(np.searchsorted, side="right")
        return np.stack(self._walk(words, length, self.sums, search), axis=1)

    def sequences_on(
        self,
        numbers: torch.Tensor,
        length: int,
        seeds: Sequence[int],
        domain: int,
        sums: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(seeds, sequences, length) The same by torch, on the device of `numbers` and `sums`, of
        several seeds in one walk: each sequence has the key of its seed."""
        import torch

        blocks = torch.arange(1 + -(-length // 4), device=numbers.device)
        keys = torch.tensor([seed_key(seed) for seed in seeds], device=numbers.device)
        low, high = keys.repeat_interleave(len(numbers), dim=0).unbind(dim=1)
        words = _words(numbers.repeat(len(seeds)), blocks, (low, high), domain)
        search = functools.partial(torch.searchsorted, right=True)
        tokens = torch.stack(self._walk(words, length, sums, search), dim=1)
        return tokens.view(len(seeds), len(numbers), length)

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
            known[:, place, : self.symbols] = self.rows[state] / _ROW_TOTAL
        return known

    def _walk(
        self, words: tuple[Any, Any, Any, Any], length: int, sums: tuple[Any, Any], search: Any
    ) -> list[Any]:
        """The tokens, place after place. The first block of words picks the start."""
        start_sums, row_sums = sums
        start = search(start_sums, (words[0][0] << 30) + (words[1][0] >> 2))
        tokens = [self.prefix_token(start, place) for place in range(self.prefix_length)]
        state = self.first_state(start)
        for place in range(length - self.prefix_length):
            uniform = words[place % 4][1 + place // 4]
            token = search(row_sums, state * _ROW_TOTAL + uniform) - state * self.symbols
            tokens.append(token)
            state = self.next_state(state, token)
        return tokens[:length]


def _words(
    numbers: Any, blocks: Any, key: tuple[Any, Any], domain: int
) -> tuple[Any, Any, Any, Any]:
    """Four arrays (blocks, sequences) of 32-bit words, from the sequences' numbers and the key
    alone, which may be one of each sequence."""
    mask = _ROW_TOTAL - 1
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

    def entropy(self, context: int) -> float:
        """Nats per target: sum over tasks of p_i (H(first symbol) + (T - 1) h_i) / T."""
        entropies = self.row_entropies.reshape(len(self.starts), -1)
        steady = self.rows.reshape(len(self.starts), self.symbols + 1, -1)[:, 0] / _ROW_TOTAL
        rates = (steady * entropies[:, 1:]).sum(axis=1)
        totals = entropies[:, 0] + (context - 1) * rates
        return float(self.starts / _START_TOTAL @ totals) / context


def markov_chain(symbols: int, order: int, concentration: float, seed: int) -> MarkovChain:
    """An order-k chain with rows drawn from a symmetric Dirichlet distribution.

    Raises CorpusError for a table too large to hold.
    """
    _check_entries(symbols ** (order + 1), f"{symbols} symbols at order {order}")
    rows = _random_rows(symbols**order, symbols, concentration, seed)
    steady = steady_state((rows / _ROW_TOTAL)[None])[0]
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
    first = whole_weights(steady_state(tables / _ROW_TOTAL), _ROW_TOTAL)
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
    return whole_weights(mixed / mixed.sum(axis=1, keepdims=True), _ROW_TOTAL)


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
