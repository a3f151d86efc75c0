"""What is decided, in sentences: what budgets buy, what they take, what a wrong size wastes."""

from analysis.decisions.money import HOUR, BudgetPlan, PlannedBudget
from analysis.intervals import Interval, interval_at, telling_digits
from analysis.text.numbers import (
    amount_in_words,
    count_in_words,
    energy_in_words,
    flops_in_words,
    hours_in_words,
    loss_in_words,
)
from scaling.words import counted

MOST_DECIDED = 3  # budgets in sentences; more stand in the table alone


def decision_sentences(plan: BudgetPlan, level: float, *, with_loss: bool) -> list[str]:
    """What each budget buys and takes, a sentence or two a budget; ``with_loss`` where nothing
    else has told it."""
    told = [
        sentence
        for planned in plan.budgets[:MOST_DECIDED]
        for sentence in _of_budget(plan, planned, level if with_loss else None)
    ]
    more = len(plan) - MOST_DECIDED
    if more > 0:
        told.append(f"{counted(more, 'more budget stands', 'more budgets stand')} below.")
    return [*told, *_late(plan)]


def _late(plan: BudgetPlan) -> list[str]:
    """The budgets that do not end by the deadline."""
    late = [
        f"{flops_in_words(planned.split.budget, 3)} FLOP ({planned.devices_for_deadline:,} devices)"
        for planned in plan
        if planned.is_late
    ]
    if not late or plan.hardware.deadline is None:
        return []
    days = hours_in_words(plan.hardware.deadline / HOUR)
    return [f"Within {days} these do not end on so few devices: {', '.join(late)}."]


def _of_budget(plan: BudgetPlan, planned: PlannedBudget, level: float | None) -> list[str]:
    split = planned.split
    budget = f"{flops_in_words(split.budget, 3)} FLOP"
    taken = _taken(plan, planned)
    if split.params is None or split.tokens is None:
        takes = f" They take {taken}." if taken else ""
        return [f"No size and no loss is supported at {budget}.{takes}"]
    bought = (
        f"{budget} buy about {count_in_words(split.params, spelt_out=True)} parameters on "
        f"{count_in_words(split.tokens, spelt_out=True)} tokens"
    )
    if split.loss is not None and split.loss_range and level is not None:
        loss, low, high = told_loss(split.loss, interval_at(split.loss_range, level))
        bought += f", with a loss of {loss} ({100 * level:g}% interval {low} to {high})"
    sentences = [f"{bought}{f'; they take {taken}' if taken else ''}."]
    if split.gain_of_doubling is not None:
        gained = f"Twice the budget would lower the loss by {split.gain_of_doubling:.2g}"
        sentences.append(f"{gained}{_waste(plan, planned)}.")
    return sentences


def told_loss(loss: float, ends: Interval) -> tuple[str, str, str]:
    """A loss and its interval in the digits that tell them apart."""
    digits = telling_digits(loss, [ends], 4)
    low, high = ends
    return loss_in_words(loss, digits), loss_in_words(low, digits), loss_in_words(high, digits)


def with_currency(plan: BudgetPlan, amount: float) -> str:
    """An amount of money with its currency, where that was said."""
    return f"{amount_in_words(amount)} {plan.currency}".strip()


def _taken(plan: BudgetPlan, planned: PlannedBudget) -> str:
    """Hours, money, days and energy of a budget, as far as they are known."""
    parts = []
    if planned.device_hours is not None:
        parts.append(f"{amount_in_words(planned.device_hours)} device hours")
    if planned.cost is not None:
        unit = "" if plan.currency else " (no currency was said)"
        parts.append(f"{with_currency(plan, planned.cost)}{unit}")
    if planned.wall_hours is not None and plan.hardware.devices is not None:
        devices = counted(plan.hardware.devices, "device")
        parts.append(f"{hours_in_words(planned.wall_hours)} on {devices}")
    if planned.energy_kwh is not None:
        parts.append(energy_in_words(planned.energy_kwh))
    return ", ".join(parts)


def _waste(plan: BudgetPlan, planned: PlannedBudget) -> str:
    half, twice = planned.split.wasted_at_half_size, planned.split.wasted_at_twice_size
    known = [share for share in (half, twice) if share is not None]
    if not known:
        return ""
    shares = " to ".join(dict.fromkeys(f"{100 * share:.2g}%" for share in sorted(known)))
    costs = [
        cost
        for cost in (planned.wasted_cost_at_half_size, planned.wasted_cost_at_twice_size)
        if cost is not None
    ]
    money = f", up to {with_currency(plan, max(costs))}" if costs else ""
    return f"; a model of half or twice that size would waste {shares} of it{money}"
