"""How the loss answers to a recipe's constants, and what the recipe costs against the best.

Over the arms of a check (`scaling.extra_columns.recipe_arms`), with z the steps of each constant
from the recipe,

    ln loss(z, seed)  =  a_seed + g z + z H z / 2 + noise,      all zero at z = 0 but the first,

a second-order response surface (Box and Wilson 1951). A design of few runs does not pin it down:
the best of many noisy arms looks better than it is. So its coefficients have normal priors, centred
on no slope, whose common width the arms themselves decide (a grid of widths and of noise is
averaged by its evidence). The best recipe is where the *expected* surface is lowest within what was
tried, and its gain is the expected one: an expectation under a prior carries no reward for having
been chosen. Where arms differ by noise alone the width, and with it the gain, goes to zero. Its
standard error is how far the fall to the lowest place of surfaces as likely as this one lies from
it: it tells what may have been missed too, also where the recipe itself is the best found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize

from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.extra_columns.recipe_arms import CALLED, STEPS, Arm, Factors

_SIZE = len(STEPS)
_PAIRS = tuple((i, j) for i in range(_SIZE) for j in range(i + 1, _SIZE))
#: Prior of the coefficients, in ln loss a step: slopes about zero, curvatures as small ladders had
#: them (docs/log.md: rate, decay, warm-up, batch), bends of two constants together.
_SLOPE, _CURVATURE, _TOGETHER = 0.02, (0.04, 0.012, 0.006, 0.012), 0.003
_CURVATURES_DIFFER = 0.6  # from those of small ladders, relative
_OTHER_RECIPE = 0.03
_WIDTHS = np.array([0.05, 0.125, 0.25, 0.5, 1.0, 2.0])  # of slopes and other recipes
_NOISES = np.array([0.0005, 0.001, 0.002, 0.004, 0.007, 0.011, 0.018, 0.03])  # of a run, in ln loss
_USUAL_NOISE, _NOISE_SPREAD = 0.005, 1.0  # ln normal
_LEVEL = 10.0  # prior width of a seed's level: none to speak of
_DRAWS, _SWEEPS = 400, 30
_RUNGS_DIFFER = 0.5  # prior width of what a rung has for itself, over that of what all share


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What is expected of the loss around a recipe: ln loss less the recipe's own."""

    mean: FloatArray  # (coefficients,) slopes, curvatures, pairs
    covariance: FloatArray  # (coefficients, coefficients)
    low: FloatArray  # (constants,) fewest steps that were tried
    high: FloatArray
    noise: float  # of one run, in ln loss
    others: tuple[tuple[str, float, float], ...]  # recipes by name: expected ln loss, stderr

    def at(self, z: FloatArray) -> FloatArray:
        """(points,) Expected ln loss at these steps (points, constants) over the recipe's."""
        return np.asarray(_features(np.atleast_2d(z)) @ self.mean)

    def stderr(self, z: FloatArray) -> FloatArray:
        """(points,) Its standard error."""
        features = _features(np.atleast_2d(z))
        variance = np.einsum("pi,ij,pj->p", features, self.covariance, features)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def stderr_between(self, z: FloatArray, other: FloatArray) -> FloatArray:
        """(points,) Standard error of the difference of these steps from one other place."""
        features = _features(np.atleast_2d(z)) - _features(np.atleast_2d(other))
        variance = np.einsum("pi,ij,pj->p", features, self.covariance, features)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    @property
    def best(self) -> FloatArray:
        """(constants,) Where it is lowest, within what was tried."""
        return lowest(self.mean, self.low, self.high)

    def draws(self, count: int, seed: int) -> FloatArray:
        """(draws, constants) Where surfaces as likely as this one are lowest."""
        return _lowest_of_many(self._drawn(count, seed), self.low, self.high)[0]

    def drawn_falls(self, count: int, seed: int) -> FloatArray:
        """(draws,) By how much ln loss falls from the recipe to the lowest place of surfaces as
        likely as this one, or to another recipe."""
        falls = -_lowest_of_many(self._drawn(count, seed), self.low, self.high)[1]
        rng = np.random.default_rng(seed + 1)
        for _, mean, error in self.others:
            falls = np.maximum(falls, -mean - error * rng.standard_normal(count))
        return falls

    def _drawn(self, count: int, seed: int) -> FloatArray:
        """(draws, coefficients)"""
        rng = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(self.mean + rng.standard_normal((count, len(self.mean))) @ root.T)


