"""Fit a scaling law to records: the optimum, its bootstrap, its status, its card."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.fit_result import Fit, FitStatus, Interval
from analysis.identifiability import judge
from analysis.models import Model, model_of
from analysis.objectives import Objective, objective_named
from analysis.problem import Problem, pose, pose_again
from analysis.search import Optimum, find_optimum
from analysis.uncertainty import Draws, Resampling, resampled
from analysis.uncertainty import bootstrap as resample
from analysis.varpro import projected_starts
from scaling.errors import FitError
from scaling.laws import Law, law_named
from scaling.records import Records

FloatArray = npt.NDArray[np.float64]
Bounds = Mapping[str, tuple[float | None, float | None]]

#: where replicas start when the best floor is zero: this share of the lowest loss
_FLOOR_SHARE_OF_REPLICAS = 0.05
#: lmfit searches from this many starts of the grid; each takes some 10 ms
_CONSTRAINED_STARTS = 8
_LOWEST_LOG = 50.0


def fit_law(
    records: Records,
    law: str | type[Law] = "power_law",
    *,
    objective: str | Objective = "huber",
    huber_delta: float = 1e-3,
    fix: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    expressions: Mapping[str, str] | None = None,
    x: str | None = None,
    weights: str | Sequence[float] | FloatArray | None = None,
    bootstrap: int = 1000,
    resampling: Resampling | None = None,
    cluster: str | None = None,
    confidence_level: float = 0.95,
    seed: int = 0,
    card: bool = True,
) -> Fit:
    """The law that fits these runs best, with bootstrap draws of it.

    ``objective``: huber, least_squares, absolute, raw_least_squares or asymmetric (see
    `analysis.objectives`); ``fix`` holds constants at values, ``bounds`` keeps them between two,
    ``expressions`` ties them to others ("beta": "alpha"). ``x`` names the column that stands for
    the input of a one-input law. ``weights``: "stderr" (inverse squared relative loss_stderr),
    "compute" (rising with train_flops), the name of a column, or one number a run.

    ``bootstrap`` draws resample configurations (all seeds of equal inputs together), or the
    groups of the column ``cluster``, such as "trunk". ``confidence_level`` is the level of the
    intervals; ``seed`` makes them repeatable.

    Raises FitError or RecordError where the runs cannot answer; what limits a usable answer is
    in ``Fit.status`` and ``Fit.notes``.
    """
    kind = law_named(law)
    goal = (
        objective
        if isinstance(objective, Objective)
        else objective_named(objective, huber_delta=huber_delta)
    )
    if not 0 < confidence_level < 1:
        raise FitError(f"confidence level {confidence_level} is not between 0 and 1")
    if bootstrap < 0:
        raise FitError(f"--bootstrap {bootstrap}: give 0 for none, 1000 for usual intervals")
    problem = pose(records, kind, x=x, fixed=dict(fix or {}), weights=weights, cluster=cluster)
    if bounds or expressions:
        constraints = _Constraints(bounds=bounds or {}, expressions=expressions or {})
        fit = _fit_constrained(problem, goal, constraints, bootstrap, seed, confidence_level)
    else:
        fit = _fit_free(problem, goal, bootstrap, resampling, seed, confidence_level)
    fit = replace(fit, weights=_weights_in_words(weights))
    if card:
        from analysis.diagnostics import checklist_card

        fit = replace(fit, card=checklist_card(fit, records).entries)
    return fit


def _fit_free(
    problem: Problem,
    objective: Objective,
    bootstrap: int,
    resampling: Resampling | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    model = model_of(problem.law, problem.inputs, problem.fixed)
    optimum = find_optimum(problem, model, objective)
    verdict = judge(problem, model, objective, optimum)
    best = {k: float(v) for k, v in model.to_constants(optimum.theta).items()}
    start = optimum.theta
    if verdict.floor_at_zero:
        best[problem.law.floor] = 0.0
        start = _with_small_floor(problem, model, objective, optimum)
    draws = None
    if bootstrap:
        with np.errstate(all="ignore"):
            draws = resample(
                model,
                objective,
                start,
                weights=problem.weights,
                log_loss=problem.log_loss,
                labels=problem.labels,
                draws=bootstrap,
                rng=np.random.default_rng(seed),
                resampling=resampling,
            )
    return _assemble(
        problem,
        objective,
        law=problem.law(**best),
        optimum=optimum,
        status=verdict.status,
        notes=verdict.notes,
        draws=draws,
        drawn=None if draws is None else model.to_constants(draws.theta),
        seed=seed,
        confidence_level=confidence_level,
    )


def _assemble(
    problem: Problem,
    objective: Objective,
    *,
    law: Law,
    optimum: Optimum,
    status: FitStatus,
    notes: tuple[str, ...],
    draws: Draws | None,
    drawn: Mapping[str, FloatArray] | None,
    seed: int,
    confidence_level: float,
) -> Fit:
    """The result of a search and its bootstrap as one value."""
    predicted = np.log(law.loss(*problem.inputs))
    if draws is not None:
        notes = (*notes, *_bootstrap_notes(draws))
    used = problem.records
    return Fit(
        law=law,
        draws=None if drawn is None else problem.law(**drawn),
        columns=problem.columns,
        objective=objective.name,
        huber_delta=objective.delta,
        objective_value=optimum.value,
        weights="equal",
        fixed=dict(problem.fixed),
        status=status,
        notes=notes,
        n_runs=len(used),
        n_configurations=problem.configurations,
        dropped=used.dropped_by_reason,
        search=optimum.search,
        resampling="none" if draws is None else draws.resampling,
        n_draws_converged=0 if draws is None else draws.converged,
        confidence_level=confidence_level,
        seed=seed,
        source=used.source,
        data_hash=used.data_hash,
        log_residuals=tuple(float(r) for r in problem.log_loss - predicted),
        rows=tuple(str(label) for label in used.table.index),
    )


def _with_small_floor(
    problem: Problem, model: Model, objective: Objective, optimum: Optimum
) -> FloatArray:
    """A start for replicas whose floor may be positive although the best one is zero."""
    floor = _FLOOR_SHARE_OF_REPLICAS * float(np.exp(problem.log_loss.min()))
    held = replace(problem, fixed={**problem.fixed, problem.law.floor: floor})
    held_model = model_of(problem.law, problem.inputs, held.fixed)
    constants = held_model.to_constants(find_optimum(held, held_model, objective).theta)
    return model.to_coordinates(constants)


def _bootstrap_notes(draws: Draws) -> list[str]:
    notes = []
    lost = len(draws.theta) - draws.converged
    if lost > 0.02 * len(draws.theta):
        notes.append(f"{lost} of {len(draws.theta)} bootstrap refits did not converge")
    if draws.clusters < 8:
        notes.append(
            f"intervals rest on {draws.clusters} independent configurations; they are rough"
        )
    return notes


def _weights_in_words(weights: str | Sequence[float] | FloatArray | None) -> str:
    if weights is None:
        return "equal"
    return weights if isinstance(weights, str) else "given by the caller"


# lmfit's part: bounds, expressions and profile-likelihood intervals. It takes two seconds to
# import, so only calls that need it pay for it.


@dataclass(frozen=True, kw_only=True)
class _Constraints:
    """What a user demands of constants beyond fixing them."""

    bounds: Bounds
    expressions: Mapping[str, str]

    def check(self, law: type[Law]) -> None:
        for name in (*self.bounds, *self.expressions):
            if name not in law.constant_names():
                raise FitError(
                    f"bound or expression for {name}: {law.name} has no such constant; it has "
                    f"{', '.join(law.constant_names())}"
                )


class _LmfitProblem:
    """A posed problem in lmfit's terms.

    Constants that cannot be negative vary as log_NAME, of which NAME is an expression; so bounds
    are on the natural scale and expressions use natural names. The sum of squared residuals is
    twice the objective, whichever it is.
    """

    def __init__(self, problem: Problem, objective: Objective, constraints: _Constraints) -> None:
        constraints.check(problem.law)
        self.problem, self.objective, self.constraints = problem, objective, constraints

    def parameters(self, constants: Mapping[str, float]) -> Any:
        """lmfit.Parameters at these constants, moved inside their bounds."""
        import lmfit

        parameters = lmfit.Parameters()
        tied = self.constraints.expressions
        for name in sorted(self.problem.law.constant_names(), key=lambda n: n in tied):
            low, high = self.constraints.bounds.get(name, (None, None))
            low = -np.inf if low is None else float(low)
            high = np.inf if high is None else float(high)
            if not low < high:
                raise FitError(f"bounds of {name}: {low:g} is not below {high:g}")
            value = float(np.clip(constants[name], low, high))
            if name in self.problem.fixed:
                parameters.add(name, value=self.problem.fixed[name], vary=False)
            elif name in tied:
                try:
                    parameters.add(name, expr=tied[name], min=low, max=high)
                    float(parameters[name].value)
                except Exception as error:
                    raise FitError(f"expression {name} = {tied[name]}: {error}") from error
            elif name in self.problem.law.positive:
                lowest = np.log(low) if low > 0 else -_LOWEST_LOG
                value = float(np.clip(np.log(max(value, 1e-300)), lowest, np.log(high)))
                parameters.add(f"log_{name}", value=value, min=lowest, max=np.log(high))
                parameters.add(name, expr=f"exp(log_{name})")
            else:
                parameters.add(name, value=value, min=low, max=high)
        return parameters

    def minimizer(self, parameters: Any, weights: FloatArray, log_loss: FloatArray) -> Any:
        """An lmfit Minimizer of the objective over these weights and losses."""
        import lmfit

        names, inputs = self.problem.law.constant_names(), self.problem.inputs

        def residual(parameters: Any) -> FloatArray:
            law = self.problem.law(**{name: parameters[name].value for name in names})
            with np.errstate(all="ignore"):
                predicted = np.log(law.loss(*inputs))
            predicted = np.nan_to_num(predicted, nan=1e3, posinf=1e3, neginf=-1e3)
            value = 2 * weights * self.objective.value(predicted, log_loss)
            return np.asarray(np.sign(predicted - log_loss) * np.sqrt(value))

        return lmfit.Minimizer(residual, parameters, max_nfev=20_000)

    def minimize(self, parameters: Any, weights: FloatArray, log_loss: FloatArray) -> Any:
        """lmfit's MinimizerResult by Levenberg-Marquardt; its bounds are MINUIT's transforms."""
        minimizer = self.minimizer(parameters, weights, log_loss)
        return minimizer.minimize(method="leastsq", ftol=1e-13, xtol=1e-13, gtol=0.0)

    def constants(self, result: Any) -> dict[str, float]:
        """The law's constants in an lmfit result."""
        return {n: float(result.params[n].value) for n in self.problem.law.constant_names()}


