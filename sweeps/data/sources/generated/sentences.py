"""Corpora of whole sentences: start, the sentence, its end, and padding that counts nowhere."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.data import AnbnData, GrammarData
from sweeps.config.rules.grammar import Rule, Rules, parsed_rules
from sweeps.data.batch import Batch
from sweeps.data.sources.base import (
    UNLIMITED_TOKENS,
    BlockCorpus,
    CorpusFacts,
    WindowOrder,
    hash_of,
)
from sweeps.data.sources.generated.grammars import END, PADDING, START, Language
from sweeps.data.sources.generated.markov_chains import whole_weights
from sweeps.data.sources.philox import philox, seed_key
from sweeps.data.tokens.vocabulary import SymbolVocabulary

if TYPE_CHECKING:
    import torch

_TRAINING, _VALIDATION = 0, 1
_TOTAL = 1 << 32
#: A longer derivation is a fault of the rules, not of luck.
_MOST_STEPS = 1 << 20
#: Sentences that do not fit are drawn again: of fewer that fit, too much is thrown away.
_FEWEST_FIT = 0.01


@dataclass(frozen=True, kw_only=True)
class SentenceCorpus(BlockCorpus):
    """A sentence a sequence. Targets behind its end have weight 0."""

    language: Language

    @property
    def own_tokens(self) -> float:
        """See Corpus: the start, and what follows it."""
        return 1 + (self.facts.sequence_targets or 0)

    @property
    def knows_truth(self) -> bool:
        """See Corpus; not of rules with left recursion."""
        return not self.language.is_left_recursive

    def truth(self, inputs: np.ndarray) -> np.ndarray:
        """See Corpus; nothing counts from a sentence's end on."""
        known = np.full((*inputs.shape, len(self.language.symbols)), np.nan)
        for row, found in zip(inputs.tolist(), known, strict=True):
            sentence = row[1 : row.index(END)] if END in row else row[1:]
            for place, ahead in enumerate(self.language.next_tokens(sentence)):
                if ahead is not None and place < len(found):
                    found[place] = ahead
        return known

    def weights(self, windows: Batch) -> torch.Tensor:
        """See BlockCorpus."""
        return windows.targets != PADDING


@dataclass(frozen=True, kw_only=True)
class DrawnSentences(SentenceCorpus):
    """Sentences without end, each computed from its number and the run's seed."""

    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """See BlockCorpus."""
        numbers = np.arange(first, last)
        return Sampler(self.language).rows(numbers, self.context, seed, _TRAINING)


@dataclass(frozen=True, kw_only=True)
class ListedSentences(SentenceCorpus):
    """Every sentence of a finite list once an epoch; they are the validation set, too."""

    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """See BlockCorpus; each epoch is a permutation."""
        order = WindowOrder(len(self.held_back), seed)
        rows: np.ndarray = self.held_back[order.positions(first, last)]
        return rows


