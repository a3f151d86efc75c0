"""IsoFLOP curves: at one budget, which model size reaches the lowest loss?"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from analysis.approaches.isoflop import IsoflopFit
from analysis.fitting.result import Fit
from analysis.plots.style import (
    FITTED,
    axes_or_new,
    draw_others,
    draw_runs,
    label_axes,
    loss_axis,
    shades,
    size_axis,
)
from analysis.text.numbers import flops_in_math
from analysis.tuning.screening import screen
from scaling.answerable import budget_numbers
from scaling.arrays import FloatArray
from scaling.records import Records

FEWEST_SIZES = 2  # a budget spent on one size says nothing about the split
MOST_BUDGETS = 8  # more colours than this nobody tells apart
GRID_POINTS = 60


def plot_isoflop(records: Records, *, fit: Fit | None = None, ax: Axes | None = None) -> Axes:
    """Loss against model size, one colour a compute budget.

    Curves are what ``fit``, of a law of params and tokens, says of runs of that budget. Where there
    are many budgets, eight of those with the most sizes have a colour, from the least to the
    largest, and the others are grey points;
    budgets with a single model size are left out.
    """
    ax = axes_or_new(ax)
    used = screen(records, "params", "tokens", "train_flops")
    params, tokens, flops, loss = (
        used.column(name) for name in ("params", "tokens", "train_flops", "loss")
    )
    budgets = budget_numbers(np.log(flops))
    shown, others = budgets_to_show(budgets, params)
    rest = np.isin(budgets, others)
    draw_others(ax, params[rest], loss[rest])
    for colour, budget in zip(shades(len(shown)), shown, strict=False):
        own = budgets == budget
        name = flops_in_math(float(np.median(flops[own])))
        draw_runs(ax, params[own], loss[own], colour, name)
        if fit is not None:
            n, d = along_budget(params[own], tokens[own])
            ax.plot(n, fit.law.loss(n, d), color=colour, lw=1.6, zorder=2)
    loss_axis(ax)
    kept = np.isin(budgets, [*shown, *others])
    size_axis(ax, "params", params[kept] if kept.any() else params)
    label_axes(ax, "params", records.loss_kind)
    if len(shown):
        # beside the axes: points of large and small models leave no corner free
        ax.legend(title="compute (FLOP)", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_isoflop_fit(isoflop: IsoflopFit, *, ax: Axes | None = None) -> Axes:
    """The runs of each budget, and the best size and loss of those whose minimum is bracketed."""
    ax = plot_isoflop(isoflop.records, ax=ax)
    found = [profile for profile in isoflop.profiles if not profile.limits]
    sizes = np.array([profile.optimal_params for profile in found])
    ends = np.array([profile.optimal_params_interval for profile in found])
    ax.errorbar(
        sizes,
        [profile.optimal_loss for profile in found],
        xerr=np.abs(ends.T - sizes),
        fmt="*",
        ms=11,
        color=FITTED,
        ecolor=FITTED,
        capsize=3,
        zorder=4,
        label=f"minimum, {100 * isoflop.confidence_level:g}%",
    )
    ax.legend(title="compute (FLOP)", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def has_isoflop(records: Records) -> bool:
    """Whether some budget was spent on several model sizes, so that there is a figure to draw."""
    return len(runs_by_budget(records)) > 0


def runs_by_budget(records: Records) -> pd.DataFrame:
    """The runs that `plot_isoflop` draws, those of budgets with several model sizes: the number of
    the budget, params, tokens, train_flops, loss. Empty where the records lack a column."""
    names = ["params", "tokens", "train_flops"]
    if not all(name in records for name in names):
        return pd.DataFrame(columns=["budget", *names, "loss"])
    used = screen(records, *names)
    runs = pd.DataFrame({name: used.column(name) for name in (*names, "loss")})
    runs.insert(0, "budget", budget_numbers(np.log(used.column("train_flops"))))
    return runs[runs.groupby("budget")["params"].transform("nunique") >= FEWEST_SIZES]


def budgets_to_show(
    budgets: npt.NDArray[np.int64], params: FloatArray
) -> tuple[list[int], list[int]]:
    """The budgets that get a colour, by rising compute, and those that become grey points: of those
    with as many sizes as the eighth has, eight from the least to the largest."""
    sizes = {int(b): _sizes(params[budgets == b]) for b in np.unique(budgets)}
    several = [b for b, count in sizes.items() if count >= FEWEST_SIZES]
    fewest = sorted((sizes[b] for b in several), reverse=True)[:MOST_BUDGETS][-1:]
    best = [b for b in several if sizes[b] >= fewest[0]]
    places = np.linspace(0, len(best) - 1, min(len(best), MOST_BUDGETS)).astype(int)
    chosen = [best[place] for place in places]
    return chosen, [b for b in several if b not in chosen]


def _sizes(params: FloatArray) -> int:
    return len(np.unique(params))


def along_budget(params: FloatArray, tokens: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sizes and tokens along a budget: the straight line in logs that its runs were planned on."""
    log_n, log_d = np.log(params), np.log(tokens)
    slope = np.polyfit(log_n - log_n.mean(), log_d, 1)
    grid = np.linspace(log_n.min(), log_n.max(), GRID_POINTS)
    return np.exp(grid), np.exp(np.polyval(slope, grid - log_n.mean()))
