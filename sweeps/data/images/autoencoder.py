"""A vector-quantising autoencoder: an image as a small grid of codes, and back.

van den Oord et al. 2017, arXiv:1711.00937: an encoder's vectors are replaced by the nearest entries
of a learned codebook, the gradient passes straight through to the encoder (section 3.2), and the
loss is reconstruction + ||sg[z] - e||^2 + .25 ||z - sg[e]||^2 (equation 3). What we do differently:
reconstruction is the squared error over the variance of the pixels; entries that no vector has been
near to for a while begin again at a vector of the batch, until the last third of the training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

_CHANNELS = 32
_CODE_SIZE = 8  # entries of a vector
_COMMITMENT = 0.25
_BATCH = 64
_LEARNING_RATE = 2e-3
_DECAY_SHARE = 0.5  # of the steps, over which the rate falls to nothing
_IDLE_STEPS = 20  # of an entry that nothing was near to, before it begins again
_RESET_SHARE = 0.7  # of the steps, after which none does
_TOGETHER = 1024  # images that are coded or decoded at once


class Autoencoder(nn.Module):
    """Encoder, codebook and decoder for squares of `patch` x `patch` pixels a code."""

    def __init__(self, codebook: int, patch: int) -> None:
        super().__init__()
        wide = _CHANNELS
        self.encoder = nn.Sequential(
            nn.Conv2d(1, wide, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, wide, patch, stride=patch),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, _CODE_SIZE, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(_CODE_SIZE, wide, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, wide, patch, stride=patch),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, 1, 1),
        )
        self.codebook = nn.Parameter(torch.randn(codebook, _CODE_SIZE))

    def vectors(self, images: Tensor) -> Tensor:
        """(images, rows, columns, code size) of images (images, height, width) from 0 to 1."""
        found: Tensor = self.encoder(images[:, None]).permute(0, 2, 3, 1)
        return found

    def nearest(self, vectors: Tensor) -> Tensor:
        """(...) The entry that is nearest to each vector (..., code size)."""
        distances = self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T
        return distances.argmin(-1)

    def images(self, quantised: Tensor) -> Tensor:
        """(images, height, width) of vectors (images, rows, columns, code size)."""
        found: Tensor = self.decoder(quantised.permute(0, 3, 1, 2))[:, 0]
        return found

    @torch.no_grad()
    def coded(self, images: Tensor) -> Tensor:
        """(images, rows, columns) The codes of images."""
        return torch.cat([self.nearest(self.vectors(part)) for part in images.split(_TOGETHER)])

    @torch.no_grad()
    def decoded(self, codes: Tensor) -> Tensor:
        """(images, height, width) from 0 to 1, of codes (images, rows, columns)."""
        parts = [self.images(self.codebook[part]) for part in codes.split(_TOGETHER)]
        return torch.cat(parts).clamp(0, 1)


@dataclass(frozen=True)
class Training:
    """An autoencoder that was trained, and what that took."""

    model: Autoencoder
    flops: int
    resets: int
    """How often an entry of the codebook began again."""


def train_autoencoder(
    images: Tensor, *, codebook: int, patch: int, steps: int, seed: int
) -> Training:
    """Train on images (images, height, width) from 0 to 1: on one thread, so that the same machine
    gives the same weights. The caller's random numbers and threads are left as they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _trained(images, codebook, patch, steps)
    finally:
        torch.set_num_threads(threads)


def _trained(images: Tensor, codebook: int, patch: int, steps: int) -> Training:
    model = Autoencoder(codebook, patch)
    _begin(model, images, torch.arange(codebook))
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    scale = float(images.var()) or 1.0
    idle, resets = torch.zeros(codebook), 0
    flops = steps * _flops_of_a_step(model, images[torch.arange(_BATCH) % len(images)])
    for step in range(steps):
        left = (steps - step) / (_DECAY_SHARE * steps)
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * min(1.0, left)
        batch = images[torch.randint(len(images), (_BATCH,))]
        loss, codes = _loss(model, batch, scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        idle = torch.where(torch.bincount(codes, minlength=codebook) > 0, 0, idle + 1)
        dead = torch.nonzero(idle > _IDLE_STEPS)[:, 0]
        if len(dead) and step < _RESET_SHARE * steps:
            _begin(model, batch, dead)
            for moment in ("exp_avg", "exp_avg_sq"):
                optimizer.state[model.codebook][moment][dead] = 0
            idle[dead] = 0
            resets += len(dead)
    return Training(model.requires_grad_(False), flops, resets)


def _flops_of_a_step(model: Autoencoder, images: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        _loss(model, images, 1.0)[0].backward()
    return int(counter.get_total_flops())


def _loss(model: Autoencoder, images: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and its codes in one row."""
    vectors = model.vectors(images)
    codes = model.nearest(vectors.detach())
    entries = model.codebook[codes]
    through = vectors + (entries - vectors).detach()
    reconstruction = functional.mse_loss(model.images(through), images) / scale
    to_codebook = functional.mse_loss(entries, vectors.detach())
    to_vectors = functional.mse_loss(vectors, entries.detach())
    return reconstruction + to_codebook + _COMMITMENT * to_vectors, codes.flatten()


@torch.no_grad()
def _begin(model: Autoencoder, images: Tensor, entries: Tensor) -> None:
    """Let entries of the codebook begin at vectors of images, drawn at random."""
    some = images[torch.randperm(len(images))[:_TOGETHER]]
    vectors = model.vectors(some).flatten(0, 2)
    model.codebook[entries] = vectors[torch.randint(len(vectors), (len(entries),))]


def autoencoder_from(tensors: Mapping[str, Tensor], *, patch: int) -> Autoencoder:
    """The autoencoder, or the codebook and decoder alone, of such tensors; ValueError where they
    are of no such model."""
    try:
        model = Autoencoder(len(tensors["codebook"]), patch)
        missing, further = model.load_state_dict(dict(tensors), strict=False)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"tensors of another model ({error})") from error
    if further or any(not name.startswith("encoder.") for name in missing):
        raise ValueError("tensors of another model")
    if not all(part.isfinite().all() for part in tensors.values()):
        raise ValueError("numbers that are not finite")
    return model.requires_grad_(False)
