"""The state that training can be stopped in, and go on from to the same numbers."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The training loss of the steps since the point before, and what was measured there."""

    step: int
    tokens: int
    loss: float
    learning_rate: float
    validation_loss: float | None = None
    """On some of the validation sequences; None where it was not measured."""


_BY_REPLICA = (
    "weights", "first", "second", "active", "diverged_at", "clipped", "losses", "points",
    "fork_hashes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StackState:
    """All that training needs to go on, on the host. Batches need the step number alone."""

    step: int
    seconds: float
    """Training so far."""
    weights: Tensor
    """(replicas, parameters), like the two moments."""
    first: Tensor
    second: Tensor
    active: Tensor
    """(replicas, 1)"""
    diverged_at: tuple[int, ...]
    """The step of each replica at which loss or gradient was not finite; -1: it has not."""
    clipped: tuple[int, ...]
    """Steps of each replica after its warm-up whose gradient was scaled down."""
    losses: Tensor
    """(replicas, steps) Training loss of every step so far."""
    points: tuple[tuple[CurvePoint, ...], ...]
    """The curve of each replica."""
    paid_seconds: float = 0.0
    """The part of `seconds` that went into a trunk up to a shorter branch's fork."""
    fork_hashes: tuple[str, ...] = ()
    """Each replica's state where the branch in training left its trunk."""
    micro_sequences: int
    """Sequences that memory has been seen to hold at once."""

    def part(self, replicas: slice) -> "StackState":
        """The state of some replicas."""
        chosen = {name: getattr(self, name)[replicas] for name in _BY_REPLICA}
        return dataclasses.replace(self, **chosen)

    @classmethod
    def of_parts(cls, parts: "Sequence[StackState]") -> "StackState":
        """The state of a stack whose replicas stand at one step; the inverse of `part`."""

        def together(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            if isinstance(values[0], Tensor):
                return torch.cat(values)
            return tuple(one for value in values for one in value)

        joined = {name: together(name) for name in _BY_REPLICA}
        return dataclasses.replace(
            parts[0],
            seconds=max(part.seconds for part in parts),
            paid_seconds=max(part.paid_seconds for part in parts),
            micro_sequences=min(part.micro_sequences for part in parts),
            **joined,
        )

    def hash(self, replica: int) -> str:
        """Of one replica's weights and moments."""
        digest = hashlib.sha256(str(self.step).encode())
        for tensor in (self.weights, self.first, self.second):
            digest.update(tensor[replica].contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def content(self) -> dict[str, Any]:
        """As plain containers and tensors, for a file."""
        curves = [[dataclasses.astuple(point) for point in curve] for curve in self.points]
        return {**vars(self), "points": curves}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> "StackState":
        """The state that `content` described."""
        names = [item.name for item in dataclasses.fields(CurvePoint)]
        points = tuple(
            tuple(CurvePoint(**dict(zip(names, values, strict=False))) for values in curve)
            for curve in content["points"]
        )
        return cls(**(content | {"points": points}))
