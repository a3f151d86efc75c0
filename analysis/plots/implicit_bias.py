"""Training of linear next-token models beside where theory says that it goes.

The panels are those of figures 1, 2, 4 and 5 of Thrampoulidis 2024 (arXiv:2402.18551), with the
loss above the entropy on a logarithmic axis where the paper draws the loss over a line.
"""

from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots.style import (
    FITTED,
    MUTED,
    axes_or_new,
    figure_style,
    legend_above,
    save_figure,
    shades,
)
from analysis.studies.conditions import Conditions
from analysis.studies.contexts import Contexts
from analysis.studies.implicit_bias import ImplicitBias
from scaling.arrays import FloatArray
from scaling.errors import ConfigError

#: What is drawn: the column, its axis label, and whether its axis is logarithmic.
PANELS = {
    "excess_loss": ("Loss above entropy (nats per token)", True),
    "norm": ("Norm of W", False),
    "cosine_beyond": ("Cosine to the margin's direction", False),
    "distance_in_f": ("Distance from W* in F (share of norm)", True),
}
#: Drawn dashed in the panel of the first: the same of W with its finite part.
_BESIDE = {"cosine_beyond": ("cosine", "dashed: of W; solid: of W \u2212 W*")}


def save_implicit_bias_figure(study: ImplicitBias, path: str | Path) -> None:
    """Loss, norm, direction and finite part over steps, as SVG, PNG or PDF.

    Raises ConfigError for another ending, and where the file cannot be written.
    """
    shown = _known(study)
    rows = -(-len(shown) // 2)
    with figure_style():
        figure = Figure(figsize=(9.2, 3.8 * rows + 0.4))
        for number, name in enumerate(shown, start=1):
            ax = figure.add_subplot(rows, 2, number)
            plot_implicit_bias(study, ax=ax, of=name)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        save_figure(figure, path)


def plot_implicit_bias(
    study: ImplicitBias, *, ax: Axes | None = None, of: str | None = None
) -> Axes:
    """One line an optimiser over its steps; ``of`` is one of PANELS, by default the direction, or
    the loss of contexts that have none."""
    is_alone, ax = ax is None, axes_or_new(ax)
    known = _known(study)
    if of is None:
        of = "cosine_beyond" if "cosine_beyond" in known else "excess_loss"
    if of not in known:
        raise ConfigError(f'of "{of}": this study has {", ".join(known)}')
    text, is_log = PANELS[of]
    beside, said = _BESIDE.get(of, (None, ""))
    trained = [point for point in study.last if point.step]
    for point, colour in zip(trained, shades(len(trained)), strict=True):
        _line(ax, study, point.optimiser, of, color=colour, label=point.optimiser)
        if beside:
            _line(ax, study, point.optimiser, beside, color=colour, ls="--", lw=1)
    if said:
        ax.text(0.98, 0.04, said, transform=ax.transAxes, ha="right", fontsize=9, color=MUTED)
    ax.set_xscale("log")
    if is_log:
        ax.set_yscale("log")
    ax.set_xlabel("Step")
    ax.set_ylabel(text)
    if is_alone:
        legend_above(ax, ncols=1)
    return ax


def _line(ax: Axes, study: ImplicitBias, optimiser: str, of: str, **style: Any) -> None:
    path = [point for point in study.waypoints if point.optimiser == optimiser]
    drawn = [(point.step, value) for point in path if (value := getattr(point, of)) is not None]
    ax.plot(*zip(*drawn, strict=True), **style)


def _known(study: ImplicitBias) -> list[str]:
    """The panels that these contexts have numbers for."""
    return [name for name in PANELS if any(getattr(p, name) is not None for p in study.waypoints)]


def save_plane_figure(contexts: Contexts, conditions: Conditions, path: str | Path) -> None:
    """The probabilities of contexts in two dimensions, and the rows of W^mm and of W* among the
    embeddings, side by side, as SVG, PNG or PDF; of a condition that fails there is no panel.

    Raises ConfigError for other dimensions, another ending, and where the file cannot be written.
    """
    if contexts.embeddings.shape[1] != 2:
        raise ConfigError(
            f"contexts in {contexts.embeddings.shape[1]} dimensions: those of 2 can be drawn"
        )
    weights = {
        "Rows of W$^{mm}$, the direction": conditions.separating_weights,
        "Rows of W*, the finite part": conditions.compatible_weights,
    }
    found = {title: value for title, value in weights.items() if value is not None}
    with figure_style():
        figure = Figure(figsize=(4.4 * (1 + len(found)), 4.4))
        first, *others = np.atleast_1d(figure.subplots(1, 1 + len(found)))
        _plot_probabilities(contexts, first)
        for ax, (title, value) in zip(others, found.items(), strict=True):
            plot_plane(contexts, value, ax=ax)
            ax.set_title(title)
        save_figure(figure, path)


def plot_plane(contexts: Contexts, weights: FloatArray, *, ax: Axes | None = None) -> Axes:
    """The rows of ``weights`` (V, 2), one arrow a token, among the embeddings of the contexts, each
    with the tokens that follow it; a dashed line is where the logit of a token is zero."""
    ax = axes_or_new(ax)
    colours = sns.color_palette("colorblind", len(weights))
    reach = 1.25 * max(np.abs(weights).max(), np.abs(contexts.embeddings).max())
    for z, row in enumerate(weights):
        size = np.linalg.norm(row)
        if size < 1e-9 * reach:
            continue
        across = np.array([-row[1], row[0]]) * 3 * reach / size
        ax.plot(*np.array([-across, across]).T, color=colours[z], lw=0.7, ls="--", alpha=0.6)
        ax.annotate("", row, (0, 0), arrowprops={"arrowstyle": "->", "color": colours[z]})
        is_under = any(np.allclose(row, later, atol=1e-3 * reach) for later in weights[z + 1 :])
        ax.plot(*row, marker="*", ms=18 if is_under else 11, color=colours[z])
    for number, at in enumerate(contexts.embeddings):
        ax.plot(*at, "o", color=FITTED, ms=7, zorder=3)
        after = ", ".join(str(z + 1) for z in np.flatnonzero(contexts.support[number]))
        outward = 12 * at / max(np.linalg.norm(at), 1e-12)
        side = "center" if abs(outward[0]) < 6 else "left" if outward[0] > 0 else "right"
        style: dict[str, Any] = {
            "ha": side,
            "va": "center",
            "fontsize": 9.5,
            "textcoords": "offset points",
        }
        ax.annotate(f"{_letter(number)}: {after}", at, outward, **style)
    handles = [
        Line2D([], [], marker="*", ls="", ms=9, color=colour, label=f"token {z}")
        for z, colour in enumerate(colours, start=1)
    ]
    ax.legend(handles=handles, loc="lower center", ncols=3, fontsize=8.5)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_aspect("equal")
    return ax


def _plot_probabilities(contexts: Contexts, ax: Axes) -> None:
    """The matrix of next-token probabilities; black where a token never follows."""
    shown = np.ma.masked_equal(contexts.next_token, 0)
    colours = sns.color_palette("viridis", as_cmap=True)
    ax.pcolormesh(shown, cmap=colours, vmin=0, vmax=1, edgecolors="white")
    ax.set_facecolor("black")
    for (j, z), value in np.ndenumerate(contexts.next_token):
        if value:
            dark = "black" if value > 0.6 else "white"
            ax.text(z + 0.5, j + 0.5, f"{value:.2f}", ha="center", va="center", color=dark)
    ax.grid(visible=False)
    ax.invert_yaxis()
    ax.set_xticks(np.arange(contexts.next_token.shape[1]) + 0.5)
    ax.set_xticklabels([str(z + 1) for z in range(contexts.next_token.shape[1])])
    ax.set_yticks(np.arange(len(contexts.next_token)) + 0.5)
    ax.set_yticklabels([_letter(j) for j in range(len(contexts.next_token))])
    ax.set_xlabel("Token")
    ax.set_ylabel("Context")
    ax.set_title("Probability of each token after each context")


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)
