"""What each constant of a recipe does to the loss around the tuned one."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import (
    FITTED,
    FORECAST,
    MUTED,
    axes_or_new,
    figure_style,
    legend_above,
    save_figure,
)
from analysis.tuning.tuned_recipe import TunedRecipe
from scaling.errors import ConfigError
from scaling.extra_columns.recipe_arms import CALLED


def save_tuned_recipe_figure(tuned: TunedRecipe, path: str | Path) -> None:
    """A panel a constant, as SVG, PNG or PDF; raises ConfigError where it cannot be written."""
    with figure_style():
        figure = Figure(figsize=(9.2, 6.4))
        curves = 100 * np.concatenate([np.array(one.curve) for one in tuned.constants])
        bottom, top = (curves[:, 1] - curves[:, 2]).min(), (curves[:, 1] + curves[:, 2]).max()
        for number, one in enumerate(tuned.constants, start=1):
            ax = figure.add_subplot(2, 2, number)
            plot_tuned_recipe(tuned, ax=ax, of=one.name)
            ax.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        save_figure(figure, path)


def plot_tuned_recipe(tuned: TunedRecipe, *, ax: Axes | None = None, of: str | None = None) -> Axes:
    """The loss over the tuned recipe's along one constant (``of``; by default the one that is worth
    most), the others tuned, with its standard error and the 90% interval of the best."""
    is_alone, ax = ax is None, axes_or_new(ax)
    known = {one.name: one for one in tuned.constants}
    chosen = max(tuned.constants, key=lambda one: one.worth).name if of is None else of
    if chosen not in known:
        raise ConfigError(f'of "{of}": a tuned recipe has {", ".join(known)}')
    one = known[chosen]
    factors, losses, errors = np.array(one.curve).T
    ax.fill_between(
        factors, 100 * (losses - errors), 100 * (losses + errors), color=FITTED, alpha=0.15, lw=0
    )
    ax.plot(factors, 100 * losses, color=FITTED)
    ax.axvspan(one.low, one.high, color=FORECAST, alpha=0.1, lw=0)
    ax.axvline(one.factor, color=FORECAST, label="tuned, with a 90% interval")
    ax.axvline(1.0, color=MUTED, ls="--", label="the recipe's own")
    ax.set_xscale("log")
    known_ticks = (0.1, 0.25, 0.5, 0.7, 1, 1.5, 2, 4, 10, 20)
    ticks = [tick for tick in known_ticks if factors[0] <= tick <= factors[-1]]
    if len(ticks) > 4:
        ticks = [tick for tick in ticks if tick not in (0.7, 1.5)]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel(f"{CALLED[chosen].capitalize()} over the recipe's")
    ax.set_ylabel("Loss over the tuned recipe's (%)")
    if is_alone or of is None:
        legend_above(ax)
    return ax
