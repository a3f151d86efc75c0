"""The page on reliability and the bench of faults agree; its numbers are the code's."""

import re
from pathlib import Path

import pytest

from benchmarks.faults.__main__ import fault_classes
from scaling.store.connection import database, mlflow_client, patience

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
ROWS = re.findall(r"^\| `([\w-]+)`.* \| (\d+) \| (\d+)(?:, [^|]*)? \|$", PAGE, flags=re.MULTILINE)


def test_each_row_of_the_table_is_a_class_of_the_bench():
    assert {name for name, _, _ in ROWS} <= set(fault_classes())
    assert len({name for name, _, _ in ROWS}) == len(ROWS) > 5


def test_each_class_of_the_bench_has_a_row_or_is_said_to_have_none():
    told = {name for name, _, _ in ROWS} | set(re.findall(r"`([\w-]+)`", PAGE))
    assert set(fault_classes()) <= told


def test_no_more_was_wrong_than_tried():
    assert all(int(wrong) <= int(tried) for _, tried, wrong in ROWS)


@pytest.mark.parametrize("page", ["reliability", "security"])
def test_files_that_a_page_names_exist(page):
    root = Path(__file__).parents[2]
    text = (root / "docs" / f"{page}.md").read_text()
    named = re.findall(r"`((?:tests|benchmarks|scaling|sweeps|analysis)/[\w/.]+\.\w+)`", text)
    named += re.findall(r"\]\((?!https?:)([\w/.-]+\.md)\)", text)
    places = (root, root / "docs")
    assert [one for one in named if not any((place / one).exists() for place in places)] == []


def test_each_fault_is_caused_by_tests_that_exist():
    root = Path(__file__).parents[2]
    rows = re.findall(r"^\| (.*) \| (`tests/.*) \|$", PAGE, flags=re.MULTILINE)
    named = [re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", caused) for _, caused in rows]
    assert len(rows) >= 16 and all(named)
    assert [
        f"{file}::{test}"
        for file, test in sum(named, [])
        if f"def {test}(" not in (root / file).read_text()
    ] == []


def test_the_seconds_and_megabytes_that_are_promised_are_those_of_the_code():
    assert f"the first {database._CHECKED_WHOLE >> 20} MB" in PAGE
    assert "Nobody waits longer than 10 seconds without a word" in PAGE
    assert max(patience.WORD_SECONDS, mlflow_client._HEALTH_SECONDS) <= 10
