"""The found forms together: weights by their backtests, and intervals scaled by backtests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import ndtr

from analysis.discovery.backtest import Backtested, prediction_spread, scaled_errors
from analysis.discovery.blocks import Block
from analysis.discovery.forms.solver import Solved, predicted
from analysis.discovery.forms.table import Arranged, Table, arrange
from scaling.arrays import FloatArray, IntArray

SHARPNESS = 0.1  # of the score: a form so much worse counts e times less
MOST_FORMS = 8
_LEAST_WEIGHT = 0.01
_NORMAL_90 = 1.6448536
_LARGEST_STRETCH = 10.0


@dataclass(frozen=True)
class Ensemble:
    """Forms with weights, and by how much their joint intervals are stretched."""

    members: tuple[Backtested, ...]
    weights: FloatArray
    stretch: float
    table: Table
    arranged: Arranged
    centres: tuple[float, ...]

    def arrange(self, inputs: FloatArray, group: IntArray) -> Arranged:
        """New points (points, inputs) of these groups (points,) as a table, with losses of one."""
        like, ones = self.table, np.ones(len(inputs))
        asked = Table(like.names, inputs, ones, group, like.roles, like.is_relative)
        return arrange(asked, self.centres, like.groups)

    def predict(self, inputs: FloatArray, group: IntArray) -> "Predicted":
        """Every member at new points (points, inputs) of these groups (points,)."""
        spread = self.arrange(inputs, group)
        medians, deviations = [], []
        for one in self.members:
            last = last_fit(one.solved)
            form, shared = one.form, one.candidate.shared
            found = predicted(form, spread.seen.at, last.theta, last.coefficients)
            weight = self.arranged.seen.weight[None]
            sd = prediction_spread(form, self.arranged.seen, weight, last, spread.seen, shared)
            medians.append(spread.rows(found)[0])
            deviations.append(np.hypot(spread.rows(sd)[0], one.noise[-1]))
        return self._predicted(medians, deviations)

    def predict_hidden(self, number: int, rows: IntArray) -> "Predicted":
        """Every member at these runs of block ``number``, from its fit without that block."""
        medians = [one.medians[number][rows] for one in self.members]
        deviations = [np.hypot(m.spreads[number][rows], m.noise[number]) for m in self.members]
        return self._predicted(medians, deviations)

    def _predicted(
        self, medians: Sequence[FloatArray], deviations: Sequence[FloatArray]
    ) -> "Predicted":
        """``deviations`` are in the scale of errors, before they are stretched."""
        scale = 1.0 if self.table.is_relative else float(self.arranged.seen.weight.max())
        return Predicted(
            np.array(medians),
            self.stretch * np.array(deviations) / scale,
            self.weights,
            self.table.is_relative,
        )


@dataclass(frozen=True)
class Predicted:
    """What every member says of every point: (members, points)."""

    medians: FloatArray
    deviations: FloatArray
    weights: FloatArray
    is_relative: bool

    def quantile(self, share: float) -> FloatArray:
        """A quantile of the mixture of the members (points,)."""
        centre = np.log(np.maximum(self.medians, 1e-300)) if self.is_relative else self.medians
        low = (centre - 9 * self.deviations).min(axis=0)
        high = (centre + 9 * self.deviations).max(axis=0)
        for _ in range(60):
            middle = (low + high) / 2
            below = (self.weights[:, None] * ndtr((middle - centre) / self.deviations)).sum(axis=0)
            low, high = np.where(below < share, middle, low), np.where(below < share, high, middle)
        found = (low + high) / 2
        return np.asarray(np.exp(found) if self.is_relative else found)


def last_fit(solved: Solved) -> Solved:
    """The fit to all runs."""
    return Solved(*(getattr(solved, name)[-1:] for name in solved.__dataclass_fields__))


def weigh(
    backtested: Sequence[Backtested],
    blocks: Sequence[Block],
    table: Table,
    arranged: Arranged,
    centres: Sequence[float],
    sharpness: float = SHARPNESS,
) -> Ensemble:
    """The best forms, weighted by their scores in the backtests."""
    best = sorted(backtested, key=lambda one: one.score)[:MOST_FORMS]
    scores = np.array([one.score for one in best])
    weights = np.exp(-(scores - scores[0]) / sharpness)
    kept = weights >= _LEAST_WEIGHT * weights.sum()
    best = [one for one, keep in zip(best, kept, strict=True) if keep]
    weights = weights[kept] / weights[kept].sum()
    stretch = _stretch(best, weights, blocks, table, arranged)
    return Ensemble(tuple(best), weights, stretch, table, arranged, tuple(centres))


def _stretch(
    members: Sequence[Backtested],
    weights: FloatArray,
    blocks: Sequence[Block],
    table: Table,
    arranged: Arranged,
) -> float:
    """By how much intervals are stretched: by how far the hidden runs missed, and, as these are few
    blocks, by Student's quantile of so many over the normal one."""
    scale = arranged.rows(arranged.seen.weight)
    beyond = [k for k, block in enumerate(blocks) if block.along]
    judges = beyond if len(beyond) > 1 else list(range(len(blocks)))
    squares, counts = [], []
    for k in judges:
        hidden = blocks[k].hidden
        errors = np.array([scaled_errors(table, m.medians[k], scale)[hidden] for m in members])
        sd = np.array([np.hypot(m.spreads[k], m.noise[k])[hidden] for m in members])
        middle = (weights[:, None] * errors).sum(axis=0)
        between = (weights[:, None] * (errors - middle) ** 2).sum(axis=0)
        within = (weights[:, None] * sd**2).sum(axis=0)
        squares.append(float(np.mean(middle**2 / (within + between))))
        counts.append(blocks[k].weight)
    missed = np.sqrt(np.average(squares, weights=counts))
    student = float(stats.t.ppf(0.95, len(judges))) / _NORMAL_90
    return float(np.clip(max(missed, 1.0) * student, 1.0, _LARGEST_STRETCH))
