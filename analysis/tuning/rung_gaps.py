"""One column for what bad tuning costs a rung, whatever kind of check found it.

`tuning_gap` (with `tuning_gap_stderr`) is the loss that the recipe costs against the best one found
on the rung, on the row of the run that was checked: as the table gives it, else as the arms of its
check tell it (`recipe_arms`), else what the learning rate alone costs (`lr_gap`).
"""

import numpy as np
import pandas as pd

from analysis.tuning.response import RecipeGap, recipe_gaps
from scaling.errors import FitError, RecordError
from scaling.extra_columns.recipe_arms import arms_from
from scaling.extra_columns.rung_health import Health

#: A relative gap from which a rung is `soft`, if it is more than its standard error.
SOFT_GAP = 0.001


def with_tuning_gap(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `tuning_gap`, `tuning_gap_stderr` and, of a check of the recipe, `health`.

    A rung whose learning rate is right and whose other constants are not is `soft`. A table without
    any check comes back unchanged. Raises RecordError for arms that cannot be read.
    """
    found = gaps_found(table)
    names = ("tuning_gap", "tuning_gap_stderr")
    if not found and not {"tuning_gap", "lr_gap"} & set(table):
        return table
    table = table.copy()
    for name, older in zip(names, ("lr_gap", "lr_gap_stderr"), strict=True):
        given = _numbers(table, name)
        told = pd.Series({row: _value(gap, name) for row, gap in found.items()}, dtype=float)
        own = told.reindex(table.index)
        table[name] = given.fillna(own).fillna(_numbers(table, older))
    if not found:
        return table
    health = table["health"] if "health" in table else pd.Series(None, index=table.index)
    health = health.astype(object)
    for row, gap in found.items():
        costs = gap.gap >= SOFT_GAP and gap.gap > gap.stderr
        if health[row] != Health.CAP:  # what the rate's cap binds stays bound
            health[row] = Health.SOFT.value if costs else Health.OK.value
    return table.assign(health=health)


def gaps_found(table: pd.DataFrame) -> dict[object, RecipeGap]:
    """By row, what the arms of its check tell of the recipe."""
    if "recipe_arms" not in table:
        return {}
    texts = table["recipe_arms"].dropna()
    texts = texts[texts.astype(str).str.strip() != ""]
    if not len(texts):
        return {}
    try:
        gaps = recipe_gaps([arms_from(str(text)) for text in texts])
    except FitError as error:
        raise RecordError(str(error)) from error
    return dict(zip(texts.index, gaps, strict=True))


def _value(gap: RecipeGap, name: str) -> float:
    return gap.gap if name == "tuning_gap" else gap.stderr


def _numbers(table: pd.DataFrame, name: str) -> "pd.Series":
    if name not in table:
        return pd.Series(np.nan, index=table.index)
    return pd.to_numeric(table[name], errors="coerce")
