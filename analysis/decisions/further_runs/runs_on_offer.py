"""What runs can be bought, and for how much: a list of somebody's, or what a table suggests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.decisions.further_runs.run_design import Choices
from analysis.forecasting.ladder import Ladder
from analysis.forecasting.weighing.forecaster import Forecaster
from scaling.arrays import FloatArray
from scaling.errors import ForecastError

_SIZES, _BUDGETS = 1.5, 2.0  # factors between sizes, and between budgets, of a table's offer
_ROOM = float(np.log(1.5))  # beyond the tokens per parameter that the table has
_MOST = 400  # runs that are chosen among


@dataclass(frozen=True, kw_only=True)
class RunOnOffer:
    """A run that can be bought."""

    train_flops: float
    params: float | None = None  # None where only compute is known
    tokens: float | None = None
    price: float | None = None  # FLOP; None: what it trains for
    shared_flops: float = 0.0
    """Of its price, what longer runs of the same trunk need not pay again."""
    trunk: str = ""  # runs of one name share their past; empty: none does


def as_choices(offer: Sequence[RunOnOffer], ladder: Ladder) -> Choices:
    """The runs on offer in the inputs of a ladder.

    Raises ForecastError for an empty offer, and for runs without size or tokens of a surface.
    """
    if not offer:
        raise ForecastError("no run is on offer; raise the budget, or allow other sizes")
    compute = np.log([run.train_flops for run in offer])
    if len(ladder.inputs) == 1:
        inputs = compute[:, None]
    else:
        sizes = np.array([[run.params, run.tokens] for run in offer], dtype=np.float64)
        if not (sizes > 0).all():  # None is not a number
            raise ForecastError("a run on offer has no size or no tokens; give both")
        inputs = np.log(sizes)
    price = np.array([run.train_flops if run.price is None else run.price for run in offer])
    return Choices(
        log_inputs=inputs,
        log_compute=compute,
        price=price,
        fork=np.array([run.shared_flops for run in offer]),
        trunk=tuple(run.trunk for run in offer),
    )


def offer_of_table(
    forecaster: Forecaster, log_best: float, target: float, budget: float
) -> tuple[RunOnOffer, ...]:
    """Runs like those of a table: its configurations again, and others between its smallest run and
    the budget, with tokens per parameter like its own.

    ``log_best`` is the log of the best size at the target, beyond which no size is offered.
    """
    ladder = forecaster.ladder
    smallest = float(ladder.log_compute.min())
    largest = max(np.log(min(budget, target)), smallest)
    steps = int((largest - smallest) / np.log(_BUDGETS))
    compute = largest - np.log(_BUDGETS) * np.arange(steps + 1)  # the dearest takes all of it
    if len(ladder.inputs) == 1:
        again = np.unique(ladder.log_compute)
        every = np.unique(np.concatenate([compute, again[again <= largest]]))
        return tuple(RunOnOffer(train_flops=float(np.exp(c))) for c in every[-_MOST:])
    ratios = ladder.log_inputs[:, 1] - ladder.log_inputs[:, 0]
    low_n, high_n = float(ladder.log_inputs[:, 0].min()), float(ladder.log_inputs[:, 0].max())
    sizes = np.arange(low_n, max(high_n, log_best) + 1e-9, np.log(_SIZES))
    n, c = (v.ravel() for v in np.meshgrid(sizes, compute))
    d = ladder.flops.log_tokens(c, n)
    alike = (d - n >= ratios.min() - _ROOM) & (d - n <= ratios.max() + _ROOM)
    found = np.column_stack([n, d])[alike]
    again = _configurations(ladder, largest)
    every = np.vstack([found, again])
    price = np.exp(ladder.flops.log_compute(*every.T))
    order = np.argsort(-price, kind="stable")[:_MOST]
    return tuple(
        RunOnOffer(
            train_flops=float(price[i]),
            params=float(np.exp(every[i, 0])),
            tokens=float(np.exp(every[i, 1])),
        )
        for i in order
    )


def _configurations(ladder: Ladder, largest: float) -> FloatArray:
    """Log size and tokens (configurations, 2) of the runs that a budget could repeat."""
    affordable = ladder.log_inputs[ladder.log_compute <= largest]
    return np.unique(np.round(affordable, 9), axis=0)
