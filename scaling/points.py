"""Points to predict, beside a table of runs: their columns have the units of the runs' own."""

from typing import TYPE_CHECKING

import numpy as np

from scaling.tables.reading import as_written

if TYPE_CHECKING:
    import pandas as pd

    from scaling.records import Records

_SAME = 1e-9  # relative: two factors so near are one, written in other digits


def in_our_units(points: "pd.DataFrame", records: "Records") -> "pd.DataFrame":
    """The points with numbers in our units where their columns are spelt as in the runs' table,
    whose heading, or whoever read it, has another: a "Params (M)" is millions in both."""
    changed = {}
    for ours in map(str, records.table.columns):
        theirs = records.names.get(ours, ours)
        if theirs in points and (factor := factor_of(records, ours)) != 1:
            values = as_written(points, {ours: theirs}, ours)
            changed[theirs] = (values * factor).astype(object).where(values.notna(), points[theirs])
    return points.assign(**changed)


def factor_of(records: "Records", name: str) -> float:
    """By what the numbers of the runs' own table are multiplied to be in our unit of a column; one
    where they are, and where there is no such factor."""
    theirs = records.names.get(name, name)
    if records.raw is None or theirs not in records.raw:
        return 1.0
    written = as_written(records.raw, {**records.names, name: theirs}, name)
    if records.table[name].dtype.kind not in "fiu":
        return 1.0
    with np.errstate(all="ignore"):
        ratio = (records.table[name] / written.reindex(records.table.index)).to_numpy(np.float64)
    known = ratio[np.isfinite(ratio)]
    if not len(known) or np.ptp(known) > _SAME * abs(known[0]):
        return 1.0
    return float(f"{known[0]:.9g}")
