"""Laws of a learning curve whose learning rate is known: of the rate spent, less what lowering the
rate has brought.

    ln L = f(ln S1) - c S2,    0 <= S2 <= 1

with f any law of one input (`curve_forms`). S1 is the sum of the learning rates so far and S2 the
annealing area of Tissue et al. 2024 (arXiv:2408.11029), as a share of what a fall to zero comes
to. Their law is the one whose f is a power with a floor; S2 is taken off ln L here, not L.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from analysis.forecasting.constants.priors import ANNEALING
from analysis.forecasting.members.curve_forms import CurveForm
from analysis.forecasting.members.form import Form, ValueAndJacobian
from scaling.arrays import FloatArray
from scaling.laws.annealing import REFERENCE, annealing_areas
from scaling.laws.reference import Reference

_STEPS = 4000  # of equal length, in which a schedule is summed
_MEMORY = 0.05  # of the schedule, over which a fall of the rate takes effect


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningRates:
    """The learning rate over its peak along one column, from zero to where it is known."""

    end: float  # of the column
    log_x: FloatArray  # (steps,)
    log_spent: FloatArray  # (steps,) ln S1 in units of the column at the peak rate
    annealed: FloatArray  # (steps,) S2

    @classmethod
    def of(cls, x: FloatArray, rates: FloatArray) -> "LearningRates":
        """From rates at rising values of the column, lines between them; a warm-up is from zero."""
        rates = rates / rates.max()
        first = 0.0 if len(rates) > 1 and rates[1] > rates[0] else rates[0]
        at = np.linspace(0, x[-1], _STEPS + 1)[1:]
        along = np.interp(at, np.append(0.0, x), np.append(first, rates))
        memory = 1 - 1 / (_MEMORY * _STEPS)
        spent, annealed = annealing_areas(along, memory)
        return cls(
            end=float(x[-1]),
            log_x=np.log(at),
            log_spent=np.log(np.maximum(spent, 1e-12) * x[-1] / _STEPS),
            annealed=annealed * (1 - memory),
        )

    def at(self, log_x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """ln S1 and S2 there; beyond the end as if the rate were at its peak again."""
        log_spent = np.interp(log_x, self.log_x, self.log_spent)
        before = np.minimum(log_x - self.log_x[0], 0.0)
        further = np.maximum(np.exp(log_x) - self.end, 0.0)
        log_spent = np.logaddexp(log_spent, np.log(np.maximum(further, 1e-300))) + before
        return log_spent, np.interp(log_x, self.log_x, self.annealed)


@dataclass(frozen=True, kw_only=True)
class AnnealedForm(Form):
    """A law of one input along a schedule that is known."""

    reference: ClassVar[Reference] = REFERENCE
    base: CurveForm
    rates: LearningRates
    centre: float = 0.0  # ln of the column

    @property
    def name(self) -> str:  # type: ignore[override]
        """The base's, annealed."""
        return f"{self.base.name}, annealed"

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """The base's, and what a fall of the rate to zero takes off ln L."""
        return (*self.base.parameters, "annealing")

    def on(self, centre: FloatArray, lowest: float) -> "AnnealedForm":
        """See `Form`."""
        return replace(self, centre=float(centre[0]))

    def _clock(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        here, annealed_here = self.rates.at(np.array([self.centre]))
        spent, annealed = self.rates.at(x[..., 0] + self.centre)
        return (spent - here)[..., None], annealed - annealed_here

    def evaluate(self, theta: FloatArray, x: FloatArray) -> ValueAndJacobian:
        """See `Form`."""
        spent, annealed = self._clock(x)
        value, jacobian = self.base.evaluate(theta[:, :-1], spent)
        taken = np.broadcast_to(-annealed, value.shape)
        return value - theta[:, -1:] * annealed, np.concatenate(
            [jacobian, taken[..., None]], axis=-1
        )

    def starts(self, x: FloatArray, y: FloatArray, w: FloatArray) -> FloatArray:
        """See `Form`; with what is usually taken off."""
        spent, annealed = self._clock(x)
        starts = self.base.starts(spent, y + ANNEALING[0] * annealed, w)
        return np.column_stack([starts, np.full(len(starts), ANNEALING[0])])
