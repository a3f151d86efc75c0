"""Which constants the runs do not pin down, why, and how that limits a fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.newton import minimise, whitening
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem
from analysis.fitting.result import FitStatus
from analysis.fitting.search import Optimum, search_stages
from scaling.arrays import BoolArray, FloatArray
from scaling.limits import Limit, LimitCode

#: a constant that moves no prediction by this much (log loss per unit of its log) has vanished
_VANISHED = 1e-5
_LARGEST_CONDITION = 1e8
#: how sure, and how much of the loss, it must be that a floor below zero would fit better
_SURE, _FELT = 0.99, 1e-3
_STRAY_SHARE = 0.8  # of the objective, in a tenth of the runs: no scatter that all share
#: why constants are none where the floor is not identified
HIDDEN_FLOOR = "it holds for one value of {} only, which the runs do not tell"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The status of a fit and everything that limits it."""

    status: FitStatus
    limits: tuple[Limit, ...]
    floor_at_zero: bool
    unidentified: Mapping[str, str]  # constant -> why no number of it means anything


def judge(problem: Problem, model: Model, penalty: Penalty, optimum: Optimum) -> Verdict:
    """Convergence, constants at a bound, directions without information, and the floor."""
    status, limits = FitStatus.CONVERGED, list(problem.limits)
    unknown: dict[str, str] = {}

    def limited(code: LimitCode, text: str, names: Iterable[str] = (), why: str = "") -> None:
        limits.append(Limit(code, text))
        unknown.update(dict.fromkeys(names, why))

    floor, search = problem.law.floor, optimum.search
    sizes = np.sqrt(np.mean(model.jacobian(optimum.theta) ** 2, axis=0))
    gone = [n for n, size in zip(model.free, sizes, strict=True) if size < _VANISHED]
    others = [name for name in gone if name != floor]
    if floor in model.free and not floor_is_bounded(problem, model, penalty, optimum):
        status = FitStatus.FLOOR_NOT_IDENTIFIED
        text = f"floor not identified: the runs fit about as well with {floor} = 0, so {floor} and "
        text += "forecasts far beyond the runs rest on the form of the law"
        limited(LimitCode.FLOOR_NOT_IDENTIFIED, text, model.free, HIDDEN_FLOOR.format(floor))
        unknown[str(floor)] = "the runs fit about as well with a floor of zero"
    if floor_below_zero(problem, model, optimum):
        text = f"the loss falls faster than {problem.law.name} can: a {floor} below zero would fit "
        text += "better, so the law may not be that of these runs, and lies too high beyond them"
        limited(LimitCode.FALLS_FASTER, text)
    runaway = [name for name in _runaway(model, optimum) if name not in gone]
    if runaway:
        status = FitStatus.AT_BOUND
        text = f"{', '.join(runaway)} ran to the limit of the search: the runs do not look like "
        text += problem.law.name
        limited(LimitCode.AT_BOUND, text, runaway, "it ran to the limit of the search")
    if gone:
        status = FitStatus.AT_BOUND
        text = f"{', '.join(gone)} ended at the edge of what is allowed (zero): the runs ask for "
        text += "no such term"
        why = "it moves no prediction: the runs ask for no such term"
        limited(LimitCode.AT_BOUND, text, others, why)
    if not gone and not runaway and search.condition_number > _LARGEST_CONDITION:
        status = FitStatus.UNIDENTIFIED
        names = _confounded(model, optimum, problem.weights)
        together = f"{', '.join(names)} can change together without changing any prediction"
        text = f"constants not identified: {together} (condition number "
        limited(LimitCode.CONFOUNDED, f"{text}{search.condition_number:.1e})", names, together)
    if not optimum.converged:
        status = FitStatus.NOT_CONVERGED
        text = "not converged: the search stopped before the gradient vanished (gradient norm "
        text += f"{search.gradient_norm:.1e})"
        limited(LimitCode.NOT_CONVERGED, text, model.free, "the search did not converge")
    if search.starts_agreeing == 1 and search.starts > 1:
        text = f"only 1 of {search.starts} starts reached the best optimum; others may exist"
        limited(LimitCode.LONE_START, text)
    return Verdict(
        status=status, limits=tuple(limits), floor_at_zero=floor in gone, unidentified=unknown
    )


def _runaway(model: Model, optimum: Optimum) -> list[str]:
    """The constants that ended at the limit of the search."""
    low, high = model.limits
    inset = 0.0005 * np.where(np.isfinite(high - low), high - low, 0.0)  # no edge at infinity
    edge = (optimum.theta <= low + inset) | (optimum.theta >= high - inset)
    return [name for name, at in zip(model.free, edge, strict=True) if at]


