"""Tables that cannot answer, and what pages, files and figures show of them.

What `benchmarks.faults.honesty` holds the verbs' JSON to holds everywhere: `fit -o`, `forecast -o`,
the report's text and the data behind its figures, what a forecast draws, the verdict on a sealed
forecast, and the dashboard where Streamlit is installed. A page gives a number in one of a few
forms of words; each such form counts as an answer to its question.
"""

import contextlib
import html
import importlib.util
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.faults.cheats.case import owned
from benchmarks.faults.honesty import FACTORS, fault_of, words_of
from benchmarks.faults.tables import figure_tables
from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.unanswerable import CLEAN, KINDS, Kind, Table, drawn, largest_budget
from benchmarks.faults.verb import Ending, run_verb

#: question -> the words by which a page answers it with a number
ANSWERS = {
    "fit": r"fitted law falls from [\d.]+|Power Law: loss as",
    "surface": r"grows as compute[^.]*to the power|Chinchilla: loss as",
    "forecast": r"should reach a loss of [\d.]+",
    "budget": r"for a loss of [\d.]+ [^:.]*: \d",
    "allocate": r"At [^:.]+: about [\d.]+",
}


def told_by(text: str, table: Table) -> str:
    """What a page tells that its table does not carry; nothing where it tells no such thing."""
    for question, words in ANSWERS.items():
        found = re.search(words, text)
        if found and question not in table.carries:
            return f"{question}: {text[found.start() : found.start() + 120]}"
    return ""


