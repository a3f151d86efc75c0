"""What a corpus delivers to training and to measuring: one step's tokens, or many steps'."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model reads, and what it is asked. Its leading axes are steps and replicas, as far as
    there are any: (..., sequences, length)."""

    inputs: Tensor
    """(..., sequences, length) int64. The tokens that the model reads."""
    targets: Tensor
    """(..., sequences, length) int64. What it is to say at each place."""
    weights: Tensor | None = None
    """(..., sequences, length) float32. How much each target counts; None: all the same."""
    source: Tensor | None = None
    """(..., sequences, source length) int64. What a family reads besides, as an encoder does; None
    for a family that reads the inputs alone."""
    is_source: Tensor | None = None
    """(..., sequences, source length) bool. Where the source is no padding, which nothing attends
    to; None: everywhere."""

    @classmethod
    def of_windows(cls, windows: Tensor) -> Batch:
        """Next-token prediction on windows (..., sequences, length + 1), as views of them."""
        return cls(windows[..., :-1], windows[..., 1:])

    @classmethod
    def stacked(cls, batches: Sequence[Batch], dim: int) -> Batch:
        """Batches of one size as one, along a new axis."""
        import torch

        def together(parts: Sequence[Tensor | None]) -> Tensor | None:
            found = [part for part in parts if part is not None]
            return torch.stack(found, dim=dim) if found else None

        rows = [batch._tensors for batch in batches]
        inputs, targets, *further = map(together, zip(*rows, strict=True))
        assert inputs is not None, "every batch has inputs"
        assert targets is not None, "and targets"
        return cls(inputs, targets, *further)

    @property
    def sequences(self) -> int:
        """How many there are of a step and replica."""
        return self.inputs.shape[-2]

    @property
    def seen(self) -> tuple[Tensor, ...]:
        """What the model gets; targets and weights are the objective's."""
        parts = (self.inputs, self.source, self.is_source)
        return tuple(part for part in parts if part is not None)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same change on every tensor."""
        return Batch(*(None if part is None else change(part) for part in self._tensors))  # type: ignore[arg-type]

    def to(self, device: torch.device | str) -> Batch:
        """On that device."""
        return self.mapped(lambda part: part.to(device))

    def unbind(self) -> list[Batch]:
        """One for each entry of the first axis."""
        return self._cut(lambda part: part.unbind())

    def split(self, sequences: int) -> list[Batch]:
        """Parts of at most so many sequences of each replica."""
        return self._cut(lambda part: part.split(sequences, dim=-2))

    def clone(self) -> Batch:
        """In memory of its own."""
        return self.mapped(lambda part: part.clone())

    def copy_(self, other: Batch) -> None:
        """Hold what a batch of the same kind and size holds."""
        for mine, given in zip(self._tensors, other._tensors, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given)

    def normalised(self) -> Batch:
        """Weights whose mean over each step and replica is 1, so that a mean over places is a mean
        over what counts, in whatever parts it is taken. Where nothing counts they are NaN."""
        if self.weights is None:
            return self
        mean = self.weights.mean(dim=(-2, -1), keepdim=True)
        return dataclasses.replace(self, weights=self.weights / mean)

    @property
    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.inputs, self.targets, self.weights, self.source, self.is_source

    def _cut(self, cut: Callable[[Tensor], Sequence[Tensor]]) -> list[Batch]:
        parts = [None if one is None else cut(one) for one in self._tensors]
        return [
            Batch(*(None if part is None else part[place] for part in parts))  # type: ignore[arg-type]
            for place in range(len(parts[0] or ()))
        ]
