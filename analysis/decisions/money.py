"""What a budget is in device hours, money, energy and days, beside the split that it buys.

    device hours = C / (FLOP a second of one device) / 3600
    cost = device hours x price
    wall time = device hours / devices
    energy = device hours x power

FLOP a second are what the runs measured, or a stated share (MFU) of the device's peak. Weights,
gradients and optimizer state of N parameters take N x bytes a parameter, which the devices share.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analysis.decisions.buildable import BuildableShape, ShapeRule, shape_rule
from analysis.decisions.by_approach import ApproachAnswer, by_approach
from analysis.decisions.optimal_split import Allocation, OptimalSplit, allocate
from analysis.decisions.speed import Assumption, Speed, measured_speed, power_of, stated_speed
from analysis.display import Result
from analysis.fitting.result import Fit
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from scaling.compute import STATE_BYTES_PER_PARAM
from scaling.errors import ForecastError
from scaling.inputs.amounts import Price
from scaling.limits import Limit, LimitCode, codes
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

HOUR = 3600.0  # seconds
_SLOWEST = 1e9  # FLOP a second of any device at its peak
MOST_STEPS = 30  # until a budget and the speed of its best size agree


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a budget is spent on, as far as it is stated; runs and a table of devices fill in."""

    price: Price | None = None
    mfu: float | None = None
    """Share of the peak that training reaches; None: as fast as the runs measured."""
    device: str | None = None
    """A name such as H100, for its peak and power, and of several that runs were measured on."""
    peak_flops: float | None = None
    """FLOP a second of one device, dense, where the table of devices does not say it."""
    power_watts: float | None = None
    """Of one device."""
    devices: int | None = None
    deadline: float | None = None
    """Seconds until the run must have ended."""
    device_memory: float | None = None
    """Bytes of one device."""
    bytes_per_param: float = STATE_BYTES_PER_PARAM
    """Weights, gradients and optimizer state of one parameter."""

    def __post_init__(self) -> None:
        """Refuse what no device has, and a deadline that nothing can be held against."""
        for name in ("peak_flops", "power_watts", "deadline", "device_memory", "bytes_per_param"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ForecastError(f"{name} {value:g}; give a finite number above zero")
        if self.devices is not None and self.devices < 1:
            raise ForecastError(f"{self.devices} devices; give a whole number from 1")
        if self.peak_flops is not None and self.mfu is None:
            raise ForecastError("a peak says little alone; give the share of it that is reached")
        if self.peak_flops is not None and self.peak_flops < _SLOWEST:
            raise ForecastError(
                f"a peak of {self.peak_flops:g} FLOP a second is no device's; give the unit, such "
                "as 989T"
            )
        if self.price is not None and not (
            math.isfinite(self.price.per_device_hour) and self.price.per_device_hour > 0
        ):
            raise ForecastError(f"a price of {self.price}; give a finite number above zero")

    @property
    def asks_for_speed(self) -> bool:
        """Whether anything asked for takes to know how fast a device is."""
        asking = (self.price, self.mfu, self.deadline, self.device, self.power_watts)
        return any(one is not None for one in asking)

    @property
    def max_params(self) -> float | None:
        """The largest model whose state fits the memory of all devices; None where unlimited."""
        if self.device_memory is None or self.devices is None:
            return None
        return self.device_memory * self.devices / self.bytes_per_param


@dataclass(frozen=True, kw_only=True)
class PlannedBudget:
    """One budget: what it buys, and what it takes. What is not known is None."""

    split: OptimalSplit
    device_hours: float | None
    cost: float | None
    wasted_cost_at_half_size: float | None  # of a model of half the best size, and twice
    wasted_cost_at_twice_size: float | None
    energy_kwh: float | None
    wall_hours: float | None  # on the devices that there are
    devices_for_deadline: int | None  # that finish in time
    is_late: bool  # whether those that there are do not
    state_bytes: float | None  # weights, gradients, optimizer state at the best size
    devices_for_memory: int | None  # that hold them
    shape: BuildableShape | None


@dataclass(frozen=True, kw_only=True, repr=False)
class BudgetPlan(Result):
    """What each budget buys and what it takes, with every number that was taken for granted."""

    budgets: tuple[PlannedBudget, ...]
    currency: str  # empty where it was not said
    assumed: tuple[Assumption, ...]
    limits: tuple[Limit, ...]
    approaches: tuple[ApproachAnswer, ...] = ()  # by which the splits may be checked
    hardware: Hardware = field(compare=False)

    def __iter__(self) -> Iterator[PlannedBudget]:
        return iter(self.budgets)

    def __len__(self) -> int:
        return len(self.budgets)

    def __getitem__(self, number: int) -> PlannedBudget:
        return self.budgets[number]

    @property
    def splits(self) -> tuple[OptimalSplit, ...]:
        """The split of each budget."""
        return tuple(planned.split for planned in self.budgets)

    def to_frame(self) -> "DataFrame":
        """One row per budget: what `Allocation.to_frame` has of its split, then device_hours, cost,
        energy_kwh and so on (blank where not known), and the width, depth and heads to build."""
        import pandas as pd

        rows = [
            {
                **{name: getattr(planned, name) for name in _AMOUNTS},
                **{
                    name: getattr(planned.shape, name, None) for name in ("width", "depth", "heads")
                },
            }
            for planned in self.budgets
        ]
        table = Allocation(splits=self.splits).to_frame()
        both = pd.concat([table, pd.DataFrame(rows).astype(float)], axis=1)
        shared = codes(self.limits)
        cells = [", ".join(filter(None, (own, shared))) for own in both["limits"]]
        return both.assign(currency=self.currency, limits=cells)


_AMOUNTS = (
    *("device_hours", "cost", "wasted_cost_at_half_size", "wasted_cost_at_twice_size"),
    *("energy_kwh", "wall_hours", "devices_for_deadline", "state_bytes", "devices_for_memory"),
)


def plan_budgets(
    records: Source,
    *train_flops: Any,
    hardware: Hardware | None = None,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
    approaches: bool = False,
    surface: Fit | None = None,
    options: ForecastOptions = DEFAULT,
) -> BudgetPlan:
    """What each budget in FLOP buys, as `allocate` splits it, and what it takes of ``hardware``.

    Without budgets: what its devices compute until its deadline. Speed is stated (MFU), or else
    measured by the runs themselves. With ``approaches`` simpler approaches are asked too; of
    these ``surface`` is the third's law, where it was fitted already. Raises ForecastError as
    `allocate` does, where a price or a deadline is given and nothing tells how fast a device is,
    and without any budget.
    """
    records, means = records_from(records), hardware or Hardware()
    speed = _speed(records, means)
    asked = train_flops or _until_deadline(means, speed)
    splits = allocate(
        records,
        *asked,
        inference_tokens=inference_tokens,
        unique_tokens=unique_tokens,
        max_params=means.max_params,
        options=options,
    )
    power = None if speed is None else power_of(means.device or speed.device, means.power_watts)
    watts = None if power is None else power.number
    rule = shape_rule(records)
    budgets = tuple(_planned(split, means, speed, watts, rule) for split in splits)
    assumed = list(speed.assumed if speed else ())
    assumed += [power] if power else []
    assumed += _taken_for_granted(means, inference_tokens)
    if rule is not None:
        text = f"shapes: heads of {rule.head_size}, {rule.about}"
        assumed.append(Assumption(name="shape_rule", value=rule.about, text=text))
    return BudgetPlan(
        budgets=budgets,
        currency=means.price.currency if means.price else "",
        assumed=tuple(assumed),
        limits=_limits(budgets, means),
        approaches=by_approach(
            records,
            splits.splits,
            surface=surface,
            options=options,
        )
        if approaches
        else (),
        hardware=means,
        notes=records.told,
    )


def budget_of_hours(
    records: Source,
    device_hours: float,
    *,
    hardware: Hardware | None = None,
    options: ForecastOptions = DEFAULT,
) -> float:
    """The FLOP that so many device hours compute: the budget of which `plan_budgets` says that it
    takes them.

    Where the speed of a device follows the model size, that of the budget's own best size counts.
    Raises ForecastError where nothing tells how fast a device is, and as `allocate` does there.
    """
    if not (math.isfinite(device_hours) and device_hours > 0):
        raise ForecastError(f"{device_hours:g} device hours; give a finite number above zero")
    records, means = records_from(records), hardware or Hardware()
    speed = _speed(records, means)
    if speed is None:
        raise ForecastError(
            f"{records.source}: no run was timed (device_seconds), so what an hour of a device "
            "computes is not known; state the share of its peak that training reaches (--mfu .4)"
        )
    flops = speed.at(None) * device_hours * HOUR
    for _ in range(MOST_STEPS if len(speed.rates) > 1 else 0):
        (split,) = allocate(records, flops, max_params=means.max_params, options=options)
        last, flops = flops, speed.at(split.params) * device_hours * HOUR
        if math.isclose(flops, last, rel_tol=1e-9):
            break
    return flops


def require_speed(records: Source, hardware: Hardware) -> None:
    """Raise ForecastError where a price or a deadline is given and nothing tells the speed."""
    _speed(records_from(records), hardware)


def _speed(records: Records, means: Hardware) -> Speed | None:
    """How fast one device is, if anything tells it."""
    if means.mfu is not None:
        return stated_speed(records, means.mfu, means.device, means.peak_flops)
    found = measured_speed(records, means.device)
    if found is None and means.asks_for_speed:
        on = f" on a device {means.device}" if means.device else ""
        raise ForecastError(
            f"{records.source}: no run was timed{on} (device_seconds), so device hours are not "
            "known; state the share of a device's peak that training reaches (--mfu .4)"
        )
    return found


def _until_deadline(means: Hardware, speed: Speed | None) -> tuple[float, ...]:
    """The budget that the devices compute until the deadline."""
    if means.deadline is None or means.devices is None or speed is None:
        raise ForecastError("no budget to plan; give FLOP, or devices and a deadline")
    return (speed.at(None) * means.devices * means.deadline,)


def _planned(
    split: OptimalSplit,
    means: Hardware,
    speed: Speed | None,
    watts: float | None,
    rule: ShapeRule | None,
) -> PlannedBudget:
    hours = None if speed is None else split.budget / speed.at(split.params) / HOUR
    cost = None if hours is None or means.price is None else hours * means.price.per_device_hour
    state = None if split.params is None else split.params * means.bytes_per_param
    wasted = [
        None if cost is None or share is None else cost * share
        for share in (split.wasted_at_half_size, split.wasted_at_twice_size)
    ]
    needed = _whole(hours, means.deadline and means.deadline / HOUR)
    return PlannedBudget(
        split=split,
        device_hours=hours,
        cost=cost,
        wasted_cost_at_half_size=wasted[0],
        wasted_cost_at_twice_size=wasted[1],
        energy_kwh=None if hours is None or watts is None else hours * watts / 1000,
        wall_hours=None if hours is None or means.devices is None else hours / means.devices,
        devices_for_deadline=needed,
        is_late=None not in (needed, means.devices) and (needed or 0) > (means.devices or 0),
        state_bytes=state,
        devices_for_memory=_whole(state, means.device_memory),
        shape=None if rule is None or split.params is None else rule.nearest(split.params),
    )


def _whole(wanted: float | None, each: float | None) -> int | None:
    """How many of so much make what is wanted; an amount that fits to rounding fits."""
    if wanted is None or each is None:
        return None
    return max(1, math.ceil(wanted / each * (1 - 1e-9)))


def _taken_for_granted(means: Hardware, inference_tokens: float) -> list[Assumption]:
    """What is assumed besides speed and power."""
    found = []
    if means.price is not None:
        unit = "" if means.price.currency else ", in a currency that was not said"
        text = f"{means.price} an hour of one device, as stated{unit}"
        value = means.price.per_device_hour
        found.append(Assumption(name="price_per_device_hour", value=value, text=text))
    if means.devices is not None:
        text = f"{counted(means.devices, 'device')} as fast together as each alone"
        found.append(Assumption(name="devices", value=means.devices, text=text))
    text = (
        f"{means.bytes_per_param:g} bytes a parameter for weights, gradients and optimizer state, "
        "shared among the devices; activations come on top"
    )
    found.append(Assumption(name="bytes_per_param", value=means.bytes_per_param, text=text))
    if inference_tokens:
        text = (
            f"{inference_tokens:.4g} tokens are served out of the budget, at a third of a training "
            "token's FLOP and at the speed of training"
        )
        found.append(Assumption(name="inference_tokens", value=inference_tokens, text=text))
    return found


def _time(hours: float) -> str:
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} h"


def _limits(budgets: Sequence[PlannedBudget], means: Hardware) -> tuple[Limit, ...]:
    """The budgets that do not end by the deadline."""
    if means.deadline is None or means.devices is None:
        return ()
    there_are = _time(means.deadline / HOUR)
    return tuple(
        Limit(
            LimitCode.PAST_DEADLINE,
            f"{planned.split.budget:.3g} FLOP take {_time(planned.wall_hours)} on "
            f"{counted(means.devices, 'device')}, more than the {there_are} that there "
            f"are; {counted(planned.devices_for_deadline or 0, 'device')} would do",
        )
        for planned in budgets
        if planned.is_late and planned.wall_hours is not None
    )
