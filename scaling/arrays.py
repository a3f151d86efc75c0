"""The array type that the whole project computes with."""

import numpy as np
import numpy.typing as npt

#: Double-precision numbers of any shape; a signature says the shape beside it.
FloatArray = npt.NDArray[np.float64]
