"""AdamW on the flat weights of a stack: one set of constants a replica and parameter group."""

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sweeps.planning.hyper_parameters.settings import TrainingSettings


class PackedAdamW(torch.optim.Optimizer):
    """AdamW with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    weights is (replicas, parameters); each group is a range of columns. Here: gradients are clipped
    by each replica's own norm, and the weight decay follows the scheduled learning rate. A replica
    whose gradient is not finite is frozen from that step on, without touching the others.

    Whatever changes from step to step is read from tables by a step counter that lives on the
    device, so a step asks nothing of the host and can be recorded as a CUDA graph.
    """

    def __init__(
        self,
        weights: nn.Parameter,
        groups: dict[str, slice],
        settings: Sequence[TrainingSettings],
    ) -> None:
        super().__init__([weights], {})
        self._weights = weights
        self._groups = groups
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.active = torch.ones(len(weights), 1, dtype=torch.bool, device=weights.device)
        """(replicas, 1) False where a replica is frozen."""
        self.gradient_norm = torch.zeros(len(weights), device=weights.device)
        """(replicas,) Of the latest step, before clipping."""
        self._step = torch.zeros(1, dtype=torch.long, device=weights.device)
        self.use(settings)

    def use(self, settings: Sequence[TrainingSettings]) -> None:
        """Take these settings from here on; moments and the step count stay."""
        self._settings = tuple(settings)
        like, names = self._weights, self._groups
        self._rates = [_column(like, settings, name, "learning_rate") for name in names]
        self._decays = [_column(like, settings, name, "weight_decay") for name in names]
        self._epsilons = [_column(like, settings, name, "epsilon") for name in names]
        self._group_decays = [
            any(getattr(item, name).weight_decay for item in settings) for name in names
        ]
        self._max_norm = _constant(like, [item.max_gradient_norm for item in settings])
        self._beta2 = _constant(like, [item.beta2 for item in settings])
        self._beta1 = settings[0].beta1
        self._table = _step_table(self._settings).to(like)

    @property
    def steps_taken(self) -> int:
        """Steps since the start of the run."""
        return int(self._step)

    def restore(self, step: int, first: Tensor, second: Tensor, active: Tensor) -> None:
        """Stand where the optimizer stood that these were taken from."""
        self._step.fill_(step)
        self.first.copy_(first)
        self.second.copy_(second)
        self.active.copy_(active)

    def to(self, device: torch.device) -> None:
        """Move everything but the weights."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value is not self._weights:
                setattr(self, name, value.to(device))
        for columns in (self._rates, self._decays, self._epsilons):
            columns[:] = [column.to(device) for column in columns]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradient in place; the gradient is clipped and then forgotten."""
        assert self._weights.grad is not None, "backward comes before step"
        self.update(torch.linalg.vector_norm(self._weights.grad, dim=1, keepdim=True))

    @torch.no_grad()
    def update(self, norm: Tensor) -> None:
        """The update, given the norm (replicas, 1) of the gradient of all that is clipped as one,
        of which these weights may be a part."""
        gradient = self._weights.grad
        assert gradient is not None, "backward comes before step"
        self.gradient_norm.copy_(norm[:, 0])
        self.active.logical_and_(norm.isfinite())
        (self._update_one_by_one if gradient.is_cpu else self._update_together)(gradient)
        self._step.add_(1)
        self._weights.grad = None

    def _update_one_by_one(self, gradient: Tensor) -> None:
        """By PyTorch's fused kernel: one pass over memory in place of a dozen."""
        step = self.steps_taken
        count = torch.tensor(step + 1.0)
        sizes = [columns.stop - columns.start for columns in self._groups.values()]
        tensors = (self._weights, gradient, self.first, self.second)
        for replica, settings in enumerate(self._settings):
            if not self.active[replica]:
                continue
            factor = settings.schedule_factor(step)
            shrink = (self.gradient_norm[replica] + 1e-6) / settings.max_gradient_norm
            rows = [tensor[replica].split(sizes) for tensor in tensors]
            for name, *parts in zip(self._groups, *rows, strict=True):
                constants = getattr(settings, name)
                weights, slopes, first, second = ([part] for part in parts)
                torch._fused_adamw_(  # what torch.optim.AdamW(fused=True) calls
                    weights,
                    slopes,
                    first,
                    second,
                    [],
                    [count],
                    lr=constants.learning_rate * factor,
                    beta1=settings.beta1,
                    beta2=settings.beta2,
                    weight_decay=constants.weight_decay,
                    eps=constants.epsilon,
                    amsgrad=False,
                    maximize=False,
                    grad_scale=shrink if shrink > 1 else None,
                )

    def _update_together(self, gradient: Tensor) -> None:
        """By operations on all replicas at once, none of which waits for the device.

        All memory that it takes it takes before anything changes: a step that finds none can be
        tried again.
        """
        root = torch.empty_like(gradient)
        norm = self.gradient_norm.unsqueeze(1)
        factor, correction1, root2 = self._table.index_select(0, self._step)[0]
        frozen = self.active.logical_not()
        gradient.mul_((self._max_norm / (norm + 1e-6)).clamp_(max=1.0))
        gradient.masked_fill_(frozen, 0.0)  # 0 x NaN would be NaN
        factor = factor.masked_fill(frozen, 0.0)
        # lr (m / c1) / (sqrt(v / c2) + eps), with all that is one number a replica drawn together.
        scheduled = [rate * factor for rate in self._rates]
        floors = [epsilon * root2 for epsilon in self._epsilons]
        steps = [-correction1 / (rate * root2) for rate in scheduled]
        kept = [1 - rate * decay for rate, decay in zip(scheduled, self._decays, strict=True)]
        fresh = 1 - self._beta2
        torch.mul(gradient, gradient, out=root)
        self.first.lerp_(gradient, 1 - self._beta1)
        self.second.lerp_(root, fresh)
        torch.sqrt(self.second, out=root)
        for place, columns in enumerate(self._groups.values()):
            part, below = self._weights[:, columns], root[:, columns]
            if self._group_decays[place]:
                part.mul_(kept[place])
            below.add_(floors[place]).mul_(steps[place])
            part.addcdiv_(self.first[:, columns], below)


@functools.lru_cache(maxsize=1)
def _step_table(settings: tuple[TrainingSettings, ...]) -> Tensor:
    """(steps, 3, replicas, 1) By step: the learning rate's factor, and Adam's two bias corrections,
    of the second its root."""
    steps = max(item.steps for item in settings)
    beta1 = settings[0].beta1
    rows = [
        [
            [item.schedule_factor(step) for item in settings],
            [1 - beta1 ** (step + 1) for _ in settings],
            [math.sqrt(1 - item.beta2 ** (step + 1)) for item in settings],
        ]
        for step in range(steps)
    ]
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(-1)


def _column(like: Tensor, settings: Sequence[TrainingSettings], group: str, name: str) -> Tensor:
    return _constant(like, [getattr(getattr(item, group), name) for item in settings])


def _constant(like: Tensor, values: Sequence[float]) -> Tensor:
    """(replicas, 1) One number a replica."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
