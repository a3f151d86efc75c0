"""What all results share: they show themselves as the command line does, and draw themselves.

Texts and figures stand above the results that they show, and results import nothing above them. So
one list says where the text and the figure of each are; they are imported when they are asked for.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scaling.display import Block, Displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The result, and the function of its blocks.
TEXTS = {
    "Fit": "analysis.text.fitting:fit_blocks",
    "LawPrediction": "analysis.text.fitting:prediction_blocks",
    "EnvelopeFit": "analysis.text.fitting:envelope_blocks",
    "IsoflopFit": "analysis.text.fitting:isoflop_blocks",
    "CrossCheck": "analysis.text.fitting:cross_check_blocks",
    "LadderHealth": "analysis.text.tuning:health_blocks",
    "Forecast": "analysis.text.forecasting:forecast_blocks",
    "Backtest": "analysis.text.evaluation:backtest_blocks",
    "HeldOutCheck": "analysis.text.evaluation:held_out_blocks",
    "SealStanding": "analysis.text.evaluation:standing_blocks",
    "OptimalSplit": "analysis.text.decisions:split_blocks",
    "Allocation": "analysis.text.decisions:allocation_blocks",
    "BudgetForLoss": "analysis.text.decisions:budget_blocks",
    "ImplicitBias": "analysis.text.studies:implicit_bias_blocks",
}
#: The result, and the function that draws it: it takes the result and ``ax``.
FIGURES = {
    "Fit": "analysis.plots.fit:plot_fit",
    "IsoflopFit": "analysis.plots.isoflop:plot_isoflop_fit",
    "Forecast": "analysis.plots.loss_against:plot_forecast",
    "HeldOutCheck": "analysis.plots.loss_against:plot_held_out",
    "Backtest": "analysis.plots.backtest:plot_backtest_errors",
    "ImplicitBias": "analysis.plots.implicit_bias:plot_implicit_bias",
}


class Result(Displayed):
    """A result of the analysis; `TEXTS` says what it shows."""

    def blocks(self) -> list[Block]:
        """What the command line prints of it, block by block."""
        return list(_named(TEXTS, self)(self))


class DrawnResult(Result):
    """A result that has a figure; `FIGURES` says which."""

    def plot(self, ax: "Axes | None" = None, **how: Any) -> "Axes":
        """Draw it into ``ax``, or into a new figure; returns the Axes.

        ``how`` are further keywords of the function that draws it (`analysis.plots`).
        """
        drawn: Axes = _named(FIGURES, self)(self, ax=ax, **how)
        return drawn


def _named(places: Mapping[str, str], result: Result) -> Any:
    module, _, name = places[type(result).__name__].partition(":")
    return getattr(import_module(module), name)
