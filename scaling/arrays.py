"""The array type that the whole project computes with, and the unit of distances in logs."""

import numpy as np
import numpy.typing as npt

#: Double-precision numbers of any shape; a signature says the shape beside it.
FloatArray = npt.NDArray[np.float64]
#: Whether something holds, and places or labels, of any shape.
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

#: A factor of ten, in natural logs.
DECADE = float(np.log(10))

#: In logs: one number, written down and read back, or reached by other arithmetic.
SAME_NUMBER = 1e-6

# glibc gives a freed block of more than 128 kB back to the system and asks for it anew, page by
# page, at every step of a search, until a larger one was freed once (mallopt(3), M_MMAP_THRESHOLD).
# This one of 4 MB is never touched; with it a fit of 10,000 runs takes half the time.
bytearray(2**22)


def log_with_zeros(values: FloatArray) -> FloatArray:
    """Logarithms of values (runs,) at or above zero; where some are zero, of each and the least
    that is not, so that zeros stand below the others."""
    if (values > 0).all():
        return np.log(values)
    return np.asarray(np.log(values + min(values[values > 0], default=1.0)))
