"""What models make of sources, greedily, and how like their targets that is: chrF."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from scaling.arrays import FloatArray
from sweeps.data.sources.pairs import PairCorpus
from sweeps.generation.decoding.greedy import Tokens, greedy_answers
from sweeps.models.stacked import StackModel

_LONGEST, _BETA = 6, 2.0  # characters of an n-gram; the weight of recall


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A score of texts, from 0 to 100, and its standard error over them."""

    score: float
    stderr: float


def translations(
    model: StackModel, corpus: PairCorpus, sources: Sequence[Tokens]
) -> list[tuple[int, ...]]:
    """What a stack of one finds likeliest as the target of each source, given without separator: to
    the end, which is then the last token, or to the last place of a target."""
    words, room = corpus.words, corpus.facts.pair_room
    assert room is not None, "pairs have room for a source"
    rows = torch.full((len(sources), room), words.separator)
    for row, source in zip(rows, sources, strict=True):
        row[: len(source)] = torch.tensor(source)
    lengths = torch.tensor([len(source) + 1 for source in sources])
    most = corpus.context + 1 - room
    return greedy_answers(model, rows, lengths, tokens=most, end=words.end)


def chrf(texts: Sequence[str], references: Sequence[str]) -> Likeness:
    """The character n-gram F-score of texts, one reference each.

    Popović 2015 (WMT15, pages 392-395): precision and recall of n-grams of 1 to 6 characters,
    white space left out, each averaged over the lengths, and their F-score, in which recall weighs
    beta = 2 times as much. As sacreBLEU 2 has it, n-grams of all texts are counted together, and a
    length that no text or no reference has is left out of the averages. The standard error is the
    jackknife's: of one text left out at a time.
    """
    counts = np.array([_counts(text, right) for text, right in zip(texts, references, strict=True)])
    total = counts.sum(axis=0)
    score = float(_scores(total[None])[0])
    without = _scores(total - counts)
    spread = (len(counts) - 1) / len(counts) * np.square(without - without.mean()).sum()
    return Likeness(score=score, stderr=float(np.sqrt(spread)))


def _counts(text: str, reference: str) -> list[tuple[int, int, int]]:
    """Of each length of n-grams: how many the text has (0 where the reference has none), how many
    the reference has, and how many of them are matched."""
    found = []
    said, right = "".join(text.split()), "".join(reference.split())
    for length in range(1, _LONGEST + 1):
        mine, theirs = _grams(said, length), _grams(right, length)
        matched = sum(min(count, theirs[gram]) for gram, count in mine.items())
        found.append((mine.total() if theirs else 0, theirs.total(), matched))
    return found


def _grams(text: str, length: int) -> Counter[str]:
    return Counter(text[first : first + length] for first in range(len(text) - length + 1))


def _scores(counts: np.ndarray) -> FloatArray:
    """(rows,) Scores of counts (rows, lengths, 3)."""
    said, right, matched = np.moveaxis(counts.astype(np.float64), -1, 0)
    used = (said > 0) & (right > 0)
    lengths = np.maximum(1, used.sum(axis=-1))
    precision = np.divide(matched, said, where=used, out=np.zeros_like(said)).sum(-1) / lengths
    recall = np.divide(matched, right, where=used, out=np.zeros_like(said)).sum(-1) / lengths
    below = _BETA**2 * precision + recall
    above = 100 * (1 + _BETA**2) * precision * recall
    return np.divide(above, below, where=below > 0, out=np.zeros_like(below))
