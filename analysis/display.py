"""What all results share: they show themselves as the command line does, and draw themselves.

Texts and figures stand above the results that they show, and results import nothing above them. So
one list says where the text and the figure of each are; they are imported when they are asked for.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scaling.display import Block, Displayed
from scaling.limits import Limit
from scaling.tables.notes import Note, notes_beside

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

#: The result, and the function of its blocks.
TEXTS = {
    "Fit": "analysis.text.fitting:fit_blocks",
    "GroupedFit": "analysis.text.fitting:grouped_blocks",
    "GroupedPrediction": "analysis.text.fitting:grouped_prediction_blocks",
    "LawPrediction": "analysis.text.fitting:prediction_blocks",
    "EnvelopeFit": "analysis.text.fitting:envelope_blocks",
    "IsoflopFit": "analysis.text.fitting:isoflop_blocks",
    "IrreducibleLoss": "analysis.text.fitting:floor_blocks",
    "CrossCheck": "analysis.text.fitting:cross_check_blocks",
    "LadderHealth": "analysis.text.tuning:health_blocks",
    "TunedRecipe": "analysis.text.tuning:tuned_blocks",
    "Forecast": "analysis.text.forecasting:forecast_blocks",
    "MetricForecast": "analysis.text.capabilities:metric_blocks",
    "Backtest": "analysis.text.evaluation:backtest_blocks",
    "GroupedBacktest": "analysis.text.evaluation:grouped_backtest_blocks",
    "HeldOutCheck": "analysis.text.evaluation:held_out_blocks",
    "SealStanding": "analysis.text.evaluation:standing_blocks",
    "Discovery": "analysis.text.discovery:discovery_blocks",
    "OptimalSplit": "analysis.text.decisions:split_blocks",
    "Allocation": "analysis.text.decisions:allocation_blocks",
    "RunsToBuy": "analysis.text.next_runs:runs_to_buy_blocks",
    "NextRuns": "analysis.text.next_runs:next_runs_blocks",
    "ProposalCheck": "analysis.text.next_runs:proposal_check_blocks",
    "BudgetForLoss": "analysis.text.decisions:budget_blocks",
    "BudgetPlan": "analysis.text.decisions:plan_blocks",
    "ArmComparison": "analysis.text.compared:comparison_blocks",
    "ImplicitBias": "analysis.text.studies:implicit_bias_blocks",
    "PublishedFindings": "analysis.text.published:published_blocks",
    "Provisional": "analysis.text.next_runs:provisional_blocks",
}
#: The result, and the function that draws it: it takes the result and ``ax``.
FIGURES = {
    "Fit": "analysis.plots.fit:plot_fit",
    "IsoflopFit": "analysis.plots.isoflop:plot_isoflop_fit",
    "Forecast": "analysis.plots.loss_against:plot_forecast",
    "HeldOutCheck": "analysis.plots.loss_against:plot_held_out",
    "MetricForecast": "analysis.plots.metric:plot_metric",
    "Backtest": "analysis.plots.backtest:plot_backtest_errors",
    "Discovery": "analysis.plots.discovery:plot_hidden_runs",
    "ArmComparison": "analysis.plots.compared:plot_comparison",
    "TunedRecipe": "analysis.plots.tuned_recipe:plot_tuned_recipe",
    "ImplicitBias": "analysis.plots.implicit_bias:plot_implicit_bias",
}
#: The result, and the function that writes its figure, where that has more than one Axes.
FIGURE_FILES = {
    "Backtest": "analysis.plots.backtest:save_backtest_figure",
    "Discovery": "analysis.plots.discovery:save_discovery_figure",
    "TunedRecipe": "analysis.plots.tuned_recipe:save_tuned_recipe_figure",
    "ImplicitBias": "analysis.plots.implicit_bias:save_implicit_bias_figure",
}
_OF_ONE_AXES = "analysis.plots.style:save_plot"


@dataclass(frozen=True, kw_only=True, repr=False)
class Result(Displayed):
    """A result of the analysis; `TEXTS` says what it shows."""

    notes: tuple[Note, ...] = field(default=(), compare=False)  # how its runs were read

    def blocks(self) -> list[Block]:
        """What the command line prints of it, block by block."""
        told = notes_beside(self.notes, self._limits_shown())
        return [*_named(TEXTS, self)(self), *([told] if told.sentences else [])]

    def in_meaningful_digits(self) -> Self:
        """The same to the digits that mean something, as every page shows it."""
        return self

    def to_json(self) -> str:
        """As one JSON document, in the digits that mean something; what is not finite is null."""
        return json.dumps(self._document(), indent=2, allow_nan=False)

    def _document(self) -> Any:
        """JSON-ready values of everything but the runs that it was made from."""
        shown = self.in_meaningful_digits()
        names = (f.name for f in fields(shown) if f.name != "records")
        return {name: plain_values(getattr(shown, name)) for name in names}

    def _limits_shown(self) -> Iterable[Limit]:
        limits: Iterable[Limit] = getattr(self, "limits", ())
        return limits


class DrawnResult(Result):
    """A result that has a figure; `FIGURES` says which."""

    def plot(self, ax: "Axes | None" = None, **how: Any) -> "Axes":
        """Draw it into ``ax``, or into a new figure; returns the Axes.

        ``how`` are further keywords of the function that draws it (`analysis.plots`).
        """
        drawn: Axes = _named(FIGURES, self)(self, ax=ax, **how)
        return drawn

    def save_figure(self, path: "str | Path") -> None:
        """Write its figure as SVG, PNG or PDF, by the ending of ``path``, as ``--figure`` does.

        Raises ConfigError for another ending, and where the file cannot be written.
        """
        _at(FIGURE_FILES.get(type(self).__name__, _OF_ONE_AXES))(self, path)


def results_json(results: Iterable[Result]) -> str:
    """Results as one JSON document, a list."""
    documents = [result._document() for result in results]
    return json.dumps(documents, indent=2, allow_nan=False)


def plain_values(value: Any) -> Any:
    """The same with JSON's own types; a number that is not finite becomes null."""
    if isinstance(value, Result):
        return value._document()
    if isinstance(value, np.ndarray):
        return plain_values(value.tolist())
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: plain_values(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if kinds == {float}:  # residuals, and the names of rows: a million of a large table
            return [item if math.isfinite(item) else None for item in value]
        if kinds == {str}:
            return list(value)
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(places: Mapping[str, str], result: Result) -> Any:
    return _at(places[type(result).__name__])


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
