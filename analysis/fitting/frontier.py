"""The frontier of a ladder: its budgets, and the runs that no cheaper run beats."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.tuning.screening import screen
from scaling.answerable import budget_numbers
from scaling.records import Records


def unbeaten_runs(records: Records) -> Records:
    """The usable runs whose configuration no configuration of at most their budget beats.

    Seeds of one configuration stay or go together, by their mean log loss: picking single lucky
    runs would bend the frontier down. A law L(C) speaks of these runs. The others join
    ``dropped`` with a reason.
    """
    used = screen(records, "train_flops")
    budgets = budget_numbers(np.log(used.column("train_flops")))
    log_loss = np.log(used.column("loss"))
    sizes = [used.column(name) for name in ("params", "tokens") if name in used]
    inputs: list[npt.NDArray[Any]] = [np.round(np.log(values), 6) for values in sizes]
    if not inputs:  # without sizes nothing tells seeds from configurations
        inputs = [np.arange(len(used), dtype=np.float64)]
    groups = np.unique(np.column_stack([budgets, *inputs]), axis=0, return_inverse=True)[1]
    groups = groups.reshape(-1)
    means = np.bincount(groups, weights=log_loss) / np.bincount(groups)
    budget_of_group = np.zeros(len(means), dtype=np.int64)
    budget_of_group[groups] = budgets
    best = np.full(int(budgets.max(initial=0)) + 1, np.inf)
    np.minimum.at(best, budget_of_group, means)
    unbeaten = means <= np.minimum.accumulate(best)[budget_of_group]
    return used.select(unbeaten[groups], "beaten by a run of no more compute")
