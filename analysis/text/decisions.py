"""Budgets for a loss and splits of a budget as text."""

from collections.abc import Sequence

from analysis.decisions.budget_for_loss import BudgetForLoss
from analysis.decisions.optimal_split import Allocation, OptimalSplit
from analysis.text.numbers import digits_apart
from analysis.text.tables import FARTHEST
from scaling.display import Block, Section, Table, as_text
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
    rows = [
        [
            f"{answer.loss:g}",
            "unsupported" if answer.median is None else _budget(answer.median, answer.supported),
            *(
                "[{}, {}]".format(*(_budget(end, answer.supported) for end in answer.ranges[level]))
                for level in levels
            ),
        ]
        for answer in answers
    ]
    limits = texts(limit for answer in answers for limit in answer.limits)
    return [Table(header, rows), Section("limits", limits)]


def _budget(value: float, is_supported: bool) -> str:
    """A budget; 0 and infinity say that no end was found within the range that was searched."""
    if value == 0 or value == float("inf"):
        return "below the data" if value == 0 else "unbounded"
    return f"{value:.3g}" if is_supported else f"{value:.0e}"


def _best(split: OptimalSplit) -> list[str]:
    """Size, tokens and tokens per parameter of a split, if its digits mean something."""
    if split.params is None or split.tokens is None:
        return ["unsupported"] * 3
    return [f"{v:.3g}" for v in (split.params, split.tokens, split.tokens / split.params)]


def splits_text(splits: Sequence[OptimalSplit]) -> str:
    """The best size and tokens of each budget, as text."""
    return as_text(splits_blocks(splits))


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
        ends = ["[{:.5g}, {:.5g}]".format(*shown[level]) for level in levels]
        rises = [
            "-" if loss is None or at is None else f"{100 * (at / loss - 1):+.2f}%"
            for at in (split.loss_at_half_size, split.loss_at_twice_size)
        ]
        told = "unsupported" if loss is None else f"{loss:.5g}"
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
    rows = []
    for split in splits:
        cells = [f"{split.budget:.{digits}g}", *_best(split)]
        cells.append(f"{split.train_flops:.3g}")
        for level in levels:
            for span in (split.params_range[level], split.tokens_range[level]):
                cells.append(f"[{split.shown(span.low):.3g}, {split.shown(span.high):.3g}]")
        rows.append(cells)
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
        *against,
        Section("limits", texts(shared, without=(LimitCode.UNSUPPORTED,))),
    ]
