"""How much more compute one arm needs to do as well as the other: from paired cells to a target.

A's frontier turns a difference of losses into a factor of compute, cell by cell:

    ln m_i = f(f^-1(C_Ai) ...)   that is, C_A needs to go from C_Ai to where A's frontier has
                                 fallen by ln L_Ai - ln L_Bi, over the compute that B spent
    ln m_i = a + b x_i + c h_i + e_i

with x the decades of compute and h = ln(D / N) beyond A's best ratio. a is free; b and c, how the
advantage moves with scale and off the optimum, have priors around zero, so that few cells claim no
trend and a far target is uncertain. e has the scatter of the cells, held near that of repeated runs
where cells are few. Each draw takes another law of A by its weight, other constants of it, another
line, and an error that grows with the advantage and with the distance beyond the cells.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analysis.decisions.two_recipes.pairing import Pairs
from analysis.forecasting.weighing.forecaster import Forecaster
from analysis.forecasting.weighing.optimum import best_for_law, best_log_params
from analysis.forecasting.weighing.rolling_origin import weigh
from scaling.arrays import DECADE, FloatArray

#: Standard deviations, before the cells are seen, of how ln m changes by a decade of compute, and
#: by a factor e of tokens per parameter.
DRIFT, TILT = 0.12, 0.10
#: What a line misses: of ln m a decade beyond the cells, and as a share of ln m, since cells off
#: the best split are told by the frontier's slope.
BEYOND, SHARE = 0.01, 0.03
#: What the usual scatter of a run is worth, in cells.
PRIOR_CELLS = 6.0
_STEP, _BELOW, _ABOVE = 0.1, np.log(100.0), np.log(300.0)  # of the budgets of a frontier, in logs
_LEAST_SLOPE = 1e-3  # of ln loss by ln compute: a frontier that has gone flat


@dataclass(frozen=True, kw_only=True)
class Frontiers:
    """Draws of A's best ln loss at each budget: falling."""

    log_budgets: FloatArray  # (budgets,)
    log_losses: FloatArray  # (draws, budgets)

    def at(self, log_budget: FloatArray) -> FloatArray:
        """ln loss (draws, points) at ln budgets (draws, points) or (points,)."""
        wanted = np.broadcast_to(log_budget, (len(self.log_losses), np.shape(log_budget)[-1]))
        return np.array(
            [
                np.interp(x, self.log_budgets, y)
                for x, y in zip(wanted, self.log_losses, strict=True)
            ]
        )

    def reaching(self, log_losses: FloatArray) -> FloatArray:
        """ln budget (draws, points) of these ln losses; the ends where it is beyond them."""
        return np.array(
            [
                np.interp(-wanted, -own, self.log_budgets)
                for wanted, own in zip(log_losses, self.log_losses, strict=True)
            ]
        )

    def slope(self, log_budget: FloatArray) -> FloatArray:
        """-d ln loss / d ln compute (draws, points)."""
        ahead, behind = self.at(log_budget + _STEP), self.at(log_budget - _STEP)
        return np.asarray((behind - ahead) / (2 * _STEP))


def frontiers(
    forecaster: Forecaster, log_budgets: FloatArray, draws: int, rng: np.random.Generator
) -> Frontiers:
    """A's frontier by draws of a law, by its weight at the largest budget, and of its constants."""
    start, end = log_budgets.min() - _BELOW, log_budgets.max() + _ABOVE
    grid = np.arange(start, end, _STEP)
    ensemble, flops = forecaster.ensemble, forecaster.ladder.flops
    weights = ensemble.first_weights
    if forecaster.backtests:
        beyond = forecaster.ladder.distance(_inputs(forecaster, log_budgets), log_budgets)
        weights = weigh(forecaster.backtests, ensemble, beyond).weights[-1]
    counts = rng.multinomial(draws, weights / weights.sum())
    parts = []
    for member, count in zip(ensemble.members, counts, strict=True):
        theta = rng.multivariate_normal(
            member.solution.theta, member.solution.covariance, size=count
        )
        if len(forecaster.ladder.inputs) == 1:
            losses = member.form.values(theta, grid[:, None] - member.centre)
        else:
            with np.errstate(all="ignore"):
                log_n = best_for_law(ensemble, member, theta, grid)
                log_n = np.where(np.isfinite(log_n), log_n, member.centre[0])
                log_d = flops.log_tokens(np.broadcast_to(grid, log_n.shape), log_n)
            losses = member.form.values(theta, np.stack([log_n, log_d], axis=-1) - member.centre)
        parts.append(np.asarray(losses) + member.lowest)
    falling = np.minimum.accumulate(np.concatenate(parts), axis=1)
    return Frontiers(
        log_budgets=grid, log_losses=falling - _LEAST_SLOPE * (grid - grid[0])[None, :]
    )


