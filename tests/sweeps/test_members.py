"""Every family and objective of the package trains as the decoder does: packs, resumes, branches,
is checked and recorded."""

import math
import shutil

import pandas as pd
import pytest

from scaling.errors import ConfigError, RecordError
from scaling.records import Records
from scaling.store.one_run.run_state import RunState
from sweeps.checks import equality
from sweeps.checks.equality import (
    check_accumulation,
    check_packing,
    check_resume,
    check_trainer,
)
from sweeps.checks.finding import Bench
from sweeps.checks.start import check_initial_loss
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.generation.weights import read_weights
from sweeps.models.registry import FAMILIES
from sweeps.multi_device.shared_training import SharedTraining, other_ranks
from sweeps.objectives.registry import OBJECTIVES
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.text import plan_text
from sweeps.running.runner import run_sweep
from sweeps.training.evaluation import evaluate
from sweeps.training.pack import train_pack, train_run
from tests.conformance.memory_store import MemoryStore

#: What makes the smallest model of each family, and the objectives that it takes.
FAMILY = {
    "slt-dec/1": ({"head_size": 8}, ["causal", "masked", "conditional"]),
    "encoder_decoder/1": ({"head_size": 8}, ["conditional"]),
    "linear_lm/1": ({}, ["causal", "conditional"]),
}
PAIRS = [(family, objective) for family, (_, takes) in FAMILY.items() for objective in takes]


def mapping(family, objective, **changes):
    return {
        "name": "members",
        "grid": {"width": [8, 16], "tokens": 4000, "seed": [1, 2]},
        "model": {"family": family, "context": 16, **FAMILY[family][0]},
        "objective": objective,
        "data": {"source": "markov", "order": 1, "symbols": 16, "validation_windows": 40},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu", "workers": 1},
    } | changes


@pytest.fixture
def half_as_long(monkeypatch):
    """Ways of training that must give the same numbers are compared over 20 steps, which hold a
    warm-up and a decay; tests/sweeps/checks/test_checks.py compares them over all 40."""
    monkeypatch.setattr(equality, "_STEPS", 20)


def test_every_family_and_objective_is_tried():
    own = [family for family in FAMILIES.values() if type(family).__module__.startswith("sweeps")]
    assert {family.name for family in own} == FAMILY.keys()
    ours = [one for one in OBJECTIVES.values() if type(one).__module__.startswith("sweeps")]
    assert {one.name for one in ours} == {objective for _, objective in PAIRS}


@pytest.mark.usefixtures("half_as_long")
@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_it_packs_resumes_and_accumulates_to_the_same_numbers(family, objective):
    config = config_from_mapping(mapping(family, objective))
    bench = Bench(
        config=config,
        corpus=load_corpus(config.data, 16),
        tokens=4000,
        looks=((1,),),
        widths=(8, 16),
        depths=(1,),
    )
    tried = (check_initial_loss, check_packing, check_trainer, check_accumulation, check_resume)
    findings = [found for check in tried for found in check(bench)]
    assert len(findings) == 8
    assert {found.check: found.verdict for found in findings if found.verdict != "pass"} == {}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_it_sweeps_from_a_config_to_records_and_kept_weights(family, objective, tmp_path):
    kept = {"keep_weights": True, "weights_folder": str(tmp_path), "device": "cpu", "workers": 1}
    plan = plan_sweep(config_from_mapping(mapping(family, objective, launch=kept)))
    store, corpus = MemoryStore(), load_corpus(plan.config.data, 16)
    assert run_sweep(plan, store).count(RunState.FINISHED) == len(plan.runs) == 4
    for run in plan.runs:
        record = store.records[run.run_id]
        assert (record["family"], record["objective"]) == (family, objective)
        assert record["loss_kind"] == OBJECTIVES[objective].loss_kind
        assert record["train_flops"] == run.train_flops
        assert record["replicas"] == 2
        counted = {"causal": 16, "masked": 2, "conditional": 9}[objective]  # of 16 positions
        assert record["target_tokens"] * 16 == record["tokens"] * counted
        assert ("entropy" in record) == (objective == "causal")
        assert record.get("mask_share") == {"masked": 0.15}.get(objective)
        assert record.get("source_tokens") == {"conditional": 8}.get(objective)
        assert 0 < record["loss_stderr"] < record["loss"] < math.log(16)
        model = read_weights(record["weights_file"], record["weights_sha256"], run.run_id).model
        # a stack of one multiplies in other shapes than the pack did
        assert evaluate(model, corpus, run.asks)[0] == pytest.approx(record["loss"], abs=1e-5)


