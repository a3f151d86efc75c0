"""What each figure of the report draws, as a table: the rows that its CSV file holds."""

import base64
import re
from collections.abc import Mapping

import pandas as pd

from analysis.evaluation.backtest import Backtest
from analysis.fitting.groups.split import label_of
from analysis.intervals import Interval, interval_columns
from analysis.plots.isoflop import runs_by_budget
from analysis.plots.loss_against import law_line
from analysis.plots.residuals import residuals
from analysis.plots.sizes import law_on_sizes
from analysis.report.findings import Findings
from scaling.extra_columns.references import references_of

MOST_ROWS = 2000  # of a figure; more would make the page grow by megabytes


def data_uri(table: pd.DataFrame) -> str:
    """A table as a CSV file inside an address, which a browser saves without a network."""
    text = table.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode('ascii')}"


def file_name(title: str) -> str:
    """The name of a figure's file, from its title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".csv"


def data_behind(findings: Findings) -> Mapping[str, pd.DataFrame]:
    """The data of every figure that these findings support, by the figure's name."""
    surface = findings.law_of("params", "tokens")
    tables = {"loss": _loss(findings)}
    if findings.x == "train_flops":
        runs = runs_by_budget(findings.used)
        if surface is not None and len(runs):
            fitted = surface.law.loss(runs["params"].to_numpy(), runs["tokens"].to_numpy())
            runs = runs.assign(fitted_loss=fitted)
        tables["isoflop"] = runs
    if surface is not None:
        tables["sizes"] = law_on_sizes(surface, findings.used)
    for i, law in enumerate(findings.laws):
        assert law.records is not None  # made here, not read from a file
        tables[f"residuals {i}"] = residuals(law, law.records, x=findings.x)
    if findings.backtest is not None:
        tables["errors"] = findings.backtest.to_frame()
        tables["coverage"] = _coverage(findings.backtest)
    for i, made in enumerate(findings.answers.metrics if findings.answers else ()):
        tables[f"metric {i}"] = made.to_frame()
    if findings.discovery is not None and findings.discovery.claimed:
        tables["hidden runs"] = findings.discovery.hidden_frame()
    if findings.comparison is not None:
        tables["comparison"] = findings.comparison.to_frame()
    if findings.curves is not None:
        tables["curves"] = findings.curves
    return tables


def _loss(findings: Findings) -> pd.DataFrame:
    """Runs, the fitted law, the forecast and the held-out runs, one series under another."""
    x, level = findings.x, findings.confidence_level
    ends = list(interval_columns({level: Interval(0.0, 0.0)}))
    used, law = findings.used, findings.law_of(findings.x)
    points = {x: used.column(x), "loss": used.column("loss")}
    series = [pd.DataFrame({"series": "run used by fits", **points})]
    if (groups := findings.groups) is not None:
        series = [series[0].assign(group=used.table[groups.by].map(label_of).to_numpy())]
        for label, of_group in groups.forecasts.items():
            ahead = pd.concat([one.to_frame() for one in of_group]).rename(
                columns={"median": "loss"}
            )
            if x in ahead:
                told = ahead[[x, "loss", *ends]].dropna()
                series.append(told.assign(series="forecast of a new run", group=label))
        return pd.concat(series, ignore_index=True)
    series += [
        pd.DataFrame({"series": f"reference: {line.name}", "loss": [line.loss]})
        for line in references_of(used).finite
    ]
    if law is not None and law.records is not None:
        line = law_line(law, used, x, level)
        series.append(line.assign(series="fitted law"))
    if findings.forecast is not None:
        ahead = findings.forecast.to_frame().rename(columns={"median": "loss"})
        series.append(ahead[[x, "loss", *ends]].assign(series="forecast of a new run"))
    for made in findings.answers.forecasts if findings.answers else ():
        asked = made.to_frame().rename(columns={"median": "loss"})
        if x in asked:
            supported = asked[[x, "loss", *ends]].dropna()
            series.append(supported.assign(series="asked for"))
    if findings.held_out is not None:
        hidden = findings.held_out.to_frame().rename(columns={"measured": "loss"})
        if x in hidden:
            shown = hidden[[x, "loss", *ends]]
            series.append(shown.assign(series="held-out run, measured; its interval, predicted"))
    return pd.concat(series, ignore_index=True)


def _coverage(scored: Backtest) -> pd.DataFrame:
    bands = [(band.words, band.score) for band in scored.by_distance]
    return pd.DataFrame(
        [
            {
                "decades_beyond": name,
                "predictions": score.predictions,
                "promised_percent": 100 * level,
                "found_percent": 100 * score.coverage[level],
            }
            for name, score in [*bands, ("all, origins weighted alike", scored.overall)]
            for level in sorted(score.coverage)
        ]
    )
