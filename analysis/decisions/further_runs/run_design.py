"""How much narrower runs that do not exist yet would make an answer, and which of them most.

The laws of a forecast, each with its uncertain constants, are a joint distribution of the log
losses f of all runs that could be bought and of the answer z. To second order it is a Gaussian:

    K(x, x') = sum_k w_k [ g_k(x) S_k g_k(x') + d_k(x) d_k(x') ]

with the laws' weights w, gradients g and covariance S of their constants, and d the distance of a
law from the mean of all. A run measures f with the scatter of one run, so that runs X leave of z

    Var(z | X) = Var(z) - K(z, X) (K(X, X) + R)^-1 K(X, z)

(kriging; Bayesian design for linear models, Chaloner and Verdinelli 1995, Statistical Science 10).
Ours beside it: drift and misspecification are what `analysis.forecasting.constants.calibration`
says of the fall in loss from the largest run on, so that a larger run leaves less of it; the
scatter of one more run stays. Constants of the width are those of the forecast, read and not
copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.forecasting.constants.calibration import CHECKED_SURFACE
from analysis.forecasting.members.surface_forms import BADLY_TUNED
from analysis.forecasting.weighing.ensemble import (
    NEAREST,
    Ensemble,
    MemberFit,
    noise_factor,
    unknown_share,
)
from analysis.forecasting.weighing.forecaster import Forecaster, LogForecast
from analysis.forecasting.weighing.optimum import best_for_law
from scaling.arrays import DECADE, SAME_NUMBER, FloatArray
from scaling.errors import ForecastError

_STEP = 0.01  # of a standard deviation of a constant, in a derivative of the best size
#: The parts of a width that runs change, or do not.
LAWS, MISFIT = "laws and their constants", "drift and model misspecification"
TUNING, SCATTER = "tuning", "new-run noise"
LEAST_GAIN = 0.005  # of the width: a run that narrows it by less is not bought
MOST_RUNS = 60
MOST_STARTS = 24  # single runs that a search starts from
MOST_EXCHANGED, MOST_ROUNDS = 4, 3


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Runs that can be bought, in natural logs, with what each costs."""

    log_inputs: FloatArray  # (choices, inputs)
    log_compute: FloatArray  # (choices,)
    price: FloatArray  # (choices,) FLOP of each alone
    fork: FloatArray  # (choices,) FLOP of each that longer runs of its trunk need not pay again
    trunk: tuple[str, ...]  # whose runs share their past; empty: a run of its own

    def __len__(self) -> int:
        return len(self.price)

    def total(self, chosen: tuple[int, ...]) -> float:
        """What these runs cost together: each trunk is trained once, a repeat is another one."""
        cost, trunks = 0.0, dict[tuple[str, int], list[int]]()
        for place, one in enumerate(chosen):
            if self.trunk[one]:
                copy = chosen[:place].count(one)
                trunks.setdefault((self.trunk[one], copy), []).append(one)
            else:
                cost += float(self.price[one])
        for branches in trunks.values():
            paid = 0.0
            for one in sorted(branches, key=lambda i: float(self.log_compute[i])):
                cost += max(0.0, float(self.price[one]) - paid)
                paid = max(paid, float(self.fork[one]))
        return cost

    def prices_after(self, chosen: tuple[int, ...]) -> FloatArray:
        """What each would add to the cost of those that are ``chosen`` (choices,)."""
        prices = self.price.copy()
        begun = {self.trunk[one] for one in chosen} - {""}
        if begun:
            before = self.total(chosen)
            for one, trunk in enumerate(self.trunk):
                if trunk in begun:
                    prices[one] = self.total((*chosen, one)) - before
        return prices


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What is known of the answers and of the losses of runs, given those that were chosen."""

    answers: FloatArray  # (answers,) variance, by the forecast's multipliers
    across: FloatArray  # (answers, choices) covariance of each answer with each run's loss
    runs: FloatArray  # (choices, choices) covariance of the runs' losses

    def given(self, one: int, noise: float) -> "Joint":
        """The same once run ``one`` has been measured with so much variance."""
        column, seen = self.runs[:, one], float(self.runs[one, one]) + noise
        return Joint(
            answers=np.maximum(self.answers - self.across[:, one] ** 2 / seen, 0.0),
            across=self.across - np.outer(self.across[:, one], column) / seen,
            runs=self.runs - np.outer(column, column) / seen,
        )

    def answers_given_each(self, noise: FloatArray) -> FloatArray:
        """The variance of the answers (answers, choices) once each run alone has been measured."""
        return np.maximum(
            self.answers[:, None] - self.across**2 / (np.diag(self.runs) + noise), 0.0
        )


@dataclass(frozen=True, kw_only=True)
class Design:
    """The question of what to run next, with all that its answer rests on.

    Of an allocation the answer is the log of the best size: it has no misspecification of its own
    and no scatter, as its range in `analysis.decisions.optimal_split` has none.
    """

    choices: Choices
    joint: Joint
    noise: FloatArray  # (choices,) variance of one run around its law
    scale_squared: FloatArray  # (answers,) what backtests make of the width
    cap: float | None  # of the doubt about laws, as a share of the predicted fall
    misfit: float  # drift and misspecification as a share of it; 0 of an allocation
    slope: float  # predicted fall in log loss a decade
    tuning: FloatArray  # (answers,)
    scatter: FloatArray  # (answers,) variance of one more run
    measured: FloatArray  # (runs, columns) log compute and log inputs of the runs that there are
    asked: FloatArray  # (answers, columns) log compute and log inputs of the answers

    @property
    def points(self) -> FloatArray:
        """Log compute and log inputs of the choices (choices, columns)."""
        return np.column_stack([self.choices.log_compute, self.choices.log_inputs])

    def distance(self, highest: FloatArray, lowest: FloatArray) -> FloatArray:
        """Decades (answers, ...) beyond runs that reach from ``lowest`` to ``highest`` (columns,)
        or (choices, columns)."""
        asked = self.asked if highest.ndim == 1 else self.asked[:, None]
        beyond = np.maximum(asked - highest, lowest - asked).max(axis=-1)
        return np.asarray(np.maximum(beyond / DECADE, NEAREST))

    def parts(self, answers: FloatArray, distance: FloatArray) -> dict[str, FloatArray]:
        """The variance of the answers, part by part, each of the shape of ``distance``."""
        extra = (None,) * (distance.ndim - 1)
        scale, tuning, scatter = (
            v[(slice(None), *extra)] for v in (self.scale_squared, self.tuning, self.scatter)
        )
        drop = distance * self.slope
        doubt = answers
        if self.cap is not None:
            doubt = answers / (1 + answers / (self.cap * drop + 1e-9) ** 2)
        parts = {
            LAWS: scale * doubt,
            MISFIT: scale * (self.misfit * drop) ** 2,
            TUNING: scale * tuning,
            SCATTER: scatter,
        }
        return {name: np.broadcast_to(part, distance.shape) for name, part in parts.items()}

    def variance_with_each(self, state: "State") -> FloatArray:
        """Mean variance of the answers with each further run (choices,)."""
        highest = np.maximum(state.highest, self.points)
        lowest = np.minimum(state.lowest, self.points)
        answers = state.joint.answers_given_each(self.noise)
        parts = self.parts(answers, self.distance(highest, lowest))
        return np.asarray(np.mean(sum(parts.values()), axis=0))

    def begin(self) -> "State":
        """Nothing chosen yet."""
        return State(
            chosen=(),
            joint=self.joint,
            highest=self.measured.max(axis=0),
            lowest=self.measured.min(axis=0),
        )

    def with_run(self, state: "State", one: int) -> "State":
        """The state with one more run."""
        return State(
            chosen=(*state.chosen, one),
            joint=state.joint.given(one, float(self.noise[one])),
            highest=np.maximum(state.highest, self.points[one]),
            lowest=np.minimum(state.lowest, self.points[one]),
        )

    def with_runs(self, chosen: Sequence[int]) -> "State":
        """The state with all of these."""
        state = self.begin()
        for one in chosen:
            state = self.with_run(state, one)
        return state

    def parts_of(self, state: "State") -> dict[str, float]:
        """The variance by part, mean over the answers."""
        distance = self.distance(state.highest, state.lowest)
        found = self.parts(state.joint.answers, distance)
        return {name: float(np.mean(part)) for name, part in found.items()}

    def variance(self, state: "State") -> float:
        """Mean variance of the answers."""
        return sum(self.parts_of(state).values())


@dataclass(frozen=True, kw_only=True)
class State:
    """Runs that were chosen, and what is known with them."""

    chosen: tuple[int, ...]
    joint: Joint
    highest: FloatArray  # (columns,) of log compute and log inputs
    lowest: FloatArray


def design(
    forecaster: Forecaster,
    choices: Choices,
    answer: LogForecast,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    *,
    of_size: bool = False,
) -> Design:
    """The question for answers at ``log_inputs`` (answers, inputs), which `log_forecast` gave as
    ``answer``; ``of_size``: the answer is the best size at these budgets, not the loss."""
    ensemble = forecaster.ensemble
    calibration, ladder = ensemble.calibration, ensemble.ladder
    weights = answer.weighing.weights.mean(axis=0)
    weights = weights / weights.sum()
    tau = max(ensemble.noise.residual_scale**2 - ensemble.noise.scale**2, 0.0)
    asked = np.column_stack([log_compute, log_inputs])
    nothing = np.zeros(len(log_compute))
    misfit = unknown_share(ensemble, calibration)
    widen = np.maximum(1.0, answer.weighing.scale_squared)
    return Design(
        choices=choices,
        joint=_joint(ensemble, choices, weights, log_inputs, log_compute, of_size, tau),
        noise=(ensemble.noise.scale * noise_factor(ensemble, choices.log_inputs)) ** 2,
        scale_squared=widen if of_size else answer.weighing.scale_squared,
        cap=None if of_size else calibration.cap,
        misfit=0.0 if of_size else misfit,
        slope=ensemble.slope,
        tuning=nothing if of_size else answer.spread.tuning,
        scatter=nothing if of_size else answer.noise_variance,
        measured=np.column_stack([ladder.log_compute, ladder.log_inputs]),
        asked=asked,
    )


def _joint(
    ensemble: Ensemble,
    choices: Choices,
    weights: FloatArray,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    of_size: bool,
    tau: float,
) -> Joint:
    """The covariance of answers and runs: constants within each law, and laws among each other.

    A run lies off every law by its configuration's own ``tau`` (variance), which repeats share.
    """
    count = len(log_compute)
    calibration = ensemble.calibration
    of_constants = np.zeros((count + len(choices),) * 2)
    values = []
    for weight, member in zip(weights, ensemble.members, strict=True):
        told, slopes = _told(ensemble, member, log_inputs, log_compute, of_size)
        x = choices.log_inputs - member.centre
        value, jacobian = member.form.evaluate(member.solution.theta[None], x)
        gradient = np.vstack([slopes, jacobian[0]])
        of_constants += weight * gradient @ member.solution.covariance @ gradient.T
        values.append(np.concatenate([told, value[0] + member.lowest]))
    apart = np.array(values) - weights @ np.array(values)
    of_laws = (weights[:, None] * apart).T @ apart
    # of a size the laws' own range takes both whole (`analysis.decisions.optimal_split`)
    a, b = (1.0, 1.0) if of_size else (calibration.parameters, calibration.laws)
    first, rest = slice(count), slice(count, None)
    runs = of_constants[rest, rest] + of_laws[rest, rest]
    same = np.all(np.abs(choices.log_inputs[:, None] - choices.log_inputs) < SAME_NUMBER, axis=2)
    return Joint(
        answers=np.diag(a**2 * of_constants[first, first] + b**2 * of_laws[first, first]).copy(),
        across=a * of_constants[first, rest] + b * of_laws[first, rest],
        runs=runs + tau * same,
    )


def _told(
    ensemble: Ensemble,
    member: MemberFit,
    log_inputs: FloatArray,
    log_compute: FloatArray,
    of_size: bool,
) -> tuple[FloatArray, FloatArray]:
    """What one law answers (answers,), and its slopes along the law's constants (answers, p)."""
    theta = member.solution.theta
    if not of_size:
        value, jacobian = member.form.evaluate(theta[None], log_inputs - member.centre)
        return value[0] + member.lowest, jacobian[0]

    steps = _STEP * np.sqrt(np.diag(member.solution.covariance))
    both = np.vstack([theta, theta + np.diag(steps), theta - np.diag(steps)])
    sizes = best_for_law(ensemble, member, both, log_compute)
    if not np.isfinite(sizes).all():
        raise ForecastError(f"{member.candidate.name}: no split of a budget is best")
    up, down = sizes[1 : len(theta) + 1], sizes[len(theta) + 1 :]
    return sizes[0], ((up - down) / (2 * steps[:, None])).T


