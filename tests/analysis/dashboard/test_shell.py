"""Facts about every page: the address holds the state, a mistake is one line, names stay text."""

import numpy as np
import pandas as pd
import pytest

from analysis.dashboard import cache
from analysis.dashboard.registry import PAGES
from analysis.dashboard.state import (
    choice_field,
    flag_field,
    number_field,
    read_state,
    several_field,
)
from scaling.errors import StoreError
from tests.analysis.dashboard.conftest import draw, shown
from tests.grids import grid_of_runs

HOSTILE = "<script>alert(1)</script>**b** [x](javascript:alert(1)) $x$ :red[r] \x1b[31m"
FIELDS = (
    number_field("budget", 1e6, 1e40),
    choice_field("law", ("auto", "chinchilla"), "auto"),
    flag_field("live"),
    several_field("map"),
)


def test_the_address_is_read_into_typed_values_and_written_back():
    given = {"budget": ["1e21"], "law": ["chinchilla"], "live": ["1"], "map": ["a=b", "c=d"]}
    state = read_state(FIELDS, given)
    assert dict(state) == {
        "budget": 1e21,
        "law": "chinchilla",
        "live": True,
        "map": ("a=b", "c=d"),
    }
    assert not state.complaints
    assert state.query == "budget=1e%2B21&law=chinchilla&live=1&map=a%3Db&map=c%3Dd"
    assert read_state(FIELDS, {}).query == ""


@pytest.mark.parametrize(
    "name, text, reason",
    [
        ("budget", "a lot", "not a number"),
        ("budget", "inf", "from 1e+06"),
        ("budget", "-1", "from 1e+06"),
        ("law", HOSTILE, "choose one of: auto, chinchilla"),
        ("live", "yes", "give 1 or 0"),
    ],
)
def test_a_value_that_cannot_be_leaves_its_default_and_one_line(name, text, reason):
    state = read_state(FIELDS, {name: [text]})
    assert dict(state) == dict(read_state(FIELDS, {}))
    (line,) = state.complaints
    assert reason in line and "\n" not in line and "\x1b" not in line


@pytest.mark.parametrize("row", PAGES, ids=lambda row: row.name)
def test_every_page_draws_with_runs_without_any_and_with_a_table_that_is_gone(row, runs, tmp_path):
    assert not (with_runs := draw(row.name, [runs])).exception
    assert not with_runs.error
    assert not (empty := draw(row.name, [])).exception
    assert len(shown(empty)) > len("Home")
    gone = draw(row.name, [str(tmp_path / "gone.csv")])
    assert not gone.exception
    if row.needs_runs:
        assert "no such file" in shown(gone)


@pytest.mark.parametrize("row", PAGES, ids=lambda row: row.name)
def test_hostile_names_and_addresses_stay_text_on_every_page(row, runs, tmp_path):
    table = pd.read_csv(runs)
    table["run_id"] = [f"{HOSTILE}{i}" for i in range(len(table))]
    table["reason"] = HOSTILE
    path = tmp_path / "<b>runs.csv"
    table.to_csv(path, index=False)
    test = draw(row.name, [str(path)], where=HOSTILE)
    assert not test.exception
    test = draw(row.name, [str(path)], source=HOSTILE, law=HOSTILE)
    assert not test.exception
    kinds = ("title", "markdown", "info", "warning", "error", "caption")
    marked = [one.value for kind in kinds for one in test.get(kind)]
    assert not any("<" in text.replace("\\<", "") for text in marked)
    assert not any("<script" in one.proto.body for one in test.get("html"))
    for one in test.get("plotly_chart"):
        assert "<script" not in one.proto.spec and "\\u001b" not in one.proto.spec


def test_a_choice_of_the_sidebar_is_written_into_the_address(runs):
    test = draw("sweep", [runs])
    test.sidebar.select_slider[0].set_value(0.8).run()
    assert test.query_params["level"] in ("0.8", ["0.8"])
    test.sidebar.select_slider[0].set_value(0.9).run()
    assert "level" not in test.query_params


def test_a_filter_leaves_the_runs_that_fulfil_it(runs):
    test = draw("sweep", [runs], where="params > 2M; tokens < 1e9")
    assert not test.error
    table = pd.read_csv(runs)
    kept = table[(table.params > 2e6) & (table.tokens < 1e9)]
    for state, count in kept["status"].value_counts().items():
        assert f"{state} {count}" in shown(test)
    assert len(kept) < len(table)


def test_an_answer_is_computed_once_for_the_same_runs_and_options():
    calls = []

    def answer_to(table, scale):
        calls.append(scale)
        return scale

    table = pd.DataFrame({"loss": [1.0, 2.0]})
    for scale in (1, 2, 1):
        assert cache.answer(answer_to, table.copy(), scale=scale).value == scale
    assert calls == [1, 2]
    cache.answer(answer_to, table + 1, scale=1)
    assert calls == [1, 2, 1]


def test_a_store_that_is_lost_leaves_what_it_said_last_with_its_age():
    said = ["three runs"]

    def ask():
        if said:
            return said.pop()
        raise StoreError("the store does not answer; start it")

    assert cache.ask_source("test", "lost", 1, ask).lost is None
    known = cache.ask_source("test", "lost", 2, ask)
    assert known.value == "three runs" and known.age >= 0
    assert "does not answer" in str(known.lost)
    with pytest.raises(StoreError):
        cache.ask_source("test", "never asked", 1, ask)


def flops_at_random(table):
    """What is no FLOP of these runs, and is left out with a note."""
    luck = np.random.default_rng(0)
    flops = 6 * table["params"] * table["tokens"] * np.exp(luck.normal(0, 6, len(table)))
    return table.assign(train_flops=flops)


LACKING = {
    "FLOP that are none": flops_at_random,
    "sizes alone": lambda table: table[["params", "loss"]],
    "tokens alone": lambda table: table[["tokens", "loss"]],
    "FLOP alone": lambda table: table.assign(train_flops=6 * table["params"] * table["tokens"])[
        ["train_flops", "loss"]
    ],
    "one run": lambda table: table[:1],
}


@pytest.mark.parametrize("page", [row.name for row in PAGES if row.needs_runs])
@pytest.mark.parametrize("lacking", LACKING)
def test_no_page_raises_whatever_a_table_lacks(lacking, page, drawn, tmp_path):
    path = tmp_path / "runs.csv"
    LACKING[lacking](grid_of_runs(4)).to_csv(path, index=False)
    assert not drawn(page, [str(path)]).exception
