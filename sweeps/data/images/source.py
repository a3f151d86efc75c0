"""A corpus of images: of each its label, which is given, and its tokens, which are asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import CorpusError
from sweeps.config.images import CODES, WORDS, ImagesData
from sweeps.data.batch import Batch
from sweeps.data.images.reading import ImageSet, read_images
from sweeps.data.sources.base import BlockCorpus, CorpusFacts, WindowOrder, hash_of
from sweeps.data.tokens.image_vocabulary import ImageVocabulary, label_names

if TYPE_CHECKING:
    import torch

DIMENSION, CODE = "dimension", "code"


@dataclass(frozen=True, kw_only=True)
class ImageCorpus(BlockCorpus):
    """An image a sequence. The next token counts where it is the image's."""

    train: np.ndarray
    """(images, context + 1) Label and image of those to train on."""
    vocabulary: ImageVocabulary

    def rows_read(self, seed: int, first: int, last: int) -> np.ndarray:
        """See BlockCorpus; each epoch is a permutation of the images."""
        rows: np.ndarray = self.train[WindowOrder(len(self.train), seed).positions(first, last)]
        return rows

    def weights(self, windows: Batch) -> torch.Tensor:
        """See BlockCorpus."""
        import torch

        weights = torch.zeros_like(windows.targets)
        weights[..., self.vocabulary.label_tokens - 1 :] = 1
        return weights


def load_images(config: ImagesData, context: int) -> ImageCorpus:
    """Read, split, label and hash the images that a config names.

    Raises CorpusError for images that cannot be read, as `read_images` does, for too few of them,
    and for a context that is not the length of label and image.
    """
    images = read_images(config)
    vocabulary = _vocabulary(images, config)
    _check_context(vocabulary, context)
    train, held_back = split_images(images.pixels, config.validation_share)
    held_back = held_back[: config.validation_windows]
    grids, coded = images.pixels.astype(np.int64), None
    if config.tokens == CODES:
        from sweeps.data.images.codes import coded_images  # a plan of grey levels needs no torch

        coded = coded_images(images, train, held_back, config)
        vocabulary = dataclasses.replace(vocabulary, decoder=coded.decoder)
        grids = coded.codes
    tokens = grids.reshape(len(grids), -1)
    rows = np.concatenate([_labels(images, vocabulary), tokens], axis=1)
    stated = json.dumps(vocabulary.to_document(), sort_keys=True)
    names, count = vocabulary.label_names, vocabulary.label_tokens
    facts = CorpusFacts(
        data_hash=hash_of(rows[train], rows[held_back]),
        eval_hash=hash_of(rows[held_back]),
        tokenizer=f"{config.tokens}-{vocabulary.image_tokens}",
        tokenizer_hash=hashlib.sha256(stated.encode()).hexdigest()[:16],
        vocab_size=vocabulary.image_tokens + len(names),
        train_tokens=len(train) * context,
        validation_sequences=len(held_back),
        bytes_per_token=None,
        source_tokens=count,
        token_unit=DIMENSION if coded is None else CODE,
        **({} if coded is None else asdict(coded.health)),
    )
    return ImageCorpus(
        facts=facts,
        context=context,
        left_out=images.left_out,
        left_out_since="unreadable",
        notes=(
            *_notes(images, len(train), len(held_back)),
            *(() if coded is None else coded.notes),
        ),
        vocabulary=vocabulary,
        train=rows[train],
        held_back=rows[held_back],
    )


def _vocabulary(images: ImageSet, config: ImagesData) -> ImageVocabulary:
    """What tokens stand for, but for the decoder of codes."""
    is_words = config.labels == WORDS
    names, count = label_names(images.labels, is_words=is_words)
    height, width = images.pixels.shape[1:]
    patch = config.patch if config.tokens == CODES else 1
    return ImageVocabulary(
        height=height,
        width=width,
        levels=images.levels,
        rows=height // patch,
        columns=width // patch,
        image_tokens=config.codebook if config.tokens == CODES else images.levels,
        label_names=names,
        label_tokens=count,
        is_words=is_words,
        is_dark_on_light=images.is_dark_on_light,
    )


def split_images(pixels: np.ndarray, validation_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Places of the images to train on, in their order, and of those of lowest content hash, which
    are held back. Content alone decides, and copies of one image lie on one side.

    Raises CorpusError where a side has none.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in pixels]
    order = sorted(range(len(pixels)), key=lambda place: (digests[place], place))
    count = max(1, round(validation_share * len(pixels)))
    while count < len(order) and digests[order[count]] == digests[order[count - 1]]:
        count += 1
    if count >= len(order):
        raise CorpusError(
            f"{len(pixels)} images, copies among them, are too few to hold back some of them; give "
            "more images in data.folder"
        )
    return np.sort(order[count:]), np.array(order[:count])


def _labels(images: ImageSet, vocabulary: ImageVocabulary) -> np.ndarray:
    """(images, label tokens)"""
    known = {label: vocabulary.label(label) for label in set(images.labels)}
    labels = images.labels or ("",) * len(images.pixels)
    return np.array([known[label] if known else vocabulary.label("") for label in labels])


def _check_context(vocabulary: ImageVocabulary, context: int) -> None:
    size, label = vocabulary.rows * vocabulary.columns, vocabulary.label_tokens
    if context != size + label - 1:
        raise CorpusError(
            f"model.context is {context}; an image of {vocabulary.rows} x {vocabulary.columns} "
            f"tokens behind {label} of its label has {size + label - 1} next ones: set "
            f"model.context: {size + label - 1}"
        )


def _notes(images: ImageSet, train: int, held_back: int) -> tuple[str, ...]:
    """What a person should know of the images."""
    height, width = images.pixels.shape[1:]
    kinds = len(set(images.labels))
    labels = f"{kinds} labels" if kinds else "no labels"
    first = (
        f"images: {len(images.pixels):,} of {height} x {width} pixels and {images.levels} grey "
        f"levels, {labels}; {train:,} to train on, {held_back:,} to measure on"
    )
    return (first, *images.notes)
