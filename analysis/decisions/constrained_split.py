"""How to split a budget that must also pay for inference, or whose fresh data are limited.

The forecast's laws know neither, so one law answers: Chinchilla fitted to the runs, and where
fresh tokens are limited the data-constrained law, whose two decay constants come from the runs
if they repeat data and else from the paper that measured them.
"""

from collections.abc import Sequence

import numpy as np

from analysis.decisions.allocation import TRAINING_FLOP, Allocation, allocate
from analysis.decisions.optimal_split import OptimalSplit
from analysis.fitting.fit import fit_law
from analysis.fitting.result import Fit
from analysis.forecasting.ladder import Ladder, surface_ladder
from analysis.forecasting.setup import check_distance
from analysis.forecasting.support import too_far
from analysis.forecasting.targets import Targets
from analysis.intervals import DECADE, LEVELS, Interval, checked_levels
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.laws.base import Law
from scaling.laws.surfaces import Chinchilla, DataConstrained
from scaling.limits import Limit
from scaling.records import Records

# Repeats after which the value of data and of excess parameters has decayed: Muennighoff et al.
# 2023, "Scaling Data-Constrained Language Models", arXiv:2305.16264.
PUBLISHED_R_D, PUBLISHED_R_N = 15.39, 5.31
FEWEST_REPEATING = 5  # runs over more than one epoch from which decay constants can be fitted


def constrained_splits(
    records: Records,
    *budgets: float,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    confidence_levels: Sequence[float] = LEVELS,
    bootstrap: int = 300,
    seed: int = 0,
) -> tuple[OptimalSplit, ...]:
    """The best params and training tokens for each budget in FLOP, inference included.

    C = r N D, with r the FLOP per parameter and token of the table's own largest runs.
    ``inference_tokens`` are served by the model out of the same budget, each at a third of r N;
    ``unique_tokens`` is how many distinct tokens there are to train on. Ranges are those of the
    fit's bootstrap: they lack what another law would say.

    Raises ForecastError where the runs pin down no such law.
    """
    asked = Targets.flops(*budgets).columns["train_flops"]
    if unique_tokens is not None and not (np.isfinite(unique_tokens) and unique_tokens > 0):
        raise ForecastError(f"{unique_tokens:g} unique tokens; give a finite number above zero")
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise ForecastError(f"{inference_tokens:g} inference tokens; give zero or a finite number")
    levels = checked_levels(confidence_levels, bootstrap)
    ready = screen(records)
    fit, law, draws, said = _law(ready, unique_tokens is not None, bootstrap, seed)
    ladder = surface_ladder(ready.with_values(*fit.columns))
    ratio = float(np.exp(ladder.log_flops_ratio))
    how = {"inference_tokens": inference_tokens, "unique_tokens": unique_tokens}
    return tuple(
        _split(
            float(budget),
            best=allocate(law, float(budget) * TRAINING_FLOP / ratio, **how),  # type: ignore[arg-type]
            drawn=allocate(draws, float(budget) * TRAINING_FLOP / ratio, **how),  # type: ignore[arg-type]
            ladder=ladder,
            law=said,
            limits=fit.limits,
            levels=levels,
        )
        for budget in asked
    )


def _law(records: Records, limited: bool, bootstrap: int, seed: int) -> tuple[Fit, Law, Law, str]:
    """The fit, its law and draws as they are to be used, and which law that is in words."""
    kind: type[Law] = DataConstrained if limited and _repeating(records) else Chinchilla
    fit = fit_law(records, kind, bootstrap=bootstrap, seed=seed, card=False)
    draws = fit.draws if fit.draws is not None else fit.law
    if not limited or kind is DataConstrained:
        return fit, fit.law, draws, f"{kind.name} fitted to {fit.n_runs} runs"
    said = (
        f"{kind.name} fitted to {fit.n_runs} runs, with published decay of repeated data "
        f"(r_d {PUBLISHED_R_D}, r_n {PUBLISHED_R_N}: these runs repeat no data)"
    )
    return fit, _with_decay(fit.law), _with_decay(draws), said


def _repeating(records: Records) -> bool:
    """Whether the runs themselves tell what repeated tokens are worth."""
    if "unique_tokens" not in records or "tokens" not in records:
        return False
    epochs = records.column("tokens") / records.column("unique_tokens")
    return int(np.sum(epochs > 1.01)) >= FEWEST_REPEATING


def _with_decay(law: Law) -> DataConstrained:
    assert isinstance(law, Chinchilla)
    return DataConstrained(**law.constants(), r_d=PUBLISHED_R_D, r_n=PUBLISHED_R_N)


def _split(
    budget: float,
    *,
    best: Allocation,
    drawn: Allocation,
    ladder: Ladder,
    law: str,
    limits: tuple[Limit, ...],
    levels: Sequence[float],
) -> OptimalSplit:
    spent = float(best.train_flops) * float(np.exp(ladder.log_flops_ratio)) / TRAINING_FLOP
    at = np.log([[float(best.params), float(best.tokens)]])
    distance = ladder.distance(at, at.sum(axis=1) + ladder.log_flops_ratio)
    check_distance(distance)
    beyond, spanned = float(distance[0]), float(np.ptp(ladder.log_compute)) / DECADE
    against = too_far(beyond, spanned, 0.0)
    return OptimalSplit(
        budget=budget,
        train_flops=spent,
        params=None if against else float(best.params),
        tokens=None if against else float(best.tokens),
        loss=None if against else float(best.loss),
        params_range={level: _range(drawn.params, level) for level in levels},
        tokens_range={level: _range(drawn.tokens, level) for level in levels},
        decades_beyond=beyond,
        law=law,
        limits=limits + against,
    )


def _range(values: FloatArray, level: float) -> Interval:
    finite = np.atleast_1d(values)[np.isfinite(np.atleast_1d(values))]
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
