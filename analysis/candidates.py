"""The candidate laws of a forecast: a form, weak priors, how runs are weighted, a first weight.

Priors are on coordinates relative to the lowest loss seen and to the runs of largest compute, so
they hold for any ladder: exponents near 0.3, a floor near 0.6 of the lowest loss, both loosely.
They say what published ladders have in common, and a few runs outweigh them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis import curve_forms as curve
from analysis import surface_forms as surface
from analysis.curve_forms import CurveForm
from analysis.surface_forms import SurfaceForm

FloatArray = npt.NDArray[np.float64]
Prior = tuple[float, float]  # mean, standard deviation

FLOOR: Prior = (float(np.log(0.6)), 0.5)
AMPLITUDE: Prior = (-1.5, 2.0)
# Published joint fits: .24 to .27 (Gadre et al. 2024), .35 and .37 (Hoffmann et al. refitted).
EXPONENT: Prior = (float(np.log(0.3)), 0.2)
# Published optima put 45 to 57% of log compute into size: ln(alpha / beta) from -.3 to .2. Two
# standard deviations either way are 40 to 60%: other data may differ more.
EXPONENT_RATIO: Prior = (0.0, 0.2)
# Coupling far from additive is more often a sign of badly trained small runs than of a law: it does
# not carry on beyond them (docs/log.md).
COUPLING: Prior = (-0.15, 0.25)
# Exponents of compute are about .17: the fall may quicken or slow down by a quarter at the edge.
BEND: Prior = (0.0, 0.04)
# A decade and a half below the largest runs bad tuning costs 2% of the loss, within a factor of e;
# it halves every half decade of compute, within a factor of 1.5.
EXCESS: Prior = (-4.0, 1.0)
EXCESS_RATE: Prior = (-0.4, 0.4)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One member of the ensemble."""

    name: str
    law: str  # the public law it is a fit of
    form: SurfaceForm | CurveForm
    priors: tuple[Prior, ...]
    eta: float  # weights rise as compute ** eta
    first_weight: float  # its share before any backtest

    @property
    def prior_mean(self) -> FloatArray:
        """Prior means (p,) in the order of the form's parameters."""
        return np.array([mean for mean, _ in self.priors])

    @property
    def prior_sd(self) -> FloatArray:
        """Prior standard deviations (p,)."""
        return np.array([sd for _, sd in self.priors])


def surface_candidates() -> tuple[Candidate, ...]:
    """The laws of (params, tokens)."""
    additive = (FLOOR, AMPLITUDE, AMPLITUDE, EXPONENT, EXPONENT_RATIO)
    coupled = (*additive, COUPLING)
    bending = (*coupled, BEND)
    return (
        Candidate(
            name="coupled",
            law="skaling",
            form=surface.COUPLED,
            priors=coupled,
            eta=0.25,
            first_weight=0.20,
        ),
        Candidate(
            name="bending, large runs",
            law="skaling",
            form=surface.BENDING,
            priors=bending,
            eta=0.6,
            first_weight=0.20,
        ),
        Candidate(
            name="bending, all runs alike",
            law="skaling",
            form=surface.BENDING,
            priors=bending,
            eta=0.0,
            first_weight=0.20,
        ),
        Candidate(
            name="badly tuned small runs",
            law="skaling",
            form=surface.BADLY_TUNED,
            priors=(*coupled, EXCESS, EXCESS_RATE),
            eta=0.0,
            first_weight=0.10,
        ),
        Candidate(
            name="additive",
            law="chinchilla",
            form=surface.ADDITIVE,
            priors=additive,
            eta=0.25,
            first_weight=0.15,
        ),
        Candidate(
            name="shared exponent",
            law="overtraining",
            form=surface.SHARED,
            priors=additive[:4],
            eta=0.25,
            first_weight=0.15,
        ),
    )


NEAR_WEIGHTS = {
    "floored": 0.14,
    "shifted": 0.14,
    "saturating": 0.14,
    "broken": 0.14,
    "floored broken": 0.37,
    "power": 0.02,
    "bounded": 0.05,
}
FAR_WEIGHTS = {
    "floored": 0.50,
    "shifted": 0.25,
    "saturating": 0.02,
    "broken": 0.02,
    "floored broken": 0.15,
    "power": 0.01,
    "bounded": 0.05,
}


def curve_candidates(typical_exponent: float = 0.35, *, far: bool = False) -> tuple[Candidate, ...]:
    """The laws of one input, for exponents near ``typical_exponent``.

    ``far`` is for forecasts over half a decade and more: laws that cannot level off, or that bend
    freely, lose their weight there, and runs lower down keep more of theirs.
    """
    weights = FAR_WEIGHTS if far else NEAR_WEIGHTS
    patience = 0.5 if far else 1.0

    def exponent(relative: float, sd: float) -> Prior:
        return (float(np.log(relative * typical_exponent)), sd)

    floor: Prior = (FLOOR[0], 1.0)
    above_floor: Prior = (-1.0, 2.0)
    bend: tuple[Prior, ...] = ((0.0, 0.3), (0.0, 3.0), (0.0, 0.7))  # c1, d, log f
    return (
        Candidate(
            name="power law with floor",
            law="power_law",
            form=curve.FLOORED,
            priors=(floor, above_floor, exponent(1.0, 0.6)),
            eta=1.0 * patience,
            first_weight=weights["floored"],
        ),
        Candidate(
            name="shifted power law",
            law="shifted_power_law",
            form=curve.SHIFTED,
            priors=(floor, above_floor, exponent(0.4 / 0.35, 0.6), (-6.0, 3.0)),
            eta=0.5 * patience,
            first_weight=weights["shifted"],
        ),
        Candidate(
            name="saturating power law",
            law="saturating_power_law",
            form=curve.SATURATING,
            priors=((0.0, 2.0), exponent(0.3 / 0.35, 0.7), (-3.0, 3.0)),
            eta=1.0 * patience,
            first_weight=weights["saturating"],
        ),
        Candidate(
            name="broken power law",
            law="broken_power_law",
            form=curve.BROKEN,
            priors=((0.0, 3.0), exponent(0.2 / 0.35, 1.5), *bend),
            eta=0.5 * patience,
            first_weight=weights["broken"],
        ),
        Candidate(
            name="broken power law with floor",
            law="broken_power_law",
            form=curve.FLOORED_BROKEN,
            priors=(floor, above_floor, exponent(1.0, 0.6), *bend),
            eta=0.5 * patience,
            first_weight=weights["floored broken"],
        ),
        Candidate(
            name="power law without floor",
            law="pure_power_law",
            form=curve.POWER,
            priors=((0.0, 2.0), exponent(0.5, 0.7)),
            eta=1.0 * patience,
            first_weight=weights["power"],
        ),
        Candidate(
            name="bounded power law (M4)",
            law="m4",
            form=curve.BOUNDED,
            priors=(floor, above_floor, exponent(1.0, 0.6), (0.5, 1.0), (0.0, 0.7)),
            eta=0.5 * patience,
            first_weight=weights["bounded"],
        ),
    )


LAW_NAMES = tuple(dict.fromkeys(c.law for c in (*surface_candidates(), *curve_candidates())))
