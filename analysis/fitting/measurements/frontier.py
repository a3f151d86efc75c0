"""The frontier of a ladder: its budgets, and the runs that no cheaper run beats."""

import numpy as np

from analysis.tuning.screening import screen
from scaling.answerable import budget_numbers
from scaling.records import Records


def unbeaten_runs(records: Records) -> Records:
    """The usable runs whose configuration no configuration of at most their budget beats.

    Repeats of one configuration (`Records.configurations`) stay or go together, by their mean log
    loss: picking single lucky runs would bend the frontier down. A law L(C) speaks of these runs.
    The others join ``dropped`` with a reason.
    """
    used = screen(records, "train_flops")
    budgets = budget_numbers(np.log(used.column("train_flops")))
    log_loss = np.log(used.column("loss"))
    own = used.configurations
    groups = np.unique(budgets * (own.max(initial=0) + 1) + own, return_inverse=True)[1]
    means = np.bincount(groups, weights=log_loss) / np.bincount(groups)
    budget_of_group = np.zeros(len(means), dtype=np.int64)
    budget_of_group[groups] = budgets
    best = np.full(int(budgets.max(initial=0)) + 1, np.inf)
    np.minimum.at(best, budget_of_group, means)
    unbeaten = means <= np.minimum.accumulate(best)[budget_of_group]
    return used.select(unbeaten[groups], "beaten by a run of no more compute")
