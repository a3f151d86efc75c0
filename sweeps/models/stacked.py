"""What every model is to training: a stack of replicas, and weights that it can take and give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sweeps.models.kernels.fused import PLAIN, Fused

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

    from sweeps.models.key_value_cache import KeyValueCache

#: Matrices by name, in the order of the flat weights: (in, out).
Layout = dict[str, tuple[int, int]]


class StackModel(nn.Module, ABC):
    """Replicas of one shape that share nothing but the step, wherever their weights lie.

    `forward` takes what `Batch.seen` holds, (replicas, sequences, length) each, and gives logits
    over the used vocabulary, (replicas, sequences * length, used vocabulary).
    """

    replicas: int
    context: int
    """Tokens of a sequence, by which training is counted."""
    used_vocab_size: int
    """Tokens that can occur, from 0 on."""
    continues_nothing: str = ""
    """Why it gives no next token of a text; empty: it does."""
    source_tokens: int = 0
    """Tokens of a source that it reads apart from its inputs, at most; 0: it reads none."""
    start_token: int | None = None
    """What its inputs begin with where it reads a source apart."""
    layout: Layout
    """The matrices in `whole_weights`, in their order."""
    fused: Fused = PLAIN
    """Which of its operations run as one kernel, where it computes on a device that has them."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def most_inputs(self) -> int:
        """Inputs of a sequence, at most: its context, or the places of its target where it reads a
        source apart."""
        return self.context

    @abstractmethod
    def held_weights(self) -> Tensor:
        """(replicas, parameters) All of them; of a sharded model, what this process holds."""

    @abstractmethod
    def hold(self, weights: Tensor) -> None:
        """Take these as the weights held here."""

    @abstractmethod
    def whole_weights(self) -> Tensor:
        """(replicas, parameters) A copy on the host; of a sharded model, on the first process."""

    def new_cache(self, sequences: int, *source: Tensor) -> KeyValueCache | None:
        """For `logits_onward` of so many sequences of each replica, nothing seen yet but what
        `forward` takes behind the inputs; None of a family that keeps nothing of the positions
        before."""
        return None

    def logits_onward(self, tokens: Tensor, past: KeyValueCache) -> Tensor:
        """What `forward` gives at the positions of these tokens, which follow those of the past."""
        raise NotImplementedError(f"{type(self).__name__} has no cache")

    def compile_blocks(self, **options: Any) -> None:
        """Have torch.compile fuse what it can; of families that `can` compile."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to compile")


class StackedWeights(StackModel):
    """A stack whose weights are one tensor here; a subclass sets `layout`, and calls `start`."""

    compute_dtype = torch.float32

    def start(self, weights: Tensor) -> None:
        """Begin with these weights, (replicas, parameters), in the order of the layout."""
        self.replicas = len(weights)
        self.weights = nn.Parameter(weights)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.weights.device

    @property
    def groups(self) -> dict[str, slice]:
        """The columns of the flat weights that each optimizer group owns."""
        groups: dict[str, slice] = {}
        first = 0
        for name, (rows, columns) in self.layout.items():
            group, last = group_of(name), first + rows * columns
            groups[group] = slice(groups[group].start if group in groups else first, last)
            first = last
        return groups

    def held_weights(self) -> Tensor:
        """(replicas, parameters) All of them."""
        return self.weights.detach()

    @torch.no_grad()
    def hold(self, weights: Tensor) -> None:
        """Take these as the weights held here."""
        self.weights.copy_(weights)

    def whole_weights(self) -> Tensor:
        """(replicas, parameters) A copy on the host."""
        return self.weights.detach().to("cpu", copy=True)

    def matrices(self) -> dict[str, Tensor]:
        """Views of the weights by name, each (replicas, in, out), in the precision of computing."""
        sizes = [rows * columns for rows, columns in self.layout.values()]
        parts = torch.split(self.weights.to(self.compute_dtype), sizes, dim=1)
        return {
            name: part.view(self.replicas, *size)
            for (name, size), part in zip(self.layout.items(), parts, strict=True)
        }


class ShardedModel(StackModel):
    """A single model, a share of it on each process of the default process group."""

    replicas = 1

    @property
    @abstractmethod
    def held(self) -> Mapping[str, DTensor]:
        """The weights by part; of each, this process holds a share."""


def group_of(name: str) -> str:
    """The optimizer group of a matrix, or of a part of the weights, by its name."""
    return name if name in ("embedding", "head") else "hidden"
