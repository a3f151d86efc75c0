"""The constants that turn fits into intervals: what each part of the width is multiplied by.

They are the same for every table, and are chosen once a dimension. Those of surfaces that published
ladders can tell are learned from them (`analysis.forecasting.constants.population`); the others
come from backtests on published tables and on simulated ladders (docs/log.md says how).
"""

from dataclasses import dataclass, replace

from analysis.forecasting.constants.population import (
    DEFAULT_ORIGINS,
    DRIFT,
    LAWS,
    SPREAD,
    STEEPNESS,
    UNSURE,
)

USUAL_SLOPE = 0.12  # fall in log loss a decade of compute, at the upper end of a published ladder
OTHER_SLOPES = 1.0  # natural logs of slope from there, beyond which no ladder was seen


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Multipliers of the parts of an interval.

    ``drop`` is the distance in decades times the slope of the ladder, a rough fall in log loss.
    """

    parameters: float  # times the standard error from the parameters
    laws: float  # times the spread between laws
    spread: float  # of the drifts of ladders, as a share of the drop: what no run shows
    roughness: float  # model misspecification as a share of the drop, times residuals over slope
    roughest: float  # beyond this roughness a ladder is no worse
    cap: float | None  # parameters and laws together: at most about this share of the drop
    tail: float  # degrees of freedom of the t distribution of the centre
    noise: float  # times the residuals, for a new run
    default_noise_runs: float  # what the default run noise is worth, in runs
    default_scale_origins: float  # what the default scale is worth, in backtest origins
    origin_worth: float  # what one origin is worth; nested ones tell less than one
    drift: float  # share of the predicted fall by which ladders end below what their laws say
    steepness: float = 0.0  # what is added to it for each e-fold of slope above the usual one
    unsure: float = 0.0  # standard deviation of that: the spread grows where slopes are unusual
    evidence: float = 0.0  # how far first weights follow the laws' evidence: a power of it
    tuning: float = 0.0  # standard error of what taking off bad tuning changed, as a share of it


SURFACE = Calibration(
    parameters=0.6,
    laws=LAWS,
    spread=SPREAD,
    roughness=0.3,
    roughest=0.12,
    cap=0.30,
    tail=6.0,
    noise=1.1,
    default_noise_runs=4.0,
    default_scale_origins=DEFAULT_ORIGINS,
    origin_worth=1.0,
    drift=DRIFT,
    steepness=STEEPNESS,
    unsure=UNSURE,
    evidence=0.25,
)
# The same where learning-rate checks say what bad tuning added and it was taken off: of that the
# checks see only the learning rate's part.
CHECKED_SURFACE = replace(SURFACE, tuning=0.5)
# One input over half a decade and more, as in the best loss by compute. The best run of a budget
# is not its optimum, and small budgets miss theirs by more: such curves need more width and lie
# lower than they promise.
FAR_CURVE = replace(
    SURFACE,
    parameters=0.5,
    laws=0.5,
    spread=0.13,
    roughness=1.2,
    drift=0.08,
    steepness=0.0,
    unsure=0.0,
    default_scale_origins=6.0,
    evidence=0.0,
)
# One input a few times further, as in the rest of a learning curve: origins at the same factor
# exist, so they say more, and neighbouring points err together.
NEAR_CURVE = Calibration(
    parameters=0.5,
    laws=1.0,
    spread=0.25,
    roughness=0.0,
    roughest=0.15,
    cap=None,
    tail=8.0,
    noise=1.2,
    default_noise_runs=0.0,
    default_scale_origins=2.0,
    origin_worth=1.0,
    drift=0.0,
)
# The curve of one run further out, whose learning rate nobody tells: it may be lowered or not, and
# the loss may fall in steps. Chosen on half of the curves of benchmarks.forecasts.learning_curves.
FAR_HISTORY = replace(NEAR_CURVE, spread=0.8, roughness=2.0, tail=4.0)
# The same where the learning rate is known at every step.
ANNEALED = replace(NEAR_CURVE, spread=0.4, roughness=2.0, tail=3.0)
