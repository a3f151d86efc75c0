"""The tables of the decision: what budgets buy, what a wrong size wastes, what is built."""

from collections.abc import Sequence

from analysis.decisions.flat_region import LITTLE
from analysis.decisions.money import BudgetPlan
from analysis.decisions.optimal_split import OptimalSplit
from analysis.intervals import interval_at
from analysis.report.tables.cells import Table
from analysis.report.words.decision import told_loss
from analysis.report.words.summary import NOT_SUPPORTED
from analysis.text.decisions import (
    approach_cells,
    approach_lines,
    built_cells,
    money_cells,
    money_heads,
)
from analysis.text.numbers import count_in_words, digits_apart, flops_in_words, percent_in_words

DASH = "\u2013"


def decision_table(plan: BudgetPlan, level: float) -> Table:
    """A row a budget: its loss, size and tokens, and what a doubling gains."""
    percent = f"{100 * level:g}% interval"
    head = ("Budget", "Loss", percent, "Parameters N", "Tokens D")
    rows = []
    for budget, planned in zip(_budgets(plan), plan, strict=True):
        split = planned.split
        loss = (NOT_SUPPORTED, DASH, DASH)
        if split.loss is not None:
            loss = told_loss(split.loss, interval_at(split.loss_range, level))
        sizes = (
            NOT_SUPPORTED if value is None else count_in_words(value)
            for value in (split.params, split.tokens)
        )
        gain = split.gain_of_doubling
        rows.append(
            (
                budget,
                loss[0],
                DASH if split.loss is None else f"{loss[1]} to {loss[2]}",
                *sizes,
                DASH if gain is None else f"\u2212{gain:.2g}",
            )
        )
    return _without_empty((*head, "Loss with twice the budget"), rows)


def taken_table(plan: BudgetPlan) -> Table:
    """A row a budget: device hours, money, energy, days, and devices for the deadline."""
    rows = [
        (budget, *_dashes(money_cells(planned, plan)[:-2]))
        for budget, planned in zip(_budgets(plan), plan, strict=True)
    ]
    heads = money_heads(plan)[:-2]  # what a wrong size wastes has a table of its own
    return _without_empty(("Budget", *(f"{h[:1].upper()}{h[1:]}" for h in heads)), rows)


def wrong_size_table(plan: BudgetPlan) -> Table:
    """A row a budget: what half and twice the best size lose, and waste."""
    rows = []
    for budget, planned in zip(_budgets(plan), plan, strict=True):
        split, wasted = planned.split, _dashes(money_cells(planned, plan)[-2:])
        rises = [
            DASH
            if split.loss is None or at is None
            else percent_in_words(100 * (at / split.loss - 1), signed=True)
            for at in (split.loss_at_half_size, split.loss_at_twice_size)
        ]
        rows.append((budget, rises[0], wasted[0], rises[1], wasted[1], _flat(split)))
    money = f" ({plan.currency})" if plan.currency else ""
    head = (
        *("Loss at half the size", f"Wasted{money}", "At twice the size", f"Wasted then{money}"),
        f"Sizes that waste less than {100 * LITTLE:g}%",
    )
    return _without_empty(("Budget", *head), rows)


def _flat(split: OptimalSplit) -> str:
    """The sizes that are nearly as good as the best."""
    return (
        DASH if split.flat_params is None else " to ".join(map(count_in_words, split.flat_params))
    )


def built_table(plan: BudgetPlan) -> Table:
    """A row a budget: the nearest shape, what its state takes, the devices that hold it."""
    rows = [
        (budget, *_dashes(built_cells(planned)))
        for budget, planned in zip(_budgets(plan), plan, strict=True)
    ]
    head = ("Budget", "Nearest shape", "Its parameters", "State", "Devices that hold it")
    return _without_empty(head, rows)


def approaches_table(plan: BudgetPlan | None) -> Table:
    """A row an approach: its exponent, and the best size and tokens of each budget."""
    if plan is None or not plan.approaches:
        return Table(head=(), rows=())
    head, rows = approach_cells(plan)
    told = [tuple(_dashes(row)) for row in rows]
    return _without_empty(("Approach", "Exponent of N", *head[2:]), told)


def approach_notes(plan: BudgetPlan | None) -> list[str]:
    """What is said of the approaches, as the verb says it."""
    return approach_lines(plan) if plan is not None and plan.approaches else []


def _budgets(plan: BudgetPlan) -> list[str]:
    digits = digits_apart(planned.split.budget for planned in plan)
    return [f"{flops_in_words(planned.split.budget, digits)} FLOP" for planned in plan]


def _dashes(cells: Sequence[str]) -> list[str]:
    return [DASH if cell == "-" else cell for cell in cells]


def _without_empty(head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table without the columns that no row fills; nothing where only the first is left."""
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] != DASH for row in rows)]
    if len(kept) < 2:
        return Table(head=(), rows=())
    return Table(
        head=tuple(head[i] for i in kept), rows=tuple(tuple(row[i] for i in kept) for row in rows)
    )
