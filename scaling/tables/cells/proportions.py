"""Proportions, such as the shares of a mixture of data, that should add up to one in every row."""

import numpy as np

from scaling.arrays import BoolArray, FloatArray

#: shares that are written with two digits add up to one within this
SUM_TOLERANCE = 0.02
_USUALLY = 0.5  # a row in two tells what the columns are


def columns_of_shares(inputs: FloatArray) -> tuple[int, ...]:
    """Which of the columns of ``inputs`` (rows, columns), three at least, are shares: at or above
    zero, at or below one in most rows, and adding up to one in most; none where there are none."""
    usual = [i for i, x in enumerate(inputs.T) if (x >= 0).all() and np.mean(x <= 1) > _USUALLY]
    if len(usual) < 3 or np.mean(_is_whole(inputs[:, usual])) <= _USUALLY:
        return ()
    return tuple(usual)


def odd_sum(shares: FloatArray) -> tuple[int, float] | None:
    """The row whose ``shares`` (rows, columns) add up to one least, and their sum; None where all
    rows do."""
    if not len(shares) or _is_whole(shares).all():
        return None
    total = shares.sum(axis=1)
    row = int(np.abs(total - 1).argmax())
    return row, float(total[row])


def _is_whole(shares: FloatArray) -> BoolArray:
    return np.asarray(np.abs(shares.sum(axis=1) - 1) < SUM_TOLERANCE)
