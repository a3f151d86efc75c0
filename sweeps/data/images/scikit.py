"""What comes from scikit-learn, whose only user this file is: the digits, and a classifier."""

from __future__ import annotations

from collections.abc import Sequence

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


def labels_read(
    images: np.ndarray, labels: np.ndarray, asked: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """What a classifier of images (images, height, width) with their labels (images,) reads from
    each of the sets that are asked about: a support-vector machine with a Gaussian kernel, C = 10,
    as wide as the pixels vary. Raises CorpusError where scikit-learn is missing."""
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise CorpusError(
            "probes.image_samples: scikit-learn, whose classifier reads the images, is not "
            "installed; pip install 'scaling-forecast[images]'"
        ) from error
    flat = [one.reshape(len(one), -1).astype(np.float64) for one in (images, *asked)]
    classifier = SVC(C=10.0, gamma="scale").fit(flat[0], labels)
    return [classifier.predict(one) if len(one) else np.zeros(0, dtype=int) for one in flat[1:]]
