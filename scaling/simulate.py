"""Records from a known law plus noise: for tests, demos, and "is this sweep big enough?"."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from scaling.errors import RecordError
from scaling.laws.base import Law
from scaling.laws.curves import M4, BrokenPowerLaw, PowerLaw, ShiftedPowerLaw, TwiceBrokenPowerLaw
from scaling.laws.surfaces import Chinchilla, DataConstrained, Overtraining, ShapeLaw, Skaling
from scaling.records import Records, records_from_table


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
    return records_from_table(table, source=f"simulated from {law.name}")


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
        raise RecordError(f"simulate: {law.name} has no optimal size; use chinchilla or skaling")
    flops, factor = np.meshgrid(np.asarray(train_flops, float), np.asarray(params_around_optimum))
    flops = flops.ravel()
    n = factor.ravel() * optimal(flops)
    return {"params": n, "tokens": flops / (6 * n), "train_flops": flops}


#: One plausible instance of every law. chinchilla has the constants of Hoffmann et al. 2022, and
#: data_constrained those of Muennighoff et al. 2023, both rounded; the others are made up.
EXAMPLES: dict[str, Law] = {
    law.name: law
    for law in (
        PowerLaw(a=900.0, b=-0.15, c=1.7),
        ShiftedPowerLaw(a=900.0, b=-0.15, c=1.7, s=1e17),
        M4(a=3e3, b=-0.17, c=1.7, L0=9.0, k=0.6),
        BrokenPowerLaw(a=1.2, b=50.0, c0=0.08, c1=0.12, d1=1e19, f1=0.6),
        TwiceBrokenPowerLaw(
            a=1.2, b=50.0, c0=0.08, c1=0.15, d1=1e18, f1=0.4, c2=-0.12, d2=1e20, f2=0.4
        ),
        Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
        Skaling(E=1.5, A=30.0, R=20.0, alpha=0.6, beta=0.62, k=0.5),
        Overtraining(E=1.84, A=166.0, B=287.0, alpha=0.273),
        DataConstrained(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353, r_d=15.4, r_n=5.3),
        ShapeLaw(E=1.6, A=20.0, G=1.5, B=400.0, alpha=0.6, gamma=0.9, beta=0.3),
    )
}


def example_runs(law: str) -> dict[str, npt.NDArray[np.float64]]:
    """Inputs of some 40 to 125 runs that identify every constant of the law of this name."""
    if EXAMPLES[law].inputs == ("train_flops",):
        return {"train_flops": np.geomspace(1e16, 1e22, 40)}
    if law == "shape_law":
        return _crossed(
            width=[128, 256, 512, 1024, 2048],
            depth=[2, 4, 8, 16, 32],
            tokens=np.geomspace(1e9, 1e12, 5),
        )
    if law == "data_constrained":
        runs = _crossed(
            params=np.geomspace(1e7, 1e10, 6),
            tokens=np.geomspace(1e8, 1e11, 6),
            unique_tokens=np.geomspace(1e8, 1e10, 4),
        )
        possible = runs["unique_tokens"] <= runs["tokens"]
        return {name: values[possible] for name, values in runs.items()}
    return _crossed(params=np.geomspace(1e7, 1e10, 7), tokens=np.geomspace(1e9, 1e12, 7))


def _crossed(**axes: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
    grids = np.meshgrid(*(np.asarray(values, dtype=np.float64) for values in axes.values()))
    return {name: grid.ravel() for name, grid in zip(axes, grids, strict=True)}
