"""Tables of where things stand: runs, rungs, and sealed forecasts."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evaluation.verdicts import UNCOUNTED, SealStanding
from analysis.intervals import LEVEL
from analysis.report.findings import Findings
from analysis.report.tables.cells import (
    HEADS,
    NO_INTERVAL,
    Table,
    loss_head,
    or_dash,
    predicted_cells,
    size_cell,
)
from analysis.report.words.places import SYMBOLS
from analysis.text.numbers import MINUS, loss_in_words, percent_in_words
from analysis.text.tuning import gap_text
from analysis.tuning.rungs import LadderHealth
from scaling.columns import COLUMNS
from scaling.extra_columns.references import references_of
from scaling.limits import LimitCode, texts
from scaling.records import Records
from scaling.words import counted

MOST_ROWS = 40  # configurations
MOST_RUNS = 200
MOST_SEEDS_LISTED = 4
USED = "used"
LEFT_OUT = "left out"
_WORTH_A_LOOK = ("running", "failed", "diverged")


def runs_table(findings: Findings) -> Table:
    """Every configuration with its seeds: size, tokens, compute, the settings that tell runs of
    one size apart, losses, and what became of it."""
    records = findings.records
    sizes = [c for c in ("params", "tokens", "train_flops") if c in records]
    if findings.x not in sizes:
        sizes.append(findings.x)
    settings = [c for c in records.settings_that_vary if c not in sizes]
    taking_part = findings.used.table.index
    shown = records.table.assign(state=_states(findings), configuration=records.configurations)
    shown = shown.sort_values([*reversed(sizes)], kind="stable")
    row_of = shown.groupby(["configuration", "state"], sort=False).ngroup().to_numpy()
    hidden, note = int(row_of.max()) + 1 - MOST_ROWS, ""
    if hidden > 0:  # the extremes tell more than the beginning: keep both ends
        at_ends = (row_of < MOST_ROWS // 2) | (row_of >= MOST_ROWS // 2 + hidden)
        shown, row_of = shown[at_ends], row_of[at_ends]
        note = f"{counted(hidden, 'configuration')} in the middle not listed."
    rows: list[tuple[str, ...]] = []
    marked: list[int] = []
    for _, group in shown.groupby(row_of):
        first, state = group.iloc[0], str(group["state"].iloc[0])
        cells = [size_cell(float(first[column]), column) for column in sizes]
        cells += [_setting(first[column]) for column in settings]
        if group.index[0] not in taking_part:
            marked.append(len(rows))
        rows.append((*cells, str(len(group)), _losses(group["loss"].to_numpy(float)), state))
    heads = (*(HEADS.get(c, c) for c in sizes), *(_setting_head(c) for c in settings))
    return Table(
        head=(*heads, "Seeds", loss_head(records), "State"),
        rows=tuple(rows),
        marked=tuple(marked),
        note=note,
    )


def references_table(findings: Findings) -> Table:
    """What the losses are held against, and how many of the runs that fits use lie below."""
    used = findings.used
    found, losses = references_of(used), used.column("loss")
    rows = [
        (
            f"{line.name}: {line.about}" if line.about else line.name,
            line.in_words,
            "all" if line.loss is None else f"{int((losses < line.loss).sum()):,} of {len(used):,}",
        )
        for line in found.lines
    ]
    note = " ".join(f"{text[:1].upper()}{text[1:]}." for text in found.told)
    head = ("Held against", loss_head(used), "Runs below it")
    return Table(head=head, rows=tuple(rows), note=note)


def _setting_head(column: str) -> str:
    return column.replace("_", " ").capitalize() if column in COLUMNS else column


def _setting(value: Any) -> str:
    """A setting as a cell: a learning rate, a schedule."""
    if pd.isna(value):
        return NO_INTERVAL
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _states(findings: Findings) -> pd.Series:
    """What became of each run: used by the fits, not finished, held out, or why it is left out."""
    records, used = findings.records, findings.used
    because = {run.row: f"{LEFT_OUT}: {run.reason}" for run in used.dropped}
    left_out = [because.get(name, LEFT_OUT) for name in records.row_names]
    state = pd.Series(left_out, index=records.table.index)
    status = records.status.replace("settled", "settled: stopped, not measured")
    state[~records.is_finished] = status[~records.is_finished]
    if "held_out" in records:
        state[records.is_finished & records.table["held_out"].astype(bool)] = "held out"
    state[records.table.index.isin(used.table.index)] = USED
    return state


def _losses(losses: np.ndarray) -> str:
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return "\u2013"
    if len(finite) <= MOST_SEEDS_LISTED:
        return ", ".join(loss_in_words(v) for v in finite)
    return f"{loss_in_words(finite.min())} to {loss_in_words(finite.max())}"


def dropped_table(findings: Findings) -> Table:
    """How many rows were left out of the fits, by reason."""
    counted = findings.used.dropped_by_reason
    return Table(
        head=("Reason", "Rows"),
        rows=tuple((reason, str(count)) for reason, count in counted.items()),
    )


def health_table(health: LadderHealth | None) -> Table:
    """Every rung with what its check and its curves show, and what fits make of it."""
    if health is None:
        return Table(head=(), rows=())
    rungs = health.rungs
    rows = [
        (
            rung.name,
            str(rung.runs),
            rung.status.value if rung.status else "not checked",
            or_dash(rung.lr_offset, lambda v: f"{v:+.2f}".replace("-", MINUS)),
            gap_text(rung).replace("+-", "\u00b1").replace("-", "\u2013"),
            or_dash(rung.clipped_share, lambda v: f"{100 * v:.0f}%"),
            or_dash(rung.spikes, str),
            or_dash(rung.curve_deviation, lambda v: percent_in_words(100 * v, signed=True))
            + (" (apart)" if rung.stands_apart else ""),
            f"{rung.weight:.2f}" if rung.weight else "left out",
        )
        for rung in rungs
    ]
    head = (
        "Rung",
        "Runs",
        "Check",
        "ln offset",
        "Gap to the best",
        "Clipped steps",
        "Spikes",
        "Curve off the others",
        "Weight in fits",
    )
    marked = tuple(i for i, r in enumerate(rungs) if r.weight < 1 or r.stands_apart or r.spikes)
    return Table(head=head, rows=tuple(rows), marked=marked)


def health_reasons(health: LadderHealth | None) -> tuple[str, ...]:
    """Why rungs count as they do, those with one reason together."""
    by_reason: dict[str, list[str]] = {}
    for rung in health.rungs if health else ():
        by_reason.setdefault(rung.reason, []).append(rung.name)
    return tuple(f"{'; '.join(names)}: {reason}" for reason, names in by_reason.items())


def state_counts(records: Records) -> Mapping[str, int]:
    """How many runs are in each state."""
    return dict(Counter(records.status))


def best_run(records: Records) -> tuple[str, float] | None:
    """The run of the lowest loss and that loss, of the finished runs that are not held out; None
    where none has a loss."""
    if "loss" not in records:
        return None
    shown = records.is_finished & np.isfinite(records.column("loss"))
    if "held_out" in records:
        shown = shown & ~records.table["held_out"].astype(bool).to_numpy()
    if not shown.any():
        return None
    where = int(np.argmin(np.where(shown, records.column("loss"), np.inf)))
    return records.row_names[where], float(records.column("loss")[where])


def standing_table(records: Records, outlooks: Mapping[str, str]) -> Table:
    """Every run with its state, what is going on first; ``outlooks`` say, by run id, where running
    cells are heading. A held-out loss stays unread."""
    table = records.table.assign(status=records.status)
    sizes = [c for c in ("params", "tokens", "train_flops") if c in records]
    if sizes:
        table = table.sort_values([*reversed(sizes)], kind="stable")
    order = {state: rank for rank, state in enumerate(_WORTH_A_LOOK)}
    table = table.sort_values("status", key=lambda s: s.map(order).fillna(9), kind="stable")
    hidden = len(table) - MOST_RUNS
    table = table.head(MOST_RUNS)
    rows = [_standing_row(row, sizes, outlooks) for row in table.to_dict("records")]
    head = (*(HEADS[c] for c in sizes), "Seed", "State", loss_head(records), "Remark")
    marked = tuple(np.flatnonzero(table["status"].isin(order)).tolist())
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return Table(
        head=head,
        rows=tuple(rows),
        marked=marked,
        note=f"{counted(hidden, 'more run')}." if hidden > 0 else "",
    )


def _standing_row(
    row: Mapping[Hashable, Any], sizes: Sequence[str], outlooks: Mapping[str, str]
) -> tuple[str, ...]:
    loss, seed, reason = float(row.get("loss", np.nan)), row.get("seed"), row.get("reason")
    shown = "held out" if row.get("held_out") else loss_in_words(loss)
    return (
        *(size_cell(float(row[column]), column) for column in sizes),
        NO_INTERVAL if seed is None or np.isnan(seed) else f"{seed:g}",
        str(row["status"]),
        shown if np.isfinite(loss) else NO_INTERVAL,
        outlooks.get(str(row.get("run_id"))) or (reason if isinstance(reason, str) else ""),
    )


#: What is said once of all seals, or by the words of a cell.
_OF_ALL = (LimitCode.WAITING, LimitCode.NOT_PROVED, LimitCode.SEAL_MISSING)


def seals_table(standings: Sequence[SealStanding], confidence_level: float = LEVEL) -> Table:
    """Every sealed prediction with its verdict, or what it is waiting for; oldest first.

    A seal without an interval at ``confidence_level`` shows its first one, and says which it is.
    """
    rows: list[tuple[str, ...]] = []
    missed = []
    for standing in standings:
        seal, verdicts = standing.seal, list(standing.verdicts)
        for target in seal.targets:
            own = [verdict for verdict in verdicts if verdict.at == target.at]
            first = next(iter(target.intervals))
            level = confidence_level if confidence_level in target.intervals else first
            predicted, span = predicted_cells(target.median, target.intervals[level])
            cells = (
                seal.name,
                seal.sealed_at[:16].replace("T", " "),
                _place(target.at, target.asked),
                predicted,
                span if level == confidence_level else f"{span} ({100 * level:g}%)",
            )
            for verdict in own:
                inside = verdict.inside[level]
                if not inside:
                    missed.append(len(rows))
                error = or_dash(verdict.error, lambda v: percent_in_words(100 * v, signed=True))
                held = "inside" if inside else "OUTSIDE"
                if not verdict.counted:
                    against = texts((*standing.limits, *verdict.limits), of=UNCOUNTED)
                    held = f"not counted ({held}): {'; '.join(against)}"
                rows.append((*cells, f"{verdict.measured:.4f}", error, held))
            if not own:
                refusals = texts(standing.limits, without=_OF_ALL)
                rows.append(
                    (
                        *cells,
                        "\u2013",
                        "\u2013",
                        "; ".join(refusals) or "not landed yet",
                    )
                )
    head = (
        "Name",
        "Sealed (UTC)",
        "Target",
        "Predicted",
        "Interval",
        "Measured",
        "Error",
        "Verdict",
    )
    return Table(head=head, rows=tuple(rows), marked=tuple(missed))


def _place(at: Mapping[str, float], columns: Sequence[str]) -> str:
    return ", ".join(f"{SYMBOLS.get(c, c)} {size_cell(at[c], c)}" for c in columns)
