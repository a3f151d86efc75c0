"""Random words that are computed, not drawn: a counter-based generator for any device.

Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"
(SC11). Words depend on a counter and a key alone, so (seed, step) decides a batch, on every device
the same, and two counters or keys never share a block.
"""

from typing import Any

MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four random 32-bit words for each counter.

    The counter's four words are int64 arrays of numpy or torch (or ints beside such arrays) with
    values below 2**32, the key's two are such arrays or ints; so are the results. 64-bit products
    wrap around, which is what is wanted.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((product1 >> 32) & MASK) ^ c1 ^ k0,
            product1 & MASK,
            ((product0 >> 32) & MASK) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & MASK, (k1 + _WEYL[1]) & MASK
    return c0, c1, c2, c3


def seed_key(seed: int) -> tuple[int, int]:
    """The key of a seed of up to 64 bits."""
    return seed & MASK, (seed >> 32) & MASK
