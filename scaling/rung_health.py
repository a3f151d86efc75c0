"""How far the learning rate of a rung can be trusted, and what that means for a fit.

A rung is all runs of one shape. One of them, the cheapest, carries the result of the rung's
learning-rate check (`sweeps.training.learning_rate_check` measures it); here it is spread over the
others. A rung whose best learning rate was not bracketed (`edge`) takes no part in fits. Where the
rule missed the best learning rate, the loss stays and its uncertainty grows by what the miss cost.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Health(StrEnum):
    """What a rung's learning-rate check found."""

    OK = "ok"
    """The rule costs less than 0.1% of the loss."""
    SOFT = "soft"
    """It costs more: the loss is kept, its uncertainty widened by the cost."""
    EDGE = "edge"
    """The best learning rate lies outside what was tried: nobody knows what the rule costs."""
    CAP = "cap"
    """The recipe's cap bound the learning rate; treated as soft."""


EDGE_REASON = "edge: the best learning rate of its shape lies outside what was tried"
#: A relative loss gap at which a run counts half: about the spread of seeds in small runs.
HALF_WEIGHT_GAP = 0.005
_RUNG = ("family", "width", "depth", "heads", "context", "vocab_size", "data", "recipe_hash")


def rung_columns(table: "pd.DataFrame") -> list[str]:
    """The columns that runs of one rung agree in, those of them that this table has."""
    return [name for name in _RUNG if name in table]


def spread_health(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with `health` and `lr_gap` of each rung on all its runs.

    `loss_stderr` is widened by the gap (in quadrature), and `health_weight` is 1 for a run without
    gap or without check, one half at a gap of 0.5%. A table that has `health_weight` has been
    through here and comes back unchanged.
    """
    if "health_weight" in table:
        return table
    table = table.copy()
    key = rung_columns(table)
    if key:
        for name in ("health", "lr_gap"):
            if name in table:
                spread = table.groupby(key, dropna=False)[name].transform("first")
                table[name] = spread
    gap = _gaps(table)
    if "loss_stderr" in table:
        import pandas as pd  # here: training imports Health, and needs no tables

        own = pd.to_numeric(table["loss_stderr"], errors="coerce").fillna(0.0)
        widened = np.hypot(own, gap * table["loss"])
        table["loss_stderr"] = table["loss_stderr"].where(gap == 0, widened)
    table["health_weight"] = 1 / (1 + (gap / HALF_WEIGHT_GAP) ** 2)
    return table


def _gaps(table: "pd.DataFrame") -> "pd.Series":
    """The relative loss gap of each run; zero where the check found none that counts, or is
    missing."""
    import pandas as pd

    if "lr_gap" not in table:
        return pd.Series(0.0, index=table.index)
    gap = pd.to_numeric(table["lr_gap"], errors="coerce").fillna(0.0).clip(lower=0.0)
    return gap.where(table["health"].isin([Health.SOFT, Health.CAP]), 0.0)
