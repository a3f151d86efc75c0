"""What a scaling law is: symbols, formula, constants, and what a fit may know of it beforehand."""

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray

Constant = float | FloatArray


class Law:
    """What all laws share. A law says its name, the columns it reads and its formula."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    #: constants in which the loss is linear once all the others are known
    linear: ClassVar[tuple[str, ...]]
    #: constants that are searched on a log scale, since they cannot be negative
    positive: ClassVar[tuple[str, ...]]
    #: the constant that is the loss no scale removes
    floor: ClassVar[str]

    @staticmethod
    def formula(*inputs_then_constants: Any) -> Any:
        """The law as plain arithmetic: inputs first, then constants in field order."""
        raise NotImplementedError

    def loss(self, *inputs: npt.ArrayLike, **named: npt.ArrayLike) -> FloatArray:
        """Predicted loss in nats per token, shape: constants, then inputs.

        Inputs come in the order of ``inputs`` or by name: ``law.loss(params=7e9, tokens=1e12)``.
        """
        given = dict(zip(self.inputs, inputs, strict=False)) | named
        if set(given) != set(self.inputs) or len(inputs) + len(named) != len(self.inputs):
            raise TypeError(f"{self.name} takes {', '.join(self.inputs)}; got {', '.join(given)}")
        arrays = [np.asarray(given[name], dtype=np.float64) for name in self.inputs]
        rank = np.broadcast(*arrays).ndim
        spread = [before_inputs(value, rank) for value in self.constants().values()]
        return np.asarray(self.formula(*arrays, *spread), dtype=np.float64)

    @classmethod
    def constant_names(cls) -> tuple[str, ...]:
        """The names of the constants, in field order."""
        return tuple(f.name for f in fields(cls))  # type: ignore[arg-type]

    def constants(self) -> dict[str, Constant]:
        """The constants by name, in field order."""
        return {name: getattr(self, name) for name in self.constant_names()}

    def derived(self) -> dict[str, Constant]:
        """Numbers that follow from the constants alone, such as the optimal-size exponent."""
        return {}


def before_inputs(constant: Constant, rank: int) -> FloatArray:
    """The constant with ``rank`` axes of length one behind its own."""
    array = np.asarray(constant)
    return array.reshape(array.shape + (1,) * rank)


def softplus(u: Any) -> Any:
    """log(1 + exp(u)) without overflow; also for complex u, which derivatives use."""
    large = u.real > 0
    return np.where(large, u, 0) + np.log1p(np.exp(np.where(large, -u, u)))
