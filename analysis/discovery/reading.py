"""From records to the table of a search: which runs take part, and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.discovery.forms.table import Table, roles_of
from analysis.fitting.groups.split import Groups, group_named, split
from analysis.tuning.screening import best_tuned
from scaling.arrays import FloatArray, IntArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.written.formula import undefined_at
from scaling.limits import Limit, LimitCode
from scaling.points import in_our_units
from scaling.records import Records
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.cells.proportions import columns_of_shares, odd_sum
from scaling.tables.notes import printable
from scaling.words import counted

LEAST_RUNS = 8  # of a group
MOST_INPUTS = 8
MOST_RUNS = 5000  # that a search reads; more tell it nothing and take minutes
_ENDS = 10  # runs at either end of each input


@dataclass(frozen=True)
class SearchedRuns:
    """The runs that take part in a search, as its table and as records."""

    table: Table
    records: Records
    by: str | None  # the column of the groups; None where all runs are one
    groups: tuple[str, ...]  # labels, in the order of the table's numbers
    limits: tuple[Limit, ...]


def read_table(records: Records, inputs: Sequence[str], by: str | None) -> SearchedRuns:
    """The finished runs with a value and all inputs. Raises FitError where a search cannot work."""
    names = tuple(dict.fromkeys(records.name_of(name) for name in inputs))
    if len(names) < len(inputs):
        raise FitError(f"--inputs name a column twice ({', '.join(map(printable, inputs))})")
    if len(names) > MOST_INPUTS:
        raise FitError(f"{len(names)} inputs, and a search takes {MOST_INPUTS} at most")
    if "loss" in names:
        raise FitError("the loss is what is sought; name other columns with --inputs")
    kept = _well_tuned(_usable(records, names), (*names, *([records.name_of(by)] if by else [])))
    groups = Groups(None, ("",), kept, np.zeros(len(kept), dtype=np.int64))
    if by is not None:
        groups = split(kept, by)
    kept, column, labels, group = groups.records, groups.by, groups.labels, groups.number
    for g in range(len(labels)):  # groups may differ in their data; the runs of one may not
        replace(kept, table=kept.table[group == g]).require_comparable()
    x = np.column_stack([kept.column(name) for name in names])
    y = kept.column("loss")
    roles = roles_of(x)
    _check(kept, names, x)
    _check_groups(kept, names, labels, group)
    is_relative = bool((y > 0).all())
    limits = [*kept.left_out(), *_of_one_run(kept)]
    if not is_relative:
        row = int(np.flatnonzero(y <= 0)[0])
        text = f"{printable(kept.names.get('loss', 'loss'))} has values at or below zero "
        text += f"({np.sum(y <= 0)} of {counted(len(y), 'run')}, {y[row]:g} in "
        text += f"{kept.row_names[row]}): errors are of the value itself, not relative to it, and "
        text += "a floor may be negative; leave such rows out with --where if they are none"
        limits.append(Limit(LimitCode.FALLBACK, text))
    for name, role in zip(names, roles, strict=True):
        if role == "offset":
            text = f"{printable(name)} has zeros: its powers are of the input and a constant"
            limits.append(Limit(LimitCode.FALLBACK, text))
    keep = _some(x, group)
    if len(keep) < len(x):
        text = f"{len(keep):,} of {counted(len(x), 'run')} are searched, drawn alike by every call"
        text += " from each group, and those at the ends of each input"
        limits.append(Limit(LimitCode.THINNED, text))
        kept = replace(kept, table=kept.table.iloc[keep])
    table = Table(names, x[keep], y[keep], group[keep], roles, is_relative)
    return SearchedRuns(table, kept, column, labels, tuple(limits))


def _of_one_run(records: Records) -> tuple[Limit, ...]:
    """That rows which share a past stand beside each other as runs of their own."""
    apart = records.table["trunk"].nunique(dropna=True) if "trunk" in records else 0
    shared = int(records.table["trunk"].notna().sum()) if apart else 0
    if shared <= apart:
        return ()
    text = (
        f"{counted(shared, 'row is', 'rows are')} of {counted(apart, 'run')}, and stand beside "
        "each other as runs of their own: intervals are narrower than so few runs allow"
    )
    return (Limit(LimitCode.FEW_RUNS, text),)


def _some(x: FloatArray, group: IntArray) -> IntArray:
    """The rows of so large a table that are searched, as many of each group; all of others."""
    if len(x) <= MOST_RUNS:
        return np.arange(len(x))
    rng, found = np.random.default_rng(0), []
    share = MOST_RUNS // (int(group.max()) + 1)
    for g in range(int(group.max()) + 1):
        rows = np.flatnonzero(group == g)
        if len(rows) > share:
            order = np.argsort(x[rows], axis=0, kind="stable")
            ends = np.unique(np.concatenate([order[:_ENDS], order[-_ENDS:]]))
            drawn = rng.permutation(np.setdiff1d(np.arange(len(rows)), ends))
            rows = rows[np.sort(np.concatenate([ends, drawn[: max(share - len(ends), 0)]]))]
        found.append(rows)
    return np.sort(np.concatenate(found))


def _well_tuned(records: Records, named: Sequence[str]) -> Records:
    """The runs of the best choice of what is named neither as an input nor as a group, such as the
    learning rate, among those that agree in the inputs; all where a value may be below zero."""
    return best_tuned(records, *named) if (records.column("loss") > 0).all() else records


def _usable(records: Records, names: Sequence[str]) -> Records:
    """Finished runs whose inputs and value are numbers, comparable with one another."""
    records.require(*names, "loss")
    kept = records.finished
    if "held_out" in kept:
        kept = kept.select(~kept.table["held_out"].astype(bool), "held out by the plan")
    for name in (*names, "loss"):
        kept = kept.select(np.isfinite(kept.column(name)), f"{name} is blank or not finite")
    if not len(kept):
        raise FitError(f"{records.source}: no run has {', '.join(names)} and a loss")
    return kept


def _check(records: Records, names: Sequence[str], x: FloatArray) -> None:
    rows = records.row_names
    for name, values in zip(names, x.T, strict=True):
        where = f"{records.source}: {printable(name)}"
        if (values < 0).any():
            row = int(np.flatnonzero(values < 0)[0])
            raise FitError(
                f"{where} is {values[row]:g} in {rows[row]}, and forms take powers of their "
                "inputs; shift the column above zero, or leave it out of --inputs"
            )
        if len(np.unique(values)) < 2:
            raise FitError(f"{where} never varies ({values[0]:g} in all runs); leave it out")
    shares = columns_of_shares(x)
    if (odd := odd_sum(x[:, shares])) is not None and shares:
        named = ", ".join(printable(names[i]) for i in shares)
        raise FitError(
            f"{records.source}: proportions ({named}) add up to {odd[1]:.4g} in {rows[odd[0]]}, to "
            "1 in others; mend that row, or leave it out with --where"
        )


def _check_groups(
    records: Records, names: Sequence[str], labels: Sequence[str], group: IntArray
) -> None:
    counts = np.bincount(group, minlength=len(labels))
    least = max(LEAST_RUNS, len(names) + 3)
    if counts.min() < least:
        few = printable(labels[int(counts.argmin())])
        gone = [f"{count} {why}" for why, count in records.dropped_by_reason.items()]
        of = f" of group {few}" if len(labels) > 1 else ""
        raise FitError(
            f"{records.source}: {counted(int(counts.min()), 'run')}{of}, and a search in "
            f"{counted(len(names), 'input')} needs {least}; collect more, or name fewer inputs"
            + (f" (left out: {', '.join(gone)})" if gone else "")
        )


def read_points(points: pd.DataFrame, read: SearchedRuns) -> tuple[FloatArray, IntArray]:
    """The inputs (points, inputs) and groups (points,) of a table of points. Raises FitError with
    the row of what is missing."""
    points = in_our_units(points, read.records)
    spelt = {str(name): str(name) for name in points.columns}
    spelt |= {read.records.name_of(str(name)): str(name) for name in points.columns}
    columns: list[FloatArray] = []
    for name in read.table.names:
        if name not in spelt:
            has = ", ".join(printable(str(c)) for c in list(points.columns)[:12])
            raise FitError(f'points: no column "{printable(name)}" (they have: {has})')
        values = read_numbers(points[spelt[name]])[0].to_numpy(dtype=np.float64)
        allowed = values > 0 if read.table.roles[len(columns)] == "scale" else values >= 0
        if (bad := np.flatnonzero(~(np.isfinite(values) & allowed))).size:
            cell = printable(str(points[spelt[name]].iloc[int(bad[0])]))
            least = "above" if read.table.roles[len(columns)] == "scale" else "at or above"
            raise FitError(
                f'points: {printable(name)} is "{cell}" in row {int(bad[0]) + 2}; give a number '
                f"{least} zero"
            )
        columns.append(values)
    if not len(points):
        raise FitError("points: no rows; give one row a point to predict")
    shares = [columns[i] for i in read.table.of_role("proportion")]
    if shares and (odd := odd_sum(np.column_stack(shares))) is not None:
        named = ", ".join(printable(read.table.names[i]) for i in read.table.of_role("proportion"))
        raise FitError(
            f"points: proportions ({named}) add up to {odd[1]:.4g} in row {odd[0] + 2}, to 1 in "
            "the runs"
        )
    return np.column_stack(columns), _groups_of_points(points, read, spelt)


def require_defined(
    law: type[Law], read: SearchedRuns, asked: tuple[FloatArray, IntArray] | None
) -> None:
    """Refuse a formula of more constants than there are different runs, or that has no value at a
    run, or at a point that is asked for; FitError."""
    constants, runs = law.constant_names(), len(np.unique(read.table.inputs, axis=0))
    if len(constants) > runs:
        raise FitError(
            f'{read.records.source}: "{printable(law.name)}" has {len(constants)} constants '
            f"({', '.join(constants)}), but the usable runs have only "
            f"{counted(runs, 'different configuration')}; add runs or write a simpler law"
        )
    tables = [(read.records.source, read.table.inputs, read.records.row_names)]
    if asked is not None:
        tables.append(("points", asked[0], [f"row {i + 2}" for i in range(len(asked[0]))]))
    places = [read.table.names.index(name) for name in law.inputs]
    for source, inputs, rows in tables:
        columns = tuple(inputs[:, i] for i in places)
        row = undefined_at(law, columns, read.table.y)
        if row is not None:
            at = ", ".join(
                f"{printable(n)} = {x[row]:g}" for n, x in zip(law.inputs, columns, strict=True)
            )
            raise FitError(
                f'{source}: "{printable(law.name)}" has no finite value in {rows[row]} ({at})'
            )


def _groups_of_points(points: pd.DataFrame, read: SearchedRuns, spelt: dict[str, str]) -> IntArray:
    if read.by is None:
        return np.zeros(len(points), dtype=np.int64)
    if read.by not in spelt:
        raise FitError(f'points: no column "{printable(read.by)}", by which the runs are grouped')
    found = []
    for row, value in enumerate(points[spelt[read.by]]):
        label = group_named(value, read.groups)
        if label is None:
            have = ", ".join(printable(label) for label in read.groups[:8])
            raise FitError(
                f'points: {printable(read.by)} is "{printable(str(value))}" in row {row + 2}, '
                f"and no run is (there are: {have})"
            )
        found.append(read.groups.index(label))
    return np.array(found, dtype=np.int64)
