"""How far the runs carry a forecast along compute, or along another column: its curve to there."""

from dataclasses import dataclass

import numpy as np

from analysis.forecasting.answer.result import Forecast
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import FURTHEST_DECADES
from analysis.forecasting.question.targets import Targets
from analysis.tuning.screening import screen
from scaling.arrays import DECADE
from scaling.errors import ForecastError
from scaling.sources import Source, records_from

STEP = 0.05  # decades between the targets of a curve
MOST_STEPS = 100  # of a longer curve the steps are longer
#: How far at most, in spans of the runs: `analysis.fitting.measurements.reach` supports no more.
SPANS = 1.5
BEYOND = 0.3  # decades that a curve goes on where nothing is supported any more


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A forecast from the largest run on, as far as one is supported and a little further."""

    column: str
    smallest: float  # value of the column in the runs that fits may use
    largest: float
    furthest: float
    """The largest value up to which every target of the curve is supported; `largest` where
    none is."""
    curve: Forecast


def forecast_reach(records: Source, *, options: ForecastOptions = DEFAULT) -> Reach:
    """The forecast along compute (or ``options.x``) from the largest run that fits may use to where
    the rule of `analysis.forecasting.answer.support` gives no median any more.

    Each target is answered as `forecast` answers it alone. Raises its errors.
    """
    records, column = records_from(records), options.x or "train_flops"
    used = screen(records).with_values(column)
    if not len(used):
        raise ForecastError(f"{records.source}: no usable run with {column} and a loss")
    values = used.column(column)
    smallest, largest = float(values.min()), float(values.max())
    end = min(SPANS * np.log(largest / smallest) / DECADE, FURTHEST_DECADES - 1) + BEYOND
    steps = np.linspace(0.0, end, 1 + min(MOST_STEPS, int(np.ceil(end / STEP))))[1:]
    made = forecast(records, Targets.along(column, largest * 10.0**steps), options=options)
    carried = 0
    while carried < len(made.targets) and made.targets[carried].supported:
        carried += 1
    furthest = largest if carried == 0 else float(made.targets[carried - 1].at[column])
    return Reach(column=column, smallest=smallest, largest=largest, furthest=furthest, curve=made)