def _inputs(forecaster: Forecaster, log_budgets: FloatArray) -> FloatArray:
    """Log inputs (budgets, inputs) of A's best run at each budget."""
    if len(forecaster.ladder.inputs) == 1:
        return log_budgets[:, None]
    log_n = best_log_params(forecaster, log_budgets)
    return np.column_stack([log_n, forecaster.ladder.flops.log_tokens(log_budgets, log_n)])


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """ln m of B over A as a line, by draws."""

    level: FloatArray  # (draws,) at the centre
    drift: FloatArray  # (draws,) by a decade
    centre: float  # log10 FLOP
    first: float  # log10 FLOP of the smallest cell
    last: float  # and of the largest
    sigma: float  # scatter of a cell, in ln loss
    freedom: float
    of_cells: FloatArray  # (cells,) ln m of each, by the median frontier
    slopes: FloatArray  # (cells,) of the median frontier
    p_value: float  # of cells that differ no more than they scatter

    def beyond(self, log10_budget: float) -> float:
        """Decades by which a budget lies outside the cells."""
        return max(0.0, log10_budget - self.last, self.first - log10_budget)

    def at(self, log10_budget: float, rng: np.random.Generator) -> FloatArray:
        """ln m (draws,) at a budget, what a line misses included."""
        beyond = self.beyond(log10_budget)
        line = self.level + self.drift * (log10_budget - self.centre)
        missed = np.hypot(BEYOND * beyond, SHARE * float(np.median(line)))
        return np.asarray(line + missed * rng.standard_normal(len(line)))


def advantage(
    pairs: Pairs, curves: Frontiers, forecaster: Forecaster, rng: np.random.Generator
) -> Advantage:
    """B's advantage over A, from the paired cells."""
    c_a, c_b = pairs.column("log_flops", 0), pairs.column("log_flops", 1)
    fall = pairs.column("log_loss", 0) - pairs.column("log_loss", 1)
    z = curves.reaching(curves.at(c_a) - fall) - c_b  # (draws, cells)
    middle = np.median(curves.slope(c_a), axis=0)
    slopes = np.maximum(curves.slope(c_a), _LEAST_SLOPE)
    counts = 2 / (1 / pairs.column("runs", 0) + 1 / pairs.column("runs", 1))
    x = c_b / DECADE
    centre = float(x.mean())
    h = _off_optimum(pairs, forecaster)
    design = np.column_stack([np.ones_like(x), x - centre, h])
    prior = np.diag([1e-9, DRIFT**-2, TILT**-2])
    roots = np.sqrt(counts)
    sigma, freedom = _scatter(
        roots[:, None] * middle[:, None] * design,
        roots * middle * np.median(z, axis=0),
        prior,
        forecaster.ensemble.noise.scale * np.sqrt(2.0),
    )
    scaled = roots * slopes / sigma  # (draws, cells)
    precision = np.einsum("dn,np,nq->dpq", scaled**2, design, design) + prior
    pull = np.einsum("dn,np,dn->dp", scaled**2, design, z)
    centre_of = np.linalg.solve(precision, pull[..., None])[..., 0]
    factor = np.linalg.cholesky(np.linalg.inv(precision))
    normal = rng.standard_normal(centre_of.shape)
    wide = np.sqrt(freedom / rng.chisquare(freedom, size=len(z)))[:, None]
    drawn = centre_of + wide * np.einsum("dpq,dq->dp", factor, normal)
    weight = counts * middle**2
    mean = float(np.average(np.median(z, axis=0), weights=weight))
    p = 2 * float(student.sf(abs(mean) * np.sqrt(weight.sum()) / sigma, freedom))
    return Advantage(
        level=drawn[:, 0],
        drift=drawn[:, 1],
        centre=centre,
        first=float(x.min()),
        last=float(x.max()),
        sigma=sigma,
        freedom=freedom,
        of_cells=np.median(z, axis=0),
        slopes=middle * roots,
        p_value=p,
    )


def _off_optimum(pairs: Pairs, forecaster: Forecaster) -> FloatArray:
    """ln tokens per parameter beyond A's best ratio (cells,); zero where that is not known."""
    ratio = pairs.column("log_ratio")
    if len(forecaster.ladder.inputs) == 1 or not np.isfinite(ratio).all():
        return np.zeros_like(ratio)
    best = _inputs(forecaster, pairs.column("log_flops", 0))
    return np.asarray(ratio - (best[:, 1] - best[:, 0]))


def _scatter(
    design: FloatArray, y: FloatArray, prior: FloatArray, usual: float
) -> tuple[float, float]:
    """The scatter of a cell in ln loss, and the degrees of freedom with which it is known."""
    sigma = usual
    for _ in range(30):
        gram = design.T @ design / sigma**2
        solved = np.linalg.solve(gram + prior, design.T @ y / sigma**2)
        used = float(np.trace(np.linalg.solve(gram + prior, gram)))
        left = max(len(y) - used, 0.0)
        squares = float(np.sum((y - design @ solved) ** 2))
        sigma = float(np.sqrt((PRIOR_CELLS * usual**2 + squares) / (PRIOR_CELLS + left)))
    return max(sigma, 1e-7), PRIOR_CELLS + left
