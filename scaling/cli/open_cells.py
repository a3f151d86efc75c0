"""That an answer is provisional: the cells of SOURCE that run, failed or diverged."""

import argparse
from typing import TYPE_CHECKING

from scaling.cli.outlooks import running_forecasts
from scaling.cli.outputs import say
from scaling.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analysis.decisions.further_runs.next_runs import Aim
    from analysis.decisions.further_runs.provisional import Provisional
    from analysis.forecasting.question.options import ForecastOptions
    from scaling.records import Records

Arguments = argparse.Namespace


def open_cells(
    arguments: Arguments,
    records: "Records",
    options: "ForecastOptions | None" = None,
    *,
    at: "Iterable[float]" = (),
    aim: "Aim" = "loss",
) -> "Provisional | None":
    """The open cells, told at the largest of these FLOP; kept for what the verb prints, too. None
    where every run came to its end."""
    from analysis.decisions.further_runs.provisional import provisional
    from analysis.forecasting.question.options import DEFAULT

    if records.is_finished.all():
        return None
    found = provisional(
        records,
        max(at, default=None),
        aim=aim,
        heading_for=heading_for(arguments.source),
        options=options or DEFAULT,
    )
    told = found if found else None
    arguments.provisional = told
    return told


def heading_for(source: str) -> dict[str, float]:
    """The losses that the running runs of a sweep are heading for, by run id."""
    if not source.startswith("mlflow:"):
        return {}
    from scaling.store.run_store import RunStore

    try:
        store = RunStore.find(source.removeprefix("mlflow:"))
        return {run_id: one.predicted for run_id, one in running_forecasts(store).items()}
    except StoreError as error:
        say(f"scaling: where running runs are heading is not told: {error}")
        return {}