def _fit_constrained(
    problem: Problem,
    objective: Objective,
    constraints: _Constraints,
    bootstrap: int,
    seed: int,
    confidence_level: float,
) -> Fit:
    engine = _LmfitProblem(problem, objective, constraints)
    starts = projected_starts(
        problem.law, problem.inputs, np.exp(problem.log_loss), problem.weights, problem.fixed
    )
    model = model_of(problem.law, problem.inputs, problem.fixed)
    free = find_optimum(problem, model, objective)
    best_free = {k: float(v) for k, v in model.to_constants(free.theta).items()}
    count = len(starts[problem.law.constant_names()[0]])
    chosen = np.linspace(0, count - 1, min(count, _CONSTRAINED_STARTS)).astype(int)
    guesses = [best_free, *({k: float(v[i]) for k, v in starts.items()} for i in chosen)]
    results = [
        engine.minimize(engine.parameters(guess), problem.weights, problem.log_loss)
        for guess in guesses
    ]
    values = np.array([result.chisqr / 2 for result in results])
    best = results[int(np.argmin(values))]
    agreeing = int((values <= values.min() * (1 + 1e-4)).sum())
    optimum = replace(
        free,
        value=float(values.min()),
        search=replace(
            free.search,
            starts=len(values),
            starts_agreeing=agreeing,
            gradient_norm=float("nan"),  # bounds may hold the gradient away from zero
            iterations=int(best.nfev),
            solver="variable projection over exponents, then lmfit least squares with constraints",
        ),
    )
    constants = engine.constants(best)
    status, notes = FitStatus.CONVERGED, list(problem.notes)
    held = [n for n in constraints.bounds if _on_bound(constants[n], constraints.bounds[n])]
    if held:
        status = FitStatus.AT_BOUND
        notes.append(f"{', '.join(held)} sits on a bound that was asked for: the runs pull beyond")
    if not best.success:
        status = FitStatus.NOT_CONVERGED
        notes.append(f"not converged: {str(best.message).strip()}")
    draws, drawn = None, None
    if bootstrap:
        draws, drawn = _constrained_draws(engine, constants, bootstrap, seed)
    return _assemble(
        problem,
        objective,
        law=problem.law(**constants),
        optimum=optimum,
        status=status,
        notes=tuple(notes),
        draws=draws,
        drawn=drawn,
        seed=seed,
        confidence_level=confidence_level,
    )


