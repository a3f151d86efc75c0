"""Facts about the page Next: it proposes what the verb proposes, when it is asked to."""

import json

import pytest

from analysis.decisions.further_runs.next_runs import NextRuns
from scaling.cli.verbs.answers.next_runs import Offer
from scaling.cli.verbs.pages.dashboard import offer_of
from scaling.errors import ConfigError
from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.page import show_plan
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


def test_a_sweep_gets_the_config_that_trains_its_proposal(drawn, asked, tmp_path):
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
    proposal = NextRuns.from_json(json.dumps(found))
    assert json.loads(offer.document(proposal))["cells"] == found["cells"]
    path = tmp_path / "next.yaml"
    asked(*words, "--config", "quickstart", "-o", path)
    text = offer.text(proposal, offer.document(proposal), str(path))
    ours, theirs = (one.split("# proposal: ") for one in (text, path.read_text()))
    assert ours[0] == theirs[0] and ours[1].splitlines()[1:] == theirs[1].splitlines()[1:]


def test_the_store_keeps_what_a_sweep_can_build(tracking_uri, tmp_path):
    config = {
        "name": "ladder",
        "grid": {"width": [16, 24, 32], "tokens": [4000, 8000, 16000], "seed": [1]},
        "model": {"context": 16, "head_size": 8},
        "data": {"source": "markov", "symbols": 16, "validation_windows": 100},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu", "checkpoints": {"folder": str(tmp_path)}},
    }
    plan = plan_sweep(config_from_mapping(config))
    show_plan(plan, RunStore.open(plan.name, tracking_uri).with_parent({}))
    budget = 2 * max(float(run.train_flops) for run in plan.runs)
    kept, named = offer_of("mlflow:ladder", budget), Offer(plan.config, budget)
    assert kept.name == "ladder" and kept.offer == named.offer
    assert offer_of(QUICKSTART, budget) is None
    with pytest.raises(ConfigError, match="buy no run"):
        offer_of("mlflow:ladder", 1.0)


def test_a_budget_below_the_cheapest_run_is_a_line(runs, drawn):
    test = drawn("next", [runs], spend="1", propose="1")
    assert not test.exception and len(test.info) == 1
    assert "buy no run" in shown(test)
