"""Operations with gradients written out: they run on every token, and half the passes over memory
that automatic differentiation makes of them are saved.
"""

from typing import Any

import torch
from torch import Tensor

NORM_EPSILON = 1e-6


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = norm.square_().div_(x.shape[-1]).add_(NORM_EPSILON).rsqrt_().to(x.dtype)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        y, scale = ctx.saved_tensors
        share = (gradient * y).mean(dim=-1, keepdim=True)
        return torch.addcmul(gradient, y, share, value=-1).mul_(scale)


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        log_probabilities = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
        places = targets.unsqueeze(-1)
        chosen = log_probabilities.gather(-1, places)
        log_partition = logits.gather(-1, places) - chosen
        ctx.save_for_backward(log_probabilities, places)
        ctx.dtype = logits.dtype
        return -chosen.squeeze(-1), log_partition.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        of_loss, of_partition = gradients
        log_probabilities, places = ctx.saved_tensors
        gradient = log_probabilities.exp().mul_((of_loss + of_partition).unsqueeze(-1))
        gradient.scatter_add_(-1, places, -of_loss.unsqueeze(-1))
        return gradient.to(ctx.dtype), None


class _ReluSquared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x.relu()
        ctx.save_for_backward(positive)
        return positive.square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (gradients[0] * positive).mul_(2)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _turned(x, cosine, sine)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return _turned(gradients[0], cosine, -sine), None, None


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    # The sign lies in the small table, so that large tensors see three passes, all vectorised.
    below, above = sine.chunk(2, dim=-1)
    signed = torch.cat((-below, above), dim=-1)
    return (x * cosine).addcmul_(torch.cat((second, first), dim=-1), signed)


def relu_squared(x: Tensor) -> Tensor:
    """The square of x where it is positive, else zero."""
    result: Tensor = _ReluSquared.apply(x)
    return result


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Each entry of the first half of the last dimension and its mate in the second, turned by an
    angle; the halves of the tables are equal."""
    result: Tensor = _Rotate.apply(x, cosine, sine)
    return result


def rms_norm(x: Tensor) -> Tensor:
    """x over the root of the mean square of its last dimension; no gain."""
    result: Tensor = _RmsNorm.apply(x)
    return result


def token_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each target in nats, and the log-partition behind it, in float32.

    logits: (replicas, positions, vocabulary), targets: (replicas, positions) -> both as targets.
    """
    losses, log_partition = _TokenLosses.apply(logits, targets)
    return losses, log_partition