def _constrained_draws(
    engine: _LmfitProblem, constants: Mapping[str, float], count: int, seed: int
) -> tuple[Draws, dict[str, FloatArray]]:
    """Refits of resampled runs, one by one, since lmfit has no batches."""
    problem = engine.problem
    predicted = np.log(problem.law(**constants).loss(*problem.inputs))
    tables = resampled(
        problem.labels,
        weights=problem.weights,
        log_loss=problem.log_loss,
        predicted=predicted,
        constants=len(constants) - len(problem.fixed) - len(engine.constraints.expressions),
        draws=count,
        rng=np.random.default_rng(seed),
    )
    found: list[dict[str, float]] = []
    converged = 0
    parameters = engine.parameters(constants)
    shape = (count, len(problem.log_loss))
    all_weights = np.broadcast_to(tables.weights, shape)
    all_losses = np.broadcast_to(tables.log_loss, shape)
    for weights, log_loss in zip(all_weights, all_losses, strict=True):
        result = engine.minimize(parameters, weights, log_loss)
        converged += bool(result.success)
        found.append(engine.constants(result))
    drawn = {name: np.array([one[name] for one in found]) for name in constants}
    theta = np.stack(list(drawn.values()), axis=1)
    clusters = int(problem.labels.max()) + 1
    return (
        Draws(theta=theta, resampling=tables.resampling, converged=converged, clusters=clusters),
        drawn,
    )


