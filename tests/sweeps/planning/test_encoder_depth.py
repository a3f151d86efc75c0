"""Facts about sweeps whose encoder and decoder vary apart."""

import pandas as pd
import pytest

from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.planning.review.answerable import answerable
from sweeps.planning.review.text import plan_text
from sweeps.running.runner import run_sweep
from tests.conformance.memory_store import MemoryStore


def plan(*, family="encoder_decoder/1", **changes):
    mapping = {
        "name": "depths",
        "grid": {"width": 16, "depth": [1, 2], "encoder_depth": [1, 3], "tokens": 4000},
        "model": {"family": family, "context": 12, "head_size": 8},
        "objective": "conditional",
        "data": {"source": "markov", "symbols": 7, "order": 1, "validation_windows": 8},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"device": "cpu", "workers": 1},
    } | changes
    return plan_sweep(config_from_mapping(mapping))


def depths(found):
    return [(run.shape.encoder_depth, run.shape.depth) for run in found.runs]


def test_a_grid_is_the_product_of_both_depths():
    found = plan()
    assert sorted(depths(found)) == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert {run.name.split()[1] for run in found.runs} == {"L1", "L1+2", "L3+1", "L3+2"}
    assert {(row["encoder_depth"], row["depth"]) for row in found.rows()} == set(depths(found))
    assert " 3+1 " in plan_text(found)
    facts = found.runs[-1].facts()
    assert facts["params_encoder"] == facts["encoder_depth"] * 12 * 16**2
    assert facts["params_decoder"] == facts["depth"] * 16 * 16**2


def test_without_one_the_encoder_is_as_deep_as_the_decoder_and_the_run_is_the_same():
    plain = plan(grid={"width": 16, "depth": [1, 2], "tokens": 4000})
    assert depths(plain) == [(1, 1), (2, 2)]
    said = plan(grid={"width": 16, "depth": 2, "encoder_depth": 2, "tokens": 4000})
    assert said.runs[0].run_id == plain.runs[1].run_id
    other = plan(grid={"width": 16, "depth": 2, "encoder_depth": 1, "tokens": 4000})
    assert other.runs[0].run_id != plain.runs[1].run_id


def test_cells_have_the_grids_unless_they_say_their_own():
    grid = {"width": 16, "encoder_depth": [1, 3], "tokens": 4000}
    cells = [{"width": 24, "tokens": 4000}, {"width": 32, "encoder_depth": 2, "tokens": 4000}]
    found = plan(grid=grid, cells=cells)
    widths = {run.shape.width: 0 for run in found.runs}
    for run in found.runs:
        widths[run.shape.width] += run.shape.encoder_depth
    assert widths == {16: 4, 24: 4, 32: 2}
    with pytest.raises(ConfigError, match=r"grid.encoder_depth is not used: each of cells"):
        plan(grid={"encoder_depth": 1}, cells=[cells[1]])


@pytest.mark.parametrize("family", ["slt-dec/1", "linear_lm/1"])
@pytest.mark.parametrize("block", ["grid", "cells", "held_out"])
def test_a_family_without_an_encoder_refuses_it(family, block):
    more = {"width": 16, "encoder_depth": 2, "tokens": 4000}
    model = {"family": family, "context": 12}
    changes = {"grid": {"width": 16, "tokens": 4000}} | {
        block: more if block == "grid" else [more],
        "model": model,
    }
    with pytest.raises(ConfigError, match=f'encoder_depth: model.family "{family}" has no encoder'):
        plan(**changes)


@pytest.mark.parametrize("value", [0, -1, 20_000])
def test_depths_that_no_encoder_has_are_refused(value):
    with pytest.raises(ConfigError, match="encoder_depth holds"):
        plan(grid={"width": 16, "encoder_depth": value, "tokens": 4000})


def test_what_a_plan_would_add_says_both_depths():
    grid = {"width": [16, 24], "depth": 1, "encoder_depth": 2, "flops": [2e8, 4e8]}
    assert "encoder_depth: 2" in str(answerable(plan(grid=grid)).document())


@pytest.mark.usefixtures("in_this_process")
def test_records_have_the_parameters_of_each_stack():
    found, store = plan(), MemoryStore()
    assert run_sweep(found, store).count(RunState.FINISHED) == 4
    table = pd.DataFrame([*store.records.values()])
    for row in table.itertuples():
        assert row.params_encoder == row.encoder_depth * 12 * 16**2
        assert row.params_decoder == row.depth * 16 * 16**2
        ends = row.params_embedding + row.params_head
        assert row.params == row.params_encoder + row.params_decoder + ends
    assert table["loss"].notna().all()
