"""A fit beside the runs that it was made from."""

from matplotlib.axes import Axes

from analysis.fitting.result import Fit
from analysis.plots.isoflop import has_isoflop, plot_isoflop
from analysis.plots.loss_against import plot_loss_against
from analysis.plots.residuals import plot_residuals
from analysis.plots.sizes import plot_sizes, sizes_with_curves
from scaling.errors import FitError


def plot_fit(fit: Fit, *, ax: Axes | None = None) -> Axes:
    """A law of one input as a curve through its runs, with its band; a law of size and tokens along
    the budgets of its runs or, where budgets hold one size each, along tokens size by size; else
    what the law leaves unexplained, run by run (`analysis.plots.plot_residuals` of any fit).

    Raises FitError for a fit that was read from a file, which has no runs.
    """
    if fit.records is None:
        raise FitError(
            f"a fit of {fit.source} that was read from a file holds no runs to draw; fit again, or "
            "draw with analysis.plots and the records"
        )
    if len(fit.columns) == 1:
        (x,) = fit.columns
        return plot_loss_against(
            fit.records, x=x, fit=fit, confidence_level=fit.confidence_level, ax=ax
        )
    if fit.columns == ("params", "tokens") and has_isoflop(fit.records):
        return plot_isoflop(fit.records, fit=fit, ax=ax)
    if fit.columns == ("params", "tokens") and len(sizes_with_curves(fit.records)) > 1:
        return plot_sizes(fit.records, fit=fit, ax=ax)
    x = "train_flops" if "train_flops" in fit.records else fit.columns[0]
    return plot_residuals(fit, fit.records, x=x, ax=ax)
