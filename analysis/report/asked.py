"""What a reader asks of the runs besides, and the answers: each by the call of its own verb."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.capabilities.capability import METRIC_TARGETS, forecast_metric
from analysis.capabilities.result import MetricForecast
from analysis.decisions.budget_for_loss import BudgetForLoss, budget_for_loss
from analysis.decisions.further_runs.next_runs import NextRuns, next_runs
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer
from analysis.decisions.money import BudgetPlan, Hardware
from analysis.decisions.optimal_split import OptimalSplit
from analysis.decisions.two_recipes.compared import ArmComparison, compare
from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from scaling.errors import ScalingError
from scaling.limits import Limit, LimitCode, first_of
from scaling.records import Records
from scaling.sources import Source, records_from

Answer = TypeVar("Answer")
FACTORS = (10.0, 100.0)  # times the largest fitted run: what a planner asks first


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person asks of the runs besides: each is answered as its own verb answers it."""

    targets: tuple[Targets, ...] = ()
    """Runs to forecast, one entry a kind of target; budgets are split too, as `allocate` does."""
    losses: tuple[float, ...] = ()
    """Losses whose budget is wanted, as `budget_for_loss` gives it."""
    metrics: tuple[str, ...] = ()
    """Accuracies, error rates and the like, forecast within their range as `forecast_metric` does,
    at the budgets and sizes of ``targets``; without any at 10 and 100 times the largest run."""
    better: str | None = None
    """Whether "higher" or "lower" of the metrics is better; None goes by their names."""
    hardware: Hardware | None = None
    """What the budgets of ``targets`` are spent on; without any 10 and 100 times the largest."""
    inference_tokens: float = 0.0
    """Tokens that are served out of those budgets, as `allocate` counts them."""
    unique_tokens: float | None = None
    """Distinct tokens that there are to train on."""
    points: pd.DataFrame | None = None
    """Points to predict, a row each, as `forecast` and `discover` take them."""
    inputs: tuple[str, ...] = ()
    """Columns in which laws are sought, as `discover` does; the points are predicted by these."""
    by: str | None = None
    """A column of groups of runs, each answered from its own in the place of all together."""
    share: tuple[str, ...] = ()
    """Constants of the one law that those groups have in common, as `fit_groups` takes them."""
    against: Source | None = None
    """Runs of another recipe, held against these as `compare` does."""
    next_budget: float | None = None
    """FLOP for which further runs are proposed, as `next_runs` does, for the forecast at the
    largest budget of ``targets``; without any at ten times the largest run."""
    offer: tuple[RunOnOffer, ...] | None = None
    """Runs to choose those among; None: sizes and tokens like the table's."""
    checks_flops: float | None = None
    """What checks of learning rates would cost, where those runs may have them."""

    def __bool__(self) -> bool:
        """Whether any question is asked that has an answer of its own."""
        asked = self.targets or self.losses or self.metrics
        by_points = self.points is not None and not self.inputs
        beside = self.against is not None or self.next_budget is not None
        return bool(asked) or by_points or beside

    @property
    def budgets(self) -> tuple[float, ...]:
        """The training budgets among the targets, FLOP."""
        return tuple(
            float(budget)
            for targets in self.targets
            if [*targets.columns] == ["train_flops"]
            for budget in targets.columns["train_flops"]
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers to what was asked; one that is missing has its refusal among the limits."""

    forecasts: tuple[Forecast, ...] = ()
    splits: tuple[OptimalSplit, ...] = ()
    budgets: tuple[BudgetForLoss, ...] = ()
    along: tuple[float, ...] = ()  # the x of forecasts that were asked for by x alone
    metrics: tuple[MetricForecast, ...] = ()

    @property
    def targets(self) -> tuple[TargetForecast, ...]:
        """Every run that was asked for, forecast."""
        return tuple(target for made in self.forecasts for target in made.targets)


class Refusals:
    """What could not be answered, and why."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.limits: list[Limit] = []
        self.of_plan: list[Limit] = []  # told where the forecast of those budgets is not refused

    def of_cost(self, asked: Asked, plan: BudgetPlan | None) -> None:
        """That what budgets cost is not answered, where somebody gave a price or devices."""
        refused = first_of(LimitCode.NO_SPLIT, self.limits)
        if asked.hardware is not None and plan is None and refused is not None:
            text = f"what budgets cost, which is told of their splits: {refused.text}"
            self.limits.append(Limit(LimitCode.NO_ANSWER, text))

    def ask(self, call: Callable[[], Answer], code: LimitCode, about: str = "") -> Answer | None:
        """The answer; None where there is none, and then its reason is kept."""
        try:
            return call()
        except ScalingError as error:
            reason = str(error).removeprefix(f"{self.source}: ")  # the page names it once
            self.limits.append(Limit(code, f"{about}: {reason}" if about else reason))
            return None


def answers_to(
    asked: Asked,
    plan: BudgetPlan | None,
    records: Records,
    options: ForecastOptions,
    refusals: Refusals,
) -> Answers:
    """What was asked, each by the call of its own verb; refusals join the limits. Budgets are split
    as the plan has it."""
    ask = refusals.ask
    forecasts: list[Forecast] = []
    along: list[float] = []
    for targets in asked.targets:
        names = [*targets.columns]
        made = ask(
            partial(forecast, records, targets, options=options),
            LimitCode.NO_ANSWER,
            f"the forecast at the {' and '.join(names)} asked for",
        )
        forecasts += [made] if made else []
        if made and names == ["train_flops"]:
            refusals.limits += refusals.of_plan
        if made and names == [options.x or "train_flops"]:
            along += map(float, targets.columns[names[0]])
    if asked.points is not None and not asked.inputs:
        made = ask(
            partial(forecast, records, asked.points, options=options),
            LimitCode.NO_ANSWER,
            "the forecast of the points",
        )
        forecasts += [made] if made else []
    budgets = [
        ask(
            partial(budget_for_loss, records, loss, options=options),
            LimitCode.NO_ANSWER,
            f"the budget for a loss of {loss:g}",
        )
        for loss in asked.losses
    ]
    return Answers(
        metrics=_metrics(asked, records, options, refusals),
        forecasts=tuple(forecasts),
        splits=plan.splits if plan and asked.budgets else (),
        along=tuple(along),
        budgets=tuple(budget for budget in budgets if budget is not None),
    )


def _metrics(
    asked: Asked, records: Records, options: ForecastOptions, refusals: Refusals
) -> tuple[MetricForecast, ...]:
    """The metrics that were asked for, at each kind of target that they are forecast at."""
    kinds = [one for one in asked.targets if set(one.columns) in METRIC_TARGETS]
    if asked.metrics and not kinds and "train_flops" in records:
        largest = float(np.nanmax(records.finished.column("train_flops")))
        kinds = [Targets.flops(*(factor * largest for factor in FACTORS))]
    found = [
        refusals.ask(
            partial(forecast_metric, records, name, targets, better=asked.better, options=options),
            LimitCode.NO_ANSWER,
            f"the forecast of {name}",
        )
        for name in asked.metrics
        for targets in kinds
    ]
    return tuple(one for one in found if one is not None)


def comparison_with(
    asked: Asked, records: Records, options: ForecastOptions, refusals: Refusals
) -> ArmComparison | None:
    """These runs held against another recipe's, if that was asked."""
    if asked.against is None:
        return None
    other = asked.against
    return refusals.ask(
        lambda: compare(records, records_from(other), *asked.budgets, options=options),
        LimitCode.NO_ANSWER,
        "the comparison asked for",
    )


def proposal_for(
    asked: Asked, records: Records, largest: float, options: ForecastOptions, refusals: Refusals
) -> NextRuns | None:
    """What to run next, if that was asked; ``largest``: FLOP of the largest run."""
    budget = asked.next_budget
    if budget is None:
        return None
    target = max(asked.budgets, default=FACTORS[0] * largest)
    return refusals.ask(
        lambda: next_runs(
            records,
            target,
            budget,
            offer=asked.offer,
            checks_flops=asked.checks_flops,
            options=options,
        ),
        LimitCode.NO_ANSWER,
        "what to run next",
    )
