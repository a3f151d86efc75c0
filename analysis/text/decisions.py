"""Budgets for a loss and splits of a budget as text."""

from collections.abc import Sequence

from analysis.approaches.side_by_side import power_text
from analysis.decisions.budget_for_loss import BudgetForLoss
from analysis.decisions.buildable import BuildableShape
from analysis.decisions.by_approach import SHARED_BIAS
from analysis.decisions.flat_region import LITTLE
from analysis.decisions.money import BudgetPlan, PlannedBudget
from analysis.decisions.optimal_split import Allocation, OptimalSplit
from analysis.intervals import telling_digits
from analysis.text.numbers import (
    amount_in_words,
    bytes_in_words,
    count_in_words,
    digits_apart,
    energy_in_words,
    hours_in_words,
)
from analysis.text.tables import FARTHEST
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.limits import LimitCode, texts
from scaling.words import counted

OF_ONE_LAW = (
    "the constants that `scaling fit` prints are of one law fitted by itself, which can put the "
    "best split elsewhere"
)


def budgets_text(answers: Sequence[BudgetForLoss]) -> str:
    """What each target loss costs, as text."""
    return as_text(budgets_blocks(answers))


def budget_blocks(answer: BudgetForLoss) -> list[Block]:
    """What one target loss costs."""
    return budgets_blocks([answer])


def budgets_blocks(answers: Sequence[BudgetForLoss]) -> list[Block]:
    """What each target loss costs: one row per loss, then what limits the answers."""
    levels = list(answers[0].ranges)
    header = ["loss", answers[0].column, *(f"{100 * level:.10g}% interval" for level in levels)]
    rows = [[f"{answer.loss:g}", *_budget_cells(answer, levels)] for answer in answers]
    limits = texts(limit for answer in answers for limit in answer.limits)
    return [Table(header, rows), Section("limits", limits)]


def _budget_cells(answer: BudgetForLoss, levels: Sequence[float]) -> list[str]:
    """The median and the ranges of a budget; an order of magnitude where it is not supported."""
    form = ".0e"
    if answer.supported:
        form = f".{telling_digits(answer.median, answer.ranges.values(), 3)}g"
    ranges = ("[{}, {}]".format(*(_budget(e, form) for e in answer.ranges[k])) for k in levels)
    return ["unsupported" if answer.median is None else _budget(answer.median, form), *ranges]


def _budget(value: float, form: str) -> str:
    """A budget; 0 and infinity say that no end was found within the range that was searched."""
    if value == 0 or value == float("inf"):
        return "below the data" if value == 0 else "unbounded"
    return f"{value:{form}}"


def _split_cells(split: OptimalSplit, levels: Sequence[float]) -> list[str]:
    """Size, tokens and tokens per parameter of a split, if its digits mean something, its training
    FLOP, and the ranges of size and tokens."""
    of_n, of_d = split.params_range, split.tokens_range
    digits = [
        telling_digits(split.params, of_n.values(), 3),
        telling_digits(split.tokens, of_d.values(), 3),
    ]
    best = ["unsupported"] * 3
    if split.params is not None and split.tokens is not None:
        best = [f"{v:.{d}g}" for v, d in zip((split.params, split.tokens), digits, strict=True)]
        best.append(f"{split.tokens / split.params:.3g}")
    ranges = [
        f"[{split.shown(low):.{d}g}, {split.shown(high):.{d}g}]"
        for level in levels
        for (low, high), d in zip((of_n[level], of_d[level]), digits, strict=True)
    ]
    return [*best, f"{split.train_flops:.3g}", *ranges]


def splits_text(splits: Sequence[OptimalSplit], *, alone: bool = False) -> str:
    """The best size and tokens of each budget, as text; ``alone``: without what it rests on."""
    blocks = splits_blocks(splits)
    return as_text(answer_alone(blocks) if alone else blocks)


def allocation_blocks(allocation: Allocation) -> list[Block]:
    """The best size and tokens of all budgets."""
    return splits_blocks(allocation.splits)


def split_blocks(split: OptimalSplit) -> list[Block]:
    """The best size and tokens of one budget."""
    return splits_blocks([split])


