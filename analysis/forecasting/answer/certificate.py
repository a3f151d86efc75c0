"""What the runs alone say of a target, by no law: the losses of all sums of falling powers.

A law L = sum_j w_j N^-a_j D^-b_j, with weights and exponents that are not negative (a constant,
sizes alone, tokens alone and products among them), is linear in its weights. So the lowest and the
highest loss at a target, of all laws of this kind that pass within the error bands of all runs,
are two linear programs over a fine grid of exponents, as is the smallest band that any of them can
keep. Of one input such sums are the completely monotone functions of its logarithm (Bernstein 1928,
Acta Mathematica 52; of several, those of each logarithm).

`chinchilla`, `power_law` and every sum of such laws are of the kind. A law whose fall quickens in
log-log is not: where runs bend down by more than their bands there is no range, and a bend beyond
the largest run is ruled out by assumption, as in every extrapolation.

The bands, of the mean of each configuration's runs: it lies within z of its standard errors of what
is expected, z such that n independent normal errors all do so, and the errors together
are no larger in sum, without their signs, than chance makes them: n errors that all lie near one
end of their bands do not come about. Each of the two holds with half of what the confidence level
leaves to chance, so both at once with the level, and what is expected at the target lies in the
range as often, if the noise is what it was taken for and the law is of the kind.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.forecasting.ladder import Ladder
from analysis.intervals import Interval, outwards
from scaling.arrays import FloatArray

#: Exponents of one input; of two inputs, each pair of the coarser ones.
FINE = tuple(np.round(np.concatenate([np.arange(0, 1, 0.02), np.geomspace(1, 4, 12)]), 4))
COARSE = tuple(np.round(np.concatenate([np.arange(0, 0.6, 0.05), np.geomspace(0.6, 3, 8)]), 4))

SLACK = 1e-6  # relative: solvers, and the grid, leave a little


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The expected losses at one target that positive mixtures of power laws within the error bands
    of the runs allow."""

    range: Interval | None  # nats per token; None where no mixture keeps within the bands
    band: float  # how far such a law may pass from a single run, as a share of its loss
    smallest_band: float  # to which all bands would have to be scaled for one mixture to keep them
    noise: float  # standard deviation of one run that the bands are made of, as a share of the loss
    confidence_level: float  # with which the bands hold all runs at once
    runs: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> "Certificate | None":
        """The one that a document holds, or None."""
        if document is None:
            return None
        ends = document["range"]
        return cls(**{**document, "range": None if ends is None else Interval(*ends)})

    def in_two_digits(self) -> "Certificate":
        """The same with a range of two digits, rounded outwards."""
        return replace(self, range=self.range and outwards(self.range))

    @property
    def bands(self) -> str:
        """Which laws are meant, and what was taken for the error of a run, in a sentence."""
        return (
            f"of sums of falling powers that pass within \u00b1{self.band:.2%} of a run "
            f"({self.band / self.noise:.1f} standard deviations of {self.noise:.2%}) and no "
            f"further from all {self.runs} together than noise of that size takes them "
            f"({self.confidence_level:.0%}); of the expected loss, of which one run scatters "
            "besides. A fall that quickens beyond the runs is no such sum"
        )

    def line(self, interval: Interval, confidence_level: float) -> str:
        """What it says of the interval of the forecast, in a sentence."""
        if self.range is None:
            return (
                f"no such sum; the nearest needs \u00b1{self.smallest_band:.2%}: the losses bend "
                "down, runs are off, or scatter more than that"
            )
        ratio = (self.range.high - self.range.low) / (interval.high - interval.low)
        means = (
            "what narrows the forecast is a choice of laws, no finding of the runs"
            if ratio > 1
            else "the runs alone, by any such sum, settle as much"
        )
        return f"{ratio:.2g} times as wide as the {confidence_level:.0%} interval: {means}"


def certificates(
    ladder: Ladder, log_inputs: FloatArray, noise: float, confidence_level: float
) -> tuple[Certificate, ...]:
    """One a target (targets, inputs); ``noise`` is the standard deviation of a run's log loss."""
    program = _Program.of(ladder, noise, confidence_level)
    smallest = program.smallest_scale()
    holds = smallest <= 1 + SLACK
    return tuple(
        Certificate(
            range=program.range_at(x) if holds else None,
            band=program.farthest * noise,
            smallest_band=smallest * program.farthest * noise,
            noise=noise,
            confidence_level=confidence_level,
            runs=len(ladder),
        )
        for x in log_inputs
    )


