"""AdamW on the flat weights of a stack: one set of constants a replica and parameter group."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sweeps.recipe import TrainingSettings


class PackedAdamW(torch.optim.Optimizer):
    """AdamW with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    weights is (replicas, parameters); each group is a range of columns. Here: gradients are clipped
    by each replica's own norm, and the weight decay follows the scheduled learning rate.
    """

    def __init__(
        self,
        weights: nn.Parameter,
        groups: dict[str, slice],
        settings: Sequence[TrainingSettings],
    ) -> None:
        super().__init__([weights], {})
        self._weights = weights
        self._groups = tuple(groups.values())
        self._settings = tuple(settings)
        self._rates = [_column(weights, settings, name, "learning_rate") for name in groups]
        self._decays = [_column(weights, settings, name, "weight_decay") for name in groups]
        self._epsilons = [_column(weights, settings, name, "epsilon") for name in groups]
        self._max_norm = _constant(weights, [item.max_gradient_norm for item in settings])
        self._beta2 = _constant(weights, [item.beta2 for item in settings])
        self._beta1 = settings[0].beta1
        self.steps_taken = 0
        self._first = torch.zeros_like(weights)
        self._second = torch.zeros_like(weights)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradient in place; the gradient is clipped and then forgotten."""
        gradient = self._weights.grad
        assert gradient is not None, "backward comes before step"
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient.mul_((self._max_norm / (norm + 1e-6)).clamp_(max=1.0))
        factor = _constant(
            self._weights, [item.schedule_factor(self.steps_taken) for item in self._settings]
        )
        self.steps_taken += 1
        self._first.lerp_(gradient, 1 - self._beta1)
        self._second.mul_(self._beta2).addcmul_(gradient * (1 - self._beta2), gradient)
        root = (self._second / (1 - self._beta2**self.steps_taken)).sqrt_()
        mean = self._first / (1 - self._beta1**self.steps_taken)
        for columns, rate, decay, epsilon in zip(
            self._groups, self._rates, self._decays, self._epsilons, strict=True
        ):
            scheduled = rate * factor
            part = self._weights[:, columns]
            part.mul_(1 - scheduled * decay)
            part.sub_(scheduled * (mean[:, columns] / (root[:, columns] + epsilon)))
        self._weights.grad = None


def _column(like: Tensor, settings: Sequence[TrainingSettings], group: str, name: str) -> Tensor:
    return _constant(like, [getattr(getattr(item, group), name) for item in settings])


def _constant(like: Tensor, values: Sequence[float]) -> Tensor:
    """(replicas, 1) One number a replica."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