@dataclass(frozen=True)
class Sampler:
    """Draws sentences by leftmost derivation, many at once; probabilities are whole numbers over
    2**32. A sentence that is too long is drawn again from further random words."""

    language: Language

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Running sums of all rules, their right sides from the last symbol to the first, and how
        many symbols those hold."""
        groups = self.language.by_nonterminal
        rights = [right for group in groups for right, _ in group]
        sizes = np.array([len(right) for right in rights])
        reversed_ = np.zeros((len(rights), max(1, sizes.max())), dtype=np.int64)
        for row, right in enumerate(rights):
            reversed_[row, : len(right)] = right[::-1]
        sums = [
            np.cumsum(whole_weights(np.array([[share for _, share in group]]), _TOTAL)[0])
            + place * _TOTAL
            for place, group in enumerate(groups)
        ]
        return np.concatenate(sums), reversed_, sizes

    def rows(self, numbers: np.ndarray, context: int, seed: int, domain: int) -> np.ndarray:
        """(sentences, context + 1) The seed's sentences of those numbers, start, end and padding
        with them."""
        rows = np.full((len(numbers), context + 1), PADDING, dtype=np.int64)
        waiting, attempt = np.arange(len(numbers)), 0
        while len(waiting):
            found, fits = self._derived(numbers[waiting], seed, domain + 2 * attempt)
            rows[waiting[fits], 1 : self.language.longest + 2] = found[fits]
            waiting, attempt = waiting[~fits], attempt + 1
        rows[:, 0] = START
        return rows

    def _derived(
        self, numbers: np.ndarray, seed: int, stream: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(sentences, longest + 1) Sentences and their ends, and which of them are not too long."""
        sums, rights, sizes = self._tables
        longest = self.language.longest
        found = np.full((len(numbers), longest + 1), PADDING, dtype=np.int64)
        stack = np.full((len(numbers), 16 + rights.shape[1]), ~0, dtype=np.int64)
        height, length = np.ones(len(numbers), dtype=np.int64), np.zeros(len(numbers), dtype=int)
        words: tuple[np.ndarray, ...] = ()
        for step in range(_MOST_STEPS):
            rows = np.flatnonzero((height > 0) & (length <= longest))
            if not len(rows):
                fits = length <= longest
                found[np.flatnonzero(fits), length[fits]] = END
                return found, fits
            if step % 4 == 0:
                block = np.full_like(numbers, step // 4)
                counter = (numbers & (_TOTAL - 1), numbers >> 32, block, 0 * block + stream)
                words = philox(counter, seed_key(seed))
            height[rows] -= 1
            symbol = stack[rows, height[rows]]
            token = symbol >= 0
            ends = rows[token]
            found[ends, length[ends]] = symbol[token]
            length[ends] += 1
            open_ = rows[~token]
            uniform = words[step % 4][open_]
            rule = np.searchsorted(sums, ~symbol[~token] * _TOTAL + uniform, side="right")
            while len(open_) and height[open_].max() + rights.shape[1] > stack.shape[1]:
                stack = np.concatenate([stack, np.zeros_like(stack)], axis=1)
            for place in range(rights.shape[1]):
                stack[open_, height[open_] + place] = rights[rule, place]
            height[open_] += sizes[rule]
        raise CorpusError(f"data.rules: a sentence has not ended after {_MOST_STEPS:,} steps")


def load_grammar(config: GrammarData, context: int) -> DrawnSentences:
    """Sentences of the config's rules that fit into the context with their end.

    Raises CorpusError where fewer than a hundredth of them do.
    """
    language = Language(parsed_rules(config.rules, "data.rules"), context - 1)
    return _drawn(language, config.validation_windows, config.seed, context)


def load_anbn(config: AnbnData, context: int) -> SentenceCorpus:
    """a^n b^n with geometric or uniform n. Raises CorpusError where too little fits."""
    if config.lengths == "geometric":
        language = Language(geometric_anbn(0.5 if config.q is None else config.q), context - 1)
        return _drawn(language, config.validation_windows, config.seed, context)
    longest = 32 if config.longest is None else config.longest
    if 2 * longest + 1 > context:
        raise CorpusError(
            f"data.longest {longest} makes {2 * longest + 1} targets with the end, and "
            f"model.context is {context}; give a longer context or a smaller data.longest"
        )
    language = Language(uniform_anbn(longest), 2 * longest)
    a, b = (language.symbols.index(name) for name in "ab")
    rows = np.full((longest, context + 1), PADDING, dtype=np.int64)
    for n in range(1, longest + 1):
        rows[n - 1, : 2 * n + 2] = [START, *[a] * n, *[b] * n, END]
    targets = float((rows[:, 1:] != PADDING).sum() / longest)
    facts = _facts(language, rows, math.log(longest), targets, longest * context)
    return ListedSentences(
        facts=facts,
        held_back=rows,
        context=context,
        language=language,
        vocabulary=_vocabulary(language),
    )


def geometric_anbn(q: float) -> Rules:
    """n from 0 on with probability (1 - q) q^n: -ln(1 - q) - q ln q / (1 - q) nats a sentence."""
    return Rules((Rule("S", ("a", "S", "b"), q), Rule("S", (), 1 - q)))


def uniform_anbn(longest: int) -> Rules:
    """n from 1 to `longest`, each as likely: ln `longest` nats a sentence."""
    rules = []
    for n in range(longest):
        more = (f"S{n + 1}",) if n + 1 < longest else ()
        left = longest - n
        if n == 0 or left == 1:
            rules.append(Rule(f"S{n}", ("a", *more, "b"), 1.0 if n == 0 else 1 / (left + 1)))
        else:
            rules.append(Rule(f"S{n}", ("a", *more, "b"), left / (left + 1)))
        if n > 0:
            rules.append(Rule(f"S{n}", (), 1 / (left + 1)))
    return Rules(tuple(rules))


def _drawn(language: Language, count: int, seed: int, context: int) -> DrawnSentences:
    if language.fits < _FEWEST_FIT:
        raise CorpusError(
            f"data.rules: {language.fits:.2g} of the sentences fit into model.context {context} "
            f"with their end, fewer than {_FEWEST_FIT:g}; give a longer context, or rules that end "
            "sooner"
        )
    rows = Sampler(language).rows(np.arange(count), context, seed, _VALIDATION)
    facts = _facts(language, rows, language.entropy, language.mean_targets, UNLIMITED_TOKENS)
    return DrawnSentences(
        facts=facts,
        held_back=rows,
        context=context,
        language=language,
        vocabulary=_vocabulary(language),
    )


def _vocabulary(language: Language) -> SymbolVocabulary:
    return SymbolVocabulary(language.symbols, start=START, end=END)


def _facts(
    language: Language, rows: np.ndarray, entropy: float | None, targets: float, tokens: int
) -> CorpusFacts:
    """`entropy`: nats a sentence; `targets`: of a sentence, padding not among them."""
    symbols = language.symbols
    stated = repr((symbols, language.coded, language.longest, tokens))
    return CorpusFacts(
        data_hash=hashlib.sha256(stated.encode()).hexdigest()[:16],
        eval_hash=hash_of(rows),
        tokenizer="symbols",
        tokenizer_hash=hashlib.sha256(repr(symbols).encode()).hexdigest()[:16],
        vocab_size=len(symbols),
        train_tokens=tokens,
        validation_sequences=len(rows),
        bytes_per_token=None,
        entropy=None if entropy is None else entropy / targets,
        sequence_entropy=entropy,
        sequence_targets=targets,
    )
