"""What the found forms say of new points, and where that is no number to read."""

from collections.abc import Sequence

import numpy as np

from analysis.discovery.ensemble import Ensemble
from analysis.discovery.reading import SearchedRuns
from analysis.discovery.result import PointPrediction
from analysis.fitting.measurements.reach import WIDEST, too_far
from analysis.intervals import Interval
from scaling.arrays import DECADE, FloatArray, IntArray
from scaling.limits import Limit, LimitCode
from scaling.tables.notes import printable


def point_predictions(
    ensemble: Ensemble,
    read: SearchedRuns,
    inputs: FloatArray,
    group: IntArray,
    levels: Sequence[float],
) -> tuple[PointPrediction, ...]:
    """Median and intervals of every point (points, inputs) by all forms together."""
    found = ensemble.predict(inputs, group)
    median = found.quantile(0.5)
    ends = {level: [found.quantile((1 + s * level) / 2) for s in (-1, 1)] for level in levels}
    ninety = [found.quantile(0.05), found.quantile(0.95)]
    predictions = []
    for k in range(len(inputs)):
        against = _unsupported(read, inputs[k])
        if not against and read.table.is_relative and np.log(ninety[1][k] / ninety[0][k]) > WIDEST:
            text = "its 90% interval is wider than a factor of 1.5"
            against = (Limit(LimitCode.UNSUPPORTED, text),)
        predictions.append(
            PointPrediction(
                at=dict(zip(read.table.names, map(float, inputs[k]), strict=True)),
                group=read.groups[int(group[k])],
                median=None if against else float(median[k]),
                intervals={v: Interval(float(a[k]), float(b[k])) for v, (a, b) in ends.items()},
                limits=against,
            )
        )
    return tuple(predictions)


def _unsupported(read: SearchedRuns, point: FloatArray) -> tuple[Limit, ...]:
    """That the point lies further out along an input than the runs span there, by the rule of
    forecasts (`analysis.fitting.measurements.reach.too_far`)."""
    table = read.table
    for i in table.scales:
        x = table.inputs[:, i]
        outside = max(np.log(point[i] / x.max()), np.log(x.min() / point[i]), 0.0) / DECADE
        spanned = float(np.log(x.max() / x.min())) / DECADE
        if limits := too_far(float(outside), spanned, float(outside)):
            name = printable(table.names[i])
            return tuple(Limit(one.code, f"{name}: {one.text}") for one in limits)
    return ()
