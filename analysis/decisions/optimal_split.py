"""How to split a budget between size and tokens, with intervals from every candidate law."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis.decisions.demand import Demand, demand_for, with_effective_data
from analysis.decisions.flat_region import SizeCurve, around_budget, size_curve
from analysis.decisions.growth import drawn_laws
from analysis.display import Result, plain_values
from analysis.fitting.measurements.flops_per_param_token import FlopsPerParamToken
from analysis.forecasting.answer.result import evidence_at
from analysis.forecasting.answer.support import target_limits, too_wide
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import check_distance, pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.forecaster import Forecaster, LogForecast, log_forecast, prepare
from analysis.forecasting.weighing.rolling_origin import weigh
from analysis.intervals import Interval, holding, interval_columns, outwards
from scaling.arrays import FloatArray
from scaling.errors import ForecastError
from scaling.laws.surfaces import DataConstrained
from scaling.limits import Limit, LimitCode, codes, first_of
from scaling.records import Records
from scaling.sources import Source, records_from

if TYPE_CHECKING:
    from pandas import DataFrame


RATIO_ROOM = 0.1  # ln: so near to the tokens per parameter of the runs is among them
_AROUND = (
    *("loss_at_half_size", "loss_at_twice_size"),
    *("wasted_at_half_size", "wasted_at_twice_size", "gain_of_doubling"),
)
_CURVE = ("flat_params", "size_curve")
_BLANK_WHERE_UNSUPPORTED = ("params", "tokens", "loss", *_AROUND)


@dataclass(frozen=True, kw_only=True, repr=False)
class OptimalSplit(Result):
    """The model size and tokens that reach the lowest loss at one budget.

    Read it as: the ranges say where the optimum lies, and the loss at half and at twice the size,
    for the same budget, what it costs to miss it.
    """

    budget: float  # FLOP that were asked for
    train_flops: float  # of the training; less than the budget where inference is part of it
    params: float | None  # None, as tokens, where its digits mean nothing
    tokens: float | None
    params_range: Mapping[float, Interval]  # confidence level -> range
    tokens_range: Mapping[float, Interval]
    decades_beyond: float  # outside the data, in compute, size or tokens; 0 inside
    flops_per_param_token: float | None  # r at that size, as the table counts
    loss: float | None  # median of a new run's; None where unsupported, or where data repeat
    loss_range: Mapping[float, Interval]  # of a new run's loss; empty where data repeat
    loss_at_half_size: float | None  # of the same budget, by the same laws
    loss_at_twice_size: float | None
    wasted_at_half_size: float | None  # share of the budget without which the best size is as good
    wasted_at_twice_size: float | None
    gain_of_doubling: float | None  # how much lower the loss is with twice the budget
    law: str  # which law or laws answered
    source: str  # of the runs that answered
    runs: int
    evidence: str  # what backtests say of forecasts that far
    flat_params: Interval | None = None  # sizes that waste less than `LITTLE` of the budget
    size_curve: SizeCurve | None = field(default=None, repr=False, compare=False)
    """What other sizes reach, for a figure; in no document. None where no loss is told."""
    limits: tuple[Limit, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether the digits of size and tokens mean something, by the rule of
        `analysis.forecasting.answer.support`."""
        return first_of(LimitCode.UNSUPPORTED, self.limits) is None

    def shown(self, value: float) -> float:
        """``value``, a size or a number of tokens, to the digits that mean something."""
        return value if self.supported else float(f"{value:.1g}")

    def _document(self) -> Any:
        """All but the curve that a figure draws."""
        return {k: v for k, v in super()._document().items() if k != "size_curve"}

    def to_frame(self) -> "DataFrame":
        """One row, as `Allocation.to_frame` has it."""
        return Allocation(splits=(self,)).to_frame()

    def in_meaningful_digits(self) -> "OptimalSplit":
        """The same where it is supported; else ranges to one digit, an order of magnitude."""
        params, tokens = (
            {level: Interval(*map(self.shown, ends)) for level, ends in ranges.items()}
            for ranges in (self.params_range, self.tokens_range)
        )
        losses = self.loss_range
        if self.loss is None:
            losses = {level: outwards(ends) for level, ends in losses.items()}
        return replace(self, params_range=params, tokens_range=tokens, loss_range=losses)