def _losses(splits: Sequence[OptimalSplit]) -> list[Block]:
    """What each split reaches, and what a wrong size costs; nothing where no loss is told."""
    levels = list(splits[0].loss_range)
    if not levels:
        return []
    header = ["budget", "loss", *(f"{100 * level:.10g}% interval" for level in levels)]
    digits = digits_apart(split.budget for split in splits)
    rows = []
    for split in splits:
        loss = split.loss
        shown = split.in_meaningful_digits().loss_range
        places = telling_digits(loss, shown.values(), 5)
        ends = ["[{:.{d}g}, {:.{d}g}]".format(*shown[level], d=places) for level in levels]
        rises = [
            "-" if loss is None or at is None else f"{100 * (at / loss - 1):+.2f}%"
            for at in (split.loss_at_half_size, split.loss_at_twice_size)
        ]
        told = "unsupported" if loss is None else f"{loss:.{places}g}"
        gain = "-" if split.gain_of_doubling is None else f"{-split.gain_of_doubling:+.2g}"
        rows.append([f"{split.budget:.{digits}g}", told, *ends, *rises, gain])
    return [
        "",
        Table([*header, "at half the size", "at twice", "with twice the budget"], rows),
        "intervals are of the loss of a new run; the columns behind them are what a wrong size "
        "costs, and what a doubling gains",
        *(f"{split.budget:.{digits}g} FLOP: {told}" for split in splits if (told := flat(split))),
    ]


def flat(split: OptimalSplit) -> str:
    """Which sizes are nearly as good as the best, in a phrase; nothing where that is not told."""
    ends = split.flat_params
    if ends is None or split.params is None:
        return ""
    low, high = (f"{count_in_words(end)} ({end / split.params:.2g} of the best)" for end in ends)
    return f"models of {low} to {high} parameters waste less than {100 * LITTLE:g}% of it"


def splits_blocks(splits: Sequence[OptimalSplit], beside: Sequence[Block] = ()) -> list[Block]:
    """The best size and tokens of each budget, what else is said of them, and which law says so."""
    levels = list(splits[0].params_range)
    header = ["budget", "params N", "tokens D", "D/N", "training FLOP"]
    digits = digits_apart(split.budget for split in splits)
    header += [f"{name} {100 * level:.10g}%" for level in levels for name in ("N", "D")]
    rows = [[f"{split.budget:.{digits}g}", *_split_cells(split, levels)] for split in splits]
    against = [
        f"unsupported, an order of magnitude only: {split.budget:.3g} FLOP, {limit.text}"
        for split in splits
        for limit in split.limits
        if limit.code is LimitCode.UNSUPPORTED
    ]
    shared = [limit for split in splits for limit in split.limits]
    standing = [f"{split.budget:.{digits}g} FLOP: {split.evidence}" for split in splits]
    return [
        f"splits from {counted(splits[0].runs, 'run')} of {splits[0].source}",
        "",
        Table(header, rows),
        "ranges are of the best size and tokens, not of a run's loss",
        *_losses(splits),
        *beside,
        "",
        f"answered by: {splits[0].law}",
        OF_ONE_LAW,
        *standing,
        f"({FARTHEST})",
        Section("limits", [*against, *texts(shared, without=(LimitCode.UNSUPPORTED,))]),
    ]


def plan_text(plan: BudgetPlan, *, alone: bool = False) -> str:
    """What budgets buy and take, as text; ``alone``: without what it rests on."""
    blocks = plan_blocks(plan)
    return as_text(answer_alone(blocks) if alone else blocks)


def plan_blocks(plan: BudgetPlan) -> list[Block]:
    """What each budget buys, as `splits_blocks` says it, what it takes, and what is assumed."""
    digits = digits_apart(planned.split.budget for planned in plan)
    tables: list[Block] = []
    for head, cells in ((_MONEY, money_cells), (_BUILT, _built_cells)):
        rows = [cells(planned, plan) for planned in plan]
        shown = [i for i in range(len(head)) if any(row[i] != "-" for row in rows)]
        if shown:
            header = ["budget", *(head[i].format(**_named(plan)) for i in shown)]
            budgets = (f"{planned.split.budget:.{digits}g}" for planned in plan)
            table = [[b, *(row[i] for i in shown)] for b, row in zip(budgets, rows, strict=True)]
            tables += ["", Table(header, table)]
    if any(planned.split.wasted_at_half_size is not None for planned in plan):
        tables.append(
            "wasted: a model of half, or twice, the best size reaches what the best one reaches "
            "with so much less"
        )
    if plan.approaches:
        tables += ["", Table(*approach_cells(plan)), *approach_lines(plan)]
    *blocks, limits = splits_blocks(plan.splits, tables)
    assert isinstance(limits, Section)
    told = [*limits.sentences, *texts(plan.limits)]
    return [
        *blocks,
        Section("assumed", [one.text for one in plan.assumed]),
        Section("limits", told),
    ]


_MONEY = (
    *("device hours", "cost{currency}", "energy", "{devices}", "devices for {deadline}"),
    *("wasted at half the size", "at twice"),
)
_BUILT = ("nearest shape", "its parameters", "state", "devices that hold it")