@dataclass(frozen=True, kw_only=True)
class RecipeGap:
    """What a recipe costs on one rung against the best one found there."""

    gap: float  # relative to the loss at the best
    stderr: float
    best: Factors  # of the best one found
    recipe: str  # its name, where another recipe is the best; empty: the factors say it
    at_edge: tuple[str, ...]  # constants whose best lies at the end of what was tried

    @property
    def words(self) -> str:
        """The best one found, beside the recipe."""
        if self.recipe:
            return self.recipe
        told = [
            f"{CALLED[name]} x {getattr(self.best, name):.2g}"
            + (" (the end of what was tried)" if name in self.at_edge else "")
            for name in STEPS
            if abs(np.log(getattr(self.best, name))) > np.log(1.05)
        ]
        return ", ".join(told) or "the recipe itself"


def recipe_gaps(checks: Sequence[Sequence[Arm]]) -> tuple[RecipeGap, ...]:
    """What the recipe costs on each rung, from the arms of its check.

    Rungs share how far slopes may go, and nothing else, so that their errors are their own. Raises
    FitError where a check lacks the recipe itself or differing arms.
    """
    return tuple(map(_gap_of, surfaces(checks)))


def surfaces(checks: Sequence[Sequence[Arm]]) -> tuple[Surface, ...]:
    """The surface of each rung, from the arms of its check."""
    blocks = [_block(arms) for arms in checks]
    return tuple(_averaged(blocks))


def common_surface(checks: Sequence[Sequence[Arm]]) -> Surface:
    """The one surface that rungs have in common; each departs from it by up to half as much."""
    return _averaged([_together([_block(arms) for arms in checks])])[0]


def lowest(coefficients: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """(constants,) Where a surface is lowest in a box, by descent from its centre and corners."""
    slope, hessian = _slope_and_hessian(coefficients)
    starts = [np.clip(np.zeros(_SIZE), low, high)]
    starts += [np.where(corner, high, low) for corner in product((False, True), repeat=_SIZE)]
    values = [start @ slope + start @ hessian @ start / 2 for start in starts]
    found = []
    for place in {0, int(np.argmin(values))}:
        result = minimize(
            lambda z: (z @ slope + z @ hessian @ z / 2, slope + hessian @ z),
            starts[place],
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low, high, strict=True)),
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        found.append((float(result.fun), tuple(result.x)))
    return np.array(min(found)[1])


