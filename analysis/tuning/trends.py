"""Do the learning-rate checks and the training curves of a ladder point to a mistuned rung?

Two looks at all rungs together. The offsets that the packed checks measured
(`scaling.extra_columns.rung_health`) may have a trend along size or horizon: then the rule is wrong
at the target even where every rung is healthy. And curves of well-tuned rungs, each
divided by its own end, fall on one another when drawn against the share of training done (Qiu et
al. 2025, arXiv:2507.02119); a rung that stands apart is mistuned, and says so without a single
further run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.extra_columns.rung_health import Health
from scaling.records import Records
from scaling.words import counted

FEWEST_RUNGS = 4
#: A slope is called real where its interval at this confidence level leaves zero out.
REAL_LEVEL = 0.95
#: Shares of the training at which curves are compared: after warm-up, to the end.
SHARES = np.linspace(0.25, 0.95, 8)
OUTLYING_DEVIATIONS, OUTLYING_SHARE = 5.0, 0.01


@dataclass(frozen=True, kw_only=True)
class LearningRateTrend:
    """How ln(best learning rate / rule) goes with width and horizon over the checked rungs."""

    rungs: int
    width_slope: float
    width_stderr: float
    tokens_slope: float
    tokens_stderr: float
    constant: float
    curvature: float
    """Median second derivative of the loss in ln learning rate, over the loss."""

    @property
    def is_real(self) -> bool:
        """Whether a slope differs from zero, by Student's t: four rungs leave one degree of
        freedom, and then only a slope of 13 standard errors does."""
        from scipy.special import stdtrit

        least = float(stdtrit(self.rungs - 1 - len(_ALONG), 0.5 + REAL_LEVEL / 2))
        return bool(
            abs(self.width_slope) > least * self.width_stderr
            or abs(self.tokens_slope) > least * self.tokens_stderr
        )

    def offset(self, width: float, tokens: float) -> float:
        """ln of the best learning rate over the rule's that the trend predicts for a run."""
        return float(
            self.constant + self.width_slope * np.log(width) + self.tokens_slope * np.log(tokens)
        )

    def loss_at_stake(self, width: float, tokens: float) -> float:
        """Relative loss that the rule would cost there, if trend and curvature hold."""
        return self.curvature / 2 * self.offset(width, tokens) ** 2


def learning_rate_trend(records: Records) -> LearningRateTrend:
    """Regress the measured offsets on ln width and ln tokens, one row a checked rung.

    Batch goes with tokens by the recipe, so its effect is within theirs. Rungs at the edge have no
    offset and take no part. Raises FitError with fewer than four checked rungs, or where width and
    tokens of the checked runs go together.
    """
    records.require("lr_offset", "lr_curvature", "health", "width", "tokens", "loss")
    table = records.table
    known = table["health"].notna() & (table["health"] != Health.EDGE) & table["lr_offset"].notna()
    checked = table[known]
    if len(checked) < FEWEST_RUNGS:
        raise FitError(
            f"{records.source}: {counted(len(checked), 'rung')} with a learning-rate check; "
            f"a trend needs {FEWEST_RUNGS} (set health.check_learning_rate in the sweep)"
        )
    x = np.column_stack(
        [np.ones(len(checked)), *(np.log(checked[name].astype(float)) for name in _ALONG)]
    )
    if np.linalg.matrix_rank(x - x.mean(axis=0), tol=1e-6) < len(_ALONG):
        raise FitError(f"{records.source}: width and tokens of the checked rungs go together")
    y = np.asarray(checked["lr_offset"], dtype=np.float64)
    slopes = np.linalg.lstsq(x, y, rcond=None)[0]
    residuals = y - x @ slopes
    variance = residuals @ residuals / (len(y) - x.shape[1])
    errors = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * variance)
    return LearningRateTrend(
        rungs=len(y),
        constant=float(slopes[0]),
        width_slope=float(slopes[1]),
        width_stderr=float(errors[1]),
        tokens_slope=float(slopes[2]),
        tokens_stderr=float(errors[2]),
        curvature=float(np.median(checked["lr_curvature"] / checked["loss"])),
    )


_ALONG = ("width", "tokens")


def curve_deviations(curves: pd.DataFrame, planned_steps: Mapping[str, int]) -> dict[str, float]:
    """How far each run's normalised curve lies from the median of all, by run id.

    ``curves`` has columns run_id, step, train_loss. A curve is divided by its own last tenth and
    read at shares of its planned steps; the deviation is the mean of ln(curve / median) over them.
    Runs without points over that range are left out. Read it as: positive falls later than the
    others. Rungs of very different tokens per parameter differ for good reasons.
    """
    shapes = {}
    for run_id, points in curves.groupby("run_id", sort=False):
        steps = planned_steps.get(str(run_id))
        if steps is not None:
            shape = _normalised(points, steps)
            if shape is not None:
                shapes[str(run_id)] = shape
    if not shapes:
        return {}
    median = np.median(np.stack(list(shapes.values())), axis=0)
    return {run_id: float(np.mean(shape - median)) for run_id, shape in shapes.items()}


def outlying(deviations: Mapping[str, float]) -> dict[str, float]:
    """Those of the deviations that lie beyond five robust standard deviations and one percent."""
    values = np.array(list(deviations.values()))
    if not len(values):
        return {}
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    least = max(OUTLYING_DEVIATIONS * spread, OUTLYING_SHARE)
    centre = float(np.median(values))
    return {run_id: off for run_id, off in deviations.items() if abs(off - centre) > least}


def _normalised(points: pd.DataFrame, steps: int) -> FloatArray | None:
    """ln of the loss at SHARES over that of the last tenth; None where the curve is too short."""
    share = np.asarray(points["step"], dtype=np.float64) / steps
    loss = np.asarray(points["train_loss"], dtype=np.float64)
    order = np.argsort(share)
    share, loss = share[order], loss[order]
    good = np.isfinite(loss) & (loss > 0)
    share, loss = share[good], loss[good]
    if len(share) < 3 or share[0] > SHARES[0] or share[-1] < SHARES[-1]:
        return None
    end = loss[share >= 0.9].mean()
    return np.asarray(np.interp(SHARES, share, np.log(loss)) - np.log(end))
