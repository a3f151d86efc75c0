"""What ladders of other people have in common, as constants of a forecast.

Written by ``python -m benchmarks.forecasts.population --learn``, which says how; not to
be changed by hand.
"""

LAWS = 1.0  # times the spread between laws
SPREAD = 0.065  # of the drifts of ladders, as a share of the drop
DRIFT = 0.02  # mean share of the predicted fall by which ladders end below their laws
STEEPNESS = -0.076  # what is added to it for each e-fold of slope
UNSURE = 0.048  # standard deviation of that
DEFAULT_ORIGINS = 12.0  # what the default width is worth, in backtest origins
