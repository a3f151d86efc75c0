"""What every form of a law in a forecast can do, and the form that any law has of itself."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from analysis.fitting.minimising.law_on_runs import general_model
from analysis.fitting.minimising.models.any_law import AnyLaw
from scaling.arrays import FloatArray
from scaling.laws.base import Law
from scaling.laws.reference import Reference

ValueAndJacobian = tuple[FloatArray, FloatArray]

_SPLIT_REACH, _SPLIT_STEP = 5.0, 0.05  # ln params around an even split; a factor of 150
_MOST_STARTS = 12


def log_sum(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln(e^one + e^other), and the share of the first in that sum, both from one power of e."""
    apart = one - other
    smaller = np.exp(-np.abs(apart))  # over the larger
    both = 1 + smaller
    share = np.where(apart < 0, smaller, 1.0)
    share /= both
    total = np.log(both, out=both)
    total += np.maximum(one, other)
    return total, share


class Form:
    """A law in coordinates in which it is fitted: log inputs relative to the largest runs, log
    loss relative to the lowest seen. The floor, where there is one, is the first parameter."""

    name: str
    parameters: tuple[str, ...]
    #: where comes from what the form adds to its law; None: it adds nothing, or nothing published
    reference: ClassVar[Reference | None] = None

    def evaluate(self, theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
        """Relative log loss (batch, runs) of ``theta`` (batch, p) at ``x`` (runs, inputs), and
        its derivatives (batch, runs, p)."""
        raise NotImplementedError

    def values(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """The same without derivatives; ``x`` may be (batch, runs, inputs), points of each."""
        return self.evaluate(theta, x)[0]

    def starts(self, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
        """Starting points (batch, p) for runs at ``x`` with losses ``y`` and weights ``w``."""
        raise NotImplementedError

    def on(self, centre: FloatArray, lowest: float) -> "Form":
        """The form for runs with this centre and lowest log loss; most do not depend on them."""
        return self

    def best_split(self, theta: FloatArray, total: FloatArray) -> FloatArray:
        """The centred log params that minimise the loss where log params + log tokens = total.

        ``theta`` (batch, p) and ``total`` (points,) give (batch, points). On a grid, then to the
        bottom of the parabola through its three lowest points. A law that would spend all on
        one of the two is given an end of the grid; see `without_best_split`.
        """
        steps = np.arange(-_SPLIT_REACH, _SPLIT_REACH + _SPLIT_STEP / 2, _SPLIT_STEP)
        log_params = total[:, None] / 2 + steps  # (points, steps)
        x = np.stack([log_params, total[:, None] - log_params], axis=-1)
        losses = self.values(theta, x.reshape(-1, 2)).reshape(len(theta), *log_params.shape)
        lowest = np.argmin(losses, axis=2)
        inside = (lowest > 0) & (lowest < len(steps) - 1)
        at = np.clip(lowest, 1, len(steps) - 2)[..., None]
        left, mid, right = (np.take_along_axis(losses, at + i, axis=2)[..., 0] for i in (-1, 0, 1))
        bend = np.maximum(left - 2 * mid + right, 1e-300)
        shift = np.clip((left - right) / (2 * bend), -1, 1)
        found = np.where(inside, steps[at[..., 0]] + shift * _SPLIT_STEP, steps[lowest])
        return np.asarray(total / 2 + found)

    def without_best_split(
        self, log_params: FloatArray, total: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Where the best split that was found is an end of what was searched, so that there is
        none."""
        return np.abs(log_params - total / 2) >= _SPLIT_REACH - _SPLIT_STEP / 2

    def exponents(self, theta: FloatArray) -> tuple[float, ...]:
        """The powers with which the loss falls far out; none where the form has no such numbers."""
        return ()

    @property
    def holds_floor(self) -> bool:
        """Whether somebody said where the floor lies, so that the runs need not tell it."""
        return False


@dataclass(frozen=True, kw_only=True)
class LawForm(Form):
    """Any law by its own formula, with derivatives by complex steps; see `AnyLaw`.

    The coordinates are those of a fit, the floor's relative to the lowest loss.
    """

    law: type[Law]
    fixed: tuple[tuple[str, float], ...] = ()  # constants that are held, with their values
    centre: FloatArray | None = None  # (inputs,)
    lowest: float = 0.0

    @property
    def name(self) -> str:  # type: ignore[override]
        """The law's name."""
        return self.law.name

    @property
    def free(self) -> tuple[str, ...]:
        """The law's constants that are fitted, in its order."""
        held = dict(self.fixed)
        return tuple(name for name in self.law.constant_names() if name not in held)

    @property
    def constants(self) -> tuple[str, ...]:
        """The same, the floor first."""
        return tuple(sorted(self.free, key=lambda name: name != self.law.floor))

    @property
    def holds_floor(self) -> bool:
        """See `Form`."""
        return self.law.floor in dict(self.fixed)

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """The constants, the floor under the name that it has in every form."""
        return tuple("floor" if name == self.law.floor else name for name in self.constants)

    def on(self, centre: FloatArray, lowest: float) -> "LawForm":
        """The law where its inputs and losses have their own units again."""
        return replace(self, centre=centre, lowest=lowest)

    def evaluate(self, theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
        """See `Form`."""
        model, coordinates = self._model(x), self._coordinates(theta, x)
        order = [self.free.index(name) for name in self.constants]
        value = model.log_prediction(coordinates) - self.lowest
        return value, model.slopes(coordinates)[..., order]

    def values(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """See `Form`."""
        prediction = self._model(x).log_prediction(self._coordinates(theta, x))
        return np.asarray(prediction - self.lowest)

    def starts(self, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
        """The law's own starts that come nearest to the runs."""
        model = self._model(x)
        grid = self.law.starts(self._inputs(x), np.exp(y + self.lowest), w, dict(self.fixed))
        columns = dict(zip(self.free, model.to_coordinates(grid).T, strict=True))
        if self.law.floor in columns:
            columns[self.law.floor] = columns[self.law.floor] - self.lowest
        theta = np.column_stack([columns[name] for name in self.constants])
        theta = theta[np.isfinite(theta).all(axis=1)]
        value, jacobian = self.evaluate(theta, x)
        usable = np.isfinite(value).all(axis=1) & np.isfinite(jacobian).all(axis=(1, 2))
        theta, missed = theta[usable], np.abs(value[usable] - y) @ w
        return np.asarray(theta[np.argsort(missed, kind="stable")[:_MOST_STARTS]])

    def _inputs(self, x: FloatArray) -> tuple[FloatArray, ...]:
        centre = np.zeros(x.shape[-1]) if self.centre is None else self.centre
        return tuple(np.moveaxis(np.exp(x + centre), -1, 0))

    def _model(self, x: FloatArray) -> AnyLaw:
        return general_model(self.law, self._inputs(x), dict(self.fixed))

    def _coordinates(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Search coordinates in the order of the law's constants, within its bounds."""
        columns = dict(zip(self.constants, theta.T, strict=True))
        if self.law.floor in columns:
            columns[self.law.floor] = columns[self.law.floor] + self.lowest
        ordered = np.column_stack([columns[name] for name in self.free])
        return np.asarray(np.clip(ordered, *self._model(x[:1]).limits))
