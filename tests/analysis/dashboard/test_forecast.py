"""Facts about the page Forecast: it shows what the verb answers, and no more than that."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.dashboard.figures import isoflop as isoflop_figures
from analysis.dashboard.figures import loss as loss_figures
from analysis.dashboard.pages.forecast_evidence import CHOSEN_LAW as OF_PAGE
from analysis.dashboard.parts.budget import steps_between
from analysis.forecasting.reach import forecast_reach
from scaling.laws.written.law_file import read_laws
from scaling.records import read_records
from tests.analysis.dashboard.conftest import figures, shown
from tests.analysis.dashboard.verbs import numbers, tiles
from tests.grids import grid_of_runs

MEANS = {"price": "2USD/h", "mfu": "0.4", "device": "H100"}


def marked(test):
    """The loss that the figure marks as the answer; nothing where it marks none."""
    traces = [t for f in figures(test) for t in f["data"] if t["name"].startswith("asked for")]
    return [t["y"][0] for t in traces if t["mode"] == "markers"]


def spread(test):
    """The ends of the interval that the figure draws for the answer."""
    traces = [t for f in figures(test) for t in f["data"] if t["name"].startswith("asked for")]
    return [t["y"] for t in traces if t["mode"] == "lines"]


def test_a_budget_is_forecast_as_the_verb_forecasts_it(runs, drawn, asked):
    test = drawn("forecast", [runs])
    assert not test.exception and not test.error
    (target,) = asked("forecast", runs, "--flops", "10x")["targets"]
    assert marked(test) == [target["median"]]
    assert spread(test) == [target["intervals"]["0.9"]]
    assert float(tiles(test)["Loss"]) == pytest.approx(target["median"], abs=5e-4)  # as written
    text = shown(test)
    for name, share in target["shares"].items():
        assert share < 0.005 or f"{name} {100 * share:.0f}%" in text
    for name, loss in target["law_losses"].items():
        assert f"{name} {loss:#.5g}" in text


def test_what_a_known_floor_would_give_is_the_verbs(drawn, asked):
    quickstart = "examples/quickstart_runs.csv"
    text = shown(drawn("forecast", [quickstart], budget="8e11"))
    made = asked("forecast", quickstart, "--flops", "8e11")
    assert not made["floor_identified"]
    for floor, (median,) in made["pinned_floors"].items():
        assert f"{float(floor):#.4g} {median:.4f}" in text


def test_the_slider_moves_the_answer_and_the_link(runs, drawn, asked):
    test = drawn("forecast", [runs])
    reach = forecast_reach(read_records(runs))
    (last,) = asked("forecast", runs, "--flops", reach.furthest)["targets"]
    assert last["median"] is not None
    there = steps_between(reach.smallest, reach.furthest)[-9]
    test.select_slider(key="slide budget").set_value(there).run()
    assert float(test.text_input(key="field budget").value) == there
    (target,) = asked("forecast", runs, "--flops", there)["targets"]
    assert marked(test) == [target["median"]]
    test.text_input(key="field budget").set_value("4.5e19").run()
    assert test.query_params["budget"] == "4.5e19"
    assert test.select_slider(key="slide budget").value == 4.5e19
    (target,) = asked("forecast", runs, "--flops", "4.5e19")["targets"]
    assert marked(test) == [target["median"]]


def test_beyond_what_the_runs_carry_no_median_is_shown(runs, drawn, asked):
    test = drawn("forecast", [runs], budget="1e27")
    (target,) = asked("forecast", runs, "--flops", "1e27")["targets"]
    assert target["median"] is None
    assert marked(test) == [] and spread(test) == [target["intervals"]["0.9"]]
    assert tiles(test)["Loss"] == "not supported"
    curve = next(t for t in figures(test)[0]["data"] if t["name"] == "forecast")
    assert np.isfinite(numbers(curve["y"])).all() and max(numbers(curve["x"])) < 1e27
    assert "this lies beyond" in shown(test)


def test_a_run_of_a_size_is_forecast_as_the_verb_forecasts_it(runs, drawn, asked):
    test = drawn("forecast", [runs], ask="size", n="300M", d="20B")
    (target,) = asked("forecast", runs, "--params", "300M", "--tokens", "20B")["targets"]
    assert marked(test) == [target["median"]]


def test_the_budget_for_a_loss_is_the_verbs(runs, drawn, asked):
    test = drawn("forecast", [runs], ask="loss", target="2.55")
    (answer,) = asked("forecast", runs, "--target-loss", "2.55")
    assert answer["median"] is not None
    mantissa, power = f"{answer['median']:.2e}".split("e")
    assert tiles(test)["Compute"].startswith(f"{float(mantissa):g} ")
    assert not marked(test)


def test_a_table_without_compute_is_forecast_along_a_column(tmp_path, drawn, asked):
    path = tmp_path / "curve.csv"
    tokens = [1e6 * 2**i for i in range(10)]
    table = pd.DataFrame({"tokens": tokens, "loss": [1.5 + 60 * t**-0.3 for t in tokens]})
    table.to_csv(path, index=False)
    test = drawn("forecast", [str(path)], value="1e9")
    assert not test.exception and not test.error
    (target,) = asked("forecast", path, "--x", "tokens", "--values", "1e9")["targets"]
    assert marked(test) == ([] if target["median"] is None else [target["median"]])
    assert spread(test) == [target["intervals"]["0.9"]]


def test_a_link_carries_law_level_and_filter(runs, drawn, asked):
    test = drawn("forecast", [runs], law="chinchilla", level="0.5", where="params > 1.1e6")
    flags = ("--law", "chinchilla", "--level", "0.5", "--where", "params > 1.1e6")
    (target,) = asked("forecast", runs, "--flops", "10x", *flags)["targets"]
    assert marked(test) == [target["median"]]
    assert spread(test) == [target["intervals"]["0.5"]]


FORMULA = "E + A*N^-alpha + B*D^-beta"


def test_a_formula_of_the_sidebar_is_a_law_as_the_verb_takes_it(runs, drawn, asked):
    test = drawn("forecast", [runs], law="formula", formula=FORMULA, constants="1", fit=OF_PAGE)
    assert not test.exception and not test.error
    (target,) = asked("forecast", runs, "--flops", "10x", "--law", FORMULA)["targets"]
    assert marked(test) == [target["median"]] and spread(test) == [target["intervals"]["0.9"]]
    fitted = asked("fit", runs, "--law", FORMULA)
    assert f"`{fitted['form']}`" in shown(test)
    alpha = fitted["constants"]["alpha"]["estimate"]
    assert f"{alpha:.4f}" in shown(test) or f"{alpha:.4g}" in shown(test)


def test_laws_of_a_file_may_be_chosen(runs, drawn, asked, tmp_path):
    path = tmp_path / "laws.yaml"
    path.write_text(f"words: {{formula: '{FORMULA}', bounds: {{alpha: [0.1, 1]}}}}\n")
    test = drawn("forecast", [runs], {"laws": read_laws(path)}, law="words")
    assert not test.exception and not test.error
    words = ("--laws", path, "--law", "words")
    (target,) = asked("forecast", runs, "--flops", "10x", *words)["targets"]
    assert marked(test) == [target["median"]]


@pytest.mark.parametrize("page", ["home", "sweep", "forecast", "allocate"])
@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("E + A*N^", "not an expression"),
        ("E + A*nosuch^-a + B", "reads no column"),
        ("<b>", "unknown law"),
    ],
)
def test_a_formula_that_cannot_be_is_a_line(page, formula, reason, runs, drawn):
    test = drawn(page, [runs], law="formula", formula=formula)
    assert not test.exception and reason in shown(test)


def test_an_amount_of_money_is_the_budget_that_costs_it(runs, drawn, asked):
    test = drawn("forecast", [runs], budget="50", unit="money", **MEANS)
    assert not test.exception and not test.error
    assert tiles(test)["Cost"] == "50 USD"
    at = next(t["x"][0] for t in figures(test)[0]["data"] if t["name"].startswith("asked"))
    flags = ("--price", "2USD/h", "--mfu", "0.4", "--device", "H100")
    (planned,) = asked("allocate", runs, "--flops", repr(at), *flags)["budgets"]
    assert planned["cost"] == pytest.approx(50, rel=1e-9)
    slider = test.select_slider(key="slide budget")
    assert slider.value == pytest.approx(50)


def test_money_without_a_price_says_what_is_missing(runs, drawn):
    test = drawn("forecast", [runs], unit="money")
    assert "what an hour of a device costs" in shown(test)


def test_runs_that_land_change_the_answer_and_the_page_says_how(runs, tmp_path, drawn, asked):
    path, table = tmp_path / "growing.csv", pd.read_csv(runs)
    before = table[table["run_id"] != "r14"]
    before.to_csv(path, index=False)
    test = drawn("forecast", [str(path)], budget="2e19")
    assert "What changed" not in shown(test)
    (was,) = asked("forecast", path, "--flops", "2e19")["targets"]
    table.to_csv(path, index=False)
    test.run()
    text = shown(test)
    (now,) = asked("forecast", path, "--flops", "2e19")["targets"]
    assert was["median"] != now["median"]
    assert "1 run landed (r14)" in text
    assert f"from {was['median']:.3f} to {now['median']:.3f}" in text
    traces = [t for t in figures(test)[0]["data"] if t["name"] == "before the new runs"]
    assert [t["y"] for t in traces if t["mode"] == "markers"] == [[was["median"]]]
    test.button(key="from now on").click().run()
    assert "What changed" not in shown(test)


def test_the_constants_of_a_law_are_those_of_the_verb(runs, drawn, asked):
    how = {"constants": "1", "fit": "chinchilla", "objective": "least_squares"}
    test = drawn("forecast", [runs], **how)
    words = ("fit", runs, "--law", "chinchilla", "--objective", "least_squares")
    fitted = asked(*words)
    alpha = fitted["constants"]["alpha"]["estimate"]
    assert f"\u03b1 {alpha:.4f}" in shown(test) or f"{alpha:.4g}" in shown(test)


def test_of_very_many_runs_some_are_drawn_the_best_among_them_and_the_page_says_so(
    tmp_path, drawn, monkeypatch
):
    for module in (loss_figures, isoflop_figures):
        monkeypatch.setattr(module, "MOST_DRAWN", 50)
    path = tmp_path / "many.csv"
    table = grid_of_runs(9)
    table.to_csv(path, index=False)
    test = drawn("forecast", [str(path)])
    runs = next(t for t in figures(test)[0]["data"] if t.get("name", "").startswith("runs used"))
    count = len(runs["text"])
    assert 50 <= count < len(table) and f"{count:,} of {len(table):,} drawn" in runs["name"]
    assert numbers(runs["y"]).min() == table["loss"].min()
    sizes = figures(drawn("allocate", [str(path)]))[0]["data"]
    two = len(table) - 2  # the smallest and the largest budget have one size each
    assert any(trace.get("name", "").endswith(f" of {two:,} drawn") for trace in sizes)


HOSTILE = "<script>alert(1)</script>**b** %{x} $x$ \x1b[31m"


def test_hostile_names_stay_text_in_the_figure_and_on_the_page(runs, tmp_path, drawn):
    table = pd.read_csv(runs)
    table["run_id"] = [f"{HOSTILE}{i}" for i in range(len(table))]
    path = tmp_path / "hostile.csv"
    table.to_csv(path, index=False)
    test = drawn("forecast", [str(path)])
    assert not test.exception
    document = json.dumps(figures(test))
    assert "alert" in document and "<script" not in document and "\x1b" not in document
    assert "%{x} " not in "".join(
        text for f in figures(test) for t in f["data"] for text in t.get("text") or ()
    )


@pytest.mark.parametrize("loss", [[2.0, 2.1], [3.0, 3.0, 3.0, 3.0]])
def test_runs_that_carry_no_forecast_are_told_in_a_line(loss, tmp_path, drawn):
    path = tmp_path / "few.csv"
    flops = [10.0**p for p in range(17, 17 + len(loss))]
    pd.DataFrame({"train_flops": flops, "loss": loss}).to_csv(path, index=False)
    test = drawn("forecast", [str(path)])
    assert not test.exception
    assert len(test.info) == 1
    (figure,) = figures(test)  # the runs, and nothing that was forecast
    assert [trace["name"] for trace in figure["data"]] == ["runs used by fits"]
