"""From the tokens of images back to pixels."""

from __future__ import annotations

import base64
import binascii
import functools

import numpy as np
import torch

from scaling.errors import ConfigError
from sweeps.data.documents.tensor_files import TensorFileError, tensors_from_bytes
from sweeps.data.images.autoencoder import Autoencoder, autoencoder_from
from sweeps.data.tokens.image_vocabulary import ImageVocabulary


def pixels_of(vocabulary: ImageVocabulary, tokens: np.ndarray) -> np.ndarray:
    """(images, height, width) uint8, 0 black and 255 white, of tokens (images, rows x columns).

    Raises ConfigError for a decoder that is none.
    """
    grids = tokens.reshape(-1, vocabulary.rows, vocabulary.columns)
    if vocabulary.decoder is None:
        shares = grids / (vocabulary.levels - 1)
    else:
        model = _decoder(vocabulary.decoder, vocabulary.height // vocabulary.rows)
        shares = model.decoded(torch.from_numpy(grids)).numpy()
    return shown(vocabulary, shares)


def levels_of(vocabulary: ImageVocabulary, tokens: np.ndarray) -> np.ndarray:
    """(images, height, width) The grey levels of tokens, as the images that are read have them."""
    pixels = pixels_of(vocabulary, tokens) / 255
    shares = pixels if vocabulary.is_dark_on_light else 1 - pixels
    return np.round(shares * (vocabulary.levels - 1)).astype(np.uint8)


def shown(vocabulary: ImageVocabulary, shares: np.ndarray) -> np.ndarray:
    """(images, height, width) uint8 as a person sees them, of shares of the highest level."""
    light = shares if vocabulary.is_dark_on_light else 1 - shares
    return np.round(light * 255).astype(np.uint8)


@functools.lru_cache(maxsize=4)
def _decoder(content: str, patch: int) -> Autoencoder:
    try:
        return autoencoder_from(tensors_from_bytes(base64.b64decode(content)), patch=patch)
    except (TensorFileError, ValueError, binascii.Error) as error:
        raise ConfigError(f"the decoder of the run's images is damaged ({error})") from error
