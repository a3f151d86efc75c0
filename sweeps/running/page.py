"""What MLflow's pages show of a sweep: its plan when it begins, its progress while it trains."""

import csv
import io
import threading
import warnings
from contextlib import suppress

import yaml

from scaling.errors import StoreError
from scaling.inputs.bounded_yaml import load_yaml
from scaling.store.run_store import RunStore
from scaling.store.sweep_page import REPORT, SweepPage
from scaling.words import counted
from sweeps.config.sweep import SweepConfig
from sweeps.config.yaml_file import config_from_mapping
from sweeps.models.family import blocks_said
from sweeps.planning.plan import SweepPlan
from sweeps.planning.run_plan import RunPlan

_CONFIG, _PLAN = "config.yaml", "plan.csv"
_SECONDS = 10.0  # between two looks at what has finished
_MOST_ROWS = 40  # of the plan's table in a description
_ABOUT = (
    "The sweep as a whole. `runs_finished` of `runs_planned` runs; `best_loss` is the lowest "
    "validation loss of the runs that fits may use. `forecast_10x.median`, `.low_90` and "
    "`.high_90` are the forecast at ten times the largest of their budgets, made by `scaling run`, "
    "`study`, `report` and `forecast`; the tag `forecast_10x` says it in words, or why there is "
    "none. The step of each is the number of finished runs. The files are the config, the plan, "
    "and the report of `scaling study`."
)
_CLICKS = (
    "The plus sign at *sweep {name}* opens its runs; the chart icon above the list draws them, and "
    "`loss` in *Search metric charts* picks the losses. "
    "`final.loss` is the loss on validation data, `final.train_flops` what training cost, "
    "`train_loss` the curve. A held-out run is among them, with its loss: look after it has been "
    "forecast."
)


def show_plan(plan: SweepPlan, store: RunStore) -> None:
    """Describe the sweep, and keep its config and its plan with its own run.

    Files that do not reach their store cost a warning. Raises StoreError where MLflow does not
    answer.
    """
    page = store.page()
    if page is None:
        return
    try:
        page.keep_files(
            {
                _CONFIG: yaml.safe_dump(plan.config.mapping(), sort_keys=False),
                _PLAN: _plan_csv(plan),
                "plan.json": plan.to_json(),
            }
        )
    except StoreError as error:
        warnings.warn(str(error), stacklevel=1)
    page.describe(description(plan, page), _ABOUT)


def kept_config(store: RunStore) -> SweepConfig | None:
    """The config that a sweep was last run with, as it is kept with the sweep's own run; None where
    none is. Raises ConfigError for one that this version does not read."""
    text = kept_config_text(store)
    return config_from_mapping(load_yaml(text)) if text else None


def kept_config_text(store: RunStore) -> str:
    """That config as the YAML that is kept; empty where none is."""
    page = store.page()
    return "" if page is None else page.read_file(_CONFIG)


def description(plan: SweepPlan, page: SweepPage) -> str:
    """The experiment's description, as Markdown: what it is, where its files are, what to click,
    and a row of a table a cell of the plan."""
    budgets = sorted({run.train_flops for run in plan.runs})
    held_out = sum(run.held_out for run in plan.runs)
    named = {"report": REPORT, "plan": _PLAN, "config": _CONFIG}
    links = [f"[{name}]({link})" for name, file in named.items() if (link := page.link(file))]
    links += [f"[the sweep's own run]({page.link()})"]
    first = (
        f"{counted(len(plan.runs), 'run')} for scaling laws, {budgets[0]:.2g} to "
        f"{budgets[-1]:.2g} FLOP each"
        + (f", {held_out} held out" if held_out else "")
        + f": {', '.join(links)}."
    )
    data = plan.runs[0]
    rest = (
        f"Recipe `{data.recipe}`, data `{data.data.data_hash}`, tokenizer `{data.data.tokenizer}`."
    )
    return "\n\n".join([first, _CLICKS.format(name=plan.name), rest, _plan_table(plan.runs)])


def _plan_table(runs: tuple[RunPlan, ...]) -> str:
    """A row a cell, its seeds together; cells beyond the first forty are in plan.csv."""
    cells: dict[tuple[str, ...], list[int]] = {}
    for run in runs:
        cell: tuple[str, ...] = (
            str(run.shape.width),
            blocks_said(run.shape),
            f"{run.shape.params:,}",
            f"{run.tokens:,}",
            f"{run.train_flops:.3g}",
            "held out" if run.held_out else "",
        )
        cells.setdefault(cell, []).append(run.seed)
    lines = [
        "| width | depth | params | tokens | FLOP | seeds | |",
        "|--:|--:|--:|--:|--:|:--|:--|",
    ]
    for cell, seeds in list(cells.items())[:_MOST_ROWS]:
        told = ", ".join(map(str, seeds)) if len(seeds) < 6 else counted(len(seeds), "seed")
        apart = "&nbsp; | ".join(cell[:-1])  # MLflow draws columns without a gap
        lines.append(f"| {apart}&nbsp; | {told} | {cell[-1]} |")
    if len(cells) > _MOST_ROWS:
        lines += ["", f"and {counted(len(cells) - _MOST_ROWS, 'more cell')}, in plan.csv"]
    return "\n".join(lines)


def _plan_csv(plan: SweepPlan) -> str:
    """The plan as a table that MLflow draws: what a run is, and no estimate of its time."""
    rows = [{n: v for n, v in row.items() if n != "seconds"} for row in plan.rows()]
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


class LoggedProgress:
    """Logs, while a driver works and when it ends, how many runs of the plan have finished, in a
    thread of its own: a store that is away delays nobody."""

    def __init__(self, plan: SweepPlan, store: RunStore) -> None:
        self._page = store.page()
        self._planned = frozenset(run.run_id for run in plan.runs)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._log, daemon=True)

    def __enter__(self) -> "LoggedProgress":
        """Begin to look."""
        if self._page is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Look a last time."""
        self._done.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _log(self) -> None:
        assert self._page is not None
        while not self._done.wait(_SECONDS):
            with suppress(StoreError):  # what it lacks is told by the next look
                self._page.log_progress(self._planned)
        with suppress(StoreError):
            self._page.log_progress(self._planned)
