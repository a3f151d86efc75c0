"""Figures: one file each. A figure draws a result, returns the Axes, and computes nothing."""

from analysis.plots.backtest import plot_backtest_coverage, plot_backtest_errors
from analysis.plots.isoflop import plot_isoflop
from analysis.plots.loss_against import plot_loss_against
from analysis.plots.loss_curves import plot_loss_curves
from analysis.plots.residuals import plot_residuals
from analysis.plots.sizes import plot_sizes

__all__ = [
    "plot_backtest_coverage",
    "plot_backtest_errors",
    "plot_isoflop",
    "plot_loss_against",
    "plot_loss_curves",
    "plot_residuals",
    "plot_sizes",
]
