"""What to run next: the runs that most narrow a forecast, or the best split, within a budget.

`run_design` says by how much which runs do; `proposal_check` afterwards whether they did.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.decisions.further_runs.run_design import (
    LAWS,
    LEAST_GAIN,
    MISFIT,
    Design,
    choose,
    design,
    with_checks,
)
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer, as_choices, offer_of_table
from analysis.decisions.optimal_split import allocate
from analysis.display import Result
from analysis.fitting.measurements.reach import WIDEST, too_far
from analysis.forecasting.answer.support import target_limits
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import Question, check_distance, pose
from analysis.forecasting.weighing.forecaster import Forecaster, LogForecast, log_forecast, prepare
from analysis.forecasting.weighing.optimum import best_log_params
from analysis.intervals import LEVEL, interval_at
from scaling.answerable import BACKTESTS, UNTESTED_REACH, curve_cuts, decades_outside, surface_cuts
from scaling.arrays import DECADE, SAME_NUMBER, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode, limits_from
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.tables.notes import notes_from

if TYPE_CHECKING:
    from pandas import DataFrame

Aim = Literal["loss", "allocation"]
ALIKE = 0.02  # ln: so near to a proposed run in every input, a run of the table is that run
_BESIDE = ("cells", "sweep", "reference_lines")  # what a verb adds to the document
_KIND = "next runs"  # of a JSON document, by which `scaling next --proposal` knows it


@dataclass(frozen=True, kw_only=True)
class NextRun:
    """A run that is proposed."""

    params: float | None  # None along compute alone
    tokens: float | None
    train_flops: float
    price: float  # FLOP that it adds to those before it in the list
    times: int  # how many seeds of it
    had: int  # runs of this size and these tokens that the table has: these are further seeds
    narrows: float  # the share of the width that comes back where it alone is left out
    place: int = field(repr=False)  # in what was on offer


@dataclass(frozen=True, kw_only=True)
class Width:
    """How wide an answer is, and what of."""

    factor: float  # high over low end of the 90% interval
    parts: Mapping[str, float]  # part -> its share of the variance
    supported: bool  # whether it is a number to read, by `analysis.forecasting.answer.support`

    @property
    def percent(self) -> float:
        """The width of the interval in percent of its low end."""
        return 100 * (self.factor - 1)


@dataclass(frozen=True, kw_only=True, repr=False)
class NextRuns(Result):
    """The runs to buy next, and what they are worth.

    Read it as: train ``runs`` for ``spent`` of the ``budget``, and the 90% interval of the answer
    at ``target_flops`` goes from ``now`` to about ``after``.
    """

    kind: str
    target_flops: float
    aim: Aim  # "loss" of a new run there, or "allocation": its best size
    budget: float  # FLOP
    runs: tuple[NextRun, ...]  # by compute
    spent: float  # FLOP of all of them
    checks: bool  # whether learning rates are to be checked too
    checks_flops: float  # what that costs, part of ``spent``
    now: Width
    after: Width | None  # None where nothing is proposed
    interval_now: tuple[float, float]  # of the loss, or of the best size; rough where unsupported
    on_offer: int  # runs that were chosen among
    law: str
    source: str
    data_hash: str
    runs_now: int  # that the forecast rests on
    usable_now: int  # that the table has
    limits: tuple[Limit, ...] = ()

    @property
    def narrowing(self) -> float:
        """The share by which the log width is to fall; 0 where nothing is proposed."""
        if self.after is None:
            return 0.0
        return 1 - float(np.log(self.after.factor) / np.log(self.now.factor))

    def to_frame(self) -> "DataFrame":
        """One row a run: params, tokens, train_flops, price, times, had, narrows."""
        import pandas as pd

        names = ("params", "tokens", "train_flops", "price", "times", "had", "narrows")
        rows = [{name: getattr(run, name) for name in names} for run in self.runs]
        return pd.DataFrame(rows, columns=list(names))

    @classmethod
    def from_json(cls, text: str) -> "NextRuns":
        """The proposal that `to_json` wrote. Raises ForecastError for any other document."""
        try:
            document: dict[str, Any] = json.loads(text)
            for name in _BESIDE:
                document.pop(name, None)
            if document["kind"] != _KIND:
                raise KeyError("kind")
            document["runs"] = tuple(NextRun(**run) for run in document["runs"])
            document["now"] = Width(**document["now"])
            document["after"] = document["after"] and Width(**document["after"])
            document["interval_now"] = tuple(document["interval_now"])
            document["limits"] = limits_from(document["limits"])
            document["notes"] = notes_from(document.get("notes", ()))
            return cls(**document)
        except (KeyError, TypeError, ValueError) as error:
            raise ForecastError(
                "no proposal of `scaling next`; name the file that its -o wrote"
            ) from error


def next_runs(
    records: Source,
    target_flops: float,
    budget: float,
    *,
    aim: Aim = "loss",
    offer: Sequence[RunOnOffer] | None = None,
    checks_flops: float | None = None,
    least_gain: float = LEAST_GAIN,
    options: ForecastOptions = DEFAULT,
) -> NextRuns:
    """The runs whose losses would most narrow the forecast at ``target_flops`` for ``budget`` FLOP.

    ``aim`` "allocation" narrows the range of the best size there instead. ``offer`` is what can be
    run; without it sizes and tokens like the table's, each at r N D FLOP. ``checks_flops`` is what
    checks of learning rates cost. Runs that narrow by less than ``least_gain`` are not proposed.
    Raises ForecastError where the runs of the table give no forecast, and for a budget below the
    cheapest run on offer.
    """
    _check_positive(target_flops, budget)
    records = records_from(records)
    question, forecaster, inputs, answer = posed(records, target_flops, options)
    ladder, log_budget = forecaster.ladder, np.log([target_flops])
    if offer is None:
        offer = offer_of_table(forecaster, float(inputs[0, 0]), target_flops, budget)
    choices = as_choices(offer, ladder)
    if (cheapest := float(choices.price.min())) > budget * (1 + SAME_NUMBER):
        raise ForecastError(
            f"{budget:.3g} FLOP buy no run: the cheapest on offer takes {cheapest:.3g}; raise the "
            "budget"
        )
    asked = design(forecaster, choices, answer, inputs, log_budget, of_size=aim == "allocation")
    chosen, checks = _bought(asked, forecaster, inputs, budget, checks_flops, least_gain)
    now, interval = _now(records, forecaster, answer, target_flops, aim, options)
    found = _proposal(asked, chosen, checks, offer, records, now, least_gain)
    of_checks = (checks_flops or 0.0) if checks is not None else 0.0
    return NextRuns(
        kind=_KIND,
        target_flops=target_flops,
        aim=aim,
        budget=budget,
        checks=checks is not None,
        checks_flops=of_checks,
        spent=found.pop("spent") + of_checks,
        now=now,
        interval_now=interval,
        on_offer=len(choices),
        law=options.law_name,
        source=records.source,
        data_hash=records.data_hash,
        runs_now=len(ladder),
        usable_now=len(records.usable()),
        limits=question.limits
        + _now_limits(forecaster, answer, target_flops, budget)
        + found.pop("limits"),
        notes=records.told,
        **found,
    )


def _check_positive(target_flops: float, budget: float) -> None:
    for value, what in ((target_flops, "target"), (budget, "budget")):
        if not (np.isfinite(value) and value > 0):
            raise ForecastError(f"{what} of {value:g} FLOP: give a finite number above zero")


def _check_above(ladder: Ladder, target_flops: float) -> None:
    smallest = float(np.exp(ladder.log_compute.min()))
    if target_flops < smallest:
        raise ForecastError(
            f"{target_flops:.3g} FLOP lie below every run (the smallest took {smallest:.3g}): such "
            "a run is cheaper trained than forecast"
        )


def to_train_now(proposal: NextRuns, *, last: bool = False) -> tuple[NextRun, ...]:
    """The runs of a proposal to train before asking again: the cheapest, for half its price, so
    that the dear ones are decided by what these say; all of them where this is the ``last`` time,
    or where there is one."""
    if last or len(proposal.runs) < 2:
        return proposal.runs
    runs = sorted(proposal.runs, key=lambda run: run.price)
    paid = np.cumsum([run.price for run in runs])
    count = max(1, int(np.sum(paid <= paid[-1] / 2)))
    return tuple(runs[:count])


def posed(
    records: Records, target_flops: float, options: ForecastOptions
) -> tuple[Question, Forecaster, FloatArray, LogForecast]:
    """The question, its laws, the log inputs (1, inputs) of the target, and the forecast of it."""
    if options.x not in (None, "train_flops"):
        raise ForecastError(
            f"{target_flops:.3g} FLOP are asked along compute, and the law {options.law_name} "
            f"reads {options.x} alone; give a law of train_flops, or of params and tokens, or none"
        )
    question = pose(records, ("train_flops",), options)
    forecaster, log_budget = prepare(question, options), np.log([target_flops])
    _check_above(forecaster.ladder, target_flops)
    inputs = _asked(forecaster, log_budget)
    check_distance(forecaster.ladder.distance(inputs, log_budget))
    return question, forecaster, inputs, log_forecast(forecaster, inputs, log_budget, options)


def _asked(forecaster: Forecaster, log_budget: FloatArray) -> FloatArray:
    """Log inputs (1, inputs) of the run that a budget buys."""
    if len(forecaster.ladder.inputs) == 1:
        return log_budget[:, None]
    log_n = best_log_params(forecaster, log_budget)
    return np.column_stack([log_n, forecaster.ladder.flops.log_tokens(log_budget, log_n)])


def _bought(
    asked: Design,
    forecaster: Forecaster,
    inputs: FloatArray,
    budget: float,
    checks_flops: float | None,
    least_gain: float,
) -> tuple[tuple[int, ...], Design | None]:
    """The chosen runs, and the question with checked learning rates where these are worth it."""
    chosen = choose(asked, budget, least=least_gain)
    if checks_flops is None or checks_flops > budget or asked.misfit == 0:
        return chosen, None
    checked = with_checks(asked, forecaster.ensemble, inputs)
    beside = choose(checked, budget - checks_flops, least=least_gain)
    gain = asked.variance(asked.with_runs(chosen)) - checked.variance(checked.with_runs(beside))
    worth = 2 * least_gain * asked.variance(asked.begin())
    return (beside, checked) if gain > worth else (chosen, None)


def answer_now(
    records: Records, target_flops: float, aim: Aim, *, options: ForecastOptions = DEFAULT
) -> tuple[Width, tuple[float, float], float]:
    """How wide the answer at a budget is by these runs, its 90% interval, and its centre."""
    _, forecaster, inputs, answer = posed(records, target_flops, options)
    width, interval = _now(records, forecaster, answer, target_flops, aim, options)
    centre = inputs[0, 0] if aim == "allocation" else answer.centre[0]
    return width, interval, float(np.exp(centre))


def _now(
    records: Records,
    forecaster: Forecaster,
    answer: LogForecast,
    target: float,
    aim: Aim,
    options: ForecastOptions,
) -> tuple[Width, tuple[float, float]]:
    """The width of the answer by the runs that there are, and both ends of its 90% interval."""
    is_read = not target_limits(forecaster, answer)[0]
    if aim == "allocation":
        with_level = replace(options, confidence_levels=(LEVEL,))
        (split,) = allocate(records, target, options=with_level)
        low, high = map(float, interval_at(split.params_range, LEVEL))
        if not 0 < low < high < np.inf:
            raise ForecastError(
                f"the best size at {target:.3g} FLOP has no range with two ends yet; ask for the "
                "loss (without --for allocation)"
            )
        width = Width(factor=high / low, parts={LAWS: 1.0}, supported=split.supported)
        return width, (low, high)
    low, high = map(float, np.exp(np.quantile(answer.draws[0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])))
    shares = {name: float(share[0]) for name, share in answer.shares.items()}
    parts = {
        LAWS: shares.pop("parameters") + shares.pop("law choice"),
        MISFIT: shares.pop("drift of ladders") + shares.pop("model misspecification"),
        **{name: share for name, share in shares.items()},
    }
    return Width(factor=high / low, parts=parts, supported=is_read), (low, high)


def _now_limits(
    forecaster: Forecaster, answer: LogForecast, target: float, budget: float
) -> tuple[Limit, ...]:
    """What must be said of the question before anything is bought."""
    against, compute = target_limits(forecaster, answer)[0], forecaster.ladder.log_compute
    # from there on it lies within half the span of the runs
    reach = (np.log(target) + UNTESTED_REACH * compute.min()) / (1 + UNTESTED_REACH)
    needed = f"; a run of {np.exp(reach):.1e} FLOP would bring it into reach"
    far = float(reach) > float(compute.max())
    found = [
        Limit(LimitCode.UNSUPPORTED, f"unsupported now: {limit.text}{needed * far}")
        for limit in against
    ]
    if answer.distance[0] == 0:
        text = f"{target:.3g} FLOP lie inside the runs: that is interpolation"
        found.append(Limit(LimitCode.INTERPOLATED, text))
    elif target <= budget:
        text = (
            f"the budget of {budget:.3g} FLOP pays the run of {target:.3g} FLOP itself: to train "
            "it is the surest forecast"
        )
        found.append(Limit(LimitCode.INTERPOLATED, text))
    return tuple(found)


def _proposal(
    asked: Design,
    chosen: tuple[int, ...],
    checks: Design | None,
    offer: Sequence[RunOnOffer],
    records: Records,
    now: Width,
    least_gain: float,
) -> dict[str, Any]:
    """The runs, the width with them, and what limits it, as fields of the result."""
    then = asked if checks is None else checks
    before, end = asked.begin(), then.with_runs(chosen)
    first, last = asked.variance(before), then.variance(end)
    found: dict[str, Any] = {"spent": asked.choices.total(chosen), "limits": ()}
    if not chosen and checks is None:
        rest = ", ".join(f"{share:.0%} {name}" for name, share in now.parts.items() if share > 0)
        text = (
            f"nothing on offer narrows the interval by {least_gain:.1%}; of its variance are {rest}"
        )
        found["limits"] = (Limit(LimitCode.NOTHING_TO_GAIN, text),)
        return found | {"runs": (), "after": None}
    runs, paid = [], tuple[int, ...]()
    for one in dict.fromkeys(chosen):
        times = chosen.count(one)
        others = tuple(i for i in chosen if i != one)
        without = then.variance(then.with_runs(others))
        cost = asked.choices.total((*paid, *[one] * times)) - asked.choices.total(paid)
        paid = (*paid, *[one] * times)
        runs.append(
            NextRun(
                params=offer[one].params,
                tokens=offer[one].tokens,
                train_flops=offer[one].train_flops,
                price=cost,
                times=times,
                had=runs_alike(offer[one], records),
                narrows=float((np.sqrt(without) - np.sqrt(last)) / np.sqrt(first)),
                place=one,
            )
        )
    shrunk = float(np.log(now.factor)) * float(np.sqrt(last / first))
    against = _against_after(then, chosen, shrunk)
    after = Width(
        factor=float(np.exp(shrunk)), parts=_shares(then.parts_of(end)), supported=not against
    )
    told = tuple(
        Limit(LimitCode.UNSUPPORTED, f"unsupported still with these runs: {limit.text}")
        for limit in against
    )
    return found | {"runs": tuple(runs), "after": after, "limits": told}


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    """The share of each part in the variance."""
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}


def runs_alike(wanted: RunOnOffer | NextRun, records: Records) -> int:
    """How many usable runs of a table have the size and tokens of one, or its compute."""
    names = ("params", "tokens") if wanted.params is not None else ("train_flops",)
    runs = records.usable(*names).with_values(*names)
    alike = np.ones(len(runs), dtype=bool)
    for name in names:
        alike &= np.abs(np.log(runs.column(name) / getattr(wanted, name))) < ALIKE
    return int(alike.sum())


def _against_after(then: Design, chosen: tuple[int, ...], log_width: float) -> tuple[Limit, ...]:
    """Why the answer would still be no number to read, as far as sizes and compute tell."""
    points = np.vstack([then.measured, then.points[list(chosen)]])
    cuts = (surface_cuts if points.shape[1] == 3 else curve_cuts)(points[:, 0])[:BACKTESTS]
    reached = [
        float(decades_outside(points[points[:, 0] <= cut], points[points[:, 0] > cut]).max())
        for cut in cuts
    ]
    beyond = float(decades_outside(points, then.asked).max())
    spanned = float(np.ptp(points[:, 0])) / DECADE
    against = too_far(beyond, spanned, max(reached, default=0.0))
    if not against and then.misfit and log_width > WIDEST:
        text = "a 90% interval wider than a factor of 1.5"
        against = (Limit(LimitCode.UNSUPPORTED, text),)
    return against
