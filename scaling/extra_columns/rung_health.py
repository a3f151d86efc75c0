"""How far the learning rate of a rung can be trusted: what its check found.

A rung is all runs of one shape. One of them, the cheapest, carries the result of the rung's
learning-rate check (`sweeps.training.learning_rate_check` measures it). What that means for an
answer is the analysis's affair (`analysis.tuning.screening`).
"""

from enum import StrEnum
from typing import TYPE_CHECKING

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


_RUNG = (
    *("family", "width", "depth", "encoder_depth", "heads", "context", "vocab_size"),
    *("data", "recipe_hash"),
)


def rung_columns(table: "pd.DataFrame") -> list[str]:
    """The columns that runs of one rung agree in, those of them that this table has."""
    return [name for name in _RUNG if name in table]
