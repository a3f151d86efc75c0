"""What a scaling law is: one class that says everything there is to know of the law.

To write one: a frozen dataclass of its constants with the class variables below and `formula`.
That is enough to be fitted, bootstrapped, forecast with, cited and documented, once it stands in
`scaling.laws.registry` or was handed to `register_law`. What else a law knows of itself (starts,
powers, priors) makes these faster or surer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid, distinct, guesses_within, solved_coefficients

Constant = float | FloatArray
Bounds = tuple[float, float]
Prior = tuple[float, float]  # mean, standard deviation

#: an exponent beyond these is overflow in the making, whatever the law
LARGEST_EXPONENT = 10.0
#: what forecasts assume of a constant of which a law says nothing; see `Law.prior`
FLOOR_PRIOR: Prior = (float(np.log(0.6)), 0.5)
_FLOOR_SHARES = (0.1, 0.5, 0.8, 0.95)
_LOOSE_LOG, _LOOSE = (0.0, 30.0), (0.0, 3.0)
_RANGES = {
    "train_flops": (1e16, 1e22),
    "params": (1e7, 1e10),
    "tokens": (1e9, 1e12),
    "width": (128, 2048),
    "depth": (2, 32),
}


@dataclass(frozen=True)
class Symbol:
    """What a constant is, and its unit; "" for a pure number."""

    meaning: str
    unit: str = ""


NATS = "nats per token"
#: constants that mean the same in many laws
FLOOR = Symbol("loss that no scale removes", NATS)
OF_SIZE = Symbol("amplitude of the term in model size", f"{NATS} times params**alpha")
OF_DATA = Symbol("amplitude of the term in data", f"{NATS} times tokens**beta")
ALPHA, BETA = Symbol("exponent of model size"), Symbol("exponent of tokens")


@dataclass(frozen=True)
class Power:
    """A term coefficient * input**(sign * exponent)."""

    coefficient: str
    input_index: int
    exponent: str
    sign: float


class Law:
    """What all laws share. A law says its name, the columns it reads, its formula and source."""

    name: ClassVar[str]
    #: the law as people write it, for tables and documents
    form: ClassVar[str]
    #: where the law comes from; None of a formula whose author gives no source
    reference: ClassVar[Reference | None]
    inputs: ClassVar[tuple[str, ...]]
    symbols: ClassVar[Mapping[str, Symbol]]
    #: constants in which the loss is linear once all the others are known
    linear: ClassVar[tuple[str, ...]]
    #: constants that are searched on a log scale, since they cannot be negative
    positive: ClassVar[tuple[str, ...]]
    #: the constant that is the loss no scale removes; None where no constant is it
    floor: ClassVar[str | None]
    #: for a law that is its floor plus powers of the inputs: the powers, for fast derivatives
    powers: ClassVar[tuple[Power, ...]] = ()
    #: inputs of which more does not always help: a share of a mixture, or one with a best value
    not_falling: ClassVar[tuple[str, ...]] = ()
    #: inputs that may be zero, such as the share of a domain that a mixture leaves out
    may_be_zero: ClassVar[tuple[str, ...]] = ()
    #: bounds other than zero to infinity (positive ones) and -10 to 10 (all others)
    own_bounds: ClassVar[Mapping[str, Bounds]] = {}
    #: what a forecast may assume of a constant before it sees the runs; see `prior`
    own_priors: ClassVar[Mapping[str, Prior]] = {}

    @staticmethod
    def formula(*inputs_then_constants: Any) -> Any:
        """The law as plain arithmetic: inputs first, then constants in field order.

        Constants may be complex: derivatives come from complex steps, so no abs, min or max of
        them. Inputs are real.
        """
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

    @classmethod
    def bounds(cls) -> dict[str, Bounds]:
        """Between which values every constant is searched."""
        usual = {name: (-LARGEST_EXPONENT, LARGEST_EXPONENT) for name in cls.constant_names()}
        return usual | {name: (0.0, np.inf) for name in cls.positive} | dict(cls.own_bounds)

    @classmethod
    def prior(cls, name: str) -> Prior:
        """Mean and standard deviation of what a forecast assumes of a constant.

        On the logarithm of ``positive`` constants, and for the floor on its logarithm relative to
        the lowest loss seen. A law that says nothing has a floor near 0.6 of the lowest loss within
        a factor of e**0.5, exponents and the like within 3 of zero, and all else is left open.
        """
        if name in cls.own_priors:
            return cls.own_priors[name]
        if name == cls.floor:
            return FLOOR_PRIOR
        return _LOOSE_LOG if name in cls.positive else _LOOSE

    @classmethod
    def solved(cls) -> tuple[str, ...]:
        """The constants of a start that least squares gives once the others are guessed."""
        return cls.linear

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Guesses of the constants that are not ``solved``, one array each; where a law knows no
        better, from their bounds, and a floor below the lowest loss."""
        guessed = {k: ends for k, ends in cls.bounds().items() if k not in cls.solved()}
        floors = {} if cls.floor is None else {cls.floor: [s * loss.min() for s in _FLOOR_SHARES]}
        return guesses_within(guessed, inputs, floors) if guessed else {}

    @classmethod
    def terms(cls, inputs: tuple[FloatArray, ...], guesses: Grid, count: int) -> FloatArray:
        """The law with one ``solved`` constant at one and the others at zero, (starts, runs, q)."""
        columns = []
        for name in cls.solved():
            unit = {other: np.full(count, float(other == name)) for other in cls.solved()}
            full = {k: (guesses | unit)[k] for k in cls.constant_names()}
            columns.append(np.broadcast_to(cls(**full).loss(*inputs), (count, len(inputs[0]))))
        return np.stack(columns, axis=-1)

    @classmethod
    def starts(
        cls,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        fixed: Mapping[str, float],
    ) -> Grid:
        """Every constant of every start of a search, each of shape (starts,).

        ``inputs`` and ``loss`` have shape (runs,); ``fixed`` constants take their value in every
        start.
        """
        guesses = {k: v for k, v in cls.guesses(inputs, loss).items() if k not in fixed}
        guesses = distinct(guesses) if guesses else {}
        count = len(next(iter(guesses.values()))) if guesses else 1
        held = {k: np.full(count, v) for k, v in fixed.items() if k not in cls.solved()}
        return cls.completed(guesses | held, count, inputs, loss, weights, fixed)

    @classmethod
    def completed(
        cls,
        guesses: Grid,
        count: int,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        fixed: Mapping[str, float],
    ) -> Grid:
        """The guesses with all other constants solved for, in the order of the constants."""
        solved: Grid = {}
        if cls.solved():
            columns = cls.terms(inputs, guesses, count)
            solved = solved_coefficients(columns, cls.solved(), loss, weights, fixed)
        return {name: (guesses | solved)[name] for name in cls.constant_names()}

    @classmethod
    def unanswerable(cls, inputs: tuple[FloatArray, ...]) -> str | None:
        """Why runs with these inputs cannot determine this law, and what to do; None if they may.

        What holds for every law (enough runs, enough sizes) is checked elsewhere.
        """
        return None

    @classmethod
    def example(cls) -> Self:
        """One plausible instance, for tests and simulated records."""
        raise NotImplementedError

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Inputs of some 40 to 125 runs that identify every constant of the law."""
        ends = [_RANGES.get(name, (1e3, 1e9)) for name in cls.inputs]
        points = {1: 40, 2: 7}.get(len(ends), 5)
        axes = {n: np.geomspace(*e, points) for n, e in zip(cls.inputs, ends, strict=True)}
        return runs_at_all(**axes)


def runs_at_all(**axes: npt.ArrayLike) -> dict[str, FloatArray]:
    """One run at every combination of the values of the axes."""
    grids = np.meshgrid(*(np.asarray(values, dtype=np.float64) for values in axes.values()))
    return {name: grid.ravel() for name, grid in zip(axes, grids, strict=True)}


def before_inputs(constant: Constant, rank: int) -> FloatArray:
    """The constant with ``rank`` axes of length one behind its own."""
    array = np.asarray(constant)
    return array.reshape(array.shape + (1,) * rank)


def softplus(u: Any) -> Any:
    """log(1 + exp(u)) without overflow; also for complex u, which derivatives use."""
    large = u.real > 0
    return np.where(large, u, 0) + np.log1p(np.exp(np.where(large, -u, u)))
