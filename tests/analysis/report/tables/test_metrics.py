"""Facts about metrics beside the loss: the report lists what runs have."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.report import render_report
from analysis.report.tables.metrics import metrics_table
from tests.analysis.report.page.read import Page


def with_metrics(findings):
    records = findings.records
    size = records.column("train_flops")
    table = records.table.assign(
        **{
            "metric.cloze": np.argsort(np.argsort(size)) / len(size),
            "metric.cloze_stderr": 0.01,
            "metric.unasked": np.nan,
        }
    )
    return replace(findings, records=replace(records, table=table))


@pytest.mark.usefixtures("undrawn")
def test_metrics_are_listed_from_the_smallest_run_to_the_largest(findings):
    found = with_metrics(findings)
    (row,) = metrics_table(found).rows
    finished = found.records.finished
    order = np.argsort(finished.column("train_flops"), kind="stable")
    values = finished.column("metric.cloze")
    assert row[:2] == ("cloze", str(len(finished)))
    assert row[2:4] == tuple(f"{values[i]:.4g} \u00b1 0.01" for i in (order[0], order[-1]))
    assert row[4] == f"{values.min():.4g} to {values.max():.4g}"
    assert "What models were asked beside the loss" in Page(render_report(found)).text


def test_a_table_without_metrics_says_nothing_of_them(findings, html):
    assert metrics_table(findings).rows == ()
    assert "beside the loss" not in Page(html).text