@pytest.mark.usefixtures("in_this_process", "half_as_long")
@pytest.mark.parametrize("family", FAMILY)
def test_every_family_trains_on_pairs(family, tmp_path):
    """Every family takes the objective that pairs need; packed, resumed and in micro-batches."""
    data = {"source": "pairs", "largest": 199, "validation_windows": 40, "max_epochs": 10}
    kept = {"keep_weights": True, "weights_folder": str(tmp_path), "device": "cpu", "workers": 1}
    model = {"family": family, "context": 60, **FAMILY[family][0]}
    changes = {"data": data, "model": model, "launch": kept}
    config = config_from_mapping(mapping(family, "conditional", **changes))
    plan, store = plan_sweep(config), MemoryStore()
    corpus = load_corpus(config.data, 60)
    assert run_sweep(plan, store).count(RunState.FINISHED) == len(plan.runs) == 4
    assert len({run.data.eval_hash for run in plan.runs}) == 1
    for run in plan.runs:
        record = store.records[run.run_id]
        assert record["loss_kind"] == "nats_per_target_token"
        assert record["source_tokens"] == corpus.pair_summary.source_tokens
        assert 0 < record["loss_stderr"] < record["loss"] < math.log(25)
        model = read_weights(record["weights_file"], record["weights_sha256"], run.run_id).model
        assert evaluate(model, corpus, run.asks)[0] == pytest.approx(record["loss"], abs=1e-5)
    bench = Bench(
        config=config, corpus=corpus, tokens=4000, looks=((1,),), widths=(8, 16), depths=(1,)
    )
    tried = (check_initial_loss, check_packing, check_accumulation, check_resume)
    findings = [found for check in tried for found in check(bench)]
    assert {found.check: found.verdict for found in findings if found.verdict != "pass"} == {}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_its_learning_rate_is_checked_and_its_trunks_branch(family, objective):
    changes = {
        "schedule": "wsd",
        "grid": {"width": 8, "tokens": [4000, 6000]},
        "health": {"check_learning_rate": True, "seeds": 1},
    }
    plan = plan_sweep(config_from_mapping(mapping(family, objective, **changes)))
    store = MemoryStore()
    assert run_sweep(plan, store).count(RunState.FINISHED) == 2
    short, long = (store.records[run.run_id] for run in plan.runs)
    assert short["trunk"] == long["trunk"]
    assert short["health"] in ("ok", "soft", "edge", "cap")


@pytest.mark.parametrize(
    ("family", "objective", "targets", "message"),
    [
        ("linear_lm/1", "masked", {}, 'lets a position see both sides.*"linear_lm/1" cannot'),
        ("encoder_decoder/1", "causal", {}, "it sees a source that is read apart; choose another"),
        ("encoder_decoder/1", "masked", {}, 'see both sides, which .*"encoder_decoder/1" cannot'),
        ("encoder_decoder/1", "conditional", {"source_tokens": 17}, "fewer, so that a target is"),
        ("slt-dec/1", "causal", {"mask_share": 0.2}, "mask_share is not used by objective"),
        ("slt-dec/1", "masked", {"source_tokens": 4}, "source_tokens is not used by objective"),
        ("slt-dec/1", "conditional", {"mask_share": 0.2}, "mask_share is not used by objective"),
        ("slt-dec/1", "masked", {"mask_share": 1.5}, "mask_share is 1.5; it lies between 0 and 1"),
        ("slt-dec/1", "masked", {"mask_share": 0.99}, "hides every token of model.context 16"),
        ("slt-dec/1", "conditional", {"source_tokens": 0}, "source_tokens is 0; it must be posit"),
        ("slt-dec/1", "conditional", {"source_tokens": 17}, "fewer, so that a target is left"),
    ],
)
def test_what_asks_nothing_is_refused_before_anything_is_spent(family, objective, targets, message):
    with pytest.raises(ConfigError, match=message):
        plan_sweep(config_from_mapping(mapping(family, objective, targets=targets)))


