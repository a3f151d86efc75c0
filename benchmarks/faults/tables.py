"""Broken tables through every verb: numbers that a check by hand confirms, or one line.

Each table holds exact losses of a law of its own, in a shape that people keep, in a spelling of its
own, damaged or not (`benchmarks.faults.broken_tables`). A verb ends with exit code 0 and the law's
own numbers, or with code 2 and one line; where it is owed an answer it must give it, and where it
asks for a flag, the flag must bring the answer. A traceback or a library's warning is a fault.

What costs most is matplotlib, which turns the figures of a report into pictures: it does so for one
table in five. Their data, captions and axes are made for all.
"""

import base64
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from analysis.tuning.screening import screen
from benchmarks.faults.broken_tables.damage import ENDS_WELL, REFUSED, RIGHT
from benchmarks.faults.broken_tables.made import BrokenTable, broken_table
from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import Ending, run_verb
from scaling.errors import ScalingError
from scaling.records import read_records
from scaling.tables.reading import Reading

CONSTANTS_TOLERANCE = 0.02  # of E, alpha and beta: losses have six decimals or more
LOSS_TOLERANCE = 0.02  # forecasts blend laws that are not the table's own
SIZE_TOLERANCE = 0.15  # the loss is flat around the best size
BACKTEST_TOLERANCE = 1.0  # percent
READ_TOLERANCE = 1e-5  # losses are written with six decimals
FEWEST = 17  # of twenty runs: two kinds of damage cost a row each at most
VERBS = ("fit", "forecast", "allocate", "backtest", "report")
TARGET = (2e9, 4e10)
BUDGET = 1e20
DRAWN = 5  # of so many reports the figures of one become pictures
ERRORS = "rolling-origin-backtest-error-by-distance"  # the file behind that figure


def asked(verb: str, path: Path) -> tuple[str, ...]:
    """What a verb is asked of a table."""
    return {
        "fit": ("--law", "chinchilla", "--bootstrap", "100", "--json"),
        "forecast": ("--params", "2B", "--tokens", "40B", "--draws", "200", "--json"),
        "allocate": ("--flops", "1e20", "--json"),
        "backtest": ("--json",),
        "report": ("-o", str(path.with_suffix(".html"))),
    }[verb]


def fault_of(table: BrokenTable, verb: str, path: Path) -> str:
    """What is wrong with a verb's answer to a table; nothing where it keeps the promise."""
    call = (verb, str(path), *asked(verb, path))
    if table.owed in (ENDS_WELL, REFUSED):  # there is nothing to check but the words
        call = tuple(word for word in call if word != "--json")
    if table.asks:
        ending = run_verb(*call)
        if fault := ending.fault:
            return fault
        if table.owed == RIGHT and not (ending.code == 2 and table.asks in ending.err):
            said = ending.refusals[0][:200] if ending.code else "an answer"
            return f'no word of "{table.asks}": {said}'
    ending = _ending(*call, *table.flags)
    if ending.fault or table.owed == ENDS_WELL:
        return ending.fault
    if ending.code == 2:
        return f"refused: {ending.refusals[0][:240]}" if table.owed == RIGHT else ""
    if table.owed == REFUSED:
        return "answered"
    return CHECKS[verb](table, ending, path)


@lru_cache(maxsize=4)
def _ending(*call: str) -> Ending:
    """How a call ends; a report is held against the same calls of other verbs as were tried."""
    return run_verb(*call)


def _pictures(number: int) -> AbstractContextManager[object]:
    """Whether figures become pictures for a table."""
    if number % DRAWN == 0:
        return nullcontext()
    return patch("matplotlib.figure.Figure.savefig", _not_saved)


def _not_saved(figure: object, *where: object, **how: object) -> None:
    """A figure that becomes no picture."""


def _wrong_constants(table: BrokenTable, ending: Ending, path: Path) -> str:
    truth = table.truth
    constants = json.loads(ending.out)["constants"]
    found = {name: constants[name]["estimate"] for name in ("E", "alpha", "beta")}
    off = {k: v for k, v in found.items() if not _near(v, getattr(truth, k), CONSTANTS_TOLERANCE)}
    return f"constants {off} of {truth}" if off else ""


def _near(value: float | None, right: float, tolerance: float) -> bool:
    return value is not None and abs(value / right - 1) < tolerance


def _wrong_forecast(table: BrokenTable, ending: Ending, path: Path) -> str:
    (target,) = json.loads(ending.out)["targets"]
    right = float(table.truth.loss(*map(np.asarray, TARGET)))
    low, high = target["intervals"]["0.9"]
    if not _near(target["median"], right, LOSS_TOLERANCE):
        return f"forecast {target['median']}, not {right:.4f}"
    return "" if low <= right <= high else f"{right:.4f} outside [{low:.4f}, {high:.4f}]"


def _wrong_split(table: BrokenTable, ending: Ending, path: Path) -> str:
    (split,) = json.loads(ending.out)
    params, tokens = table.truth.optimum(BUDGET)
    found = split["params"], split["tokens"]
    right = _near(found[0], params, SIZE_TOLERANCE) and _near(found[1], tokens, SIZE_TOLERANCE)
    if not right or not _near(6 * found[0] * found[1], BUDGET, 0.01):
        return f"split {found}, not {params:.4g} and {tokens:.4g}"
    return ""


