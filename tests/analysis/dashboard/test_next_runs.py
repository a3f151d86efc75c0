"""Facts about the page Next: it proposes what the verb proposes, when it is asked to."""

import json

import pytest

from scaling.cli.verbs.next_runs import Offer
from tests.analysis.dashboard.conftest import figures, shown
from tests.analysis.dashboard.verbs import numbers, tiles

QUICKSTART = "examples/quickstart_runs.csv"


def test_nothing_is_chosen_before_the_button_is_pressed(drawn, asked):
    test = drawn("next", [QUICKSTART], at="2.4e12", spend="9e11")
    assert not test.exception and not figures(test) and not tiles(test)
    test.button(key="choose the runs").click().run()
    assert test.query_params["propose"] == "1"
    found = asked("next", QUICKSTART, "--target-flops", "2.4e12", "--budget", "9e11")
    assert found["runs"]
    stars = next(t for t in figures(test)[0]["data"] if t["name"].startswith("proposed"))
    assert [*numbers(stars["x"])] == [run["params"] for run in found["runs"]]
    assert [*numbers(stars["y"])] == [run["tokens"] for run in found["runs"]]
    width = 100 * (found["now"]["factor"] - 1)
    assert float(tiles(test)["Width now"].rstrip("%")) == pytest.approx(width, rel=0.05)
    narrowed = sum(f"{run['train_flops']:.3g}" in shown(test) for run in found["runs"])
    assert narrowed == len(found["runs"])


def test_the_best_size_can_be_what_is_narrowed(runs, drawn, asked):
    test = drawn("next", [runs], aim="allocation", propose="1")
    words = ("--target-flops", "10x", "--budget", "1x", "--for", "allocation")
    found = asked("next", runs, *words)
    assert tiles(test)["Width now"] == f"a factor of {found['now']['factor']:.3g}"


def test_a_sweep_gets_the_config_that_trains_its_proposal(drawn, asked, tmp_path, capsys):
    spend = "9e11"
    offers = {}

    def offer_of(source, budget):
        return offers.setdefault(budget, Offer("quickstart", budget))

    how = {"at": "2.4e12", "spend": spend, "propose": "1"}
    test = drawn("next", [QUICKSTART], {"offer": offer_of}, **how)
    assert not test.exception, test.exception
    words = ("next", QUICKSTART, "--target-flops", "2.4e12", "--budget", spend)
    found = asked(*words, "--config", "quickstart")
    assert found["runs"] and found["cells"]
    assert test.code[0].value == found["cells"].rstrip()
    ((budget, offer),) = offers.items()
    assert budget == float(spend)
    from analysis.decisions.next_runs import NextRuns

    proposal = NextRuns.from_json(json.dumps(found))
    assert json.loads(offer.document(proposal))["cells"] == found["cells"]


def test_a_budget_below_the_cheapest_run_is_a_line(runs, drawn):
    test = drawn("next", [runs], spend="1", propose="1")
    assert not test.exception and len(test.info) == 1
    assert "buy no run" in shown(test)