def with_checks(question: Design, ensemble: Ensemble, log_inputs: FloatArray) -> Design:
    """The question for runs whose learning rates have been checked, at answers ``log_inputs``.

    Less is misspecified then, by the constants of a forecast from checked runs. What bad tuning of
    small runs would explain is no law's doubt any more: it is measured, and of what is taken off
    for it a share stays unknown.
    """
    usual, checked = ensemble.calibration, CHECKED_SURFACE
    if len(ensemble.ladder.inputs) == 1 or ensemble.ladder.tuning is not None:
        return question
    weights = ensemble.first_weights
    bad = np.array([member.candidate.form is BADLY_TUNED for member in ensemble.members])
    share, changed = float(weights[bad].sum()), unknown_share(ensemble, checked)
    if not 0 < share < 1:
        return replace(question, misfit=changed)

    def apart(inputs: FloatArray) -> FloatArray:
        values = ensemble.values(inputs)
        of_bad = values[:, bad] @ weights[bad] / share
        return np.asarray(of_bad - values[:, ~bad] @ weights[~bad] / (1 - share))

    of_answers, of_runs = apart(log_inputs), apart(question.choices.log_inputs)
    known, joint, laws = share * (1 - share), question.joint, usual.laws
    joint = Joint(
        answers=np.maximum(joint.answers - laws**2 * known * of_answers**2, 0.0),
        across=joint.across - laws * known * np.outer(of_answers, of_runs),
        runs=joint.runs - known * np.outer(of_runs, of_runs),
    )
    tuning = checked.tuning**2 * share * of_answers**2
    return replace(question, joint=joint, misfit=changed, tuning=tuning)


