"""What to run next, and whether it was worth what was said, as text."""

from collections.abc import Sequence

from analysis.decisions.further_runs.in_any_inputs import RunsToBuy
from analysis.decisions.further_runs.next_runs import NextRuns, Width
from analysis.decisions.further_runs.proposal_check import ProposalCheck
from analysis.decisions.further_runs.provisional import OpenCell, Provisional
from analysis.intervals import in_decimals
from analysis.text.numbers import count_in_words, percent_in_words
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.limits import LimitCode, texts
from scaling.words import counted

_MOST_ROWS = 40  # of runs that are printed


def next_runs_text(found: NextRuns, *, alone: bool = False) -> str:
    """A proposal as text; ``alone``: without what it rests on."""
    blocks = next_runs_blocks(found)
    return as_text(answer_alone(blocks) if alone else blocks)


def next_runs_blocks(found: NextRuns) -> list[Block]:
    """The runs, what they cost and what they narrow, the width before and after by its parts."""
    what = "forecast" if found.aim == "loss" else "best size"
    title = (
        f"what to run next for the {what} at {found.target_flops:.4g} FLOP, from "
        f"{counted(found.runs_now, 'run')} of {found.source}"
    )
    blocks: list[Block] = [title, ""]
    if found.runs:
        blocks += [_runs_table(found), ""]
    if found.checks:
        blocks += [
            f"and the learning-rate check of every shape, {found.checks_flops:.3g} FLOP",
            "",
        ]
    blocks.append(_widths_table(found))
    if found.after is not None:
        share = found.spent / found.budget
        blocks += [
            f"{found.spent:.3g} FLOP, {share:.0%} of the budget, narrow the 90% interval by "
            f"{found.narrowing:.0%}",
            "",
            f"chosen among {counted(found.on_offer, 'run')} on offer; the width after is told by "
            "the laws as they are fitted now",
        ]
    return [*blocks, Section("limits", texts(found.limits))]


def runs_to_buy_text(found: RunsToBuy, *, alone: bool = False) -> str:
    """Runs chosen of an offer as text; ``alone``: without what the choice rests on."""
    blocks = runs_to_buy_blocks(found)
    return as_text(answer_alone(blocks) if alone else blocks)


def runs_to_buy_blocks(found: RunsToBuy) -> list[Block]:
    """The runs in the order of the choice, what they take off, and by which laws."""
    percent, unit = (100, "%") if found.errors_are == "relative" else (1, " sd")
    now, after = (f"{percent * v:.2g}{unit}" for v in (found.width_now, found.width_after))
    blocks: list[Block] = [
        f"what to buy of {counted(found.on_offer, 'run')} on offer for "
        f"{counted(found.points, 'point')}, from {found.source}",
        "",
    ]
    if found.runs:
        blocks += [_bought_table(found), ""]
    if (more := len(found.runs) - _MOST_ROWS) > 0:
        blocks.append(f"and {counted(more, 'more run', 'more runs')}, in the JSON")
    return [
        *blocks,
        f"{counted(len(found.runs), 'run')} for {found.spent:.4g} of {found.budget:.4g}: the 90% "
        f"interval of the law at the points goes from {now} to {after} wide, if the law is right",
        "",
        *(f"{n}. {formula}" for n, formula in enumerate(found.formulas, start=1)),
        "rows are those of the offer (the header is row 1), in the order of the choice",
        Section("limits", texts(found.limits)),
    ]


def _bought_table(found: RunsToBuy) -> Table:
    """A row a run that is to be bought."""
    by = [found.by] if found.by else []
    rows = [
        [
            str(run.row + 2),
            *([run.group] if by else []),
            *(count_in_words(value) for value in run.at.values()),
            f"{run.cost:.3g}",
            percent_in_words(100 * run.takes_off),
        ]
        for run in found.runs[:_MOST_ROWS]
    ]
    return Table(["row", *by, *found.inputs, "cost", "takes off"], rows)


def _runs_table(found: NextRuns) -> Table:
    """A row a run."""
    has_sizes = found.runs[0].params is not None
    header = ["training FLOP", *(["params", "tokens"] if has_sizes else []), "seeds"]
    header += ["adds FLOP", "narrows by", "in the table"]
    rows = []
    for run in found.runs:
        sizes = [f"{run.params:.3g}", f"{run.tokens:.3g}"] if has_sizes else []
        had = counted(run.had, "run") if run.had else "new"
        narrows = percent_in_words(100 * run.narrows)
        rows.append(
            [f"{run.train_flops:.3g}", *sizes, str(run.times), f"{run.price:.3g}", narrows, had]
        )
    return Table(header, rows)