@dataclass(frozen=True, kw_only=True, repr=False)
class Allocation(Result):
    """The best split of each budget, in the order in which they were asked for."""

    splits: tuple[OptimalSplit, ...]

    def __iter__(self) -> Iterator[OptimalSplit]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __getitem__(self, number: int) -> OptimalSplit:
        return self.splits[number]

    def _document(self) -> Any:
        """A list, an entry a split."""
        return plain_values(self.splits)

    def _limits_shown(self) -> Iterator[Limit]:
        return (limit for split in self.splits for limit in split.limits)

    def to_frame(self) -> "DataFrame":
        """One row per budget: params and tokens (blank where they are not supported), training
        FLOP, params_low_90 and so on (by the levels), the loss there and at half and twice the
        size, the share of the budget that such a size wastes, what twice the budget gains,
        decades_beyond, the codes of its limits."""
        import pandas as pd

        shown = [split.in_meaningful_digits() for split in self.splits]
        return pd.DataFrame(
            [
                {
                    "budget": split.budget,
                    "params": split.params,
                    "tokens": split.tokens,
                    "train_flops": split.train_flops,
                    **interval_columns(split.params_range, of="params"),
                    **interval_columns(split.tokens_range, of="tokens"),
                    "loss": split.loss,
                    **interval_columns(split.loss_range, of="loss"),
                    **{name: getattr(split, name) for name in _AROUND},
                    "decades_beyond": split.decades_beyond,
                    "limits": codes(split.limits),
                }
                for split in shown
            ]
        ).astype(dict.fromkeys(_BLANK_WHERE_UNSUPPORTED, float))


def allocate(
    records: Source,
    *train_flops: npt.ArrayLike,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    max_params: float | None = None,
    options: ForecastOptions = DEFAULT,
) -> Allocation:
    """The best params and training tokens for each budget in FLOP, by the weighted candidate laws.

    C = r N D, with r(N) the FLOP per parameter and token of the table's own runs of that size.
    ``inference_tokens`` are served by the model out of the same budget; ``unique_tokens`` is how
    many distinct tokens there are to train on (`analysis.decisions.demand` says how both enter); no
    model has more than ``max_params``. Raises ForecastError where size and tokens do not vary
    independently in the runs, and for ``options`` along one column.
    """
    if options.x is not None:
        raise ForecastError(f"a forecast along {options.x} knows no split between size and tokens")
    records = records_from(records)
    budgets = Targets.flops(*train_flops).columns["train_flops"]
    demand, repeating = demand_for(records, inference_tokens, unique_tokens, max_params)
    splits = _splits(records, budgets, demand, repeating, options)
    if (
        unique_tokens is not None and repeating is None
    ):  # nothing repeats: no law of repeats answers
        fresh = replace(demand, unique_tokens=None, repetition=None)
        once = _splits(records, budgets, fresh, None, options)
        pairs = zip(once, splits, strict=True)
        splits = tuple(a if _is_fed(a, unique_tokens) else b for a, b in pairs)
    return Allocation(splits=splits, notes=records.told)


def _is_fed(split: OptimalSplit, unique_tokens: float) -> bool:
    """Whether the tokens of a split, and all of their ranges, are no more than there are; so are
    those of a model of half its size beside it, which sees twice as many."""
    most = [ends.high for ends in split.tokens_range.values()]
    return split.tokens is not None and 2 * max(split.tokens, *most) <= unique_tokens


def _splits(
    records: Records,
    budgets: FloatArray,
    demand: Demand,
    repeating: DataConstrained | None,
    options: ForecastOptions,
) -> tuple[OptimalSplit, ...]:
    """The split of each budget under one demand."""
    question = pose(records, ("params", "tokens"), options)
    forecaster = prepare(with_effective_data(question, repeating, demand), options)
    flops, log_budgets = forecaster.ladder.flops, np.log(budgets)
    log_best = demand.best_of_all(forecaster, log_budgets)
    log_trained = demand.log_tokens(flops, log_budgets, log_best)
    inputs = np.column_stack([log_best, log_trained])
    beyond = question.ladder.distance(inputs, flops.log_compute(log_best, log_trained))
    check_distance(beyond)
    log_params = _draws(forecaster, demand, log_budgets, beyond, options)
    answered_by = _names_of([candidate.name for candidate in question.candidates])
    trained = flops.log_compute(log_best, log_trained)
    there = replace(log_forecast(forecaster, inputs, trained, options), distance=beyond)
    against = target_limits(forecaster, there)
    evidence = _evidence(forecaster, there)
    losses = _losses(forecaster, demand, log_budgets, log_best, options)
    return tuple(
        _split(
            float(budget),
            demand,
            flops,
            float(log_best[i]),
            log_params[i],
            options.confidence_levels,
            **losses[i],
            decades_beyond=float(beyond[i]),
            law=answered_by,
            source=records.source,
            runs=len(question.ladder),
            evidence=evidence[i],
            notes=records.told,
            limits=(question.limits + demand.limits)
            + (against[i] or too_wide(log_params[i], "the best size"))
            + _of_budget(forecaster, demand, float(log_budgets[i]))
            + _unusual_ratio(question.ladder, log_trained[i] - log_best[i])
            + _endless(float(budget), log_params[i]),
        )
        for i, budget in enumerate(budgets)
    )


