"""Facts about the page Discover: it shows what `scaling discover` finds, when it is asked to."""

import numpy as np
import pandas as pd
import pytest

from tests.analysis.dashboard.conftest import figures, shown
from tests.analysis.dashboard.verbs import numbers, tiles


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Runs whose loss falls with size and copies."""
    size, copies = (g.ravel() for g in np.meshgrid(np.geomspace(2e8, 4e9, 5), [1, 2, 4, 8]))
    loss = 1.1 + (1.5e8 / (size * (1 + 0.35 * np.log(copies)))) ** 0.25
    loss = loss * np.exp(0.002 * np.random.default_rng(1).normal(size=len(loss)))
    path = tmp_path_factory.mktemp("discover") / "copies.csv"
    runs = pd.DataFrame({"model_size": size, "copies": copies, "loss": loss})
    runs.assign(kind=["a", "b"] * 10).to_csv(path, index=False)
    return str(path)


def test_nothing_is_searched_before_the_button_is_pressed(table, drawn):
    test = drawn("discover", [table])
    assert not test.exception and "Name the columns" in shown(test)
    test = drawn("discover", [table], input=["params", "copies"])
    assert not test.exception and not figures(test) and test.button(key="search")


def test_forms_scores_and_predictions_are_the_verbs(table, drawn, asked, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("params,copies\n8e9,8\n")
    point = ["params=8e9", "copies=8"]
    how = {"input": ["params", "copies"], "point": point, "search": "1", "level": "0.8"}
    test = drawn("discover", [table], **how)
    assert not test.exception and not test.error, test.exception
    words = ("--inputs", "params", "copies", "--at", points, "--level", "0.8")
    found = asked("discover", table, *words)
    (prediction,) = found["predictions"]
    assert float(tiles(test)["Prediction"]) == pytest.approx(prediction["median"], rel=1e-3)
    low, _, high = tiles(test)["80% interval"].partition(" to ")
    ends = prediction["intervals"]["0.8"]
    assert [float(low), float(high)] == pytest.approx([*ends], rel=2e-3)
    assert test.code[0].value == f"L = {found['forms'][0]['formula']}"
    traces = {trace["name"]: trace for trace in figures(test)[0]["data"]}
    for place in found["forms"][0]["errors"]:
        errors = [100 * form["errors"][place] for form in found["forms"]]
        assert [*numbers(traces[f"{place} hidden"]["x"])] == pytest.approx(errors)
    assert found["forms"][0]["formula"] in shown(test)


def test_losses_that_follow_nothing_have_no_law_and_no_number(tmp_path, drawn, asked):
    noise = np.random.default_rng(3)
    path = tmp_path / "noise.csv"
    table = pd.DataFrame({"a": noise.uniform(1, 9, 24), "loss": noise.uniform(2, 3, 24)})
    table.to_csv(path, index=False)
    test = drawn("discover", [str(path)], input=["a"], search="1", point=["a=20"])
    found = asked("discover", path, "--inputs", "a")
    assert not found["claimed"] and not test.exception
    assert tiles(test)["Law"] == "none is claimed" and not figures(test)


def test_a_found_form_becomes_the_law_of_the_other_pages(table, drawn):
    test = drawn("discover", [table], input=["params", "copies"], search="1")
    if any(button.key == "use the form" for button in test.button):
        test.button(key="use the form").click().run()
        assert test.query_params["law"] == ["formula"]
        assert f"L = {test.query_params['formula'][0]}" == test.code[0].value
    else:
        assert "--laws" in shown(test)


def test_a_column_that_is_not_there_is_passed_over_in_a_line(table, drawn):
    test = drawn("discover", [table], input=["<b>gone</b>", "copies"])
    assert not test.exception and test.multiselect[0].value == ["copies"]
    assert "<b>gone</b>: not among the columns" in shown(test)
