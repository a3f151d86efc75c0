"""Budgets for a loss and splits of a budget as text."""

from collections.abc import Sequence

from analysis.decisions.budget_for_loss import BudgetForLoss
from analysis.decisions.optimal_split import Allocation, OptimalSplit
from analysis.intervals import telling_digits
from analysis.text.numbers import digits_apart
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
        rows.append([f"{split.budget:.{digits}g}", told, *ends, *rises])
    return [
        "",
        Table([*header, "at half the size", "at twice"], rows),
        "intervals are of the loss of a new run; the last columns are what a wrong size costs",
    ]


def splits_blocks(splits: Sequence[OptimalSplit]) -> list[Block]:
    """The best size and tokens of each budget, and which law says so."""
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
        "",
        f"answered by: {splits[0].law}",
        OF_ONE_LAW,
        *standing,
        f"({FARTHEST})",
        Section("limits", [*against, *texts(shared, without=(LimitCode.UNSUPPORTED,))]),
    ]
