"""New runs of groups, by one law of which the groups have constants in common."""

from collections.abc import Sequence

import pandas as pd

from analysis.fitting.groups.fit import fit_groups
from analysis.fitting.groups.prediction import GroupedPrediction, predict_groups
from analysis.forecasting.question.options import ForecastOptions
from scaling.errors import ForecastError
from scaling.sources import Source


def forecast_by_shared_law(
    records: Source,
    points: pd.DataFrame,
    *,
    by: str,
    share: Sequence[str],
    options: ForecastOptions,
) -> GroupedPrediction:
    """The loss of new runs, one a row of ``points``, by the one law of the options, fitted to all
    groups that the column ``by`` makes with the constants ``share`` in common.

    Its bootstrap has as many resamples as the options have draws. Raises ForecastError without one
    law, and as `fit_groups` and `predict_groups` do.
    """
    law = options.one_law
    if law is None:
        raise ForecastError(f"--share {' '.join(share)} names constants of a law; say which")
    levels = options.confidence_levels
    fitted = fit_groups(
        records,
        law,
        by=by,
        share=share,
        x=options.x if len(law.inputs) == 1 and law.inputs != (options.x,) else None,
        fix=dict(options.fix),
        bootstrap=options.draws,
        confidence_level=levels[0],
        seed=options.seed,
        card=False,
    )
    return predict_groups(fitted, points, confidence_levels=levels, seed=options.seed)