def _names_of(laws: Sequence[str]) -> str:
    """Who answers, in words."""
    return f"weighted laws ({'; '.join(laws)})" if len(laws) > 1 else laws[0]  # some hold a comma


def _split(
    budget: float,
    demand: Demand,
    flops: FlopsPerParamToken,
    log_best: float,
    log_params: FloatArray,
    levels: Sequence[float],
    **known: Any,
) -> OptimalSplit:
    """The best size at one budget, the tokens that it leaves for it, and the ranges of draws
    (draws,); no numbers but these where unsupported."""
    with np.errstate(all="ignore"):  # a law may put all into one of the two
        log_tokens = demand.log_tokens(flops, np.log(budget), log_params)
    log_tokens = np.where(log_params == np.inf, -np.inf, log_tokens)
    best = np.asarray(log_best)
    params, r = float(np.exp(best)), float(np.exp(flops.log(best)))
    tokens = float(np.exp(demand.log_tokens(flops, np.log(budget), best)))
    served = demand.served_flops(flops, params)
    split = OptimalSplit(
        budget=budget,
        train_flops=budget - served,
        params=params,
        tokens=tokens,
        flops_per_param_token=r,
        params_range={level: holding(_range(log_params, level), params) for level in levels},
        tokens_range={level: holding(_range(log_tokens, level), tokens) for level in levels},
        **known,
    )
    if split.supported:
        return split
    trained = split.shown(split.train_flops) if served else budget
    nothing: dict[str, Any] = dict.fromkeys(("params", "tokens", "flops_per_param_token"))
    nothing |= dict.fromkeys((*_AROUND, *_CURVE))
    return replace(split, **nothing, train_flops=trained)


def _of_budget(forecaster: Forecaster, demand: Demand, log_budget: float) -> tuple[Limit, ...]:
    """What a budget itself limits: it is too small, or its best model too large."""
    below = _below(forecaster.ladder, log_budget)
    return below + _too_large(forecaster, demand, log_budget)


def _below(ladder: Ladder, log_budget: float) -> tuple[Limit, ...]:
    """That a budget is less than what the cheapest run took."""
    cheapest = float(ladder.log_compute.min())
    if log_budget >= cheapest - RATIO_ROOM:
        return ()
    text = (
        f"{np.exp(log_budget):.3g} FLOP are less than the {np.exp(cheapest):.3g} of the cheapest "
        "run: what so small runs do, these do not show"
    )
    return (Limit(LimitCode.EXTRAPOLATED, text),)


def _too_large(forecaster: Forecaster, demand: Demand, log_budget: float) -> tuple[Limit, ...]:
    """That the best size is larger than any that can be trained, and what that costs."""
    free, at = replace(demand, max_params=None), np.array([log_budget])
    log_n = free.best_of_all(forecaster, at)
    if demand.log_most >= log_n[0]:
        return ()
    text = (
        f"{np.exp(log_budget):.3g} FLOP: the best size of {np.exp(log_n[0]):.3g} parameters is "
        f"more than can be trained; the split is that of the largest, {demand.max_params:.3g}"
    )
    if demand.repetition is None:
        flops, ensemble = forecaster.ladder.flops, forecaster.ensemble
        values = [
            ensemble.values(np.column_stack([n, demand.log_tokens(flops, at, n)]))[0]
            for n in (log_n, demand.at_most(log_n))
        ]
        rise = float(ensemble.first_weights @ (values[1] - values[0]))
        text += f", whose loss is {100 * np.expm1(rise):+.2g}%"
    return (Limit(LimitCode.SIZE_CAPPED, text),)


def _unusual_ratio(ladder: Ladder, log_ratio: float) -> tuple[Limit, ...]:
    """That a split has tokens per parameter that no run had."""
    seen = ladder.log_inputs[:, 1] - ladder.log_inputs[:, 0]
    low, high = float(seen.min()), float(seen.max())
    if low - RATIO_ROOM <= log_ratio <= high + RATIO_ROOM:
        return ()
    text = (
        f"{np.exp(log_ratio):.3g} tokens per parameter lie outside the {np.exp(low):.3g} to "
        f"{np.exp(high):.3g} of the runs: such a run is told by laws alone"
    )
    return (Limit(LimitCode.EXTRAPOLATED, text),)


