"""Facts about plans: budgets are met, identities hold, and nothing heavy is needed."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scaling.errors import ConfigError, CorpusError
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import plan_text
from sweeps.planning.review.training_text import TrainingText
from tests.sweeps.shipped import NAMES, quick_to_plan

ROOT = Path(__file__).parents[3]


def planned(mapping, **changes):
    return plan_sweep(config_from_mapping(mapping | changes))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_loads_and_plans(name):
    plan = plan_sweep(quick_to_plan(name))
    assert len({run.run_id for run in plan.runs}) == len(plan.runs) >= 3
    is_ladder = (
        len({run.shape.params for run in plan.runs}) > 1
    )  # one size over seeds has none to hide
    assert any(run.held_out for run in plan.runs) is is_ladder
    assert plan.wall_seconds > 0


def test_an_isoflop_plan_spends_its_budget_within_one_percent(tiny_mapping):
    mapping = tiny_mapping | {"data": {"max_epochs": 100}, "held_out": []}
    plan = planned(mapping, grid={"width": [16, 32, 48, 64], "flops": [3e9, 1e10, 1e11]})
    for run in plan.runs:
        nearest = min((3e9, 1e10, 1e11), key=lambda flops: abs(flops - run.train_flops))
        assert run.train_flops == pytest.approx(nearest, rel=0.01)


def test_tokens_per_parameter_set_the_horizon(tiny_mapping):
    plan = planned(tiny_mapping, grid={"width": [16], "tokens_per_param": [1.5]}, held_out=[])
    (run,) = plan.runs
    # Half a step of rounding.
    assert run.tokens == pytest.approx(1.5 * run.shape.params_matmul, abs=run.batch_tokens / 2)


def test_a_grid_is_the_product_of_its_lists(tiny_mapping):
    grid = {"width": [16, 32], "depth": [1, 2], "tokens": [4000, 8000], "seed": [1, 2, 3]}
    plan = planned(tiny_mapping, grid=grid, held_out=[])
    assert len(plan.runs) == 2 * 2 * 2 * 3


def test_cells_take_depths_and_seeds_of_the_grid_and_held_out_runs_its_first_seed(tiny_mapping):
    plan = planned(
        tiny_mapping,
        grid={"seed": [4, 5], "depth": 2},
        cells=[{"width": 16, "tokens": 8000}],
    )
    assert {(run.seed, run.held_out) for run in plan.runs} == {(4, False), (5, False), (4, True)}
    assert {run.shape.depth for run in plan.runs} == {2}


def test_held_out_runs_come_first_or_last_as_the_config_says(tiny_mapping):
    first = planned(tiny_mapping, launch={"policy": {"held_out_first": True}})
    assert first.runs[0].held_out
    last = planned(tiny_mapping)
    assert [run.held_out for run in last.runs] == [False, False, True]
    flops = [run.train_flops for run in last.runs]
    assert flops == sorted(flops)


def test_a_run_listed_twice_is_planned_once(tiny_mapping):
    plan = planned(tiny_mapping, cells=[{"width": 16, "tokens": 8000}])
    assert len(plan.runs) == 3


def test_a_run_cannot_be_both_fitted_and_held_out(tiny_mapping):
    with pytest.raises(ConfigError, match="to be fitted and to be held out"):
        planned(tiny_mapping, held_out=[{"width": 16, "tokens": 8000}])


def test_the_same_config_gives_the_same_identities(tiny_mapping):
    first, second = planned(tiny_mapping), planned(tiny_mapping)
    assert [run.run_id for run in first.runs] == [run.run_id for run in second.runs]


#: By schedule, in the order of the plan; the text of a generated source depends on no machine.
RUN_IDS = {
    "linear": """
        aa0eaea5bce1c15e e80f24f028f1dd3a be5f5e9bf0fa8e1a 6afea17412f49442 5ac175ac93026fb4
        fcb888f31a3a3124 1ed8f9efaf67e3a5 70f34c46ad92fd52 1d138e7e684f2587
    """,
    "wsd": """
        346cf4cc2d9133e0 1932b2bda8beab07 b7c202a12d0c3a02 2fbcf790d3acbe3a b4571d143cec9c62
        0c38141b21076b62 01c6999cfb83d832 af9f19f866dec7b9 4ce55e2c3cc00f9e
    """,
}


@pytest.mark.parametrize("schedule", RUN_IDS)
def test_identities_are_those_of_runs_that_stores_already_hold(schedule):
    """Whoever changes this makes every stored run of every sweep one of another config."""
    plan = planned(
        {"name": "kept", "schedule": schedule},
        grid={"width": [32, 48], "tokens": [20000, 40000], "seed": [1, 2]},
        held_out=[{"width": 64, "depth": 2, "flops": 1e11}],
        model={"head_size": 16, "context": 64, "rotary_base": 100},
        recipe={"name": "cpt-adamw-tiny/1"},
        data={"source": "markov", "symbols": 16, "order": 1},
    )
    assert [run.run_id for run in plan.runs] == RUN_IDS[schedule].split()


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": {"width": [16, 32], "tokens": 8000, "seed": 2}},
        {"recipe": {"name": "cpt-adamw-tiny/1", "overrides": {"z_loss": 2e-5}}},
        {"model": {"context": 16, "head_size": 16}},
        {"model": {"context": 32, "head_size": 8}},
    ],
)
def test_whatever_changes_a_result_changes_every_identity(tiny_mapping, changes):
    before = {run.run_id for run in planned(tiny_mapping).runs}
    after = {run.run_id for run in planned(tiny_mapping, **changes).runs}
    assert not before & after


def test_changed_text_changes_every_identity(tiny_mapping, text_files):
    before = {run.run_id for run in planned(tiny_mapping).runs}
    (text_files / "new.txt").write_text("one more line\n" * 100)
    _forget_corpora()
    assert not before & {run.run_id for run in planned(tiny_mapping).runs}


def test_where_a_run_trains_is_no_part_of_its_identity(tiny_mapping):
    before = [run.run_id for run in planned(tiny_mapping).runs]
    launch = {"workers": 7, "speed": {"inner_steps": 3}, "device": "cuda"}
    assert [run.run_id for run in planned(tiny_mapping, launch=launch).runs] == before
    assert [run.run_id for run in planned(tiny_mapping, name="other").runs] == before


def test_a_run_longer_than_the_text_is_refused_unless_repeats_are_allowed(tiny_mapping):
    with pytest.raises(ConfigError, match="data.max_epochs"):
        planned(tiny_mapping, grid={"width": 16, "tokens": 1e6})
    data = tiny_mapping["data"] | {"max_epochs": 100}
    plan = planned(tiny_mapping, grid={"width": 16, "tokens": 1e6}, data=data, held_out=[])
    (run,) = plan.runs
    assert run.facts_when_finished()["unique_tokens"] == run.data.train_tokens < run.tokens


def test_a_run_that_would_end_within_its_warm_up_is_refused(tiny_mapping):
    with pytest.raises(ConfigError, match="leave nothing after a warm-up of 10"):
        planned(tiny_mapping, grid={"width": 16, "tokens": 300})


def test_the_json_of_a_plan_holds_every_run_and_the_totals(tiny_mapping):
    plan = planned(tiny_mapping)
    document = json.loads(plan.to_json())
    assert document["recipe_evidence"]["beta1"]["origin"] == "unmeasured"
    assert [run["run_id"] for run in document["runs"]] == [run.run_id for run in plan.runs]
    assert document["train_flops"] == sum(run.train_flops for run in plan.runs)
    assert document["config"]["grid"]["width"] == [16, 32]


def test_a_stated_rate_sets_the_time_estimate(tiny_config):
    launch = tiny_config.launch.changed(speed={"flops_per_second": 1e9}, workers=2)
    plan = plan_sweep(dataclasses.replace(tiny_config, launch=launch))
    assert plan.process_seconds == pytest.approx(plan.train_flops / 1e9)
    longest = max(run.train_flops for run in plan.runs) / 1e9
    assert plan.wall_seconds == pytest.approx(max(longest, plan.process_seconds / 2))


def test_a_deterministic_plan_says_where_its_cost_is_measured(tiny_mapping):
    free, bound = (
        plan_text(planned(tiny_mapping, launch={"speed": {"deterministic": value}}))
        for value in (False, True)
    )
    assert "benchmarks/speed/throughput.py" not in free
    assert "benchmarks/speed/throughput.py" in bound


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("cpt-adamw/1", "cpt-adamw/1 has no rule for it"),
        ("cpt-adamw/2", "tied head: logits times 12.8"),
    ],
)
def test_a_plan_of_tied_heads_says_what_the_recipe_does_for_them(tiny_mapping, recipe, said):
    model = {"context": 32, "head_size": 16}
    tied = planned(tiny_mapping, recipe={"name": recipe}, model=model | {"tied_head": True})
    assert said in plan_text(tied)
    assert "tied head" not in plan_text(planned(tiny_mapping, recipe={"name": recipe}))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("cpt-adamw/1", "cpt-adamw/1 has one learning rate for all"),
        ("cpt-adamw/3", "learning rate over depth: (depth / 2) ^ -0.13"),
    ],
)
def test_a_plan_of_several_depths_says_what_the_recipe_does_for_them(tiny_mapping, recipe, said):
    grid = {"width": [16], "depth": [1, 4], "tokens": [8000]}
    deep = planned(tiny_mapping | {"held_out": []}, recipe={"name": recipe}, grid=grid)
    assert said in plan_text(deep)
    assert "depth)" not in plan_text(planned(tiny_mapping, recipe={"name": recipe}))


def test_planning_imports_no_torch():
    modules = "sweeps.planning.plan, sweeps.config.sweep, sweeps.running.runner"
    probe = f"import {modules}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT).returncode == 0


def _forget_corpora():
    from sweeps.data.registry import load_corpus

    load_corpus.cache_clear()


def test_a_plan_says_how_much_text_there_is_and_which_of_it_are_copies(tiny_mapping, text_files):
    _forget_corpora()
    plan = plan_sweep(config_from_mapping(tiny_mapping))
    alone, most = TrainingText.of(plan), max(run.tokens for run in plan.runs)
    assert (alone.documents.documents, alone.documents.copies) == (40, 0)
    assert alone.train_tokens == plan.runs[0].data.train_tokens
    assert alone.longest_run_tokens == most
    assert f"the longest run reads {most:,}, {most / alone.train_tokens:.0%} of them" in (
        plan_text(plan)
    )
    assert "fresh text" not in plan_text(plan)
    for name in ("copy.txt", "again.txt"):
        text = (text_files / "00.txt").read_text(encoding="utf-8")
        (text_files / name).write_text(f"\n{text}\n", encoding="utf-8")
    _forget_corpora()
    plan = plan_sweep(config_from_mapping(tiny_mapping))
    assert TrainingText.of(plan).document()["documents"]["copies"] == 2
    said = plan_text(plan)
    assert "2 documents (" in said and "are copies of others and would count as fresh text" in said
    assert f"such as {text_files}/again.txt, a copy of {text_files}/00.txt" in said


def test_generated_text_is_said_to_have_no_end(tiny_mapping):
    data = {"source": "markov", "symbols": 16, "validation_windows": 16}
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"data": data}))
    assert TrainingText.of(plan).lines == ["text: generated; no run reads any of it twice"]
    assert TrainingText.of(plan).document()["train_tokens"] is None


@pytest.mark.parametrize("family", ["slt-dec/1", "encoder_decoder/1"])
def test_a_plan_of_pairs_says_how_many_are_left_out_and_how_much_is_padding(
    tiny_mapping, tmp_path, family
):
    lines = ["abc\tde"] * 5 + ["fg\thij"] * 4 + ["k" * 20 + "\tl"]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    data = {"source": "pairs", "files": [str(tmp_path / "pairs.tsv")], "validation_share": 0.4}
    model = tiny_mapping["model"] | {"family": family, "context": 15}
    changes = {"data": data | {"max_epochs": 1e9}, "model": model, "objective": "conditional"}
    plan = plan_sweep(config_from_mapping(tiny_mapping | changes))
    said = plan_text(plan)
    document = TrainingText.of(plan).document()
    pairs = document["pairs"]
    assert pairs["left_out"] == 1 and pairs["training"] + pairs["validation"] == 9
    assert "1 pair left out, longer than a block has room (" in said
    assert f"the first is {tmp_path}/pairs.tsv, line 10, 21 and 2 tokens" in said
    # either source makes a block of 7 tokens: the decoder reads 6 of its 15 places, the encoder and
    # its decoder 7 of their 16
    own = pairs["mean_source_tokens"] + pairs["mean_target_tokens"]
    assert own == 7
    share = 1 - (6 / 15 if family == "slt-dec/1" else 7 / 16)
    assert document["padding_share"] == pytest.approx(share)
    assert f"padding: {share:.1%} of the places that are computed" in said
    assert f"{pairs['training']} pairs to train on and {pairs['validation']} to measure on" in said


def test_a_plan_of_sentences_says_how_much_is_padding(tiny_mapping):
    data = {"source": "anbn", "lengths": "uniform", "longest": 6}  # 2 to 12 tokens and an end
    plan = plan_sweep(config_from_mapping(tiny_mapping | {"data": data}))
    context = plan.config.model.context
    assert TrainingText.of(plan).padding_share == pytest.approx(1 - 8 / context)
    assert f"padding: {1 - 8 / context:.1%} of the places" in plan_text(plan)


def test_a_plan_says_which_text_was_left_out(tiny_mapping, text_files):
    (text_files / "bad.txt").write_bytes(b"\xff no text")
    with pytest.raises(CorpusError, match="leave such documents out: data.undecodable skip"):
        plan_sweep(config_from_mapping(tiny_mapping))
    tiny_mapping["data"] |= {"undecodable": "skip"}
    text = plan_text(plan_sweep(config_from_mapping(tiny_mapping)))
    assert f"1 document left out, not UTF-8: {text_files}/bad.txt: byte 0 (0xff)" in text
