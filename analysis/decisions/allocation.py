"""How to spend a budget: the size and tokens that a law says are best."""

from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.laws.base import Law
from scaling.laws.surfaces import Chinchilla, DataConstrained

#: FLOP per parameter and token: training (forward and backward) and inference (forward)
TRAINING_FLOP, INFERENCE_FLOP = 6.0, 2.0
_GOLDEN = (np.sqrt(5) - 1) / 2
#: sizes are searched this far (in ln N) around a first guess
_REACH = 12.0
#: tokens per parameter from which the search for a law without a closed form starts
_USUAL_RATIO = 20.0
#: and how far around it (in ln N): ratios up to 20,000 times smaller or larger
_REACH_OF_A_RATIO = 5.0


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """A way to spend a budget; arrays where the law holds draws."""

    params: FloatArray
    tokens: FloatArray
    loss: FloatArray
    train_flops: FloatArray

    @property
    def tokens_per_param(self) -> FloatArray:
        """Training tokens per parameter."""
        return np.asarray(self.tokens / self.params)


def allocate(
    law: Law,
    flops: float,
    *,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
) -> Allocation:
    """Size and training tokens with the lowest loss for ``flops`` in all.

    Training costs 6 N D FLOP, inference 2 N FLOP a token; with ``inference_tokens`` to serve, the
    budget covers both (Sardana et al. 2023, "Beyond Chinchilla-Optimal", arXiv:2401.00448, who
    minimise the cost of a given loss; here the loss for a given cost, the same frontier).
    ``unique_tokens`` limits fresh data; only data_constrained knows what repeating is worth.

    Raises ForecastError for a law that does not tell size from data, and for a budget that the
    inference alone would use up.
    """
    if not (np.isfinite(flops) and flops > 0):
        raise ForecastError(f"a budget of {flops} FLOP; give a number above zero")
    if inference_tokens < 0:
        raise ForecastError(f"{inference_tokens} inference tokens; give zero or more")
    if law.inputs[:2] != ("params", "tokens"):
        raise ForecastError(
            f"{law.name} does not tell size from data, so it cannot split a budget; "
            f"fit --law {Chinchilla.name}"
        )
    if unique_tokens is not None and not isinstance(law, DataConstrained):
        raise ForecastError(
            f"{law.name} counts a repeated token like a fresh one; fit --law "
            f"{DataConstrained.name} to split a budget with limited data"
        )
    if isinstance(law, DataConstrained) and unique_tokens is None:
        return allocate(law.with_fresh_data(), flops, inference_tokens=inference_tokens)
    closed_form = getattr(law, "optimal_params", None)
    if closed_form is not None and inference_tokens == 0 and unique_tokens is None:
        params = np.asarray(closed_form(flops))
    else:
        params = _lowest_loss(law, flops, inference_tokens, unique_tokens)
    tokens = _tokens(params, flops, inference_tokens)
    return Allocation(
        params=params,
        tokens=tokens,
        loss=_paired_loss(law, params, tokens, unique_tokens),
        train_flops=np.asarray(TRAINING_FLOP * params * tokens),
    )


def _tokens(params: FloatArray, flops: float, inference_tokens: float) -> FloatArray:
    """Training tokens that the budget leaves for models of this size; at least one."""
    left = flops - INFERENCE_FLOP * params * inference_tokens
    return np.asarray(np.maximum(left / (TRAINING_FLOP * params), 1.0))


def _paired_loss(
    law: Law, params: FloatArray, tokens: FloatArray, unique_tokens: float | None
) -> FloatArray:
    """Loss of each draw at its own size and tokens (not every draw at every size)."""
    inputs = [params, tokens]
    if unique_tokens is not None:
        inputs.append(np.minimum(unique_tokens, tokens))
    constants = (np.asarray(value) for value in law.constants().values())
    return np.asarray(law.formula(*inputs, *constants), dtype=np.float64)


def _lowest_loss(
    law: Law, flops: float, inference_tokens: float, unique_tokens: float | None
) -> FloatArray:
    """Golden-section search over ln N, all draws at once; loss along a budget has one minimum."""
    base = law.with_fresh_data() if isinstance(law, DataConstrained) else law
    centre = np.log(_first_guess(base, flops))
    reach = _REACH if hasattr(base, "optimal_params") else _REACH_OF_A_RATIO
    low, high = centre - reach, centre + reach
    if inference_tokens > 0:
        high = np.minimum(high, np.log(flops / (INFERENCE_FLOP * inference_tokens)))
        if np.any(high <= low):
            raise ForecastError(
                f"to serve {inference_tokens:g} tokens uses up {flops:.3g} FLOP with any model "
                "worth training; give more FLOP or fewer tokens"
            )

    def loss(log_params: FloatArray) -> FloatArray:
        params = np.exp(log_params)
        return _paired_loss(law, params, _tokens(params, flops, inference_tokens), unique_tokens)

    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(80):  # 0.618**80 of 24 is below the last digit
        go_left = at_left < at_right
        high, low = np.where(go_left, right, high), np.where(go_left, low, left)
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left, at_right = loss(left), loss(right)
    if reach < _REACH and np.any(np.abs(low - centre) > 0.99 * reach):
        raise ForecastError(
            f"{law.name} finds no split of {flops:.3g} FLOP best: more of one input always helps "
            "more; choose a law in which both fade"
        )
    return np.asarray(np.exp((low + high) / 2))


def _first_guess(law: Law, flops: float) -> FloatArray:
    """The optimal size without further limits, or where a law knows none that of a usual ratio."""
    closed_form = getattr(law, "optimal_params", None)
    if closed_form is not None:
        return np.asarray(closed_form(flops))
    draws = np.shape(next(iter(law.constants().values())))
    return np.full(draws, np.sqrt(flops / (TRAINING_FLOP * _USUAL_RATIO)))
