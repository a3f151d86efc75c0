"""Fit a scaling law to records: the optimum, its bootstrap, its status, its card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.fitting.bounded import fit_bounded
from analysis.fitting.checklist import checklist_card
from analysis.fitting.free import fit_free
from analysis.fitting.lmfit_bridge import Bounds, tied_constants
from analysis.fitting.minimising.penalties import Penalty, penalty_named
from analysis.fitting.prediction import checked_level
from analysis.fitting.problem import Problem, check_given_once, pose, weights_in_words
from analysis.fitting.refits.bootstrap import Resampling
from analysis.fitting.refits.ceiling import highest_floor
from analysis.fitting.refits.replicas import FEWEST_RESAMPLES
from analysis.fitting.result import Fit
from analysis.intervals import LEVEL
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.written.formula import law_for
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from
from scaling.words import counted

MOST_RESAMPLES = 100_000
#: residuals of the log loss that rounding alone leaves
_EXACT = 1e-9
_HELPS = ("params", "tokens", "train_flops")  # more of them cannot do harm


def fit_as_asked(
    records: Source,
    law: str | type[Law] = PowerLaw,
    *,
    objective: str | Penalty = "huber",
    huber_delta: float = 1e-3,
    fix: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    expressions: Mapping[str, str] | None = None,
    x: str | None = None,
    weights: str | Sequence[float] | FloatArray | None = None,
    bootstrap: int = 1000,
    resampling: Resampling | None = None,
    cluster: str | None = None,
    confidence_level: float = LEVEL,
    seed: int = 0,
    card: bool = True,
) -> Fit:
    """The best fit, with bootstrap draws, by the caller's choices (`fit_law` makes them itself).

    ``objective``: huber, least_squares, absolute, raw_least_squares or asymmetric (see
    `analysis.fitting.minimising.penalties`); ``fix`` holds constants at values, ``bounds`` keeps
    them between two, ``expressions`` ties them to others ("beta": "alpha"). ``x`` names the
    column that is a one-input law's input. ``weights``: "stderr" (inverse squared relative
    loss_stderr), "compute" (rising with train_flops), the name of a column, or one number a run.

    ``bootstrap`` draws resample configurations (all seeds of equal inputs together), or the
    groups of the column ``cluster``, such as "trunk". ``confidence_level`` is the level of the
    intervals; ``seed`` makes them repeatable.

    Raises FitError or RecordError where the runs cannot answer; what limits a usable answer is
    in ``Fit.status`` and ``Fit.limits``.
    """
    records = records_from(records)
    check_given_once(fix or {}, bounds or {}, expressions or {})
    kind = law_for(law, records, bounds)
    penalty = (
        objective
        if isinstance(objective, Penalty)
        else penalty_named(objective, huber_delta=huber_delta)
    )
    checked_level(confidence_level)
    if bootstrap and not FEWEST_RESAMPLES <= bootstrap <= MOST_RESAMPLES:
        raise FitError(
            f"--bootstrap {bootstrap}: give 0 for none, 1000 for usual intervals, "
            f"{FEWEST_RESAMPLES} to {MOST_RESAMPLES:,}"
        )
    ties, held = tied_constants(kind, expressions or {}), dict(fix or {})
    problem = pose(records, kind, x=x, fixed=held, weights=weights, cluster=cluster, tied=ties)
    if bounds:
        fit = fit_bounded(problem, penalty, bounds, bootstrap, resampling, seed, confidence_level)
    else:
        top, how = highest_floor(problem), (bootstrap, resampling, seed, confidence_level)
        fit = fit_free(problem, penalty, *how, ceiling=top)
    said = weights_in_words(weights, problem)
    fit = as_told(replace(fit, tied=dict(expressions or {}), weights=said), problem)
    if card:
        fit = replace(fit, card=checklist_card(fit, problem.records).entries)
    return fit


def as_told(fit: Fit, problem: Problem) -> Fit:
    """The fit with what its runs do not tell, and what is to say of its direction."""
    return _with_direction(_without_endless(fit), problem)


def _without_endless(fit: Fit) -> Fit:
    """The fit without constants of which the refits tell no interval: one that has no finite end,
    or no width since they all agree."""
    if fit.draws is None:
        return fit
    if _is_exact(fit):
        text = (
            f"{fit.law.name} passes through all {counted(fit.n_runs, 'run')} to the last digit, "
            "as no measured losses do: refits agree, so they tell no intervals"
        )
        limits = (*fit.limits, Limit(LimitCode.UNSUPPORTED, text))
        return replace(fit, draws=None, limits=limits)
    tail, why = (1 - fit.confidence_level) / 2, {}
    given = {*fit.fixed, *fit.tied, *fit.unidentified}
    for name, values in fit.draws.constants().items():
        if name in given or float(fit.law.constants()[name]) in fit.bounds.get(name, ()):
            continue
        with np.errstate(all="ignore"):
            ends = np.quantile(values, [tail, 1 - tail])
        if not np.isfinite(ends).all():
            why[name] = "its interval has no finite end"
        elif np.ptp(values) == 0:
            why[name] = "all refits agree on it, so its interval has no width"
    if not why:
        return fit
    text = "; ".join(f"{name}: {reason}" for name, reason in why.items())
    limits = (*fit.limits, Limit(LimitCode.UNSUPPORTED, f"not told by these runs: {text}"))
    return replace(fit, limits=limits, unidentified={**fit.unidentified, **why})


def _is_exact(fit: Fit) -> bool:
    """Whether the law, with fewer constants than configurations, leaves no residual at all."""
    free = len({*fit.law.constants()} - {*fit.fixed, *fit.tied})
    return fit.n_configurations > free and max(map(abs, fit.log_residuals)) < _EXACT


def _with_direction(fit: Fit, problem: Problem) -> Fit:
    """The fit with what is to say of a law by which more of an input does not help.

    Raises FitError where constants that the caller gave make it so.
    """
    rises = [name for name in _rising(fit.law, problem) if name]
    if not rises:
        return fit
    given = [f"--fix {k}={v:g}" for k, v in problem.fixed.items() if k != problem.law.floor]
    given += [f"--tie {k}={v}" for k, v in fit.tied.items()]
    more = " and ".join(rises)
    if given:
        raise FitError(
            f"{problem.records.source}: with {', '.join(given)} the loss does not fall with "
            f"{more}; give other values, or leave them to the fit"
        )
    text = (
        f"the fitted loss does not fall with {more}: check the loss column and the "
        "training of the larger runs"
    )
    limits = (*fit.limits, Limit(LimitCode.NOT_FALLING, text))
    if len(problem.inputs) == 1:
        return replace(fit, limits=limits)
    untold = dict.fromkeys(fit.law.constants(), f"the fitted loss does not fall with {more}")
    return replace(fit, limits=limits, unidentified={**untold, **fit.unidentified})


def _rising(law: Law, problem: Problem) -> list[str]:
    """The inputs of which more does not help by the law, over these runs."""
    if len(problem.inputs) == 1:
        (x,) = problem.inputs
        ends = law.loss(np.array([x.min(), x.max()]))
        return [] if ends[1] < ends[0] else [*problem.columns]
    names = []
    for i, name in enumerate(problem.columns):
        if name not in _HELPS:
            continue
        doubled = [2 * v if j == i else v for j, v in enumerate(problem.inputs)]
        with np.errstate(all="ignore"):
            rise = np.log(law.loss(*doubled)) - np.log(law.loss(*problem.inputs))
        if not np.mean(rise) < 0:
            names.append(name)
    return names
