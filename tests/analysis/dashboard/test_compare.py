"""Facts about the page Compare: the multiplier and the decision are the verb's."""

import numpy as np
import pytest

from scaling import isoflop_runs, laws, simulate_records, write_records
from tests.analysis.dashboard.conftest import figures, shown
from tests.analysis.dashboard.verbs import numbers, tiles


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Two ladders at the same cells; B needs less of both terms."""
    folder, paths = tmp_path_factory.mktemp("arms"), []
    first = laws.Chinchilla(E=1.8, A=480, B=2085, alpha=0.348, beta=0.366)
    second = laws.Chinchilla(E=1.8, A=456, B=2022, alpha=0.348, beta=0.366)
    runs = isoflop_runs(np.geomspace(1e17, 1e19, 4), [0.5, 1, 2], first)
    for seed, (name, law) in enumerate((("a", first), ("b", second)), start=1):
        path = folder / f"{name}.csv"
        write_records(simulate_records(law, runs, relative_noise=0.003, seed=seed), path)
        paths.append(str(path))
    return paths


def test_the_multiplier_and_the_decision_are_the_verbs(arms, drawn, asked):
    a, b = arms
    test = drawn("compare", arms, source=a, b=b, flops="1e19 1e20", gate="1.05")
    assert not test.exception and not test.error
    found = asked("compare", a, b, "--flops", "1e19", "1e20", "--gate", "1.05")
    drawn_at = next(t for t in figures(test)[0]["data"] if t["name"].startswith("targets"))
    assert [*numbers(drawn_at["x"])] == [target["train_flops"] for target in found["targets"]]
    assert [*numbers(drawn_at["y"])] == [target["multiplier"] for target in found["targets"]]
    cells = next(t for t in figures(test)[0]["data"] if t["name"] == "cells")
    assert [*numbers(cells["y"])] == [cell["multiplier"] for cell in found["cells"]]
    words = {"promote": "Promote B", "reject": "Keep A", "undecided": "Undecided"}
    assert tiles(test)["Decision"] == words[found["gate"]["decision"]]
    assert found["gate"]["because"] in shown(test)


def test_a_gate_that_is_not_met_keeps_a(arms, drawn, asked):
    a, b = arms
    test = drawn("compare", arms, source=a, b=b, gate="3")
    found = asked("compare", a, b, "--gate", "3", code=1)
    assert found["gate"]["decision"] == "reject" and tiles(test)["Decision"] == "Keep A"


def test_one_source_and_no_second_one_say_what_to_do(arms, drawn):
    assert "name a second one" in shown(drawn("compare", arms[:1]))
    test = drawn("compare", arms, source=arms[0])
    assert not test.exception and not figures(test) and len(test.selectbox) == 3


def test_arms_without_a_common_cell_are_refused_in_a_line_and_still_drawn(
    arms, runs, tmp_path, drawn
):
    test = drawn("compare", [arms[0], runs], source=arms[0], b=runs)
    assert not test.exception and len(test.info) == 1
    assert len(figures(test)) == 1
