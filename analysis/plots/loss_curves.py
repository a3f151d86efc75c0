"""Training curves: the loss of every run over its steps."""

import pandas as pd
from matplotlib.axes import Axes

from analysis.plots.style import axes_or_new, loss_axis, shades, size_axis

ALPHA = 0.8
CLOSE = 0.5  # of the usual distance between points


def plot_loss_curves(curves: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """One line a run; ``curves`` has the columns run_id, step and train_loss.

    Darker lines are longer runs. Step zero is left out, since steps are on a log scale, and so is a
    last point that follows its neighbour at once: one noisy step more would be an upright line.
    """
    ax = axes_or_new(ax)
    begun = curves[curves["step"] > 0]
    last = begun.groupby("run_id")["step"].max().sort_values(kind="stable")
    for colour, run_id in zip(shades(len(last)), last.index, strict=True):
        run = begun[begun["run_id"] == run_id].sort_values("step")
        gaps = run["step"].diff().dropna()
        if len(gaps) > 1 and gaps.iloc[-1] < CLOSE * gaps.median():
            run = run.iloc[:-1]
        mark = "." if len(run) == 1 else None  # a line through one point is none
        ax.plot(run["step"], run["train_loss"], color=colour, lw=1.0, alpha=ALPHA, marker=mark)
    loss_axis(ax)
    size_axis(ax, "step", begun["step"].to_numpy(dtype=float))
    ax.set_xlabel("Optimizer step")
    ax.set_ylabel("Training loss (nats per token)")
    return ax