def _widths_table(found: NextRuns) -> Table:
    """The width now and with the runs, and what it is made of."""
    widths = {"now": found.now}
    if found.after is not None:
        widths["with these runs"] = found.after
    return _widths(widths, found.aim)


def _widths(widths: dict[str, Width], aim: str) -> Table:
    names = [name for name, share in next(iter(widths.values())).parts.items() if share > 0]
    names += [
        name
        for width in widths.values()
        for name, share in width.parts.items()
        if share > 0 and name not in names
    ]
    names = list(dict.fromkeys(names))
    header = ["90% interval", "width", *names]
    rows = [
        [label, width_in_words(width, aim), *(f"{width.parts.get(name, 0):.0%}" for name in names)]
        for label, width in widths.items()
    ]
    return Table(header, rows)


def width_in_words(width: Width, aim: str) -> str:
    """A width: in percent of a loss, or as a factor of a size; rough where it is no number."""
    if not width.supported:
        return f"unsupported (a factor of {width.factor:.2g})"
    if aim == "allocation":
        return f"a factor of {width.factor:.3g}"
    return percent_in_words(width.percent)


def proposal_check_text(found: ProposalCheck, *, alone: bool = False) -> str:
    """What was promised and what came of it, as text."""
    blocks = proposal_check_blocks(found)
    return as_text(answer_alone(blocks) if alone else blocks)


def proposal_check_blocks(found: ProposalCheck) -> list[Block]:
    """The width before, promised and measured."""
    what = "forecast" if found.aim == "loss" else "best size"
    title = (
        f"the proposal for the {what} at {found.target_flops:.4g} FLOP, by the runs of "
        f"{found.source}: {found.landed} of {counted(found.proposed, 'proposed run')} landed"
    )
    widths = {"before": found.before, "promised": found.promised, "measured": found.measured}
    words = {True: "lies", False: "does not lie"}
    held: Sequence[str] = []
    if found.held is not None:
        held = [f"the answer now {words[found.held]} in the 90% interval of before"]
    told = f"the interval is {found.share_of_promise:.2f} times as wide as was promised"
    return [
        title,
        "",
        _widths(widths, found.aim),
        told,
        *held,
        Section("limits", texts(found.limits)),
    ]


def provisional_blocks(found: Provisional) -> list[Block]:
    """The cells that would change an answer, and by how much."""
    if not found:
        return ["nothing is open: every run came to its end"]
    sized = any(cell.params is not None for cell in found.cells)
    is_heading = any(cell.heading_for is not None for cell in found.cells)
    header = ["open cell FLOP", *(["params", "tokens"] if sized else []), "runs", "measured"]
    header += ["loss expected", "90%", "moves it by"]
    header += ["heading for", "then"] * is_heading
    rows = [_open_cells(cell, found.aim, sized, is_heading) for cell in found.cells]
    # the line says what that limit says
    limits = texts(found.limits, without=(LimitCode.PROVISIONAL,))
    return [provisional_line(found), Table(header, rows), Section("limits", limits)]


def provisional_line(found: Provisional) -> str:
    """What would move, and how far all open cells together would move it."""
    what = "loss" if found.aim == "loss" else "best size"
    if found.target_flops is None or found.together is None:
        return f"provisional: the {what} may change with {counted(len(found.cells), 'open cell')}"
    now = "" if found.now is None else f" of {found.now:.4g}"
    return (
        f"provisional: the {what}{now} at {found.target_flops:.3g} FLOP would move by up to "
        f"{percent_in_words(100 * found.together)} with {counted(len(found.cells), 'open cell')} "
        "measured (nine times in ten)"
    )


def _open_cells(cell: OpenCell, aim: str, sized: bool, is_heading: bool) -> list[str]:
    sizes = ["-" if v is None else f"{v:.3g}" for v in (cell.params, cell.tokens)]
    runs = ", ".join(f"{count} {state}" for state, count in cell.states.items())
    expected = ["-", "-"]
    if cell.predicted is not None and cell.interval is not None:
        told = in_decimals(cell.predicted, cell.interval, 3)
        expected = [told[0], f"[{told[1]}, {told[2]}]"]
    moves = "-" if cell.moves is None else percent_in_words(100 * cell.moves)
    ends = ["-" if v is None else f"{v:.4g}" for v in (cell.heading_for, cell.would_be)]
    return [
        f"{cell.train_flops:.3g}",
        *(sizes if sized else []),
        runs,
        str(cell.measured),
        *expected,
        moves,
        *(ends if is_heading else []),
    ]
