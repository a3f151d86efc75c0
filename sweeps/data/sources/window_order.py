"""The order of very many windows, without a table: a permutation that is computed."""

from dataclasses import dataclass

import numpy as np

from sweeps.data.sources.philox import philox, seed_key

_ROUNDS = 6


@dataclass(frozen=True)
class LongOrder:
    """A permutation for each epoch, from the seed alone, in memory that does not grow with it.

    A Feistel network permutes the numbers below the next power of 4, and a number that lands
    beyond the windows is sent through again until it does not (cycle walking; Black and Rogaway
    2002, "Ciphers with arbitrary finite domains").
    """

    windows: int
    seed: int

    def positions(self, first: int, last: int) -> np.ndarray:
        """The window numbers of the run's sequences first to last - 1."""
        return self.at(np.arange(first, last, dtype=np.int64))

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """The window numbers of the run's sequences of these numbers."""
        epochs, found = numbers // self.windows, numbers % self.windows
        found = self._permuted(found, epochs)
        while (beyond := found >= self.windows).any():
            found[beyond] = self._permuted(found[beyond], epochs[beyond])
        return found

    def _permuted(self, numbers: np.ndarray, epochs: np.ndarray) -> np.ndarray:
        half = max(1, ((self.windows - 1).bit_length() + 1) // 2)
        mask = (1 << half) - 1
        left, right = numbers >> half, numbers & mask
        for index in range(_ROUNDS):
            words = philox((right, epochs, 0 * right + index, 0 * right), seed_key(self.seed))
            left, right = right, left ^ (words[0] & mask)
        return (left << half) | right
