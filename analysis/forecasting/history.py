"""The curve of one training run: what makes a table one, its start, and its learning rate.

Rows are one run's where their column counts steps or examples (`step`, `seen_examples` ...), or
where a column that names runs has one name. Neighbouring losses of such a table err together, its
start may rise, it may fall in steps, and its learning rate moves the loss; of the runs of a ladder
none of that is so.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.forecasting.members.annealed_forms import LearningRates
from scaling.arrays import BoolArray, FloatArray
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.cells.numbers import read_numbers
from scaling.tables.rows.runs import is_of_one_run

FEWEST_POINTS = 6
RISES_BY = 0.02  # ln loss, and three times the scatter between neighbours: less is no rise
START = 0.5  # of the points, in which the rise may end
BINS = 12  # equal parts of a noisy curve, whose means tell whether it falls
FALLS_BY_CHANCE = 0.01  # probability that so steady a fall is none
SHAPES = ("constant", "linear", "cosine", "wsd")


@dataclass(frozen=True, kw_only=True)
class History:
    """What the table of one run tells beside its losses."""

    rates: LearningRates | None  # where the learning rate is known beyond the last loss
    limits: tuple[Limit, ...]


def is_history(used: Records, x: str) -> bool:
    """Whether these rows, along column x, are the history of one run."""
    values = used.column(x)
    if len(values) < FEWEST_POINTS or len(np.unique(values)) < len(values):
        return False
    if "params" in used and used.table["params"].nunique() > 1:
        return False
    return is_of_one_run(used.table, used.names.get(x, x))


def past_the_rise(x: FloatArray, log_loss: FloatArray) -> BoolArray:
    """Which points (points,) are not before the highest of a curve that rises at its start."""
    order = np.argsort(x, kind="stable")
    y = log_loss[order]
    smooth = np.array([np.median(y[max(0, i - 1) : i + 2]) for i in range(len(y))])
    highest = int(np.argmax(smooth))
    rise = max(RISES_BY, 3 * scatter(y)) < smooth[highest] - smooth[0]
    left = len(y) - highest
    keep = np.ones(len(y), dtype=bool)
    if rise and 0 < highest <= START * len(y) and left >= FEWEST_POINTS:
        keep[order[:highest]] = False
    return keep


def scatter(y: FloatArray) -> float:
    """How much a point of a curve (points,) scatters, from the bends between neighbours."""
    if len(y) < 3:
        return 0.0
    bends = y[1:-1] - (y[:-2] + y[2:]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(1.5))


def in_bins(log_x: FloatArray, log_loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means over parts of the curve with about as many points each, what a noisy one shows."""
    order = np.argsort(log_x, kind="stable")
    parts = np.array_split(order, min(BINS, max(1, len(order) // 2)))
    return (
        np.array([log_x[part].mean() for part in parts]),
        np.array([log_loss[part].mean() for part in parts]),
    )


def falls(log_x: FloatArray, log_loss: FloatArray) -> bool:
    """Whether a curve falls more steadily than chance makes it."""
    from scipy.stats import kendalltau

    found = kendalltau(log_x, log_loss, alternative="less")
    return bool(found.pvalue < FALLS_BY_CHANCE)


def history_of(records: Records, used: Records, x: str) -> History:
    """What is known of the learning rate along column x: of every row, of those to come too, which
    have a rate and no loss; or by the columns of a schedule. ``records`` has all rows, ``used``
    those with a loss."""
    whole = records.whole or records
    reached = float(used.column(x).max())
    told = _by_row(whole, x) or _by_schedule(whole, x)
    known = told is not None and told.end > reached * (1 + 1e-9)
    rates = told if known else None
    if rates is not None:
        how = f"their learning rate, known up to {x} {rates.end:g}, enters the laws"
    elif told is not None:
        how = (
            f"how the learning rate goes on beyond {x} {told.end:g} is not told, so the interval "
            "allows for one that is lowered; rows to come with a rate and no loss tell it"
        )
    else:
        how = (
            "their learning rate is not told, so the interval allows for one that is lowered; a "
            "column learning_rate, rows to come without a loss among them, or schedule, "
            "warmup_tokens and planned_tokens tell it"
        )
    limit = Limit(LimitCode.ONE_RUN, f"rows are points of one run's curve; {how}")
    return History(rates=rates, limits=(limit,))


def check_schedule(rates: LearningRates, log_x: FloatArray, x: str, source: str) -> None:
    """Refuse targets where the learning rate is not known, of a run whose rate is elsewhere."""
    beyond = np.exp(log_x) > rates.end * (1 + 1e-6)
    if beyond.any():
        raise ForecastError(
            f"{source}: the learning rate is told up to {x} {rates.end:g}, and a target lies at "
            f"{np.exp(log_x)[beyond].max():g}; add rows with the rate there and no loss, or leave "
            "out the column (--columns learning_rate=)"
        )


def _by_row(whole: Records, x: str) -> LearningRates | None:
    """By a rate in every row, of which there are several values."""
    if "learning_rate" not in whole or x not in whole:
        return None
    at, bad = read_numbers(whole.table[x])
    rate, _ = read_numbers(whole.table["learning_rate"])
    known = at.notna() & rate.notna() & (at > 0) & (rate >= 0)
    table = pd.DataFrame({"x": at[known], "rate": rate[known]}).groupby("x")["rate"].mean()
    missing = whole.table["loss"].notna() & ~known
    if table.nunique() < 2 or missing.any() or not table.max() > 0:
        return None
    return LearningRates.of(table.index.to_numpy(float), table.to_numpy(float))


def _by_schedule(whole: Records, x: str) -> LearningRates | None:
    """By the shape, the warm-up, the decay and the end of a schedule; each one value."""
    shape = _only(whole, "schedule")
    unit = "tokens" if x == "tokens" else "steps"
    per = 1.0 if unit == "tokens" else _number(whole, "batch_tokens")
    end = _number(whole, f"planned_{unit}")
    warm, decay = (_number(whole, f"{part}_tokens") for part in ("warmup", "decay"))
    if shape not in SHAPES or end is None or per is None:
        return None
    if shape == "wsd" and decay is None:
        return None
    warm = min((warm or 0.0) / per, end)
    if shape == "wsd":
        start = max(end - (decay or 0.0) / per, warm)
    else:
        start = end if shape == "constant" else warm
    at = np.linspace(0.0, end, 2001)[1:]
    into = np.clip((at - start) / max(end - start, 1e-9), 0.0, 1.0)
    fall = {
        "constant": np.ones_like(at),
        "linear": 1 - into,
        "cosine": (1 + np.cos(np.pi * into)) / 2,
        "wsd": 1 - np.sqrt(into),
    }[str(shape)]
    return LearningRates.of(at, np.minimum(at / max(warm, 1e-9), fall))


def _only(whole: Records, column: str) -> object:
    """The one value of a column; None where it has none or several."""
    values = whole.table[column].dropna().unique() if column in whole else []
    return values[0] if len(values) == 1 else None


def _number(whole: Records, column: str) -> float | None:
    value = _only(whole, column)
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) and number > 0 else None
