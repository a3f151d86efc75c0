"""What lmfit does for a fit: demands on constants, its own minimiser, profile intervals.

Bounds are checked by lmfit's Parameters and solved by our search, since lmfit's own stalls on a
Huber threshold of 1e-3. Ties are arithmetic of `scaling.laws.written.expression`, since lmfit's
interpreter of them also opens files and addresses, and loops. lmfit takes two seconds to import, so
only calls that need it pay.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.fitting.minimising.models.coordinates import Tie
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import pose_again
from analysis.fitting.result import Fit
from analysis.intervals import Interval
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.written.expression import ExpressionError, expression
from scaling.records import Records
from scaling.tables.notes import printable

Bounds = Mapping[str, tuple[float | None, float | None]]


def checked_bounds(law: type[Law], bounds: Bounds) -> dict[str, tuple[float, float]]:
    """Bounds as numbers, through lmfit's Parameters, which say what is wrong with them."""
    import lmfit

    parameters = lmfit.Parameters()
    for name, (low, high) in bounds.items():
        _check_name(law, name)
        if low is not None and high is not None and not low < high:
            raise FitError(f"bounds of {name}: {low} is not below {high}; swap them or use --fix")
        _check_reach(law, name, low, high)
        try:
            parameters.add(
                name, min=-np.inf if low is None else low, max=np.inf if high is None else high
            )
        except ValueError as error:
            raise FitError(f"bounds of {name} ({low}, {high}): {error}") from error
    return {name: (float(p.min), float(p.max)) for name, p in parameters.items()}


def _check_reach(law: type[Law], name: str, low: float | None, high: float | None) -> None:
    """Refuse bounds that reach where the law itself has no such constant."""
    own_low, own_high = law.bounds()[name]
    for end in (low, high):
        if end is not None and name in law.positive and end < 0:
            raise FitError(
                f"--bound {name}={_end(low)}:{_end(high)}: {name} of {law.name} cannot be below "
                f"zero; bound it as {name}={max(low or 0.0, 0.0):g}:"
                f"{_end(high if high is not None and high > 0 else None)}, or choose another law"
            )
    if (low is not None and low > own_high) or (high is not None and high < own_low):
        raise FitError(
            f"--bound {name}={_end(low)}:{_end(high)}: {name} of {law.name} is searched from "
            f"{own_low:g} to {own_high:g}; bound it within that"
        )


def _end(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def tied_constants(law: type[Law], expressions: Mapping[str, str]) -> dict[str, Tie]:
    """Expressions such as beta = "alpha" or B = "A * 6**alpha", as arithmetic on the other
    constants; one may use those that are tied before it."""
    ties: dict[str, Tie] = {}
    for name, text in expressions.items():
        _check_name(law, name)
        known = [one for one in law.constant_names() if one not in expressions or one in ties]
        try:
            ties[name] = expression(text, known)
        except ExpressionError as error:
            raise FitError(f"--tie {name}={printable(text)}: {error}") from error
        with np.errstate(all="ignore"):
            value = np.asarray(ties[name](dict.fromkeys(known, 0.5)))
        if not np.isfinite(value).all():
            raise FitError(f"--tie {name}={printable(text)}: it is no finite number")
    return ties


def _check_name(law: type[Law], name: str) -> None:
    if name not in law.constant_names():
        raise FitError(
            f"{law.name} has no constant {name} to bound or tie; it has "
            f"{', '.join(law.constant_names())}"
        )


def lmfit_minimizer(fit: Fit, records: Records) -> Any:
    """An ``lmfit.Minimizer`` of this fit's problem at its optimum, for lmfit's own tools.

    Constants that cannot be negative vary as log_NAME, of which NAME is an expression. The sum of
    squared residuals is twice the objective.
    """
    import lmfit

    problem = pose_again(fit, records)
    penalty = Penalty(name=fit.objective, delta=fit.huber_delta)
    names, law = problem.law.constant_names(), problem.law
    parameters = lmfit.Parameters()
    for name, value in fit.law.constants().items():
        if name in problem.fixed:
            parameters.add(name, value=float(value), vary=False)
        elif name in law.positive:
            parameters.add(f"log_{name}", value=float(np.log(max(float(value), 1e-30))))
            parameters.add(name, expr=f"exp(log_{name})")
        else:
            parameters.add(name, value=float(value))

    def residual(at: Any) -> FloatArray:
        with np.errstate(all="ignore"):
            predicted = np.log(law(**{n: at[n].value for n in names}).loss(*problem.inputs))
        predicted = np.nan_to_num(predicted, nan=1e3, posinf=1e3, neginf=-1e3)
        value = 2 * problem.weights * penalty.value(predicted, problem.log_loss)
        return np.asarray(np.sign(predicted - problem.log_loss) * np.sqrt(value))

    return lmfit.Minimizer(residual, parameters)


def profile_intervals(
    fit: Fit, records: Records, confidence_level: float | None = None
) -> dict[str, Interval]:
    """Profile-likelihood intervals of the free constants, by lmfit's ``conf_interval``.

    Each constant is moved away from its optimum with all others refitted, until an F test on the
    sum of squares rejects it. Read it as a check on the bootstrap: it needs no resampling, but
    takes residuals as independent and normal, so the fit must be one of least squares. An end
    that the runs do not bound is infinite, or zero for constants that cannot be negative.
    Raises FitError for another objective, and where lmfit finds no interval.
    """
    import lmfit

    if fit.objective not in ("least_squares", "raw_least_squares") or fit.tied:
        raise FitError(
            f"profile intervals need a plain least-squares fit, not {fit.objective}"
            f"{' with tied constants' if fit.tied else ''}; refit with --objective least_squares"
        )
    level = fit.confidence_level if confidence_level is None else confidence_level
    minimizer = lmfit_minimizer(fit, records)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unbounded side warns, and shows as infinite
            result = minimizer.minimize(method="leastsq")
            table = lmfit.conf_interval(minimizer, result, sigmas=[level], maxiter=500)
    except (lmfit.MinimizerException, ValueError, AttributeError) as error:
        raise FitError(
            f"{fit.law.name}: no profile interval ({str(error).strip().splitlines()[0]}); "
            "the runs may not identify every constant, see the fit's notes"
        ) from error
    intervals = {}
    for name, ends in table.items():
        low, high = float(ends[0][1]), float(ends[-1][1])
        if name.startswith("log_"):
            low, high = float(np.exp(low)), float(np.exp(high))
        intervals[name.removeprefix("log_")] = Interval(low, high)
    return intervals
