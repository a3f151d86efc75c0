"""Which runs to buy for predictions in any inputs: those by which found or written laws learn most.

Each form of the ensemble is linearised at its fit. A run that is bought adds its gradient to what
the form knows of its constants, and takes off the variance of the points asked for by a rank-one
update of their covariance (Fedorov 1972: optimal design for the variance of predictions). No form
is quite right, so beside its constants each has a smooth misfit of the inputs, as large as the
noise of a run: runs that lie together tell of it once, and runs near the points most. Runs are
chosen one by one, each time the one that takes off most for its price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.discovery.backtest import Backtested, gradients
from analysis.discovery.discover import Progress, discover
from analysis.discovery.ensemble import Ensemble, last_fit
from analysis.discovery.forms.solver import Solved
from analysis.discovery.forms.table import Arranged
from analysis.discovery.reading import SearchedRuns, read_points
from analysis.display import Result
from scaling.arrays import FloatArray, IntArray
from scaling.errors import ForecastError
from scaling.laws.base import Law
from scaling.laws.written.formula import Formula
from scaling.limits import Limit, LimitCode
from scaling.sources import Source
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from pandas import DataFrame

COST = "cost"
"""The column of an offer that says what a run costs; without it each costs one."""
LEAST_GAIN = 1e-4  # of the variance at the start: runs that take off less are not worth saying
_TINY = 1e-9
_WAVES = 48  # that the misfit is made of
_LENGTH = 1.0  # over which it changes, in standard deviations of the inputs on offer
_NORMAL_90 = 1.6448536


@dataclass(frozen=True, kw_only=True)
class RunToBuy:
    """A run of the offer that is proposed."""

    row: int  # of the offer, from zero on
    at: Mapping[str, float]
    group: str
    cost: float
    takes_off: float  # share of the variance before anything is bought, in its turn


@dataclass(frozen=True, kw_only=True, repr=False)
class RunsToBuy(Result):
    """The runs of an offer to buy next, and what they are worth for the points asked for.

    Read it as: buy ``runs`` for ``spent`` of the ``budget``, and the mean width of the law's 90%
    intervals at the points, a new run's noise left out, goes from ``width_now`` to ``width_after``.
    """

    source: str
    data_hash: str
    inputs: tuple[str, ...]
    by: str | None
    formulas: tuple[str, ...]  # the forms that the choice rests on, best first
    runs: tuple[RunToBuy, ...]  # in the order of the choice
    budget: float
    spent: float
    on_offer: int
    points: int
    width_now: float  # in the scale of errors: shares of the value, or standard deviations of it
    width_after: float
    errors_are: str
    limits: tuple[Limit, ...]

    def to_frame(self) -> "DataFrame":
        """One row a run: its row in the offer, the inputs, group, cost and takes_off."""
        rows = [
            {"row": run.row, **run.at, "group": run.group, "cost": run.cost}
            | {"takes_off": run.takes_off}
            for run in self.runs
        ]
        return pd.DataFrame(rows)


def runs_to_buy(
    source: Source,
    inputs: Sequence[str] = (),
    *,
    offer: pd.DataFrame,
    at: pd.DataFrame,
    budget: float,
    law: str | Formula | type[Law] | None = None,
    by: str | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> RunsToBuy:
    """The runs of ``offer`` that most narrow the predictions of ``at`` for ``budget``.

    The laws are those that `discover` finds in ``inputs``, or the one that ``law`` writes; ``by``
    are groups. ``offer`` has a row a run, with columns of the inputs, of the groups, and ``cost``
    in any unit; ``budget`` is in the same. Raises ForecastError where no law is claimed, for a
    budget that buys nothing, and for costs that are none; FitError as `discover` does.
    """
    found = discover(source, inputs, law=law, by=by, at=at, seed=seed, on_progress=on_progress)
    if found.ensemble is None or found.read is None:
        why = next(one.text for one in found.limits if one.code is LimitCode.NO_LAW)
        raise ForecastError(f"{found.source}: nothing to choose runs by: {why}")
    costs, told = _costs(offer, budget)
    choice = _Choice.of(found.ensemble, read_points(offer, found.read), read_points(at, found.read))
    chosen, shares = choice.made(costs, budget)
    if not chosen:
        told.append(
            Limit(LimitCode.NOTHING_TO_GAIN, "no run on offer narrows the predictions by itself")
        )
    return RunsToBuy(
        source=found.source,
        data_hash=found.data_hash,
        inputs=found.inputs,
        by=found.by,
        formulas=tuple(form.equation for form in found.forms),
        runs=_runs(chosen, shares, costs, offer, found.read),
        budget=budget,
        spent=float(costs[list(chosen)].sum()),
        on_offer=len(offer),
        points=len(at),
        width_now=choice.width_before,
        width_after=choice.width,
        errors_are=found.errors_are,
        limits=(*told, *found.limits),
        notes=found.notes,
    )


def _costs(offer: pd.DataFrame, budget: float) -> tuple[FloatArray, list[Limit]]:
    if not (np.isfinite(budget) and budget > 0):
        raise ForecastError(f"budget of {budget:g}: give a finite number above zero")
    if not len(offer):
        raise ForecastError("no run is on offer; give a table with a row a run")
    if COST not in offer:
        text = f'the offer has no column "{COST}": every run costs one'
        costs, told = np.ones(len(offer)), [Limit(LimitCode.FILLED_IN, text)]
    else:
        costs = read_numbers(offer[COST])[0].to_numpy(dtype=np.float64)
        told = []
    if (bad := np.flatnonzero(~(np.isfinite(costs) & (costs > 0)))).size:
        cell = printable(str(offer[COST].iloc[int(bad[0])]))
        raise ForecastError(f'offer: {COST} is "{cell}" in row {int(bad[0]) + 2}')
    if costs.min() > budget:
        raise ForecastError(
            f"a budget of {budget:.3g} buys no run: the cheapest on offer costs {costs.min():.3g}"
        )
    return costs, told


def _runs(
    chosen: Sequence[int],
    shares: Sequence[float],
    costs: FloatArray,
    offer: pd.DataFrame,
    read: SearchedRuns,
) -> tuple[RunToBuy, ...]:
    inputs, group = read_points(offer, read)
    return tuple(
        RunToBuy(
            row=row,
            at=dict(zip(read.table.names, map(float, inputs[row]), strict=True)),
            group=read.groups[int(group[row])],
            cost=float(costs[row]),
            takes_off=share,
        )
        for row, share in zip(chosen, shares, strict=True)
    )


@dataclass
class _Known:
    """What one form knows: the covariance of its constants, and where it is asked, in the scale of
    a run's noise."""

    weight: float
    covariance: FloatArray  # (constants, constants)
    offered: FloatArray  # (runs on offer, constants)
    asked: FloatArray  # (points, constants), in the scale of errors

    def variance(self) -> float:
        """Mean variance of the points."""
        return float(np.einsum("ti,ij,tj->t", self.asked, self.covariance, self.asked).mean())

    def gains(self) -> FloatArray:
        """By how much each run on offer would lower that (runs,)."""
        reached = self.offered @ self.covariance
        cross = reached @ self.asked.T
        own = np.einsum("ci,ci->c", reached, self.offered)
        return np.asarray((cross**2).mean(axis=1) / (1 + own))

    def buy(self, row: int) -> None:
        """Learn what a run tells."""
        moved = self.covariance @ self.offered[row]
        self.covariance -= np.outer(moved, moved) / (1 + self.offered[row] @ moved)


