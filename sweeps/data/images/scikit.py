"""What comes from scikit-learn, whose only user this file is: the digits, and a classifier."""

from __future__ import annotations

import numpy as np

from scaling.errors import CorpusError

#: Grey levels of a digit's pixels.
DIGIT_LEVELS = 17
_MISSING = (
    "data.source images: scikit-learn, which has its digits, is not installed; "
    "pip install 'scaling-forecast[images]', or give data.folder"
)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) uint8 grey levels from 0 to 16, 0 the empty paper, and the (1797,) numbers
    written. Raises CorpusError where scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise CorpusError(_MISSING) from error
    found = load_digits()
    return found.images.astype(np.uint8), found.target