def farthest_of(errors: int, level: float) -> float:
    """Within how many standard deviations all of so many normal errors lie with this chance."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level ** (1 / errors) / 2))


def sum_of(errors: int, level: float) -> float:
    """How many standard deviations the absolute values of so many normal errors sum to at most with
    this chance: a normal quantile, with Cornish and Fisher's correction for their skewness."""
    from scipy.special import ndtri

    z, mean, variance = float(ndtri(level)), math.sqrt(2 / math.pi), 1 - 2 / math.pi
    skewness = math.sqrt(2 / math.pi) * (4 / math.pi - 1) / variance**1.5
    sd = math.sqrt(errors * variance)
    return float(errors * mean + sd * (z + (z**2 - 1) * skewness / (6 * math.sqrt(errors))))


@dataclass(frozen=True, kw_only=True)
class _Program:
    """Weights of powers that are not negative, and what they give at each configuration, over its
    loss. Its variables are these weights, and an upper end of the error of each configuration."""

    exponents: FloatArray  # (powers, inputs)
    centre: FloatArray  # (inputs,)
    scale: FloatArray  # (powers,) of each column, so that its largest entry is one
    terms: FloatArray  # (configurations, powers)
    errors: FloatArray  # (configurations,) standard errors of their means
    farthest: float  # standard errors that any may be off by
    together: float  # and all, in sum

    @classmethod
    def of(cls, ladder: Ladder, noise: float, confidence_level: float) -> "_Program":
        which = np.arange(len(ladder)) if ladder.configuration is None else ladder.configuration
        _, first, which, runs = np.unique(
            which, return_index=True, return_inverse=True, return_counts=True
        )
        inputs = ladder.log_inputs[first]
        log_loss = np.bincount(which, ladder.log_loss) / runs
        grid = FINE if inputs.shape[1] == 1 else COARSE
        axes = np.meshgrid(*[grid] * inputs.shape[1], indexing="ij")
        exponents = np.stack([axis.ravel() for axis in axes], axis=1)
        centre = inputs.mean(axis=0)
        terms = np.exp(-(inputs - centre) @ exponents.T - log_loss[:, None])
        scale, level = terms.max(axis=0), (1 + confidence_level) / 2
        return cls(
            exponents=exponents,
            centre=centre,
            scale=scale,
            terms=terms / scale,
            errors=noise / np.sqrt(runs),
            farthest=farthest_of(len(runs), level),
            together=sum_of(len(runs), level),
        )

    def smallest_scale(self) -> float:
        """The least factor on all bands with which some mixture keeps them."""
        count, powers = self.terms.shape
        no_weights = np.zeros((count + 1, powers))
        own = np.column_stack([np.eye(count), -self.farthest * self.errors])
        total = np.append(1 / self.errors, -self.together)
        rows = np.vstack(
            [
                np.column_stack([self._rows, np.zeros(2 * count)]),
                np.column_stack([no_weights, np.vstack([own, total])]),
            ]
        )
        within = np.concatenate([self._within, np.zeros(count + 1)])
        cost = np.append(np.zeros(powers + count), 1.0)
        return float(_solve(cost, rows, within, (0, None)).fun)

    def range_at(self, x: FloatArray) -> Interval:
        """The lowest and the highest loss at log inputs (inputs,) within bands that some keeps."""
        count, powers = self.terms.shape
        at = np.exp(-self.exponents @ (x - self.centre)) / self.scale
        unit = at.max()
        cost = np.append(at / unit, np.zeros(count))
        rows = np.vstack([self._rows, np.append(np.zeros(powers), 1 / self.errors)])
        within = np.append(self._within, self.together * (1 + SLACK))
        reach = self.farthest * self.errors * (1 + SLACK)
        ends = [(0.0, None)] * powers + [(0.0, float(most)) for most in reach]
        low, high = (float(_solve(sign * cost, rows, within, ends).fun) for sign in (1, -1))
        return Interval(float(max(low, 0.0) * unit), float(-high * unit))

    @property
    def _rows(self) -> FloatArray:
        """Both sides of: the error of each configuration is no larger than its upper end."""
        bounds = -np.eye(len(self.terms))
        return np.vstack([np.hstack([self.terms, bounds]), np.hstack([-self.terms, bounds])])

    @property
    def _within(self) -> FloatArray:
        return np.repeat([1.0, -1.0], len(self.terms))


def _solve(cost: FloatArray, rows: FloatArray, limits: FloatArray, bounds: Any) -> Any:
    """The variables of least cost within their bounds with rows @ variables <= limits."""
    from scipy.optimize import linprog

    return linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