@pytest.mark.parametrize(
    ("objective", "data", "message"),
    [
        ("conditional", {"source": "anbn"}, "some \\(padding, say\\) never count"),
        ("masked", {"source": "sparse-contexts"}, "hides what counts .* that is none"),
    ],
)
def test_data_of_which_nothing_could_be_asked_is_refused(objective, data, message):
    settings = mapping("slt-dec/1", objective, data=data)
    if data["source"] == "sparse-contexts":
        settings["model"]["context"] = 2
    with pytest.raises(ConfigError, match=message):
        plan_sweep(config_from_mapping(settings))


def test_another_share_or_split_is_said_and_makes_another_run_that_shares_no_fit():
    def planned(objective, **targets):
        settings = mapping("slt-dec/1", objective, targets=targets)
        return plan_sweep(config_from_mapping(settings)).runs

    plan = plan_sweep(config_from_mapping(mapping("slt-dec/1", "masked")))
    assert "objective masked: 12.5% of the tokens read count" in plan_text(plan)
    assert planned("masked")[0].run_id == planned("masked", mask_share=0.15)[0].run_id
    others = (("masked", "mask_share", 0.3), ("conditional", "source_tokens", 3))
    for objective, name, value in others:
        two = planned(objective)[0], planned(objective, **{name: value})[0]
        rows = [run.facts_when_finished() | {"run_id": run.run_id, "loss": 1} for run in two]
        with pytest.raises(RecordError, match=f"differ in {name}"):
            Records(pd.DataFrame(rows), source="two").require_comparable()


@pytest.mark.parametrize(
    ("family", "launch", "message"),
    [
        ("linear_lm/1", {"speed": {"compile": True}}, "launch.speed.compile: .* cannot compile"),
        *(
            (family, {"resources": {"devices": 2, "strategy": "fsdp"}}, "fsdp: .* cannot shard")
            for family in ("linear_lm/1", "encoder_decoder/1")
        ),
    ],
)
def test_what_a_family_cannot_be_launched_with_is_one_line_of_the_plan(family, launch, message):
    objective = FAMILY[family][1][-1]
    asked = mapping(family, objective, launch={"device": "cpu", **launch})
    with pytest.raises(ConfigError, match=message):
        plan_sweep(config_from_mapping(asked))


@pytest.mark.slow  # a minute of a C++ compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # what PyTorch warns itself of while it traces
def test_an_encoder_decoder_trains_compiled_as_it_does_plain(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plan = plan_sweep(config_from_mapping(mapping("encoder_decoder/1", "conditional")))
    run, corpus = plan.runs[0], load_corpus(plan.config.data, 16)
    speeds = [{"inner_steps": 1, "compile": compiled} for compiled in (False, True)]
    launches = [plan.config.launch.changed(speed=speed) for speed in speeds]
    curves = [train_run(run, corpus, launch).points for launch in launches]
    assert list(tmp_path.iterdir())  # machine code was written
    for plain, compiled in zip(*curves, strict=True):
        # Float32 sums in another order, grown over the steps.
        assert compiled.loss == pytest.approx(plain.loss, rel=1e-4)


@pytest.mark.slow  # the other rank imports torch and Lightning
@pytest.mark.parametrize("family", [one for one in FAMILY if one != "slt-dec/1"])
def test_two_processes_train_what_one_does(family):
    plan = plan_sweep(config_from_mapping(mapping(family, "conditional")))
    run, corpus = plan.runs[0], load_corpus(plan.config.data, 16)
    alone = train_run(run, corpus, plan.config.launch)
    launch = plan.config.launch.changed(resources={"devices": 2})
    pack = Pack(replicas=((run,),))
    shared = SharedTraining(
        pack=pack, data=plan.config.data, launch=launch, done=frozenset(), folder=None
    )
    with other_ranks(shared):
        trained = train_pack(pack, corpus, launch)[run]
    for one, other in zip(alone.points, trained.points, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-3)  # float32 sums in another order
    assert trained.loss == pytest.approx(alone.loss, rel=1e-3)
