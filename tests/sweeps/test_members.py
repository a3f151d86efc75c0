"""Every family and objective of the package trains as the decoder does: packs, resumes, branches,
is checked and recorded."""

import math

import pytest

from scaling.store.run_state import RunState
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
from sweeps.models.registry import FAMILIES
from sweeps.objectives.registry import OBJECTIVES
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from tests.conformance.memory_store import MemoryStore

#: What makes the smallest model of each family, and the objectives that it takes.
FAMILY = {
    "slt-dec/1": ({"head_size": 8}, ["causal"]),
    "linear_lm/1": ({}, ["causal"]),
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


def test_every_family_and_objective_is_tried():
    own = [family for family in FAMILIES.values() if type(family).__module__.startswith("sweeps")]
    assert {family.name for family in own} == FAMILY.keys()
    ours = [one for one in OBJECTIVES.values() if type(one).__module__.startswith("sweeps")]
    assert {one.name for one in ours} == {objective for _, objective in PAIRS}


@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_it_packs_resumes_and_accumulates_to_the_same_numbers(family, objective):
    config = config_from_mapping(mapping(family, objective))
    bench = Bench(
        config=config,
        corpus=load_corpus(config.data, 16),
        tokens=4000,
        seeds=(1,),
        widths=(8, 16),
        depths=(1,),
    )
    tried = (check_initial_loss, check_packing, check_trainer, check_accumulation, check_resume)
    findings = [found for check in tried for found in check(bench)]
    assert len(findings) == 8
    assert {found.check: found.verdict for found in findings if found.verdict != "pass"} == {}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_it_sweeps_from_a_config_to_records(family, objective):
    plan, store = plan_sweep(config_from_mapping(mapping(family, objective))), MemoryStore()
    assert run_sweep(plan, store).count(RunState.FINISHED) == len(plan.runs) == 4
    for run in plan.runs:
        record = store.records[run.run_id]
        assert (record["family"], record["objective"]) == (family, objective)
        assert record["loss_kind"] == OBJECTIVES[objective].loss_kind
        assert record["train_flops"] == run.train_flops
        assert record["replicas"] == 2
        assert 0 < record["loss_stderr"] < record["loss"] < math.log(16) - 0.05


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
