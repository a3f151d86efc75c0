"""Training of linear next-token models beside where theory says that it goes."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import axes_or_new, figure_style, legend_above, save_figure, shades
from analysis.studies.implicit_bias import ImplicitBias
from scaling.errors import ConfigError

#: What is drawn: the column, its axis label, and whether its axis is logarithmic.
PANELS = {
    "excess_loss": ("Loss above entropy (nats per token)", True),
    "cosine_beyond": ("Cosine of W \u2212 W* to the margin", False),
    "distance_in_f": ("Distance from W* in F (share of norm)", True),
}


def save_implicit_bias_figure(study: ImplicitBias, path: str | Path) -> None:
    """The loss, the direction and the finite part over steps, side by side, as SVG, PNG or PDF.

    Raises ConfigError for another ending, and where the file cannot be written.
    """
    shown = _known(study)
    with figure_style():
        figure = Figure(figsize=(4.6 * len(shown), 4.3))
        for number, name in enumerate(shown, start=1):
            ax = figure.add_subplot(1, len(shown), number)
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
    trained = [point for point in study.last if point.step]
    for point, colour in zip(trained, shades(len(trained)), strict=True):
        path = [p for p in study.waypoints if p.optimiser == point.optimiser]
        drawn = [(p.step, getattr(p, of)) for p in path if getattr(p, of) is not None]
        ax.plot(*zip(*drawn, strict=True), color=colour, label=point.optimiser)
    ax.set_xscale("log")
    if is_log:
        ax.set_yscale("log")
    ax.set_xlabel("Step")
    ax.set_ylabel(text)
    if is_alone:
        legend_above(ax, ncols=1)
    return ax


def _known(study: ImplicitBias) -> list[str]:
    """The panels that these contexts have numbers for."""
    return [name for name in PANELS if any(getattr(p, name) is not None for p in study.waypoints)]
