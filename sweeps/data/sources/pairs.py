"""Corpora of pairs: source, separator, target, end, and padding that counts nowhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import CorpusError
from scaling.words import counted
from sweeps.config.data import PairsData
from sweeps.data.batch import Batch
from sweeps.data.documents.pairs import TextPair, read_pairs
from sweeps.data.documents.summary import PairsSummary
from sweeps.data.sources.base import BlockCorpus, CorpusFacts, WindowOrder, hash_of
from sweeps.data.sources.number_words import LANGUAGES, longest_words
from sweeps.data.sources.window_order import LongOrder
from sweeps.data.tokens.bpe import LOGITS_MULTIPLE
from sweeps.data.tokens.tokenizer import find_tokenizer
from sweeps.data.tokens.vocabulary import (
    CharacterVocabulary,
    PairVocabulary,
    vocabulary_of,
)

if TYPE_CHECKING:
    import torch

Tokens = Sequence[int]


@dataclass(frozen=True, kw_only=True)
class PairCorpus(BlockCorpus):
    """A pair a sequence. Of the targets, those of its target and end have weight 1, others 0."""

    words: PairVocabulary

    @property
    def own_tokens(self) -> float:
        """See Corpus; of those that are measured."""
        counts = self.pair_summary
        assert counts is not None, "pairs are counted"
        return counts.mean_source_tokens + counts.mean_target_tokens

    def held_pairs(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The tokens of each validation pair: source and target, without separator and end."""
        found = []
        for row in self.held_back.tolist():
            middle = row.index(self.words.separator)
            found.append((tuple(row[:middle]), tuple(row[middle + 1 : row.index(self.words.end)])))
        return found

    def weights(self, windows: Batch) -> torch.Tensor:
        """See BlockCorpus."""
        is_behind = (windows.inputs == self.words.separator).cumsum(dim=-1) > 0
        return is_behind & (windows.targets != self.words.padding)


@dataclass(frozen=True, kw_only=True)
class FilePairs(PairCorpus):
    """Pairs of files, one after the other in memory."""

    train: np.ndarray
    """(tokens,) Sources, separators, targets and ends of the training pairs."""
    starts: np.ndarray
    """(pairs + 1,) Where each begins, and where the last ends."""

    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """See BlockCorpus; each epoch is a permutation."""
        chosen = WindowOrder(len(self.starts) - 1, seed).positions(first, last)
        places = self.starts[chosen, None] + np.arange(self.context + 1)
        within = places < self.starts[chosen + 1, None]
        tokens = self.train[np.where(within, places, 0)].astype(np.int64)
        return np.where(within, tokens, self.words.padding)


@dataclass(frozen=True, kw_only=True)
class NumberPairs(PairCorpus):
    """Every number in words, in two languages; which are held back is a permutation's beginning."""

    config: PairsData

    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """See BlockCorpus; each epoch is a permutation."""
        held = self.config.validation_windows
        order = LongOrder(self.config.largest + 1 - held, seed)
        places = held + order.positions(first, last)
        return _number_rows(self.config, places, self.words, self.context)


def load_pairs(config: PairsData, context: int) -> PairCorpus:
    """The pairs that the config names, of files or numbers in words.

    Raises CorpusError for files that hold no pairs, pairs of which none fits into the context or
    too few for two sides, and numbers of which the longest does not fit.
    """
    return _file_pairs(config, context) if config.files else _number_pairs(config, context)


