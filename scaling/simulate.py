"""Records from a known law plus noise: for tests, demos, and "is this sweep big enough?"."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from scaling.errors import RecordError
from scaling.laws.base import Law
from scaling.laws.surfaces import Chinchilla, Skaling
from scaling.records import Records, records_from_table
from scaling.tables.reading import Reading


def simulate_records(
    law: Law,
    runs: Mapping[str, npt.ArrayLike] | Sequence[Sequence[float]],
    *,
    relative_noise: float = 0.0,
    run_noise: float = 0.0,
    replicates: int = 1,
    seed: int = 0,
) -> Records:
    """Records whose losses follow ``law``.

    ``runs`` gives the law's inputs: columns by name (more columns are kept), or one row a run in
    the order of ``law.inputs``. ``relative_noise`` is the standard deviation of ln loss from one
    replicate to the next; ``run_noise`` is shared by all replicates of a configuration, like the
    misfit of a law. Each configuration appears ``replicates`` times with seeds 0, 1, ...
    """
    if isinstance(runs, Mapping):
        table = pd.DataFrame({name: np.asarray(values) for name, values in runs.items()})
    else:
        table = pd.DataFrame(np.asarray(runs, dtype=np.float64), columns=list(law.inputs))
    missing = [name for name in law.inputs if name not in table]
    if missing:
        raise RecordError(f"simulate: {law.name} needs the column {missing[0]}; add it to the runs")
    if replicates < 1:
        raise RecordError(f"simulate: {replicates} replicates; there must be at least one")
    rng = np.random.default_rng(seed)
    log_loss = np.log(law.loss(*(table[name].to_numpy(float) for name in law.inputs)))
    log_loss = log_loss + run_noise * rng.standard_normal(len(table))
    table = table.loc[table.index.repeat(replicates)].reset_index(drop=True)
    noise = relative_noise * rng.standard_normal(len(table))
    table["loss"] = np.exp(np.repeat(log_loss, replicates) + noise)
    table["seed"] = np.tile(np.arange(replicates), len(log_loss))
    if relative_noise > 0:
        table["loss_stderr"] = relative_noise * table["loss"]
    table["run_id"] = [f"simulated-{i}" for i in range(len(table))]
    units = Reading(units=dict.fromkeys(("params", "tokens"), "1"))  # however small the models
    return records_from_table(table, source=f"simulated from {law.name}", reading=units)


def grid_of_runs(
    params: npt.ArrayLike, tokens_per_param: npt.ArrayLike
) -> dict[str, npt.NDArray[np.float64]]:
    """Every size with every ratio of tokens to parameters, with C = 6 N D."""
    n, ratio = np.meshgrid(np.asarray(params, float), np.asarray(tokens_per_param, float))
    n, d = n.ravel(), (n * ratio).ravel()
    return {"params": n, "tokens": d, "train_flops": 6 * n * d}


def isoflop_runs(
    train_flops: npt.ArrayLike, params_around_optimum: npt.ArrayLike, law: Law
) -> dict[str, npt.NDArray[np.float64]]:
    """At each budget, sizes at these multiples of the law's optimal size; tokens follow."""
    optimal = getattr(law, "optimal_params", None)
    if optimal is None:
        other = f"{Chinchilla.name} or {Skaling.name}"
        raise RecordError(f"simulate: {law.name} has no optimal size; use {other}")
    flops, factor = np.meshgrid(np.asarray(train_flops, float), np.asarray(params_around_optimum))
    flops = flops.ravel()
    n = factor.ravel() * optimal(flops)
    return {"params": n, "tokens": flops / (6 * n), "train_flops": flops}
