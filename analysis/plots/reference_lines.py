"""Lines that losses are held against: the entropy of their source, and the loss of counting."""

from operator import itemgetter

import numpy as np
from matplotlib.axes import Axes

from analysis.plots.style import MUTED, name_in_figure
from scaling.extra_columns.references import References

LABEL_POINTS = 7.5  # height of a label
_APART = 1.25 * LABEL_POINTS  # points between two labels at one end


def draw_references(ax: Axes, references: References) -> None:
    """A dotted line with its name for each reference that is finite, once the axes have their
    scales. Names stand at the right above the losses drawn so far, at the left below them."""
    drawn = [(line.loss, line) for line in references.finite if line.loss is not None]
    if not drawn:
        return
    low, high = ax.get_ylim()
    middle = np.sqrt(low * high) if ax.get_yscale() == "log" else (low + high) / 2
    for loss, _ in drawn:
        ax.axhline(loss, color=MUTED, lw=1.1, ls=(0, (1, 2)), zorder=2)
    taken: dict[bool, float] = {}
    points = 72 / ax.figure.dpi
    for loss, line in sorted(drawn, key=itemgetter(0)):
        at = float(ax.transData.transform((1.0, loss))[1]) * points
        is_right = loss > middle
        if at - taken.get(is_right, -np.inf) < _APART:
            is_right = not is_right
        taken[is_right] = at
        ax.annotate(
            f"{name_in_figure(line.name)} {line.in_words}",
            xy=(1.0 if is_right else 0.0, loss),
            xycoords=("axes fraction", "data"),
            xytext=(-2 if is_right else 2, 1.5),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="bottom",
            fontsize=LABEL_POINTS,
            color="#555555",
            zorder=7,
        )
