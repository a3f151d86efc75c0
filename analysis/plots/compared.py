"""B against A: the multiplier of A's compute, rung by rung and at the targets."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from analysis.decisions.two_recipes.compared import ArmComparison
from analysis.intervals import interval_at
from analysis.plots.style import (
    FORECAST,
    MEASURED,
    MUTED,
    axes_or_new,
    legend_above,
    size_axis,
)


def plot_comparison(found: ArmComparison, *, ax: Axes | None = None) -> Axes:
    """The multiplier against compute: each cell, each rung with its interval, and each target."""
    ax = axes_or_new(ax)
    level = found.confidence_level
    ax.axhline(1, color=MUTED, lw=1.2, zorder=1)
    cells = np.array([(cell.flops_b, cell.multiplier) for cell in found.cells])
    ax.plot(*cells.T, ".", color=MUTED, ms=6, alpha=0.6, label="cells", zorder=2)
    told = [(t.train_flops, t.multiplier, t.multiplier_intervals) for t in found.targets]
    series = (
        ("rungs", MEASURED, "o", [(r.train_flops, r.multiplier, r.intervals) for r in found.rungs]),
        ("targets", FORECAST, "D", [one for one in told if one[1] is not None]),
    )
    for name, colour, marker, points in series:
        if not points:
            continue
        x, y = np.array([p[:2] for p in points], np.float64).T
        low, high = np.array([interval_at(p[2], level) for p in points], np.float64).T
        ax.vlines(x, low, high, color=colour, alpha=0.45, lw=3, zorder=3)
        label = f"{name}, {100 * level:g}% interval"
        ax.plot(x, y, marker, color=colour, ms=6, label=label, zorder=4)
    places = [cell.flops_b for cell in found.cells] + [each.train_flops for each in found.targets]
    size_axis(ax, "train_flops", places)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("Training compute of B (FLOP)")
    ax.set_ylabel("A's compute to match B, over B's")
    legend_above(ax)
    return ax