def choose(question: Design, budget: float, *, least: float = LEAST_GAIN) -> tuple[int, ...]:
    """The runs (their numbers, a repeat twice) that leave the least variance within ``budget``.

    From nothing, and from each of the single runs that narrow most, the best buy per FLOP is added
    until nothing narrows the width by ``least`` of what it was; then each run is exchanged for a
    better one. The best of all of these. Deterministic.
    """
    budget *= 1 + SAME_NUMBER  # what takes all of it is affordable, however it is rounded
    empty = question.begin()
    affordable = question.choices.price <= budget
    if not affordable.any():
        return ()
    alone = np.where(affordable, question.variance_with_each(empty), np.inf)
    order = np.argsort(alone, kind="stable")[:MOST_STARTS]
    starts = [(), *((int(one),) for one in order if affordable[one])]
    filled = [_filled(question, question.with_runs(start), budget, least) for start in starts]
    filled.sort(key=question.variance)
    best = min(
        (_exchanged(question, state, budget) for state in filled[:MOST_EXCHANGED]),
        key=question.variance,
    )
    return _trimmed(question, best, least)


def _filled(question: Design, state: State, budget: float, least: float) -> State:
    """The state with further runs, the most narrowing per FLOP first, while any narrows enough."""
    before = question.variance(state)
    smallest = 2 * least * question.variance(question.begin())
    while len(state.chosen) < MOST_RUNS:
        prices = question.choices.prices_after(state.chosen)
        left = budget - question.choices.total(state.chosen)
        gain = before - question.variance_with_each(state)
        usable = (prices <= left) & (gain >= smallest)
        if not usable.any():
            break
        worth = np.where(usable, gain / np.maximum(prices, 1.0), -np.inf)
        state = question.with_run(state, int(np.argmax(worth)))
        before = question.variance(state)
    return state


