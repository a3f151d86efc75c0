"""What a budget must pay for besides training, and how that moves the best model size.

    C = r N D + (r / 3) N T        r = r(N) FLOP per parameter and token, as the table counts them;
                                   T tokens are served, each at a third of a training token's FLOP
    D' = U + U r_d (1 - exp(-(D/U - 1) / r_d))        only U of the D training tokens are distinct
    N' = V + V r_n (1 - exp(-(N/V - 1) / r_n)),       V = min(N, the size that U tokens feed)

Every law of a forecast is asked at (N', D') along the first line. Inference as in Sardana et al.
2023, arXiv:2401.00448, who minimise the cost of a given loss; here the loss for a given cost.
Repetition as in Muennighoff et al. 2023, arXiv:2305.16264.
"""

from dataclasses import dataclass, replace

import numpy as np

from analysis.fitting.fit import fit_as_asked
from analysis.fitting.measurements.flops_per_param_token import FlopsPerParamToken
from analysis.forecasting.question.setup import Question
from analysis.forecasting.weighing.ensemble import Ensemble, MemberFit
from analysis.forecasting.weighing.forecaster import Forecaster
from analysis.forecasting.weighing.optimum import best_for_law, best_log_params
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.laws.surfaces import DataConstrained
from scaling.limits import Limit, LimitCode
from scaling.records import Records

