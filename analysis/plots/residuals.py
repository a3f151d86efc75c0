"""Residuals of a fit: what the law leaves unexplained, run by run."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.fitting.result import Fit
from analysis.plots.style import (
    MANY_POINTS,
    MEASURED,
    MUTED,
    axes_or_new,
    axis_label,
    legend_above,
    percent_axis,
    shades,
    size_axis,
)
from analysis.text.numbers import count_in_words
from analysis.tuning.screening import screen
from scaling.errors import FitError
from scaling.records import Records
from scaling.words import counted

MOST_SIZES = 8


def residuals(fit: Fit, records: Records, *, x: str = "train_flops") -> pd.DataFrame:
    """One row per run of a fit: ``x``, params where they are known, the loss, and how far it lies
    above the fitted one in percent.

    Raises FitError where ``records`` are not those that the fit was made from.
    """
    used = screen(records, *fit.columns, or_zero=fit.law.may_be_zero)
    if len(used) != len(fit.log_residuals):
        raise FitError(
            f"{records.source}: {counted(len(used), 'usable run')}, but the fit used "
            f"{len(fit.log_residuals)}; give the records that were fitted"
        )
    names = [x, *(["params"] if "params" in used and x != "params" else []), "loss"]
    percent = 100 * np.expm1(np.asarray(fit.log_residuals))
    return pd.DataFrame({**{n: used.column(n) for n in names}, "residual_percent": percent})


def can_be_placed(values: "pd.Series") -> "pd.Series":
    """Which values have a place on a logarithmic axis."""
    return np.isfinite(values) & (values > 0)


def plot_residuals(
    fit: Fit, records: Records, *, x: str = "train_flops", ax: Axes | None = None
) -> Axes:
    """Measured over fitted loss, in percent, against ``x``; one colour a model size.

    ``records`` are those that the fit was made from; runs whose ``x`` is not known are not drawn,
    and without any that is FitError is raised. A pattern in these points, such as a curve or
    one size on one side, says that the law or the recipe misses something.
    """
    ax = axes_or_new(ax)
    runs = residuals(fit, records, x=x)
    runs = runs[can_be_placed(runs[x])]
    if runs.empty:
        raise FitError(f"{records.source}: no run has {x} above zero; choose another x")
    percent, values = runs["residual_percent"].to_numpy(), runs[x].to_numpy()
    params = runs["params"].to_numpy() if "params" in runs else np.empty(0)
    sizes = np.unique(params)
    ax.axhline(0, color=MUTED, lw=1, zorder=1)
    style: dict[str, Any] = {"s": 30, "linewidths": 0.5, "edgecolors": "white", "zorder": 3}
    if 1 < len(sizes) <= MOST_SIZES:
        for size, colour in zip(sizes, shades(len(sizes)), strict=True):
            own = params == size
            ax.scatter(values[own], percent[own], color=colour, label=count_in_words(size), **style)
        legend_above(ax, title="parameters N", ncols=4)
    else:
        many = len(runs) > MANY_POINTS
        ax.scatter(values, percent, color=MEASURED, rasterized=many, **style)
    size_axis(ax, x, values)
    percent_axis(ax.yaxis)
    ax.set_xlabel(axis_label(x))
    ax.set_ylabel("Measured above fitted loss")
    return ax