def floor_is_bounded(
    problem: Problem,
    model: Model,
    penalty: Penalty,
    optimum: Optimum,
    confidence_level: float = 0.95,
) -> bool:
    """Whether the runs reject a floor of zero.

    Profile likelihood: the objective refitted with the floor held at zero, against its minimum.
    The difference is judged by F with one and (configurations - constants) degrees of freedom,
    for squared residuals; for absolute ones the objective counts twice (Laplace likelihood).
    """
    from scipy.special import fdtri

    freedom = problem.configurations - len(model.free)
    if freedom < 1:
        return False
    power = 1.0 if _mostly_quadratic(model, penalty, optimum, problem) else 2.0
    quantile = float(fdtri(1, freedom, confidence_level))
    largest_ratio = (1 + quantile / freedom) ** (1 / power)
    at_optimum = _values(problem, penalty, model.log_prediction(optimum.theta[None])[0])
    without = _values_with_floor(problem, model, penalty, optimum, 0.0)
    told = slice(None) if penalty.name == "least_squares" else ~_strays(at_optimum)
    return bool(without[told].sum() > at_optimum[told].sum() * largest_ratio)


def _values(problem: Problem, penalty: Penalty, log_predicted: FloatArray) -> FloatArray:
    """What each run (runs,) adds to the objective."""
    value = penalty.value(log_predicted, problem.log_loss) * problem.weights
    return np.where(np.isfinite(value), value, np.inf)


def _strays(values: FloatArray) -> BoolArray:
    """The runs (runs,) that a robust penalty does not follow: a tenth at most that hold almost all
    of the objective, so that it says nothing of the scatter of the others."""
    largest = np.argsort(values)[len(values) - len(values) // 10 :]
    are_strays = np.zeros(len(values), dtype=bool)
    are_strays[largest] = values[largest].sum() > _STRAY_SHARE * values.sum()
    return are_strays


def floor_below_zero(problem: Problem, model: Model, optimum: Optimum) -> bool:
    """Whether the runs ask for a floor below zero, which no loss has: an F test of one step of
    least squares in the floor from zero, with the other constants free, as of a term left out.
    """
    from scipy.special import fdtri

    floor = problem.law.floor
    if floor is None or floor in problem.tied:
        return False
    at = float(np.asarray(model.to_constants(optimum.theta)[floor]))
    free = [i for i, name in enumerate(model.free) if name != floor]
    freedom = problem.configurations - len(free) - 1
    if freedom < 1:
        return False
    log_predicted = model.log_prediction(optimum.theta[None])[0]
    if at > _FELT * np.exp(log_predicted.min()):
        return False
    root = np.sqrt(problem.weights)
    basis, _ = np.linalg.qr(np.nan_to_num(model.jacobian(optimum.theta)[:, free]) * root[:, None])
    residual, slope = (problem.log_loss - log_predicted) * root, np.exp(-log_predicted) * root
    residual, slope = (v - basis @ (basis.T @ v) for v in (residual, slope))
    step = float(residual @ slope) / max(float(slope @ slope), 1e-300)
    gained = step**2 * float(slope @ slope)
    left = max(float(residual @ residual) - gained, 1e-300)
    is_sure = gained / left * freedom > fdtri(1, freedom, _SURE)
    return bool(step < 0 and is_sure and gained > _FELT**2 * problem.weights.sum())


def _values_with_floor(
    problem: Problem, model: Model, penalty: Penalty, optimum: Optimum, floor: float
) -> FloatArray:
    """What each run (runs,) adds to the objective where the floor is held and all else refitted."""
    assert problem.law.floor is not None  # only a law with a floor is asked for one
    held = problem.model(held={problem.law.floor: floor})
    constants = {name: np.asarray(v) for name, v in model.to_constants(optimum.theta).items()}
    theta = held.to_coordinates(constants)[None]
    longest = 0.3 * float(np.sqrt(problem.weights.sum()))
    for stage in search_stages(penalty):
        with np.errstate(all="ignore"):
            basis = whitening(held, theta[0], problem.weights)
            solution = minimise(
                held,
                stage,
                theta,
                weights=problem.weights,
                log_loss=problem.log_loss,
                basis=basis,
                longest_step=longest,
                max_iterations=100,
            )
        theta = solution.theta
    return _values(problem, penalty, held.log_prediction(theta)[0])


def _mostly_quadratic(model: Model, penalty: Penalty, optimum: Optimum, problem: Problem) -> bool:
    predicted = model.log_prediction(optimum.theta[None])[0]
    _, _, curvature = penalty.per_run(predicted, problem.log_loss)
    return bool(np.average(curvature > 0, weights=problem.weights) > 0.5)


def _confounded(model: Model, optimum: Optimum, weights: FloatArray) -> list[str]:
    scaled = model.jacobian(optimum.theta) * np.sqrt(weights)[:, None]
    scaled = scaled / np.maximum(np.sqrt((scaled**2).sum(axis=0)), 1e-300)
    _, _, right = np.linalg.svd(np.linalg.qr(scaled, mode="r"), full_matrices=False)
    weakest = np.abs(right[-1])
    return [n for n, size in zip(model.free, weakest, strict=True) if size > 0.3 * weakest.max()]