def in_words(page: str) -> str:
    """The text of a page of HTML or Markdown, without what is drawn in it."""
    page = re.sub(r"<style>.*?</style>|(src|href)=\"data:[^\"]*\"", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\\", "")


def _saved(question: str) -> Callable[[Table, Path], str]:
    """What is wrong with the file that a verb writes: it is held to what its JSON is."""

    def fault(table: Table, path: Path) -> str:
        target = path.with_suffix(".json")
        words = words_of(question, path, table.rows)
        ending = run_verb(*words[:-1], "-o", str(target))
        if ending.code or ending.fault:
            return ending.fault
        return fault_of(question, table, Ending(0, target.read_text(), ending.err))

    return fault


def _report(table: Table, path: Path) -> str:
    """What is wrong with the text of a report, and with the data behind its figures."""
    page = path.with_suffix(".html")
    budgets = words_of("forecast", path, table.rows)[2:-1]
    loss = words_of("budget", path, table.rows)[2:-1]
    ending = run_verb("report", str(path), *budgets[:3], *loss, "-o", str(page))
    if ending.code or ending.fault:
        return ending.fault
    text = page.read_text(encoding="utf-8")
    return told_by(in_words(text), table) or _drawn_data(table, figure_tables(text))


def _drawn_data(table: Table, figures: dict[str, pd.DataFrame]) -> str:
    """Whether the data of the figures hold a law or a forecast that the table does not carry."""
    for data in figures.values():
        if "series" not in data:
            continue
        if "fit" not in table.carries and (data["series"] == "fitted law").any():
            return "a fitted law in the data of a figure"
        ahead = data[data["series"].isin(["forecast of a new run", "asked for"])]
        given = ahead.dropna(subset=["loss"])
        if len(given) and "forecast" not in table.carries:
            return f"a forecast in the data of a figure: {given.iloc[0].to_dict()}"
        for row in given.to_dict("records"):
            if not row["low_90"] < row["loss"] < row["high_90"]:
                return f"outside its interval: {row}"
    return ""


def _figure(table: Table, path: Path) -> str:
    """Whether the figure of a forecast marks a median where there is none."""
    from analysis import Targets, forecast
    from scaling.errors import ScalingError

    try:
        budgets = [factor * largest_budget(table.rows) for factor in FACTORS[:2]]
        answer = forecast(path, Targets.flops(*budgets))
    except (ScalingError, ValueError):
        return ""
    axes, column = answer.plot(), "train_flops"
    marks = [np.asarray(one.get_offsets()).reshape(-1, 2) for one in axes.collections]
    marks += [np.asarray(line.get_xydata()).reshape(-1, 2) for line in axes.lines]
    where = np.concatenate(marks)[:, 0]
    import matplotlib.pyplot as plt

    plt.close(axes.figure)
    untold = [t.at[column] for t in answer.targets if t.median is None and column in t.at]
    marked = [at for at in untold if np.any(np.isclose(where, at, rtol=1e-9))]
    return f"a mark at {marked[0]:.4g}, which has no median" if marked else ""


def _verdict(table: Table, path: Path) -> str:
    """Whether a seal and its verdict hold a median of what the table does not carry."""
    budget = f"{FACTORS[0] * largest_budget(table.rows):.12g}"
    with owned(path.parent):
        how = {"strict": False}  # MLflow warns of itself
        ending = run_verb("forecast", str(path), "--flops", budget, "--seal", path.stem, **how)
        if ending.code or ending.fault:
            return ending.fault
        landed = path.with_name(f"landed-{path.name}")
        size = np.sqrt(float(budget) / 120)
        run = {"params": size, "tokens": 20 * size, "train_flops": float(budget), "loss": 2.5}
        known = {name: run[name] for name in table.rows if name in run}
        rows = [table.rows, pd.DataFrame([{**table.rows.iloc[-1].to_dict(), **known}])]
        pd.concat(rows, ignore_index=True).to_csv(landed, index=False)
        ending = run_verb("verify", path.stem, str(landed), "--json", **how)
    if ending.code or ending.fault:
        return ending.fault
    document: dict[str, Any] = json.loads(ending.out)
    medians = [target["median"] for target in document["seal"]["targets"]]
    medians += [verdict["predicted"] for verdict in document["verdicts"]]
    if "forecast" not in table.carries and any(median is not None for median in medians):
        return f"sealed medians {medians}"
    return ""


def _dashboard(table: Table, path: Path) -> str:
    """Whether the pages of the dashboard tell what the table does not carry."""
    from streamlit.testing.v1 import AppTest

    from analysis.dashboard.registry import PAGES

    def script(source: str, page: str) -> None:
        from analysis.dashboard.app import draw_page
        from analysis.dashboard.feeds import Feeds
        from analysis.dashboard.registry import PAGES
        from scaling.sources import records_from

        feeds = Feeds(sources=lambda: [source], load=records_from, seals=lambda: ())
        draw_page(feeds, next(row for row in PAGES if row.name == page))

    told = []
    for row in PAGES:
        logging.disable(logging.WARNING)  # Streamlit warns of a page without a browser
        with warnings.catch_warnings(), contextlib.redirect_stderr(None):
            warnings.simplefilter("ignore")
            drawn = AppTest.from_function(script, args=(str(path), row.name), default_timeout=300)
            test = drawn.run()
        logging.disable(logging.NOTSET)
        if test.exception:
            return f"{row.name} raised {test.exception[0].value}"
        kinds = ("markdown", "caption", "warning")
        told += [str(one.value) for kind in kinds for one in test.get(kind)]
        told += [one.proto.body for one in test.get("html")]
    return told_by(in_words("\n".join(told)), table)


PLACES: dict[str, Callable[[Table, Path], str]] = {
    "fit -o": _saved("fit"),
    "forecast -o": _saved("forecast"),
    "report": _report,
    "figure": _figure,
    "verify": _verdict,
    "dashboard": _dashboard,
}


def shown_of(name: str, kind: dict[str, Kind], seed: int, folder: Path) -> Iterator[Trial]:
    """Each place where one table shows, and what is wrong there."""
    table = drawn(kind, name, seed)
    path = folder / f"{name}-{seed}.csv".replace(" ", "-")
    table.rows.to_csv(path, index=False)
    for place, fault in PLACES.items():
        if place == "dashboard" and importlib.util.find_spec("streamlit") is None:
            continue
        yield Trial(f"{place} of {name}, draw {seed}", fault(table, path))


def trials(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Tables of every kind in turn, the clean ones last, as many as make so many trials."""
    kinds = KINDS | CLEAN
    for number in range(-(-count // len(PLACES))):
        name, draw = list(kinds)[number % len(kinds)], seed + number // len(kinds)
        yield from shown_of(name, kinds, draw, folder)


FAULTS = FaultClass(
    "shown",
    "pages, files and figures show no number that a table does not carry",
    sample=len(KINDS | CLEAN) * len(PLACES),
    full=4 * len(KINDS | CLEAN) * len(PLACES),
    trials=trials,
)
