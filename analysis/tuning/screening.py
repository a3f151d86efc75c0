"""Which runs take part in an answer, and what each counts: asked once per question.

    records -- weighed --> usable runs, each with what the check of its shape makes it count
            -- without_edges, or with_open_checks in a forecast by size --> the runs that take part
            -- Records.with_values --> those that have what the question needs

A shape whose best learning rate was not bracketed (`edge`) takes no part. Where the rule missed the
best learning rate the loss stays, and its uncertainty grows by what the miss cost.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.tuning.rung_gaps import with_tuning_gap
from scaling.extra_columns.rung_health import Health, rung_columns
from scaling.limits import LimitCode
from scaling.records import Records
from scaling.tables.rows.configurations import settings_that_vary, size_groups

EDGE_REASON = "edge: the best learning rate of its shape lies outside what was tried"
#: A relative loss gap at which a run counts half: about the spread of seeds in small runs.
HALF_WEIGHT_GAP = 0.005
_OF_SIZE = ("params", "tokens", "train_flops", "loss")
FEWEST_LEFT = 8  # runs: a surface fitted to fewer says little, and to five nothing
FEWEST_SIZES = 3  # of models, for the same reason
#: Any of these tells what the check of a shape found.
_CHECKED = {"health", "recipe_arms", "tuning_gap"}
MANY_OPEN = 0.35  # share of the runs whose check was left open


def screen(records: Records, *columns: str, or_zero: Collection[str] = ()) -> Records:
    """The runs that an answer from these columns (and the loss) rests on, and what they count;
    values are above zero, ``or_zero`` in some.

    Those left out are in ``dropped`` with a reason (`Records.usable`). Runs that were screened
    already are not screened again. Raises RecordError as `Records.usable` does.
    """
    records.require(*columns)
    return best_tuned(without_edges(weighed(records)), *columns).with_values(
        *columns, or_zero=or_zero
    )


def weighed(records: Records) -> Records:
    """The usable runs with `health_weight`, those of shapes left open (`edge`) still among them."""
    if records.screened:
        return records
    if _CHECKED & set(records.table):
        whole = records.whole or records
        records = replace(records, table=spread_health(records.table), whole=whole)
    return records.usable()


def best_tuned(weighed: Records, *columns: str) -> Records:
    """The runs of the best choice of learning rate, batch size and the like at each size and
    number of tokens; ``columns`` are those that an answer reads, and no choice to make: runs that
    differ in one of these stand beside each other."""
    tried = [c for c in settings_that_vary(weighed.table, tuning=True) if c not in columns]
    if not tried or "loss" not in weighed:
        return weighed
    log_loss = np.log(weighed.column("loss"))
    groups, own = size_groups(weighed.table), weighed.configurations
    if groups is None:
        return weighed
    if read := [c for c in columns if c in weighed and c not in _OF_SIZE]:
        keys = [groups, *(weighed.table[c] for c in read)]
        groups = weighed.table.groupby(keys, dropna=False).ngroup().to_numpy()
    means = np.bincount(own, log_loss) / np.bincount(own)
    best = np.full(int(groups.max()) + 1, np.inf)
    np.minimum.at(best, groups, means[own])
    reason = f"another {' or '.join(tried[:3])} is better at its size and tokens"
    return weighed.select(means[own] <= best[groups], reason)


def without_edges(weighed: Records) -> Records:
    """The runs but those of a shape whose best learning rate lies outside what was tried."""
    if "health" not in weighed:
        return weighed
    at_edge = (weighed.table["health"] == Health.EDGE).to_numpy()
    return weighed.select(~at_edge, EDGE_REASON, LimitCode.EDGE_LEFT_OUT)


def with_open_checks(weighed: Records) -> Records:
    """The runs with shapes whose best learning rate was not found kept in, if they are many.

    A few are left out, as in any fit. Where more than a third of the runs would go, or fewer than
    eight or three sizes be left, a forecast needs their span more: what the checks found is the
    least that they lost, and counts as a gap with an error as large as itself.
    """
    if "health" not in weighed or "tuning_gap_stderr" not in weighed:
        return without_edges(weighed)
    gap, stderr = weighed.column("tuning_gap"), weighed.column("tuning_gap_stderr")
    at_edge = (weighed.table["health"] == Health.EDGE).to_numpy()
    is_open = at_edge & np.isfinite(gap)
    left, whole = int(np.sum(~at_edge)), int(np.sum(~at_edge | is_open))
    params = weighed.table["params"][~at_edge] if "params" in weighed else None
    sizes = FEWEST_SIZES if params is None else params.round(-2).nunique()
    if left >= max(FEWEST_LEFT, (1 - MANY_OPEN) * whole) and sizes >= FEWEST_SIZES:
        return without_edges(weighed)
    table = weighed.table.assign(
        health=weighed.table["health"].where(~is_open, Health.SOFT.value),
        tuning_gap_stderr=np.where(is_open, np.hypot(gap, stderr), stderr),
    )
    return without_edges(replace(weighed, table=_discounted(table, is_open)))


def spread_health(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `health` and `tuning_gap` of each shape on all its runs.

    `loss_stderr` is widened by the gap (in quadrature), and `health_weight` is 1 for a run without
    gap or without check, one half at a gap of 0.5%. A table that has `health_weight` has been
    through here and comes back unchanged.
    """
    if "health_weight" in table:
        return table
    table = with_tuning_gap(table).assign(health_weight=1.0)
    key = rung_columns(table)
    if key:
        for name in ("health", "tuning_gap"):
            if name in table:
                table[name] = table.groupby(key, dropna=False)[name].transform("first")
    return _discounted(table, table["health"].isin([Health.SOFT, Health.CAP]).to_numpy())


def _discounted(table: pd.DataFrame, which: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The table with the loss gap of ``which`` runs in their weight and standard error."""
    if "tuning_gap" not in table:
        return table
    table = table.copy()
    gap = (
        pd.to_numeric(table["tuning_gap"], errors="coerce")
        .fillna(0.0)
        .clip(lower=0.0)
        .where(which, 0)
    )
    if "loss_stderr" in table:
        own = pd.to_numeric(table["loss_stderr"], errors="coerce").fillna(0.0)
        widened = np.hypot(own, gap * table["loss"])
        table["loss_stderr"] = table["loss_stderr"].where(gap == 0, widened)
    weight = 1 / (1 + (gap / HALF_WEIGHT_GAP) ** 2)
    table["health_weight"] = table["health_weight"].where(~which, weight)
    return table