@dataclass
class _Choice:
    """What all forms know together."""

    forms: list[_Known]
    width_before: float

    @classmethod
    def of(
        cls,
        ensemble: Ensemble,
        offer: tuple[FloatArray, IntArray],
        at: tuple[FloatArray, IntArray],
    ) -> "_Choice":
        offered, asked = ensemble.arrange(*offer), ensemble.arrange(*at)
        forms = [
            _known(one, float(weight), ensemble, offered, asked)
            for one, weight in zip(ensemble.members, ensemble.weights, strict=True)
        ]
        made = cls(forms, 0.0)
        made.width_before = made.width
        return made

    @property
    def width(self) -> float:
        """Of the 90% interval of the law at the points, by the forms' mean variance."""
        return 2 * _NORMAL_90 * float(np.sqrt(self._variance()))

    def _variance(self) -> float:
        return sum(form.weight * form.variance() for form in self.forms)

    def made(self, costs: FloatArray, budget: float) -> tuple[list[int], list[float]]:
        """The rows that are bought, and the share of the first variance that each takes off."""
        before, left = self._variance(), budget
        open_rows = np.ones(len(costs), dtype=bool)
        chosen: list[int] = []
        shares: list[float] = []
        while (affordable := open_rows & (costs <= left)).any():
            gains = sum(form.weight * form.gains() for form in self.forms)
            gains = np.where(affordable, gains, 0.0)
            row = int((gains / costs).argmax())
            share = float(gains[row]) / before
            if share < LEAST_GAIN * costs[row] / budget:
                break
            for form in self.forms:
                form.buy(row)
            chosen.append(row)
            shares.append(share)
            left -= costs[row]
            open_rows[row] = False
        return chosen, shares


