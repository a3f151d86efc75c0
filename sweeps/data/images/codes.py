"""The codes of images: an autoencoder that is trained once, and kept with what it made of them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from scaling.errors import CorpusError
from scaling.store.connection.state_folder import state_folder
from sweeps.config.images import ImagesData
from sweeps.data.documents.atomic import write_atomically
from sweeps.data.documents.tensor_files import (
    SUFFIX,
    TensorFileError,
    tensors_in_bytes,
    tensors_of_file,
)
from sweeps.data.images.autoencoder import Autoencoder, autoencoder_from, train_autoencoder
from sweeps.data.images.reading import ImageSet

_VERSION = 1  # of what training does: another one trains anew
_HEADER, _DIGEST = "scaling", "sha256"


@dataclass(frozen=True, kw_only=True)
class CodebookHealth:
    """How good a codebook is, by images that it was not trained on."""

    reconstruction_error: float
    """Share of the variance of their pixels that codes lose."""
    codebook_use: float
    """Share of its entries that occur among their codes."""
    codebook_perplexity: float
    """exp of the entropy of their codes: as many entries, used evenly, would have the same."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedImages:
    """Images as codes."""

    codes: np.ndarray
    """(images, rows, columns)"""
    health: CodebookHealth
    decoder: str
    """Codebook and decoder as a safetensors file in base64."""
    identity: str
    """Of the autoencoder and all that it made."""
    params: int
    flops: int
    seconds: float
    """Of its training, when it was trained."""
    was_there: bool
    """Whether it had been trained before."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it."""
        rows, columns = self.codes.shape[1:]
        when = "was trained before" if self.was_there else "has been trained now"
        size = base64.b64decode(self.decoder)
        health = self.health
        return (
            f"autoencoder {self.identity}: {self.params:,} parameters, {self.flops:.2g} FLOP and "
            f"{self.seconds:.0f} s once for all runs, no part of theirs; it {when}; codebook and "
            f"decoder ({len(size):,} bytes) are kept with every model",
            f"codes: {rows} x {columns} an image; on the images held back they lose "
            f"{health.reconstruction_error:.1%} of the variance of the pixels, "
            f"{health.codebook_use:.0%} of the codebook is used, perplexity "
            f"{health.codebook_perplexity:.1f}",
        )


def coded_images(
    images: ImageSet, train: np.ndarray, held_back: np.ndarray, config: ImagesData
) -> CodedImages:
    """The codes of all images, by an autoencoder of those to train on: the one that is kept for
    just these images and settings on this machine, or else one that is trained now.

    Raises CorpusError for a size that codes do not divide.
    """
    height, width = images.pixels.shape[1:]
    if height % config.patch or width % config.patch:
        raise CorpusError(
            f"data.patch is {config.patch}, which does not divide {height} x {width} pixels; set "
            "another, or data.side"
        )
    stated = {
        "version": _VERSION,
        "levels": images.levels,
        **{name: getattr(config, name) for name in _SETTINGS},
        "images": _digest(images.pixels, train, held_back),
    }
    said = json.dumps(stated, sort_keys=True)
    key = hashlib.sha256(said.encode()).hexdigest()[:16]
    path = state_folder("autoencoders") / f"{key}{SUFFIX}"
    found = _kept(path, said, config)
    if found is None:
        _train(path, said, images, train, held_back, config)
        found = _kept(path, said, config, was_there=False)
    assert found is not None, "it has just been written"
    return found


_SETTINGS = ("codebook", "patch", "autoencoder_steps", "seed")


def _train(
    path: Path,
    said: str,
    images: ImageSet,
    train: np.ndarray,
    held_back: np.ndarray,
    config: ImagesData,
) -> None:
    """Train an autoencoder, and keep it with what it makes of the images."""
    start = time.perf_counter()
    pixels = torch.from_numpy(images.pixels).float() / (images.levels - 1)
    done = train_autoencoder(
        pixels[torch.from_numpy(train)],
        codebook=config.codebook,
        patch=config.patch,
        steps=config.autoencoder_steps,
        seed=config.seed,
    )
    codes = done.model.coded(pixels)
    facts = {
        "health": asdict(_health(done.model, pixels[held_back], codes[held_back])),
        "flops": done.flops,
        "seconds": time.perf_counter() - start,
    }
    tensors = {**done.model.state_dict(), "codes": codes.short()}
    header = {_HEADER: said, "facts": json.dumps(facts)}
    header[_DIGEST] = _digest_of(header, tensors)
    write_atomically(path, tensors_in_bytes(tensors, header))


def _kept(
    path: Path, said: str, config: ImagesData, *, was_there: bool = True
) -> CodedImages | None:
    """What a file holds; None where it is missing or damaged: then it is made again."""
    with suppress(OSError, TensorFileError, ValueError, KeyError, TypeError):
        header, tensors = tensors_of_file(path)
        digest = header.pop(_DIGEST)
        if header[_HEADER] != said or digest != _digest_of(header, tensors):
            return None
        facts = json.loads(header["facts"])
        codes = tensors.pop("codes").long().numpy()
        model = autoencoder_from(tensors, patch=config.patch)
        return CodedImages(
            codes=codes,
            health=CodebookHealth(**facts["health"]),
            decoder=_decoder(model),
            identity=_digest(codes, *(part.numpy() for _, part in sorted(tensors.items()))),
            params=sum(part.numel() for part in model.parameters()),
            flops=facts["flops"],
            seconds=facts["seconds"],
            was_there=was_there,
        )
    return None


def _decoder(model: Autoencoder) -> str:
    parts = {
        name: part for name, part in model.state_dict().items() if not name.startswith("encoder.")
    }
    return base64.b64encode(tensors_in_bytes(parts)).decode("ascii")


def _health(model: Autoencoder, images: torch.Tensor, codes: torch.Tensor) -> CodebookHealth:
    lost = (model.decoded(codes) - images).square().mean() / images.var(correction=0)
    shares = torch.bincount(codes.flatten(), minlength=len(model.codebook)).double() / codes.numel()
    entropy = -torch.xlogy(shares, shares).sum()
    return CodebookHealth(
        reconstruction_error=float(lost),
        codebook_use=float((shares > 0).double().mean()),
        codebook_perplexity=float(entropy.exp()),
    )


def _digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(str((array.shape, array.dtype)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _digest_of(header: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    said = json.dumps(dict(header), sort_keys=True)
    return hashlib.sha256(said.encode() + tensors_in_bytes(tensors)).hexdigest()