def _wrong_backtest(table: BrokenTable, ending: Ending, path: Path) -> str:
    scored = json.loads(ending.out)
    errors = [abs(one["predicted"] / one["measured"] - 1) for one in scored["predictions"]]
    mean = scored["overall"]["error"]
    if not errors or not mean < BACKTEST_TOLERANCE or max(errors) > 3 * LOSS_TOLERANCE:
        return f"backtest error {mean}%, at most {max(errors, default=0):.3f}"
    return ""


def figure_tables(html: str) -> dict[str, pd.DataFrame]:
    """The data behind each figure of a report, by the name of its file."""
    links = re.findall(r'download="([^"]+)\.csv" href="data:text/csv;[^,]*base64,([^"]+)"', html)
    return {name: pd.read_csv(io.BytesIO(base64.b64decode(data))) for name, data in links}


def _wrong_report(table: BrokenTable, ending: Ending, path: Path) -> str:
    """Whether the data of a report's figures are the law's, and those of the verbs."""
    html = path.with_suffix(".html").read_text(encoding="utf-8")
    tables = figure_tables(html)
    needed = {"loss-against-compute", "residuals-of-chinchilla", ERRORS}
    fitted = _ending("fit", str(path), *asked("fit", path), *table.flags)
    if fitted.code == 2 and table.owed != RIGHT:  # sizes that nobody can read
        needed = {"loss-against-compute"}
    if missing := needed - set(tables):
        return f"no figure {', '.join(sorted(missing))} among {', '.join(sorted(tables))}"
    if len(needed) == 1:
        return ""
    loss = tables["loss-against-compute"]
    ahead = loss[loss["series"] == "forecast of a new run"]
    truth, compute = table.truth, ahead["train_flops"]
    best = [float(truth.loss(*map(np.asarray, truth.optimum(c)))) for c in compute]
    off = (ahead["loss"] / best - 1).abs().max()
    if not off < LOSS_TOLERANCE:
        return f"forecast off by {off}"
    residuals = tables["residuals-of-chinchilla"]
    if not residuals["residual_percent"].abs().max() < 0.1:
        return f"residuals up to {residuals['residual_percent'].abs().max()}%"
    verb = _ending("backtest", str(path), *asked("backtest", path), *table.flags)
    told = [one["predicted"] for one in json.loads(verb.out)["predictions"]]
    if not np.allclose(sorted(told), sorted(tables[ERRORS]["predicted"]), rtol=1e-8):
        return "its backtest is not the verb's"
    asked_at = ("--flops", *(repr(float(c)) for c in compute[-1:]))
    verb = run_verb("forecast", str(path), *asked_at, "--json", *table.flags)
    median = json.loads(verb.out)["targets"][0]["median"]
    return "" if _near(median, float(ahead["loss"].iloc[-1]), 1e-8) else "not the verb's forecast"


CHECKS: dict[str, Callable[[BrokenTable, Ending, Path], str]] = {
    "fit": _wrong_constants,
    "forecast": _wrong_forecast,
    "allocate": _wrong_split,
    "backtest": _wrong_backtest,
    "report": _wrong_report,
}


def _misread(table: BrokenTable, path: Path) -> str:
    """What is wrong with the runs that a fit of L(N, D) gets of a table."""
    flags = dict(zip(table.flags[::2], table.flags[1::2], strict=True))
    columns = [flags["--columns"]] if "--columns" in flags else []
    columns += [f"loss={flags['--metric']}"] if "--metric" in flags else []
    how = Reading(
        columns=dict(pair.split("=") for pair in columns),
        units=dict(flag.split("=") for name, flag in flags.items() if name == "--unit"),
    )
    where = [flags["--where"]] if "--where" in flags else []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            runs = screen(read_records(path, where=where, reading=how), "params", "tokens")
    except ScalingError as refusal:
        return f"refused: {refusal}" if table.owed == RIGHT else ""
    except Exception as error:  # what the benchmark looks for
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    if table.owed == ENDS_WELL:
        return ""
    if table.owed == REFUSED:
        return "answered" if len(runs) else ""
    best = runs.table.groupby([runs.column("params"), runs.column("tokens")])["loss"].min()
    params, tokens = (best.index.get_level_values(i).to_numpy(float) for i in (0, 1))
    off = np.abs(best.to_numpy(float) / table.truth.loss(params, tokens) - 1)
    if len(best) < FEWEST or not off.max() < READ_TOLERANCE:
        return f"{len(best)} sizes and tokens, losses off by up to {off.max(initial=0):.2g}"
    return ""


def readings(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """So many broken tables, each read as a fit of L(N, D) reads it."""
    for number in range(seed, seed + count):
        table = broken_table(number)
        path = table.written(folder, f"table{number}")
        yield Trial(f"table {number} ({'; '.join(table.damage)})", _misread(table, path))
        path.rmdir() if path.is_dir() else path.unlink()


def trials(count: int, seed: int, folder: Path, verbs: tuple[str, ...] = VERBS) -> Iterator[Trial]:
    """So many verbs on broken tables, each table through all `verbs`."""
    for number in range(seed, seed + -(-count // len(verbs))):
        table = broken_table(number)
        path = table.written(folder, f"table{number}")
        for verb in verbs:
            how = "; ".join(table.damage)
            with _pictures(number):
                wrong = fault_of(table, verb, path)
            yield Trial(f"{verb}, table {number} ({how})", wrong)


FAULTS = (
    FaultClass(
        "tables",
        "numbers that a check by hand confirms, or exit code 2 and one line",
        sample=100,
        full=3000,
        trials=trials,
    ),
    FaultClass(
        "readings",
        "every size and loss as it was meant, to five digits, or one line",
        sample=200,
        full=3000,
        trials=readings,
    ),
)
