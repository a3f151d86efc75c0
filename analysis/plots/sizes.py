"""Loss against training tokens, one colour a model size: a law of both beside its runs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.fitting.result import Fit
from analysis.plots.style import (
    axes_or_new,
    draw_others,
    draw_runs,
    label_axes,
    legend_above,
    loss_axis,
    shades,
    size_axis,
)
from analysis.text.numbers import count_in_words
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.records import Records

FEWEST_TOKENS = 2  # a size trained on one number of tokens shows no curve
MOST_SIZES = 8  # more colours than this nobody tells apart
GRID_POINTS = 60


def plot_sizes(records: Records, *, fit: Fit | None = None, ax: Axes | None = None) -> Axes:
    """Loss against training tokens D, one colour a model size N.

    Curves are what ``fit``, of a law of params and tokens, says of models of that size. Where there
    are many sizes, eight from the least to the largest have a colour; the others are grey points.
    """
    ax = axes_or_new(ax)
    used = screen(records, "params", "tokens")
    params, tokens, loss = (used.column(name) for name in ("params", "tokens", "loss"))
    several = sizes_with_curves(records)
    chosen = several[np.linspace(0, len(several) - 1, min(len(several), MOST_SIZES)).astype(int)]
    rest = ~np.isin(params, chosen)
    draw_others(ax, tokens[rest], loss[rest])
    for colour, size in zip(shades(len(chosen)), chosen, strict=False):
        own = params == size
        draw_runs(ax, tokens[own], loss[own], colour, count_in_words(float(size)))
        if fit is not None:
            d = np.geomspace(tokens[own].min(), tokens[own].max(), GRID_POINTS)
            ax.plot(d, fit.law.loss(np.full(GRID_POINTS, size), d), color=colour, lw=1.6, zorder=2)
    loss_axis(ax)
    size_axis(ax, "tokens", tokens)
    label_axes(ax, "tokens", records.loss_kind)
    if len(chosen):
        legend_above(ax, title="parameters N", ncols=4)
    return ax


def sizes_with_curves(records: Records) -> FloatArray:
    """The model sizes that were trained on several numbers of tokens, rising; none where the
    records lack a column."""
    if "params" not in records or "tokens" not in records:
        return np.empty(0)
    used = screen(records, "params", "tokens")
    pairs = np.unique(np.column_stack([used.column("params"), used.column("tokens")]), axis=0)
    sizes, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(sizes[counts >= FEWEST_TOKENS])


def law_on_sizes(fit: Fit, records: Records) -> pd.DataFrame:
    """The runs that `plot_sizes` draws: params, tokens, loss, and what the law says of them."""
    used = screen(records, "params", "tokens")
    runs = pd.DataFrame({name: used.column(name) for name in ("params", "tokens", "loss")})
    fitted = fit.law.loss(runs["params"].to_numpy(), runs["tokens"].to_numpy())
    return runs.assign(fitted_loss=fitted).sort_values(["params", "tokens"], ignore_index=True)