def _exchanged(question: Design, state: State, budget: float) -> State:
    """The state after exchanges of one run for another that leave less variance."""
    for _ in range(MOST_ROUNDS):
        before = question.variance(state)
        for place in range(len(state.chosen)):
            others = state.chosen[:place] + state.chosen[place + 1 :]
            without = question.with_runs(others)
            left = budget - question.choices.total(others)
            fits = question.choices.prices_after(others) <= left
            if not fits.any():
                continue
            each = np.where(fits, question.variance_with_each(without), np.inf)
            found = int(np.argmin(each))
            if each[found] < question.variance(state) * (1 - SAME_NUMBER):
                state = question.with_run(without, found)
        if question.variance(state) >= before * (1 - 1e-3):
            break
    return state


def _trimmed(question: Design, state: State, least: float) -> tuple[int, ...]:
    """The runs, without those that narrow less than ``least``, the dearest of them first."""
    smallest = 2 * least * question.variance(question.begin())
    chosen = sorted(state.chosen, key=lambda one: -float(question.choices.price[one]))
    kept = list(chosen)
    for one in chosen:
        others = list(kept)
        others.remove(one)
        more = question.variance(question.with_runs(others))
        if more - question.variance(question.with_runs(kept)) < smallest:
            kept = others
    return tuple(sorted(kept, key=lambda one: float(question.choices.log_compute[one])))