def _named(plan: BudgetPlan) -> dict[str, str]:
    """What the heads of tables name."""
    means = plan.hardware
    deadline = "" if means.deadline is None else hours_in_words(means.deadline / 3600)
    return {
        "currency": f" {plan.currency}".rstrip(),
        "devices": "" if means.devices is None else f"on {counted(means.devices, 'device')}",
        "deadline": deadline,
    }


def money_heads(plan: BudgetPlan) -> list[str]:
    """What the cells of `money_cells` are."""
    return [head.format(**_named(plan)) for head in _MONEY]


def money_cells(planned: PlannedBudget, plan: BudgetPlan) -> list[str]:
    """Device hours, cost, energy, wall time, devices for the deadline, and what a wrong size
    wastes; a dash for what is not known."""
    split = planned.split
    wasted = (
        (split.wasted_at_half_size, planned.wasted_cost_at_half_size),
        (split.wasted_at_twice_size, planned.wasted_cost_at_twice_size),
    )
    energy = planned.energy_kwh
    return [
        "-" if planned.device_hours is None else amount_in_words(planned.device_hours),
        "-" if planned.cost is None else amount_in_words(planned.cost),
        "-" if energy is None else energy_in_words(energy),
        "-" if planned.wall_hours is None else hours_in_words(planned.wall_hours),
        "-" if planned.devices_for_deadline is None else f"{planned.devices_for_deadline:,}",
        *(
            "-"
            if share is None
            else f"{100 * share:.2g}%" + ("" if cost is None else f" ({amount_in_words(cost)})")
            for share, cost in wasted
        ),
    ]


def _built_cells(planned: PlannedBudget, plan: BudgetPlan) -> list[str]:
    return built_cells(planned)


def built_cells(planned: PlannedBudget) -> list[str]:
    """The nearest shape and its parameters, the state and the devices that hold it; a dash for what
    is not known."""
    shape, state, devices = planned.shape, planned.state_bytes, planned.devices_for_memory
    return [
        "-" if shape is None else shape_in_words(shape),
        "-" if shape is None else count_in_words(shape.params),
        "-" if state is None else bytes_in_words(state),
        "-" if devices is None else f"{devices:,}",
    ]


def shape_in_words(shape: BuildableShape) -> str:
    """Width, depth and heads."""
    return f"width {shape.width}, depth {shape.depth}, {counted(shape.heads, 'head')}"


#: What is said of the runs themselves, wherever they are used.
_OF_ROWS = (
    *(LimitCode.LEFT_OUT, LimitCode.EDGE_LEFT_OUT, LimitCode.COUNTS_LESS),
    *(LimitCode.TUNING_TAKEN_OFF, LimitCode.FILLED_IN),
)


def approach_cells(plan: BudgetPlan) -> tuple[list[str], list[list[str]]]:
    """The best sizes and tokens by each approach: a head and rows."""
    digits = digits_apart(planned.split.budget for planned in plan)
    budgets = [f"{planned.split.budget:.{digits}g}" for planned in plan]
    head = ["approach", "exponent of N", *(f"{s} at {b}" for b in budgets for s in ("N", "D"))]
    rows = []
    for one in plan.approaches:
        exponent = "-" if one.exponent is None else f"{one.exponent:.3f}"
        if one.exponent is not None and one.interval is not None:
            exponent = power_text(one.exponent, one.interval).removeprefix("C^")
        sizes = [v for pair in zip(one.params, one.tokens, strict=True) for v in pair]
        rows.append([one.approach, exponent, *("-" if v is None else f"{v:.3g}" for v in sizes)])
    return head, rows


def approach_lines(plan: BudgetPlan) -> list[str]:
    """What is known of the approaches, what limits them on these runs or leaves one without an
    answer, and whether they agree, in sentences."""
    told = []
    for one in plan.approaches:
        name = one.approach if one is plan.approaches[-1] else f"approach {one.approach}"
        told.append(f"{name}: {one.known_bias}")
        for limit in one.limits:
            if limit.code is LimitCode.NO_ANSWER:
                told.append(f"{name}, no answer: {limit.text}")
            elif limit.code not in _OF_ROWS:
                told.append(f"{name}, here: {limit.text}")
    return [*told, SHARED_BIAS, *_agreement(plan)]


def _agreement(plan: BudgetPlan) -> list[str]:
    """Whether the exponents of the simpler approaches can be those of the weighted laws."""
    apart = [one.approach for one in plan.approaches if one.agrees is False]
    if apart:
        return [
            f"intervals of approach {' and of approach '.join(apart)}, lie apart from that of the "
            "weighted laws: how the best size grows rests on the choice of a method here"
        ]
    alike = [one.approach for one in plan.approaches if one.agrees]
    names = " and of approach ".join(alike)
    told = f"intervals of approach {names}, overlap that of the weighted laws"
    return [told] * bool(alike)