def _known(
    one: Backtested, weight: float, ensemble: Ensemble, offered: Arranged, asked: Arranged
) -> _Known:
    last, table = last_fit(one.solved), ensemble.table
    shared, misfit = one.candidate.shared, _Misfit.of(ensemble, offered)
    noise = np.sqrt(np.broadcast_to(last.variance, (1, table.groups))[0])
    seen = _rows(one, last, ensemble.arranged, shared)
    rows = seen * ensemble.arranged.rows(ensemble.arranged.seen.weight)[:, None]
    rows = np.hstack([rows / noise[ensemble.arranged.group][:, None], misfit(ensemble.arranged)])
    prior = np.concatenate([_prior(one, table.groups, shared), np.ones(_WAVES)])
    information = rows.T @ rows + np.diag(prior)
    told = np.diag(information) > 0  # a term that no run asks for stays away
    covariance = np.zeros(information.shape)
    scale = np.sqrt(np.diag(information)[told])
    unit = information[np.ix_(told, told)] / np.outer(scale, scale) + _TINY * np.eye(len(scale))
    covariance[np.ix_(told, told)] = np.linalg.inv(unit) / np.outer(scale, scale)
    of_offer = _rows(one, last, offered, shared) * _weights(one, last, offered, ensemble)
    of_points = _rows(one, last, asked, shared) * _weights(one, last, asked, ensemble)
    of_offer = np.hstack([of_offer / noise[offered.group][:, None], misfit(offered)])
    of_points = np.hstack([of_points, noise[asked.group][:, None] * misfit(asked)])
    return _Known(weight, covariance, of_offer, of_points)


@dataclass(frozen=True)
class _Misfit:
    """A smooth function of the inputs, in units of a run's noise, as a sum of waves (Rahimi and
    Recht 2007), each group with its own phase."""

    middle: FloatArray  # (inputs,)
    width: FloatArray  # (inputs,)
    waves: FloatArray  # (inputs, waves)
    phases: FloatArray  # (groups, waves)

    @classmethod
    def of(cls, ensemble: Ensemble, offered: Arranged) -> "_Misfit":
        x = _coordinates(offered)
        rng = np.random.default_rng(0)
        waves = rng.standard_normal((x.shape[1], _WAVES)) / _LENGTH
        phases = rng.uniform(0, 2 * np.pi, (ensemble.table.groups, _WAVES))
        width = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(width > 0, width, 1.0), waves, phases)

    def __call__(self, at: Arranged) -> FloatArray:
        """Its waves at each row (rows, waves)."""
        z = (_coordinates(at) - self.middle) / self.width
        waves = np.cos(z @ self.waves + self.phases[at.group])
        return np.asarray(np.sqrt(2 / _WAVES) * waves)


def _coordinates(at: Arranged) -> FloatArray:
    """The inputs of each row (rows, inputs): logarithms, or values where there are none."""
    columns = at.seen.at
    each = [
        at.rows(log if np.any(log) else value)
        for log, value in zip(columns.logs, columns.values, strict=True)
    ]
    return np.column_stack(each)


def _prior(one: Backtested, groups: int, shared: bool) -> FloatArray:
    """One over the variance of each constant before any run."""
    inside = 1 / np.array([c.spread for c in one.form.constants]) ** 2
    outside = np.zeros(1 + one.form.coefficient_count)
    if shared:
        return np.concatenate([np.tile(outside, groups), inside])
    return np.tile(np.concatenate([outside, inside]), groups)


def _weights(one: Backtested, last: Solved, at: Arranged, ensemble: Ensemble) -> FloatArray:
    """What makes an error of the value one in the scale of errors (rows, 1)."""
    if not ensemble.table.is_relative:
        return np.full((len(at.group), 1), float(ensemble.arranged.seen.weight.max()))
    columns, _ = one.form.columns(last.theta, at.seen.at, slopes=False)
    value = at.rows((columns * last.coefficients[..., None, :]).sum(axis=-1))[0]
    return np.asarray(1 / np.maximum(np.abs(value), 1e-300))[:, None]


def _rows(one: Backtested, last: Solved, at: Arranged, shared: bool) -> FloatArray:
    """Derivatives of the law at each row by all constants of all groups (rows, constants)."""
    by = gradients(one.form, last, at.seen)[0]  # (groups, places, constants)
    each = by[at.group, at.place]
    groups, size = by.shape[0], by.shape[-1]
    linear = 1 + one.form.coefficient_count
    if not shared:
        out = np.zeros((len(each), groups, size))
        out[np.arange(len(each)), at.group] = each
        return out.reshape(len(each), -1)
    outside = np.zeros((len(each), groups, linear))
    outside[np.arange(len(each)), at.group] = each[:, :linear]
    return np.concatenate([outside.reshape(len(each), -1), each[:, linear:]], axis=1)