def _lowest_of_many(
    coefficients: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(surfaces, constants) Where each of many surfaces (surfaces, coefficients) is lowest in a
    box, and (surfaces,) how low: constant by constant, from the centre and from each corner."""
    centre = np.clip(np.zeros(_SIZE), low, high)
    corners = [np.where(corner, high, low) for corner in product((False, True), repeat=_SIZE)]
    z = np.repeat(np.stack([centre, *corners])[:, None], len(coefficients), axis=1)
    slope, half = coefficients[:, :_SIZE], coefficients[:, _SIZE : 2 * _SIZE] / 2
    hessian = np.zeros((len(coefficients), _SIZE, _SIZE))
    for place in range(_SIZE):
        hessian[:, place, place] = coefficients[:, _SIZE + place]
    for (i, j), value in zip(_PAIRS, coefficients[:, 2 * _SIZE :].T, strict=True):
        hessian[:, i, j] = hessian[:, j, i] = value
    for _ in range(_SWEEPS):
        for i in range(_SIZE):
            others = [j for j in range(_SIZE) if j != i]
            along = slope[:, i] + np.einsum("snj,nj->sn", z[..., others], hessian[:, i, others])
            bowl = np.where(half[:, i] > 0, 2 * half[:, i], 1.0)
            inner = np.clip(-along / bowl, low[i], high[i])
            at_low, at_high = (along * x + half[:, i] * x**2 for x in (low[i], high[i]))
            end = np.where(at_low < at_high, low[i], high[i])
            z[..., i] = np.where(half[:, i] > 0, inner, end)
    values = np.einsum("snk,nk->sn", z, slope) + np.einsum("sni,nij,snj->sn", z, hessian, z) / 2
    best = values.argmin(axis=0)
    every = np.arange(len(coefficients))
    return z[best, every], values[best, every]


def _gap_of(surface: Surface) -> RecipeGap:
    best = surface.best
    fall, recipe, factors = -float(surface.at(best)[0]), "", Factors.at(best)
    for name, mean, _ in surface.others:
        if -mean > fall:
            fall, recipe, factors = -mean, name, Factors()
    fall = max(fall, 0.0)
    stderr = float(np.sqrt(np.mean((surface.drawn_falls(_DRAWS, 0) - fall) ** 2)))
    edge = (np.abs(best - surface.low) < 1e-6) | (np.abs(best - surface.high) < 1e-6)
    tried = surface.high > surface.low
    return RecipeGap(
        gap=float(np.expm1(fall)),
        stderr=stderr,
        best=factors,
        recipe=recipe,
        at_edge=() if recipe else tuple(np.array([*STEPS])[edge & tried]),
    )


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Linear equations of some runs: values = columns @ unknowns + noise."""

    columns: FloatArray  # (runs, unknowns)
    values: FloatArray  # (runs,)
    centre: FloatArray  # (unknowns,) prior means
    fixed: FloatArray  # (unknowns,) prior deviations
    widens: FloatArray  # (unknowns,) whether the common width multiplies them
    surface: slice  # where the surface's coefficients are
    names: tuple[str, ...]  # other recipes, whose unknowns come last
    z: FloatArray  # (arms, constants)


def _block(arms: Sequence[Arm]) -> _Block:
    names = tuple(sorted({arm.recipe for arm in arms if arm.recipe}))
    rows, values, seeds = [], [], max((len(arm.losses) for arm in arms), default=0)
    for arm in arms:
        z = np.zeros((1, _SIZE)) if arm.recipe else np.array([arm.factors.steps])
        other = [float(arm.recipe == name) for name in names]
        for seed, loss in enumerate(arm.losses):
            if np.isfinite(loss) and loss > 0:
                level = [float(seed == one) for one in range(seeds)]
                rows.append([*level, *_features(z)[0], *other])
                values.append(np.log(loss))
    z = np.array([arm.factors.steps for arm in arms if not arm.recipe]).reshape(-1, _SIZE)
    if not len(rows) or not np.any(np.all(np.abs(z) < 1e-9, axis=1)):
        raise FitError("a recipe check needs the recipe's own run; recipe_arms has none")
    if len({tuple(row[seeds:]) for row in rows}) < 3:
        raise FitError("a recipe check needs two arms beside the recipe's own run")
    slopes, pairs, others = np.ones(_SIZE), np.ones(len(_PAIRS)), np.ones(len(names))
    curved = np.array(_CURVATURE)
    deviations = [
        _SLOPE * slopes,
        _CURVATURES_DIFFER * curved,
        _TOGETHER * pairs,
        _OTHER_RECIPE * others,
    ]
    kinds = [np.zeros(seeds), slopes, 0 * curved, 0 * pairs, others]
    centre = [np.zeros(seeds), 0 * slopes, curved, 0 * pairs, 0 * others]
    return _Block(
        columns=np.array(rows),
        values=np.array(values) - np.mean(values),
        centre=np.concatenate(centre),
        fixed=np.concatenate([np.full(seeds, _LEVEL), *deviations]),
        widens=np.concatenate(kinds),
        surface=slice(seeds, seeds + 2 * _SIZE + len(_PAIRS)),
        names=names,
        z=z,
    )


def _together(blocks: Sequence[_Block]) -> _Block:
    """One set of equations: each rung has what all share, and departures of its own."""
    if len(blocks) == 1:
        return blocks[0]
    shared = blocks[0].surface.stop - blocks[0].surface.start
    own = sum(block.columns.shape[1] for block in blocks)
    columns = np.zeros((sum(len(block.values) for block in blocks), shared + own))
    row, place = 0, shared
    centre, fixed, widens = [], [], []
    for block in blocks:
        rows, width = block.columns.shape
        columns[row : row + rows, :shared] = block.columns[:, block.surface]
        columns[row : row + rows, place : place + width] = block.columns
        departs = np.zeros(width, dtype=bool)
        departs[block.surface] = True
        centre.append(np.where(departs, 0.0, block.centre))
        fixed.append(np.where(departs, _RUNGS_DIFFER, 1.0) * block.fixed)
        widens.append(block.widens)
        row, place = row + rows, place + width
    first = blocks[0]
    return _Block(
        columns=columns,
        values=np.concatenate([block.values for block in blocks]),
        centre=np.concatenate([first.centre[first.surface], *centre]),
        fixed=np.concatenate([first.fixed[first.surface], *fixed]),
        widens=np.concatenate([first.widens[first.surface], *widens]),
        surface=slice(0, shared),
        names=(),
        z=np.concatenate([block.z for block in blocks]),
    )


def _averaged(blocks: Sequence[_Block]) -> "list[Surface]":
    """The surface of each block, over the grid of widths (one for all) and of noise (each its
    own)."""
    prior = -0.5 * ((np.log(_NOISES) - np.log(_USUAL_NOISE)) / _NOISE_SPREAD) ** 2
    solved = [[[_solve(b, w, n) for n in _NOISES] for w in _WIDTHS] for b in blocks]
    evidence = np.array([[[one[2] for one in row] for row in rows] for rows in solved]) + prior
    of_width = _log_sum(evidence).sum(axis=0)
    width_chances = np.exp(of_width - _log_sum(of_width))
    found = []
    for block, rows, own in zip(blocks, solved, evidence, strict=True):
        chances = width_chances[:, None] * np.exp(own - _log_sum(own)[:, None])
        flat = [one for row in rows for one in row]
        means = np.array([mean for mean, _, _ in flat])
        mean = chances.ravel() @ means
        spread = np.einsum("k,kij->ij", chances.ravel(), np.array([one[1] for one in flat]))
        apart = means - mean
        covariance = spread + np.einsum("k,ki,kj->ij", chances.ravel(), apart, apart)
        others = range(block.surface.stop, block.surface.stop + len(block.names))
        found.append(
            Surface(
                mean=mean[block.surface],
                covariance=covariance[block.surface, block.surface],
                low=block.z.min(axis=0),
                high=block.z.max(axis=0),
                noise=float(np.exp(chances.sum(axis=0) @ np.log(_NOISES))),
                others=tuple(
                    (name, float(mean[place]), float(np.sqrt(covariance[place, place])))
                    for name, place in zip(block.names, others, strict=True)
                ),
            )
        )
    return found


def _solve(block: _Block, width: float, noise: float) -> tuple[FloatArray, FloatArray, float]:
    """Posterior mean and covariance of the unknowns, and the log evidence."""
    deviation = np.where(block.widens > 0, width * block.fixed, block.fixed)
    scaled = block.columns * deviation
    left = block.values - block.columns @ block.centre
    total = scaled @ scaled.T + noise**2 * np.eye(len(left))
    factor = np.linalg.cholesky(total)
    white = np.linalg.solve(factor, np.column_stack([left, scaled]))
    gain = white[:, 1:].T @ white
    mean = block.centre + deviation * gain[:, 0]
    covariance = np.diag(deviation**2) - deviation[:, None] * gain[:, 1:] * deviation
    evidence = -0.5 * float(white[:, 0] @ white[:, 0]) - float(np.log(np.diag(factor)).sum())
    return mean, covariance, evidence


def _features(z: FloatArray) -> FloatArray:
    """(points, coefficients)"""
    pairs = [z[:, i] * z[:, j] for i, j in _PAIRS]
    return np.column_stack([z, z**2 / 2, *pairs])


def _slope_and_hessian(coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
    hessian = np.diag(coefficients[_SIZE : 2 * _SIZE])
    for (i, j), value in zip(_PAIRS, coefficients[2 * _SIZE :], strict=True):
        hessian[i, j] = hessian[j, i] = value
    return coefficients[:_SIZE], hessian


def _log_sum(values: FloatArray) -> FloatArray:
    """ln of the sum of exponentials over the last axis."""
    most = values.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - most).sum(axis=-1)) + most[..., 0])