def _on_bound(value: float, bound: tuple[float | None, float | None]) -> bool:
    return any(
        edge is not None and abs(value - edge) <= 1e-4 * max(abs(edge), 1e-12) for edge in bound
    )


def profile_intervals(
    fit: Fit, records: Records, confidence_level: float | None = None
) -> dict[str, Interval]:
    """Profile-likelihood intervals of the free constants, by lmfit's ``conf_interval``.

    Each constant is moved away from its optimum with all others refitted, until an F test on the
    summed penalty rejects it. Read it as a check on the bootstrap: it needs no resampling, but
    takes residuals as independent and, for objectives other than least_squares, the penalty as a
    log likelihood. An end that the runs do not bound is infinite, or zero for constants that
    cannot be negative. Raises FitError where lmfit finds no interval.
    """
    import lmfit

    level = fit.confidence_level if confidence_level is None else confidence_level
    problem = pose_again(fit, records)
    objective = Objective(name=fit.objective, delta=fit.huber_delta)
    engine = _LmfitProblem(problem, objective, _Constraints(bounds={}, expressions={}))
    constants = {k: float(v) for k, v in fit.law.constants().items()}
    minimizer = engine.minimizer(engine.parameters(constants), problem.weights, problem.log_loss)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unbounded side warns, and shows as infinite
            result = minimizer.minimize(method="leastsq")
            table = lmfit.conf_interval(minimizer, result, sigmas=[level], maxiter=500)
    except (lmfit.MinimizerException, ValueError, AttributeError) as error:
        raise FitError(
            f"{problem.law.name}: no profile interval ({str(error).strip().splitlines()[0]}); "
            "the runs may not identify every constant, see the fit's notes"
        ) from error
    intervals = {}
    for name, ends in table.items():
        low, high = float(ends[0][1]), float(ends[-1][1])
        if name.startswith("log_"):
            low, high = float(np.exp(low)), float(np.exp(high))
        intervals[name.removeprefix("log_")] = Interval(low, high)
    return intervals
