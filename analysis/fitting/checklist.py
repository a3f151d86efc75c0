"""The checklist card: what a reader must know before believing a fitted law.

After the reporting checklist of Li, Kudugunta and Zettlemoyer 2025, "(Mis)Fitting: A Survey of
Scaling Laws", arXiv:2502.18969: form, data, exclusions, counting, optimiser, starts, loss, seeds,
intervals, and how far the constants move under choices that nobody can defend as the only one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.fitting.lmfit_bridge import tied_constants
from analysis.fitting.minimising.models.coordinates import Model
from analysis.fitting.minimising.newton import minimise, whitening
from analysis.fitting.minimising.penalties import Penalty
from analysis.fitting.problem import Problem, pose_again
from analysis.fitting.result import Fit
from analysis.fitting.search import find_optimum, search_stages
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.laws.base import Law
from scaling.records import Records
from scaling.tables.spellings import counts_no_embeddings

HUBER_DELTAS = (1e-4, 1e-3, 1e-2, 1e-1)
COUNTINGS: Mapping[str, tuple[str, ...]] = {  # ways to count N: what each leaves out
    "all parameters": (),
    "without embedding": ("params_embedding",),
    "without embedding and head": ("params_embedding", "params_head"),
}


@dataclass(frozen=True)
class Card:
    """The checklist as nested, JSON-ready entries; ``print(card)`` is for people."""

    entries: Mapping[str, Any]

    def __str__(self) -> str:
        lines = []
        for name, value in self.entries.items():
            if isinstance(value, Mapping):
                lines.append(f"{name}:")
                lines += [f"  {key}: {_short(inner)}" for key, inner in value.items()]
            elif isinstance(value, list):
                lines.append(f"{name}: {'; '.join(map(str, value)) if value else 'none'}")
            else:
                lines.append(f"{name}: {_short(value)}")
        return "\n".join(lines)


def checklist_card(fit: Fit, records: Records) -> Card:
    """Form, objective, data, search, intervals and sensitivities of a fit to these records.

    Raises FitError or RecordError if the records cannot be the ones behind the fit.
    """
    law = type(fit.law)
    return Card(
        {
            "law": fit.law.name,
            "form": law.form,
            "columns": list(fit.columns),
            "objective": _penalty(fit).in_words,
            "weights": fit.weights,
            "chosen": [choice.line for choice in fit.choices],
            "fixed constants": fit.fixed_by_hand,
            "data": {
                "source": fit.source,
                "hash": fit.data_hash,
                "notes": [note.text for note in records.notes],
            },
            "runs used": fit.n_runs,
            "configurations": fit.n_configurations,
            "runs left out": dict(fit.dropped),
            "counting": _counting_in_words(fit, records),
            "solver": fit.search.solver,
            "starts": fit.search.starts,
            "starts that agree": fit.search.starts_agreeing,
            "gradient norm": _number(fit.search.gradient_norm),
            "condition number": _number(fit.search.condition_number),
            "intervals": _intervals_in_words(fit),
            "seed": fit.seed,
            "status": fit.status.value,
            "constants": {
                name: {k: _number(v) for k, v in value._asdict().items()}
                for name, value in (fit.constants | fit.derived).items()
            },
            "by Huber delta": _by_delta(fit, records),
            "by counting of parameters": _by_counting(fit, records),
        }
    )


def _by_delta(fit: Fit, records: Records) -> dict[str, Any]:
    """The constants under other thresholds of the Huber penalty, and under least squares."""
    problem = pose_again(fit, records, tied_constants(type(fit.law), fit.tied))
    model = problem.model()
    penalties = {f"{d:g}": Penalty(name="huber", delta=d) for d in HUBER_DELTAS}
    penalties["least squares"] = Penalty(name="least_squares")
    theta = model.to_coordinates(_inside(fit.law, problem))[None]
    found: dict[tuple[Penalty, ...], FloatArray] = {}  # most searches begin with the same stages
    for penalty in penalties.values():
        stages = search_stages(penalty)
        for last in range(1, len(stages) + 1):
            if stages[:last] not in found:
                start = found.get(stages[: last - 1], theta)
                found[stages[:last]] = _near(problem, model, stages[last - 1], start)
    return {
        name: _readable(fit, model, found[search_stages(penalty)][0])
        for name, penalty in penalties.items()
    }


def _by_counting(fit: Fit, records: Records) -> dict[str, Any]:
    """The constants with other counts for N, where the table has them."""
    if "params" not in fit.columns:
        return {}
    answers: dict[str, Any] = {}
    known = {n: less for n, less in COUNTINGS.items() if all(column in records for column in less)}
    if len(known) < 2:
        return answers
    for name, less in known.items():
        recount = records.column("params") - sum(records.column(column) for column in less)
        changed = replace(records, table=records.table.assign(params=recount))
        try:
            problem = pose_again(fit, changed, tied_constants(type(fit.law), fit.tied))
            model = problem.model()
            optimum = find_optimum(problem, model, _penalty(fit))
        except ScalingError as error:
            answers[name] = {"no fit": str(error)}
            continue
        answers[name] = _readable(fit, model, optimum.theta)
    return answers


def _near(problem: Problem, model: Model, penalty: Penalty, theta: FloatArray) -> FloatArray:
    """The optimum of an objective that lies near ``theta``, both (1, p)."""
    weights = problem.weights
    with np.errstate(all="ignore"):
        return minimise(
            model,
            penalty,
            theta,
            weights=weights,
            log_loss=problem.log_loss,
            basis=whitening(model, theta[0], weights),
            longest_step=0.3 * float(np.sqrt(weights.sum())),
            max_iterations=100,
        ).theta


def _inside(law: Law, problem: Problem) -> dict[str, float]:
    """The constants with those at zero moved inside, where a search can leave from."""
    least = 0.02 * float(np.exp(problem.log_loss.min()))
    values = {k: float(v) for k, v in law.constants().items()}
    return {
        k: max(v, least) if k == law.floor and k not in problem.fixed else v
        for k, v in values.items()
    }


def _readable(fit: Fit, model: Model, theta: Any) -> dict[str, Any]:
    """Constants and what follows from them; nothing for what the fit itself does not tell."""
    found = type(fit.law)(**{k: float(v) for k, v in model.to_constants(theta).items()})
    unknown = fit.untold
    numbers = {**found.constants(), **found.derived()}
    return {k: None if k in unknown else _number(float(v)) for k, v in numbers.items()}


def _penalty(fit: Fit) -> Penalty:
    return Penalty(name=fit.objective, delta=fit.huber_delta)


def _counting_in_words(fit: Fit, records: Records) -> str:
    return "; ".join(_counted_in_words(column, records) for column in fit.columns)


def _counted_in_words(column: str, records: Records) -> str:
    if column in records.filled_in:
        return f"{column} is computed from {records.filled_in[column]}, the table has none"
    theirs = records.names.get(column, column)
    without = ", which counts no embeddings" if counts_no_embeddings(theirs) else ""
    return f"{column} is the table's {theirs}{without}"


def _intervals_in_words(fit: Fit) -> str:
    if not fit.n_draws:
        return "none (no bootstrap)"
    made = f"{fit.n_draws} {fit.resampling} bootstrap refits by cluster"
    if fit.draws is None and fit.n_draws_converged == fit.n_draws:
        return f"none (all {made} agree)"
    if fit.draws is None:
        return f"none ({fit.n_draws_converged} of {made} converged)"
    return (
        f"{100 * fit.confidence_level:g}% percentile intervals of {made}, "
        f"{fit.n_draws_converged} converged"
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items()) if value else "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if value else "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
