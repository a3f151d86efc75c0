"""From many starts to one optimum, and an honest account of how it was found."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.models.sum_of_powers import SumOfPowers
from analysis.fitting.minimising.newton import Solution, minimise, whitening
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem
from analysis.fitting.result import Search
from scaling.arrays import FloatArray
from scaling.errors import FitError

#: starts that are searched to the end; they are the best of the grid
_MOST_STARTS = 36
_MOST_STARTS_OF_SLOW_LAWS = 12
#: starts are chosen and first improved on at most this many runs
_RUNS_FOR_STARTS = 2_000
#: two searches found the same optimum when their objectives differ by less than this share
AGREEMENT = 1e-6
_FINAL_GAIN = 1e-15
_POLISH_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The best point of a search."""

    theta: FloatArray  # (p,)
    value: float
    converged: bool
    search: Search


def find_optimum(problem: Problem, model: Model, penalty: Penalty) -> Optimum:
    """Search from the grid's best starts, polish the best end point.

    Raises FitError if no start leads to a finite objective.
    """
    starts = _ranked_starts(problem, model, penalty)
    few = _subset(problem)
    ends, iterations = starts, 0
    if few is not None:
        coarse = problem.model(few)
        y, w = problem.log_loss[few], problem.weights[few]
        ends = _through_stages(coarse, penalty, ends, y, w).theta[:3]
    solution = _through_stages(model, penalty, ends, problem.log_loss, problem.weights)
    value = np.where(np.isfinite(solution.value), solution.value, np.inf)
    best = int(np.argmin(value))
    if not np.isfinite(value[best]):
        raise FitError(
            f"{problem.records.source}: no start of {problem.law.name} leads to a finite fit; "
            "look for losses or sizes far from all others, or choose a simpler law"
        )
    iterations = int(solution.iterations[best])
    # with a perfect fit all values are rounding, and "the same" means that small
    scale = max(value[best], _perfect(penalty, problem))
    agreeing = int((value <= value[best] + AGREEMENT * scale).sum())
    polished, norm = _polish(model, penalty, solution.theta[best], problem)
    jacobian = model.jacobian(polished.theta[0])
    return Optimum(
        theta=polished.theta[0],
        value=float(_objective_value(model, penalty, polished.theta[0], problem)),
        converged=bool(polished.converged[0] or polished.gain_left[0] < 1e-9),
        search=Search(
            starts=len(value),
            starts_agreeing=agreeing,
            gradient_norm=norm,
            condition_number=condition_number(jacobian, problem.weights),
            iterations=iterations + int(polished.iterations[0]),
        ),
    )


def search_stages(penalty: Penalty) -> tuple[Penalty, ...]:
    """The objectives to minimise in turn from a far start, the asked one last.

    A narrow Huber penalty sees no curvature from afar, so least squares leads the way in.
    """
    if penalty.name in ("least_squares", "raw_least_squares"):
        return (penalty,)
    wide = (Penalty(name="least_squares"), penalty.narrowed(1e-2))
    if penalty.name == "absolute":
        return (*wide, *(penalty.narrowed(d) for d in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)))
    return (*wide, penalty)


def condition_number(jacobian: FloatArray, weights: FloatArray) -> float:
    """Ratio of the largest to the smallest singular value, columns scaled to length one."""
    scaled = jacobian * np.sqrt(weights)[:, None]
    lengths = np.sqrt((scaled**2).sum(axis=0))
    if not (lengths > 0).all() or not np.isfinite(lengths).all():
        return float("inf")
    triangle = np.linalg.qr(scaled / lengths, mode="r")  # as wide as the constants, not the table
    singular = np.linalg.svd(triangle, compute_uv=False)
    return float(singular[0] / singular[-1]) if singular[-1] > 0 else float("inf")


def _ranked_starts(problem: Problem, model: Model, penalty: Penalty) -> FloatArray:
    """The starts (starts, p) with the lowest objective of the variable projection."""
    few = _subset(problem)
    some = slice(None) if few is None else few
    inputs = tuple(values[some] for values in problem.inputs)
    y, w = problem.log_loss[some], problem.weights[some]
    grid = problem.law.starts(inputs, np.exp(y), w, problem.fixed)
    theta = model.to_coordinates(grid)
    theta = theta[np.isfinite(theta).all(axis=1)]
    coarse = model if few is None else problem.model(few)
    with np.errstate(all="ignore"):
        predicted = coarse.log_prediction(theta)
        values = (penalty.value(predicted, y[None]) * w).sum(axis=1)
    values = np.where(np.isfinite(values), values, np.inf)
    most = _MOST_STARTS if isinstance(model, SumOfPowers) else _MOST_STARTS_OF_SLOW_LAWS
    return np.asarray(theta[np.argsort(values, kind="stable")[:most]])


def _subset(problem: Problem) -> npt.NDArray[np.int64] | None:
    """Evenly spread runs, by the first input, of a table too long to search from every start."""
    runs = len(problem.log_loss)
    if runs <= 2 * _RUNS_FOR_STARTS:
        return None
    order = np.argsort(problem.inputs[0], kind="stable")
    return np.asarray(order[np.linspace(0, runs - 1, _RUNS_FOR_STARTS).astype(np.int64)])


def _through_stages(
    model: Model, penalty: Penalty, starts: FloatArray, y: FloatArray, w: FloatArray
) -> Solution:
    # a step may change predictions by about 0.3 in log loss, root mean square over the runs
    longest = 0.3 * float(np.sqrt(w.sum()))
    theta = starts
    stages = search_stages(penalty)
    for stage, exact in [(stages[0], False), *((stage, True) for stage in stages)]:
        with np.errstate(all="ignore"):
            basis = whitening(model, theta[0], w)
            solution = minimise(
                model,
                stage,
                theta,
                weights=w,
                log_loss=y,
                basis=basis,
                relative_gain=1e-10,
                longest_step=longest,
                max_iterations=100,
                exact=exact,
            )
        order = np.argsort(np.where(np.isfinite(solution.value), solution.value, np.inf))
        theta = solution.theta[order]
    return solution


def _polish(
    model: Model, penalty: Penalty, theta: FloatArray, problem: Problem
) -> tuple[Solution, float]:
    """The same search once more to the last digits, and the norm of the gradient there."""
    last = search_stages(penalty)[-1]
    for _ in range(_POLISH_ROUNDS):  # in a long valley the directions of the last round are stale
        basis = whitening(model, theta, problem.weights)
        solution = minimise(
            model,
            last,
            theta[None],
            weights=problem.weights,
            log_loss=problem.log_loss,
            basis=basis,
            relative_gain=_FINAL_GAIN,
            max_iterations=100,
        )
        theta = solution.theta[0]
        if solution.converged[0]:
            break
    evaluate = model.derivatives(last, basis)
    w, y = problem.weights[None], problem.log_loss[None]
    value, gradient, _ = evaluate(solution.theta, w, y)
    scale = max(float(value[0]), _perfect(last, problem))
    return solution, float(np.sqrt((gradient[0] ** 2).sum()) / scale)


def _perfect(penalty: Penalty, problem: Problem) -> float:
    """The objective at which a fit is as good as perfect: residuals of 1e-6."""
    y = problem.log_loss
    return float((penalty.value(y + 1e-6, y) * problem.weights).sum())


def _objective_value(model: Model, penalty: Penalty, theta: FloatArray, problem: Problem) -> float:
    predicted = model.log_prediction(theta[None])[0]
    return float((penalty.value(predicted, problem.log_loss) * problem.weights).sum())