def _file_pairs(config: PairsData, context: int) -> FilePairs:
    where = ", ".join(config.files)
    texts = read_pairs(config.files, config.target_files)
    reading = _reading(config, texts)
    encode = reading.words.words.encode
    pairs = [(encode(text.source.encode()), encode(text.target.encode())) for text in texts]
    sizes = np.array([(len(source) + 1, len(target) + 1) for source, target in pairs])
    room = config.source_tokens or roomiest(sizes, context)
    if room >= context:
        raise CorpusError(
            f"data.source_tokens is {room}, and a block has model.context {context} and one token "
            "more; give fewer, so that a target and its end are left"
        )
    fits = (sizes[:, 0] <= room) & (sizes[:, 1] <= context + 1 - room)
    if not fits.any():
        raise CorpusError(
            f"{where}: no pair fits into model.context {context}, of whose block {room} tokens are "
            f"for a source and its separator; the shortest has {sizes.sum(axis=1).min()} with its "
            "end; give a longer context"
        )
    kept, left_out = np.flatnonzero(fits), np.flatnonzero(~fits)
    held = held_back([texts[place].source for place in kept], config.validation_share)
    training, validation = kept[~held], kept[held]
    if not len(training) or not len(validation):
        raise CorpusError(
            f"{where}: {counted(len(kept), 'pair')} make no two sides by data.validation_share "
            f"{config.validation_share:g}; give more, of other sources"
        )
    count = min(config.validation_windows, len(validation))
    validation = validation[np.arange(count) * len(validation) // count]
    rows = _rows([pairs[place] for place in validation], reading.words, context)
    train = [_joined(pairs[place], reading.words) for place in training]
    tokens = np.concatenate([np.array(one, dtype=np.int32) for one in train])
    starts = np.cumsum([0, *map(len, train)])
    first = ""
    if len(left_out):
        source, target = sizes[left_out[0]]
        first = f"{texts[left_out[0]].place}, {source} and {target} tokens"
    summary = _summary(rows, reading.words, room, len(training), len(left_out), first)
    facts = _facts(summary, reading, rows, hash_of(tokens, starts, rows))
    return FilePairs(
        facts=facts,
        context=context,
        vocabulary=reading.words,
        words=reading.words,
        pair_summary=summary,
        held_back=rows,
        train=tokens,
        starts=starts,
    )


def _number_pairs(config: PairsData, context: int) -> NumberPairs:
    held, numbers = config.validation_windows, config.largest + 1
    if held >= numbers:
        raise CorpusError(
            f"data.largest {config.largest} makes {counted(numbers, 'number')}, and "
            f"data.validation_windows {held} hold back all of them; give a larger or a smaller one"
        )
    longest = [longest_words(language, config.largest) for language in config.languages]
    room, rest = (len(text) + 1 for text in longest)
    if room + rest > context + 1:
        raise CorpusError(
            f"model.context {context}: the longest source of data.largest {config.largest} and its "
            f"separator have {room} tokens, the longest target and its end {rest}; give "
            f"model.context {room + rest - 1}, or a smaller data.largest"
        )
    few = (*range(1000), 1000, 10**6, 2 * 10**6, 10**9)
    reading = _of_characters(LANGUAGES[name](one) for name in config.languages for one in few)
    rows = _number_rows(config, np.arange(held), reading.words, context)
    summary = _summary(rows, reading.words, room, numbers - held, 0, "")
    stated = repr((config.languages, config.largest, config.seed, held, context))
    data_hash = hashlib.sha256(stated.encode()).hexdigest()[:16]
    return NumberPairs(
        facts=_facts(summary, reading, rows, data_hash),
        context=context,
        vocabulary=reading.words,
        words=reading.words,
        pair_summary=summary,
        held_back=rows,
        config=config,
    )


def roomiest(sizes: np.ndarray, context: int) -> int:
    """The places for a source, of a block of context + 1, with which most pairs fit; of several
    such numbers the smallest. sizes: (pairs, 2) of sources and of targets."""
    # A pair fits where its source's tokens <= room <= context + 1 - its target's.
    least, most = sizes[:, 0], context + 1 - sizes[:, 1]
    fits = least <= most
    change = np.zeros(context + 2, dtype=np.int64)
    np.add.at(change, least[fits], 1)
    np.add.at(change, most[fits] + 1, -1)
    return max(2, int(change.cumsum().argmax()))


def held_back(sources: Sequence[str], share: float) -> np.ndarray:
    """(pairs,) Which pairs are held back: those whose source has the lowest hash, until they are
    that share. Pairs of one source are on one side."""
    digests = {source: hashlib.sha256(source.encode()).digest() for source in sources}
    times = Counter(sources)
    chosen: set[str] = set()
    count = 0
    for source in sorted(digests, key=digests.__getitem__):
        if count >= share * len(sources):
            break
        chosen.add(source)
        count += times[source]
    return np.array([source in chosen for source in sources])


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How text becomes tokens."""

    words: PairVocabulary
    tokenizer: str
    tokenizer_hash: str
    logits: int


def _reading(config: PairsData, texts: Sequence[TextPair]) -> _Reading:
    if config.tokenizer == "characters":
        return _of_characters(side for text in texts for side in (text.source, text.target))
    found = find_tokenizer(config.tokenizer)
    words = PairVocabulary(vocabulary_of(found), found.vocab_size)
    used = words.padding + 1
    is_padded = found.logits != found.vocab_size
    return _Reading(
        words=words,
        tokenizer=found.name,
        tokenizer_hash=found.hash,
        logits=-(-used // LOGITS_MULTIPLE) * LOGITS_MULTIPLE if is_padded else used,
    )


def _of_characters(texts: Iterable[str]) -> _Reading:
    found = CharacterVocabulary.of(texts)
    words = PairVocabulary(found, len(found.characters))
    return _Reading(
        words=words,
        tokenizer=f"characters-{words.size}",
        tokenizer_hash=hashlib.sha256(found.characters.encode()).hexdigest()[:16],
        logits=words.padding + 1,
    )


def _number_rows(
    config: PairsData, places: np.ndarray, words: PairVocabulary, context: int
) -> np.ndarray:
    """The blocks of the numbers at these places of the permutation that parts the two sides."""
    numbers = LongOrder(config.largest + 1, config.seed).at(places).tolist()
    source, target = (LANGUAGES[language] for language in config.languages)
    encode = words.words.encode
    pairs = [(encode(source(one).encode()), encode(target(one).encode())) for one in numbers]
    return _rows(pairs, words, context)


def _joined(pair: tuple[Tokens, Tokens], words: PairVocabulary) -> list[int]:
    source, target = pair
    return [*source, words.separator, *target, words.end]


def _rows(
    pairs: Sequence[tuple[Tokens, Tokens]], words: PairVocabulary, context: int
) -> np.ndarray:
    rows = np.full((len(pairs), context + 1), words.padding, dtype=np.int64)
    for row, pair in zip(rows, pairs, strict=True):
        tokens = _joined(pair, words)
        row[: len(tokens)] = tokens
    return rows


def _summary(
    rows: np.ndarray, words: PairVocabulary, room: int, training: int, left_out: int, first: str
) -> PairsSummary:
    sources = (rows == words.separator).argmax(axis=1) + 1
    return PairsSummary(
        training=training,
        validation=len(rows),
        left_out=left_out,
        first_left_out=first,
        source_tokens=room,
        target_tokens=rows.shape[1] - room,
        mean_source_tokens=float(sources.mean()),
        mean_target_tokens=float(((rows != words.padding).sum(axis=1) - sources).mean()),
    )


def _facts(
    summary: PairsSummary, reading: _Reading, rows: np.ndarray, data_hash: str
) -> CorpusFacts:
    used = reading.words.padding + 1
    return CorpusFacts(
        data_hash=data_hash,
        eval_hash=hash_of(rows),
        tokenizer=reading.tokenizer,
        tokenizer_hash=reading.tokenizer_hash,
        vocab_size=reading.logits,
        used_vocab_size=used if used != reading.logits else None,
        train_tokens=summary.training * (rows.shape[1] - 1),
        validation_sequences=len(rows),
        bytes_per_token=None,
        sequence_targets=summary.mean_target_tokens,
        pair_room=summary.source_tokens,
    )
