"""Facts about the page Allocate: it shows what the verb answers, and no more than that."""

import numpy as np
import pytest

from scaling.simulate import isoflop_runs, simulate_records
from tests.analysis.dashboard.conftest import figures, shown
from tests.analysis.dashboard.verbs import numbers, tiles

MEANS = {"price": "2USD/h", "mfu": "0.4", "device": "H100", "devices": "8", "memory": "80GB"}
FLAGS = (
    *("--price", "2USD/h", "--mfu", "0.4", "--device", "H100"),
    *("--devices", "8", "--device-memory", "80GB"),
)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """Four budgets of five sizes each, without what a shape needs."""
    from scaling import laws, write_records

    law = laws.Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 4), [0.25, 0.5, 1.0, 2.0, 4.0], law)
    path = tmp_path_factory.mktemp("allocate") / "ladder.csv"
    write_records(simulate_records(law, runs, relative_noise=0.002, seed=1), path)
    return str(path)


def best(test):
    """Size and loss of the star in the figure; nothing where it has none."""
    traces = [t for t in figures(test)[0]["data"] if t.get("name", "").startswith("best size")]
    return [(t["x"][0], t["y"][0], t["error_x"]) for t in traces]


def test_a_budget_is_split_as_the_verb_splits_it(ladder, drawn, asked):
    test = drawn("allocate", [ladder], budget="3e20")
    assert not test.exception and not test.error
    (split,) = asked("allocate", ladder, "--flops", "3e20")
    ((params, loss, error),) = best(test)
    assert (params, loss) == (split["params"], split["loss"])
    ends = [params - error["arrayminus"][0], params + error["array"][0]]
    assert ends == pytest.approx(split["params_range"]["0.9"], rel=1e-12)
    flat = next(t for t in figures(test)[0]["data"] if t.get("name", "").startswith("wastes less"))
    low, high = split["flat_params"]
    inside = numbers(flat["x"])
    assert low <= inside.min() and inside.max() <= high
    # the curve has a point every thirty-second of a doubling
    assert np.log2([inside.min() / low, high / inside.max()]).max() < 1 / 32
    curve = next(t for t in figures(test)[0]["data"] if t.get("name", "").endswith("asked for"))
    half = np.interp(np.log(params / 2), np.log(numbers(curve["x"])), numbers(curve["y"]))
    assert half == pytest.approx(split["loss_at_half_size"], rel=1e-5)


def test_what_is_served_what_is_distinct_and_what_it_costs_are_the_verbs(ladder, drawn, asked):
    test = drawn("allocate", [ladder], budget="3e20", inference="1T", approaches="1", **MEANS)
    plan = asked(
        "allocate", ladder, "--flops", "3e20", "--inference-tokens", "1T", "--approaches", *FLAGS
    )
    (planned,) = plan["budgets"]
    ((params, loss, _),) = best(test)
    assert (params, loss) == (planned["split"]["params"], planned["split"]["loss"])
    assert tiles(test)["Cost"] == f"{planned['cost']:.3g} USD"
    text = shown(test)
    state = f"{planned['state_bytes'] / 1e9:.3g} GB"
    assert f"{state} {planned['devices_for_memory']}" in text
    exponent = plan["approaches"][0]["exponent"]
    assert f"{exponent:.3f}" in text
    limited = drawn("allocate", [ladder], budget="3e20", unique="10B")
    (split,) = asked("allocate", ladder, "--flops", "3e20", "--unique-tokens", "10B")
    assert float(tiles(limited)["Tokens per parameter"]) == pytest.approx(
        split["tokens"] / split["params"], rel=5e-3
    )
    assert best(limited) == [] and "Loss" not in tiles(limited)  # where data repeat none is told


def test_a_budget_that_the_runs_do_not_carry_has_no_size(ladder, drawn, asked):
    test = drawn("allocate", [ladder], budget="1e27")
    (split,) = asked("allocate", ladder, "--flops", "1e27")
    assert split["params"] is None
    assert best(test) == [] and tiles(test)["Parameters N"] == "not supported"
    for figure in figures(test):
        for trace in figure["data"]:
            assert trace.get("name") != "asked for"
            assert not trace.get("name", "").startswith("wastes")


def test_the_sizes_along_budgets_are_the_verbs(ladder, drawn, asked):
    test = drawn("allocate", [ladder])
    line = next(t for t in figures(test)[1]["data"] if t.get("name", "") == "parameters N")
    budgets = [repr(float(value)) for value in numbers(line["x"])]
    splits = asked("allocate", ladder, "--flops", *budgets)
    assert [*numbers(line["y"])] == [split["params"] for split in splits]


def test_a_ladder_of_one_size_a_budget_says_why_it_has_no_split(tmp_path, drawn):
    path = tmp_path / "curve.csv"
    path.write_text(
        "train_flops,loss\n"
        + "\n".join(f"1e{p},{2 + 30 * 10 ** (-0.1 * p)}" for p in range(14, 22))
    )
    test = drawn("allocate", [str(path)])
    assert not test.exception
    assert "no params and tokens" in shown(test)