INFERENCE_SHARE = 1 / 3  # of a training token's FLOP: forward only
PUBLISHED_R_D, PUBLISHED_R_N = 15.39, 5.31  # Muennighoff et al. 2023
FEWEST_REPEATING = 5  # runs over more than one epoch from which decay constants can be fitted
MORE_THAN_ONE_EPOCH = 1.01
_REACH, _STEP = 12.0, 0.05  # of the search over ln N, around an even split


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """What repeated tokens are worth: after how many repeats their value has decayed."""

    r_d: float
    r_n: float
    limit: Limit  # which law says so, and what the ranges lack for it

    def effective(
        self, log_n: FloatArray, log_d: FloatArray, log_unique: FloatArray, log_fed: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log of N' and D' for models that ``log_fed`` says distinct tokens feed."""
        return (
            _faded(log_n, np.minimum(log_n, log_fed), self.r_n),
            _faded(log_d, np.minimum(log_d, log_unique), self.r_d),
        )


def _faded(log_all: FloatArray, log_useful: FloatArray, decay: float) -> FloatArray:
    excess = np.expm1(log_all - log_useful)
    return np.asarray(log_useful + np.log1p(decay * -np.expm1(-excess / decay)))


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a budget is for besides training on fresh data; by default nothing."""

    inference_tokens: float = 0.0
    unique_tokens: float | None = None
    repetition: Repetition | None = None  # where unique tokens are limited
    max_params: float | None = None  # the largest model that can be trained at all

    def __post_init__(self) -> None:
        most = self.max_params
        if most is not None and not (np.isfinite(most) and most >= 1):
            raise ForecastError(f"at most {most:g} parameters; give a finite number from one")
        unique = self.unique_tokens
        if unique is not None and not (np.isfinite(unique) and unique > 0):
            raise ForecastError(f"{unique:g} unique tokens; give a finite number above zero")
        if not (np.isfinite(self.inference_tokens) and self.inference_tokens >= 0):
            raise ForecastError(
                f"{self.inference_tokens:g} inference tokens; give zero or a finite number"
            )

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What the repetition of data limits."""
        return () if self.repetition is None else (self.repetition.limit,)

    def log_tokens(
        self, flops: FlopsPerParamToken, log_budget: FloatArray, log_params: FloatArray
    ) -> FloatArray:
        """Log training tokens that a budget leaves for models of this size; at least one token."""
        left = np.exp(flops.log_tokens(log_budget, log_params))
        left = left - INFERENCE_SHARE * self.inference_tokens
        return np.asarray(np.log(np.maximum(left, 1.0)))

    def served_flops(self, flops: FlopsPerParamToken, params: float) -> float:
        """What serving a model of this size costs, FLOP."""
        r = float(np.exp(flops.log(np.log(params))))
        return INFERENCE_SHARE * self.inference_tokens * r * params

    def at_most(self, log_params: FloatArray) -> FloatArray:
        """Log params, cut where a model could not be trained."""
        return log_params if self.max_params is None else np.minimum(log_params, self.log_most)

    @property
    def log_most(self) -> float:
        """Log of the largest size; infinite where any can be trained."""
        return np.inf if self.max_params is None else float(np.log(self.max_params))

    def best_of_all(self, forecaster: Forecaster, log_budget: FloatArray) -> FloatArray:
        """Best log params (budgets,) that can be trained, by the laws together: the size that a
        forecast gives a budget, moved by as much as the demand moves the laws' own, by their
        weights."""
        return self.at_most(self._best_of_all(forecaster, log_budget))

    def _best_of_all(self, forecaster: Forecaster, log_budget: FloatArray) -> FloatArray:
        ensemble = forecaster.ensemble
        together = best_log_params(forecaster, log_budget)
        if self.asks_nothing:
            return together
        moved = [
            self.best_log_params(ensemble, member, theta, log_budget)[0]
            - best_for_law(ensemble, member, theta, log_budget)[0]
            for member in ensemble.members
            for theta in (member.solution.theta[None],)
        ]
        return np.asarray(together + ensemble.first_weights @ np.array(moved))

    @property
    def asks_nothing(self) -> bool:
        """Whether the budget is for training on fresh data alone."""
        return self.inference_tokens == 0 and self.unique_tokens is None

    def best_log_params(
        self, ensemble: Ensemble, member: MemberFit, theta: FloatArray, log_budget: FloatArray
    ) -> FloatArray:
        """Best log params (batch, budgets) of one law for parameters theta (batch, p).

        Infinite where the law would put ever more of the budget into size, or into tokens. The
        optimum of training alone, moved by as much as a search finds that the demand moves
        it: the search's own error cancels, and a vanishing demand moves nothing.
        """
        alone = best_for_law(ensemble, member, theta, log_budget)
        if self.asks_nothing:
            return alone
        flops, fed = ensemble.ladder.flops, self._fed(ensemble, member)
        moved = np.empty_like(alone)
        for i, (budget, total) in enumerate(
            zip(log_budget, log_budget - flops.log(member.centre[0]), strict=True)
        ):
            grid = float(total - member.centre.sum()) / 2 + member.centre[0]
            grid = grid + np.arange(-_REACH, _REACH, _STEP)
            there = self._searched(member, theta, grid, self.log_tokens(flops, budget, grid), fed)
            free = Demand().log_tokens(flops, budget, grid)
            moved[:, i] = there - Demand()._searched(member, theta, grid, free, np.inf)
        return np.asarray(alone + moved)

    def _searched(
        self,
        member: MemberFit,
        theta: FloatArray,
        grid: FloatArray,
        log_tokens: FloatArray,
        fed: float,
    ) -> FloatArray:
        """Log params (batch,) of lowest loss on the grid, to the bottom of a parabola."""
        grid, log_tokens = grid[log_tokens > 0], log_tokens[log_tokens > 0]
        if len(grid) < 3:
            raise ForecastError(
                f"to serve {self.inference_tokens:g} tokens uses up the budget with any model "
                "worth training; give more FLOP or fewer tokens"
            )
        log_n = grid
        if self.repetition is not None and self.unique_tokens is not None:
            unique = np.log(self.unique_tokens)
            log_n, log_tokens = self.repetition.effective(grid, log_tokens, unique, np.asarray(fed))
        losses = member.form.values(theta, np.column_stack([log_n, log_tokens]) - member.centre)
        at = np.clip(np.argmin(losses, axis=1), 1, len(grid) - 2)[:, None]
        left, mid, right = (np.take_along_axis(losses, at + k, 1)[:, 0] for k in (-1, 0, 1))
        bend = np.maximum(left - 2 * mid + right, 1e-300)
        shift = np.clip((left - right) / (2 * bend), -1, 1)
        return np.asarray(grid[at[:, 0]] + shift * _STEP)

    def _fed(self, ensemble: Ensemble, member: MemberFit) -> float:
        """Log of the size for which the distinct tokens are compute-optimal, by the law's fit."""
        if self.unique_tokens is None:
            return np.inf
        log_unique = np.log(self.unique_tokens)
        flops = ensemble.ladder.flops
        budgets = 2 * log_unique + flops.log(member.centre[0]) + np.linspace(-30, 30, 241)
        sizes = best_for_law(ensemble, member, member.solution.theta[None], budgets)[0]
        tokens = flops.log_tokens(budgets, sizes)
        known = np.isfinite(sizes)
        return float(np.interp(log_unique, tokens[known], sizes[known])) if known.any() else np.inf


def demand_for(
    records: Records,
    inference_tokens: float,
    unique_tokens: float | None,
    max_params: float | None = None,
) -> tuple[Demand, DataConstrained | None]:
    """The demand, and the law of repeated data where the runs themselves tell it."""
    demand = Demand(
        inference_tokens=inference_tokens, unique_tokens=unique_tokens, max_params=max_params
    )
    if unique_tokens is None:
        return demand, None
    law = _fitted_repetition(records)
    r_d, r_n = (PUBLISHED_R_D, PUBLISHED_R_N) if law is None else (float(law.r_d), float(law.r_n))
    source = "published, since these runs repeat no data" if law is None else "fitted to these runs"
    limit = Limit(
        LimitCode.ONE_LAW,
        f"what repeated tokens are worth is said by {DataConstrained.name} alone (r_d {r_d:.4g}, "
        f"r_n {r_n:.4g}: {source}); ranges lack how uncertain that is, and no loss is told of runs "
        "that repeat their data",
    )
    repetition = Repetition(r_d=r_d, r_n=r_n, limit=limit)
    return replace(demand, repetition=repetition), law


def _fitted_repetition(records: Records) -> DataConstrained | None:
    """The law of repeated data of these runs, if enough of them repeat theirs."""
    if "unique_tokens" not in records or "tokens" not in records:
        return None
    epochs = records.column("tokens") / records.column("unique_tokens")
    if int(np.sum(epochs > MORE_THAN_ONE_EPOCH)) < FEWEST_REPEATING:
        return None
    law = fit_as_asked(records, DataConstrained, bootstrap=0, card=False).law
    assert isinstance(law, DataConstrained)
    return law


def with_effective_data(
    question: Question, law: DataConstrained | None, demand: Demand
) -> Question:
    """The question of the ladder at the sizes and tokens that its repeated data are worth."""
    if law is None or demand.repetition is None:
        return question
    used = question.used
    tokens = used.column("tokens")
    unique = used.column("unique_tokens")
    log_unique = np.log(np.where(np.isfinite(unique), np.minimum(unique, tokens), tokens))
    fresh = law.with_fresh_data()
    log_g = np.log(fresh.alpha * fresh.A / (fresh.beta * fresh.B)) / (fresh.alpha + fresh.beta)
    log_fed = (log_unique + log_g) * fresh.beta / fresh.alpha + log_g
    inputs = question.ladder.log_inputs.T
    worth = demand.repetition.effective(inputs[0], inputs[1], log_unique, np.asarray(log_fed))
    ladder = replace(question.ladder, log_inputs=np.column_stack(worth))
    return replace(question, ladder=ladder)