def _evidence(forecaster: Forecaster, there: LogForecast) -> list[str]:
    """What backtests say of a forecast of each run that a split names."""
    weighing = weigh(forecaster.backtests, forecaster.ensemble, there.distance)
    known = zip(
        *(there.distance, weighing.furthest, weighing.evidence, weighing.mean_error), strict=True
    )
    return [
        evidence_at(
            float(decades),
            backtests=len(forecaster.backtests),
            furthest=float(furthest),
            worth=float(worth),
            error=100 * float(error) if np.isfinite(error) else None,
        )
        for decades, furthest, worth, error in known
    ]


def _losses(
    forecaster: Forecaster,
    demand: Demand,
    log_budgets: FloatArray,
    log_best: FloatArray,
    options: ForecastOptions,
) -> list[dict[str, Any]]:
    """What is said of the loss at each split, as fields of it: what `forecast` says of that run.

    Nothing where data repeat: what a run is worth is then no function of its size and tokens.
    """
    missed = {"half": np.log(0.5), "twice": np.log(2.0)}
    nothing: dict[str, Any] = {"loss": None, "loss_range": {}, **dict.fromkeys(_AROUND)}
    if demand.repetition is not None:
        return [nothing for _ in log_budgets]
    flops, ensemble = forecaster.ladder.flops, forecaster.ensemble
    best, *others = (
        np.column_stack([n, demand.log_tokens(flops, log_budgets, n)])
        for n in (log_best, *(log_best + factor for factor in missed.values()))
    )
    answer = log_forecast(forecaster, best, flops.log_compute(*best.T), options)
    weights, values = answer.weighing.weights, ensemble.values(best)
    found = []
    for i, against in enumerate(target_limits(forecaster, answer)):
        losses, levels = np.exp(answer.draws[i]), options.confidence_levels
        ranges = {v: Interval(*_quantiles(losses, v)) for v in levels}
        told = {**nothing, "loss_range": ranges}
        if not against:
            told["loss"] = float(np.exp(answer.centre[i]))
            around = around_budget(forecaster, demand, float(log_budgets[i]), weights[i])
            told["gain_of_doubling"] = float(told["loss"] * -np.expm1(around.of_doubling))
            at_best = (float(log_budgets[i]), float(log_best[i]), float(answer.centre[i]))
            curve, flat = size_curve(forecaster, demand, at_best, weights[i], around.of_little)
            told |= {"size_curve": curve, "flat_params": flat}
            for name, at in zip(missed, others, strict=True):
                if at[i, 1] <= 0 or at[i, 0] > demand.log_most:
                    continue  # serving such a model takes the whole budget, or it cannot be trained
                rise = float(weights[i] @ (ensemble.values(at[i : i + 1])[0] - values[i]))
                told[f"loss_at_{name}_size"] = float(np.exp(answer.centre[i] + rise))
                told[f"wasted_at_{name}_size"] = around.wasted(rise)
        found.append(told)
    return found


def _draws(
    forecaster: Forecaster,
    demand: Demand,
    log_compute: FloatArray,
    beyond: FloatArray,
    options: ForecastOptions,
) -> FloatArray:
    """Optimal log params (budgets, draws): a law by its weight, then its parameters.

    Every budget draws from the same stream, so that its range does not depend on what else is
    asked.
    """
    ensemble = forecaster.ensemble
    weighing = weigh(forecaster.backtests, ensemble, beyond)
    best = np.empty((len(log_compute), options.draws))
    for i in range(len(log_compute)):
        rng = np.random.default_rng([options.seed, 2])
        weights, scale = weighing.weights[i], float(weighing.scale_squared[i])
        drawn = drawn_laws(ensemble, weights, scale, options.draws, rng)
        parts = [
            demand.best_log_params(ensemble, member, theta, log_compute[i : i + 1])[:, 0]
            for member, theta in drawn
        ]
        best[i] = demand.at_most(np.concatenate(parts))
    return best


def _endless(budget: float, log_params: FloatArray) -> tuple[Limit, ...]:
    """What draws without a best split limit, at one budget."""
    share = 1 - float(np.mean(np.isfinite(log_params)))
    if share == 0:
        return ()
    text = (
        f"{budget:.3g} FLOP: in {share:.2g} of the draws no split is best, more of one input "
        "always helps more; a range that reaches them has no end there"
    )
    return (Limit(LimitCode.UNBOUNDED, text),)


def _range(logs: FloatArray, level: float) -> Interval:
    if np.isfinite(logs).all():
        return Interval(*np.exp(_quantiles(logs, level)).tolist())
    # between a finite and an infinite draw nothing can be interpolated
    return Interval(*np.exp(_quantiles(logs, level, method="inverted_cdf")).tolist())


def _quantiles(draws: FloatArray, level: float, **how: Any) -> list[float]:
    return list(map(float, np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], **how)))
