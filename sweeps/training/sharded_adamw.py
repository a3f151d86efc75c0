"""AdamW on weights that lie on several devices: each updates the share that it holds."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from sweeps.models.decoder.sharded import share
from sweeps.models.stacked import group_of
from sweeps.planning.hyper_parameters.settings import TrainingSettings
from sweeps.training.adamw import PackedAdamW


class ShardedAdamW(torch.optim.Optimizer):
    """A PackedAdamW on this process's share of each part; gradients are clipped by the norm of all.

    Whatever else an update asks for is known to every process, so that norm, one number, is all
    that the processes tell each other.
    """

    def __init__(self, parts: Mapping[str, DTensor], settings: Sequence[TrainingSettings]) -> None:
        """`parts` by name: `embedding` and `head` are groups of their own, all others hidden."""
        super().__init__(list(parts.values()), {})
        self._parts = tuple(parts.values())
        self._shares = [nn.Parameter(share(part)) for part in self._parts]
        self._updates = [
            PackedAdamW(mine, {group_of(name): slice(0, mine.numel())}, settings)
            for name, mine in zip(parts, self._shares, strict=True)
        ]
        self.gradient_norm = self._updates[0].gradient_norm

    def use(self, settings: Sequence[TrainingSettings]) -> None:
        """Take these settings from here on; moments and the step count stay."""
        for update in self._updates:
            update.use(settings)

    @property
    def first(self) -> Tensor:
        """(1, parameters held here)"""
        return torch.cat([update.first for update in self._updates], dim=1)

    @property
    def second(self) -> Tensor:
        """(1, parameters held here)"""
        return torch.cat([update.second for update in self._updates], dim=1)

    @property
    def active(self) -> Tensor:
        """(1, 1) False where the run is frozen."""
        return self._updates[0].active

    def restore(self, step: int, first: Tensor, second: Tensor, active: Tensor) -> None:
        """Stand where the optimizer stood that these were taken from."""
        sizes = [update.first.shape[1] for update in self._updates]
        moments = zip(first.split(sizes, dim=1), second.split(sizes, dim=1), strict=True)
        for update, (mine, square) in zip(self._updates, moments, strict=True):
            update.restore(step, mine, square, active)

    def to(self, device: torch.device) -> None:
        """Nothing: it is made where the weights are."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place; they are clipped and then forgotten."""
        for part, mine in zip(self._parts, self._shares, strict=True):
            assert isinstance(part.grad, DTensor), "backward comes before step"
            mine.data = share(part)  # FSDP may have moved it
            mine.grad = share(part.grad)
            part.grad = None
        norms = [torch.linalg.vector_norm(mine.grad) for mine in self._shares]
        squared = torch.stack(norms).square().sum()
        dist.all_reduce(squared)
        for update in self._updates:
            update.update(squared.sqrt().view(1, 1))
