"""The candidate laws of a forecast: a form, priors, how runs are weighted, a first weight."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis.forecasting.constants.priors import (
    AMPLITUDE,
    ANNEALING,
    BEND,
    COUPLING,
    EXCESS,
    EXCESS_RATE,
    EXPONENT,
    EXPONENT_RATIO,
    FLOOR,
)
from analysis.forecasting.members import curve_forms as curve
from analysis.forecasting.members import surface_forms as surface
from analysis.forecasting.members.annealed_forms import AnnealedForm, LearningRates
from analysis.forecasting.members.curve_forms import CurveForm
from analysis.forecasting.members.form import Form, LawForm
from scaling.arrays import FloatArray
from scaling.laws.base import Law, Prior
from scaling.laws.curves import (
    M4,
    BrokenPowerLaw,
    PowerLaw,
    PurePowerLaw,
    SaturatingPowerLaw,
    ShiftedPowerLaw,
)
from scaling.laws.surfaces import Chinchilla, Overtraining, Skaling


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One member of the ensemble."""

    name: str
    law: type[Law]  # what it is a fit of, alone or with a term for badly tuned or largest runs
    form: Form
    priors: tuple[Prior, ...]
    eta: float  # weights rise as compute ** eta
    first_weight: float  # its share before any backtest
    floor: float | None = None  # where it is held, nats; None: the runs and the prior tell it

    @property
    def holds_floor(self) -> bool:
        """Whether somebody said where the floor lies, so that the runs need not tell it."""
        return self.floor is not None or self.form.holds_floor

    def priors_at(self, lowest: float) -> tuple[FloatArray, FloatArray]:
        """Prior means and standard deviations (p,) where the lowest log loss is this."""
        mean, sd = self.prior_mean, self.prior_sd
        if self.floor is not None:  # the first parameter, relative to the lowest loss
            mean[0], sd[0] = np.log(max(self.floor, NO_FLOOR)) - lowest, HELD
        return mean, sd

    @property
    def prior_mean(self) -> FloatArray:
        """Prior means (p,) in the order of the form's parameters."""
        return np.array([mean for mean, _ in self.priors])

    @property
    def prior_sd(self) -> FloatArray:
        """Prior standard deviations (p,)."""
        return np.array([sd for _, sd in self.priors])


HELD = 1e-6  # standard deviation of a floor that is held
NO_FLOOR = 1e-9  # nats; a floor of zero has no log

Row = tuple[str, type[Law], Form, tuple[Prior, ...], float, float]


def _candidates(*rows: Row) -> tuple[Candidate, ...]:
    """One candidate a row: name, law, form, priors, eta, first weight."""
    return tuple(
        Candidate(name=name, law=law, form=form, priors=priors, eta=eta, first_weight=weight)
        for name, law, form, priors, eta, weight in rows
    )


def surface_candidates() -> tuple[Candidate, ...]:
    """The laws of (params, tokens)."""
    additive = (FLOOR, AMPLITUDE, AMPLITUDE, EXPONENT, EXPONENT_RATIO)
    coupled = (*additive, COUPLING)
    bending, badly_tuned = (*coupled, BEND), (*coupled, EXCESS, EXCESS_RATE)
    return _candidates(
        ("coupled", Skaling, surface.COUPLED, coupled, 0.25, 0.20),
        (
            "coupled with a break, large runs count more",
            Skaling,
            surface.BENDING,
            bending,
            0.6,
            0.20,
        ),
        (
            "coupled with a break, all runs count alike",
            Skaling,
            surface.BENDING,
            bending,
            0.0,
            0.20,
        ),
        ("badly tuned small runs", Skaling, surface.BADLY_TUNED, badly_tuned, 0.0, 0.10),
        ("additive", Chinchilla, surface.ADDITIVE, additive, 0.25, 0.15),
        ("shared exponent", Overtraining, surface.SHARED, additive[:4], 0.25, 0.15),
    )


NEAR_WEIGHTS = {
    "power law with floor": 0.14,
    "shifted power law": 0.14,
    "saturating power law": 0.14,
    "broken power law": 0.14,
    "broken power law with floor": 0.37,
    "power law without floor": 0.02,
    "bounded power law (M4)": 0.05,
}
FAR_WEIGHTS = {
    "power law with floor": 0.50,
    "shifted power law": 0.25,
    "saturating power law": 0.02,
    "broken power law": 0.02,
    "broken power law with floor": 0.15,
    "power law without floor": 0.01,
    "bounded power law (M4)": 0.05,
}


def annealed(candidates: Iterable[Candidate], rates: LearningRates) -> tuple[Candidate, ...]:
    """The same laws of a run whose learning rate is known at every step."""
    return tuple(
        replace(
            one,
            name=f"{one.name}, annealed",
            form=AnnealedForm(base=one.form, rates=rates),
            priors=(*one.priors, ANNEALING),
        )
        for one in candidates
        if isinstance(one.form, CurveForm)
    )


def curve_candidates(typical_exponent: float = 0.35, *, far: bool = False) -> tuple[Candidate, ...]:
    """The laws of one input, for exponents near ``typical_exponent``.

    ``far`` is for forecasts over half a decade and more: laws that cannot level off, or that bend
    freely, lose their weight there, and runs lower down keep more of theirs.
    """
    weights = FAR_WEIGHTS if far else NEAR_WEIGHTS
    slow, fast = (0.25, 0.5) if far else (0.5, 1.0)  # eta

    def exponent(relative: float, sd: float) -> Prior:
        return (float(np.log(relative * typical_exponent)), sd)

    floored: tuple[Prior, ...] = ((FLOOR[0], 1.0), (-1.0, 2.0), exponent(1.0, 0.6))
    shifted = (*floored[:2], exponent(0.4 / 0.35, 0.6), (-6.0, 3.0))
    saturating = ((0.0, 2.0), exponent(0.3 / 0.35, 0.7), (-3.0, 3.0))
    bend: tuple[Prior, ...] = ((0.0, 0.3), (0.0, 3.0), (0.0, 0.7))  # c1, d, log f
    broken = ((0.0, 3.0), exponent(0.2 / 0.35, 1.5), *bend)
    power = ((0.0, 2.0), exponent(0.5, 0.7))
    bounded = (*floored, (0.5, 1.0), (0.0, 0.7))
    rows = (
        ("power law with floor", PowerLaw, curve.FLOORED, floored, fast),
        ("shifted power law", ShiftedPowerLaw, curve.SHIFTED, shifted, slow),
        ("saturating power law", SaturatingPowerLaw, curve.SATURATING, saturating, fast),
        ("broken power law", BrokenPowerLaw, curve.BROKEN, broken, slow),
        (
            "broken power law with floor",
            BrokenPowerLaw,
            curve.FLOORED_BROKEN,
            (*floored, *bend),
            slow,
        ),
        ("power law without floor", PurePowerLaw, curve.POWER, power, fast),
        ("bounded power law (M4)", M4, curve.BOUNDED, bounded, slow),
    )
    return _candidates(*((*row, weights[row[0]]) for row in rows))


def candidate_of(law: type[Law], fixed: Mapping[str, float] | None = None) -> Candidate:
    """The candidate that any law makes of itself: its own formula, starts and priors; some of its
    constants held at values."""
    form = LawForm(law=law, fixed=tuple((fixed or {}).items()))
    held = "".join(f", {name} = {value:g}" for name, value in form.fixed)
    return Candidate(
        name=law.name.replace("_", " ") + held,
        law=law,
        form=form,
        priors=tuple(law.prior(name) for name in form.constants),
        eta=0.25,
        first_weight=1.0,
    )
