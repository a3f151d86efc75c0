"""Images that a model draws of labels, and how often a classifier reads the label from them."""

from collections.abc import Sequence

import numpy as np
import torch

from sweeps.data.images.decoding import levels_of, pixels_of
from sweeps.data.images.pictures import png_of
from sweeps.data.images.scikit import labels_read
from sweeps.data.images.source import ImageCorpus
from sweeps.data.tokens.image_vocabulary import ImageVocabulary
from sweeps.generation.decoding.sampling import SamplingRule, generate
from sweeps.models.stacked import StackModel

_TOGETHER = 256  # images that are drawn at once
#: Images that the classifier learns from, at most: its time grows with their square.
MOST_LEARNED_FROM = 5000


def drawn_tokens(
    model: StackModel,
    vocabulary: ImageVocabulary,
    labels: Sequence[Sequence[int]],
    *,
    rule: SamplingRule,
    seed: int,
) -> np.ndarray:
    """(images, rows x columns) The tokens of an image for each label, as tokens, by a stack of
    one."""
    size = vocabulary.rows * vocabulary.columns
    parts = []
    for first in range(0, len(labels), _TOGETHER):
        prompts = torch.tensor(list(labels[first : first + _TOGETHER]), dtype=torch.long)
        found = generate(
            model,
            prompts,
            tokens=size,
            rule=rule,
            seed=seed + first,
            below=vocabulary.image_tokens,
        )
        parts.append(found[0].cpu().numpy())
    return np.concatenate(parts)


def png_of_tokens(vocabulary: ImageVocabulary, tokens: Sequence[int]) -> bytes:
    """A PNG file of one image, of its (rows x columns,) tokens."""
    return png_of(pixels_of(vocabulary, np.array([tokens]))[0])


def label_accuracy(
    model: StackModel, corpus: ImageCorpus, each: int, rule: SamplingRule
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a classifier reads the right label: (labels x each,) from images that the model draws
    by a rule of every label, and (images,) from those that are held back, for reference.

    It is a support-vector machine (`sweeps.data.images.scikit`) on grey levels, as tokens give
    them, of the images that the model has learned from.
    """
    words, size = corpus.vocabulary, corpus.vocabulary.label_tokens
    labels, kinds = np.unique(corpus.train[:, :size], axis=0, return_inverse=True)
    wanted = np.repeat(np.arange(len(labels)), each)
    drawn = drawn_tokens(model, words, labels[wanted].tolist(), rule=rule, seed=0)
    stride = -(-len(corpus.train) // MOST_LEARNED_FROM)
    places = {tuple(label): place for place, label in enumerate(labels.tolist())}
    held = np.array([places.get(tuple(row), -1) for row in corpus.held_back[:, :size].tolist()])
    asked = [drawn, corpus.held_back[held >= 0, size:]]
    read = labels_read(
        levels_of(words, corpus.train[::stride, size:]),
        kinds.ravel()[::stride],
        [levels_of(words, tokens) for tokens in asked],
    )
    return read[0] == wanted, read[1] == held[held >= 0]
