"""Facts about what a budget takes: hours, money, days, memory, and a shape that can be built."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import ForecastOptions, Hardware, allocate, plan_budgets
from analysis.decisions.buildable import shape_rule
from analysis.decisions.money import budget_of_hours
from analysis.decisions.speed import measured_speed
from scaling import Price, laws
from scaling.errors import ForecastError
from scaling.limits import LimitCode, first_of
from scaling.records import records_from_table
from scaling.shape import TransformerShape
from scaling.simulate import isoflop_runs, simulate_records

LAW = laws.Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)
FEW = ForecastOptions(draws=200)
STATED = Hardware(price=Price(per_device_hour=2.5, currency="USD"), mfu=0.4, device="H100")


@pytest.fixture(scope="module")
def ladder():
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), [0.25, 0.5, 1.0, 2.0, 4.0], LAW)
    return simulate_records(LAW, runs, relative_noise=0.002, seed=1)


def test_hours_money_energy_and_days_follow_from_the_flop(ladder):
    (planned,) = plan_budgets(ladder, 3e20, hardware=replace(STATED, devices=8), options=FEW)
    hours = 3e20 / (0.4 * 989e12) / 3600
    assert planned.device_hours == pytest.approx(hours, rel=1e-12)
    assert planned.cost == pytest.approx(2.5 * hours, rel=1e-12)
    assert planned.energy_kwh == pytest.approx(0.7 * hours, rel=1e-12)
    assert planned.wall_hours == pytest.approx(hours / 8, rel=1e-12)
    assert planned.wasted_cost_at_half_size == planned.cost * planned.split.wasted_at_half_size


def test_the_budget_of_so_many_hours_takes_those_hours(ladder):
    flops = budget_of_hours(ladder, 500, hardware=STATED, options=FEW)
    (planned,) = plan_budgets(ladder, flops, hardware=STATED, options=FEW)
    assert planned.device_hours == pytest.approx(500, rel=1e-9)
    with pytest.raises(ForecastError, match="no run was timed"):
        budget_of_hours(ladder, 500, options=FEW)
    with pytest.raises(ForecastError, match="above zero"):
        budget_of_hours(ladder, -1, hardware=STATED, options=FEW)


def test_hours_of_measured_devices_count_the_speed_of_the_best_size(ladder):
    """Small models keep a device less busy, so the speed depends on what the hours buy."""
    n, c = ladder.column("params"), ladder.column("train_flops")
    rate = 1e14 * (n / n.max()) ** 0.3
    timed = records_from_table(ladder.table.assign(device_seconds=c / rate), source="timed")
    hours = 0.2 * float(c.max()) / 1e14 / 3600  # of a budget inside the measured sizes
    flops = budget_of_hours(timed, hours, options=FEW)
    (planned,) = plan_budgets(timed, flops, options=FEW)
    assert planned.split.params < n.max()
    assert planned.device_hours == pytest.approx(hours, rel=1e-8)


def test_sizes_in_the_flat_region_waste_less_than_a_twentieth_and_those_outside_more():
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), [0.25, 0.5, 1.0, 2.0, 4.0], LAW)
    exact = simulate_records(LAW, runs)
    (split,) = allocate(exact, 1e20, options=replace(FEW, law="chinchilla"))
    assert split.flat_params.low < split.params < split.flat_params.high
    n = LAW.optimal_params(0.95e20)
    as_good = float(LAW.loss(n, 0.95e20 / 6 / n))  # of the best size with a twentieth less
    for size in split.flat_params:
        # the region's ends are told apart by a thirty-second of a doubling
        assert float(LAW.loss(size, 1e20 / 6 / size)) == pytest.approx(as_good, rel=2e-4)
    curve = split.size_curve
    at = [np.interp(np.log(split.params * f), np.log(curve.params), curve.loss) for f in (0.5, 2)]
    # a chord of so short a step lies by less than this above the curve
    assert at == pytest.approx([split.loss_at_half_size, split.loss_at_twice_size], rel=1e-5)
    assert "size_curve" not in json.loads(split.to_json())


def test_a_plan_splits_budgets_as_allocate_does(ladder):
    plan = plan_budgets(ladder, 3e20, 1e21, hardware=STATED, options=FEW)
    assert plan.splits == allocate(ladder, 3e20, 1e21, options=FEW).splits


def test_what_a_wrong_size_wastes_and_a_doubling_gains_are_those_of_the_law_that_made_the_runs():
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), [0.25, 0.5, 1.0, 2.0, 4.0], LAW)
    exact = simulate_records(LAW, runs)
    only = replace(FEW, law="chinchilla")
    (split,) = allocate(exact, 1e20, options=only)

    def best(budget):
        n = LAW.optimal_params(budget)
        return float(LAW.loss(n, budget / 6 / n))

    # priors move the constants a little, and the curve of losses is interpolated
    assert split.gain_of_doubling == pytest.approx(best(1e20) - best(2e20), rel=0.05)
    n = LAW.optimal_params(1e20) / 2
    missed = float(LAW.loss(n, 1e20 / 6 / n))
    assert best((1 - split.wasted_at_half_size) * 1e20) == pytest.approx(missed, rel=5e-4)


def test_a_model_that_does_not_fit_the_memory_is_cut_and_says_what_that_costs(ladder):
    (free,) = plan_budgets(ladder, 1e20, options=FEW)
    most = 0.6 * free.split.params
    small = Hardware(device_memory=most * 20 / 2, devices=2)
    (cut,) = plan_budgets(ladder, 1e20, hardware=small, options=FEW)
    assert cut.split.params == pytest.approx(most, rel=1e-9)
    assert cut.split.loss > free.split.loss
    assert cut.split.loss_at_twice_size is None
    assert cut.devices_for_memory == 2
    assert all(high <= most * (1 + 1e-9) for _, high in cut.split.params_range.values())
    said = first_of(LimitCode.SIZE_CAPPED, cut.split.limits)
    assert said is not None and "whose loss is +" in said.text
    assert first_of(LimitCode.SIZE_CAPPED, free.split.limits) is None


def test_devices_and_a_deadline_are_a_budget_and_a_larger_one_is_late(ladder):
    means = replace(STATED, devices=4, deadline=86400.0)
    (planned,) = plan_budgets(ladder, hardware=means, options=FEW)
    assert planned.split.budget == pytest.approx(4 * 86400 * 0.4 * 989e12)
    assert planned.wall_hours == pytest.approx(24) and planned.devices_for_deadline == 4
    late = plan_budgets(ladder, 3e20, hardware=means, options=FEW)
    assert first_of(LimitCode.PAST_DEADLINE, late.limits) is not None
    hurried = plan_budgets(ladder, 3e20, hardware=replace(means, deadline=3600.0), options=FEW)
    assert "more than the 1 h that there are" in hurried.limits[0].text
    assert late[0].devices_for_deadline == math.ceil(late[0].device_hours / 24)


def test_speed_is_the_median_that_runs_of_a_size_measured_on_the_device(ladder):
    table = ladder.table.assign(
        status="finished",
        device="cpu",
        device_seconds=ladder.table["train_flops"] / 1e12,
    )
    table.loc[table.index[:3], "device"] = "NVIDIA H200"
    timed = records_from_table(table, source="timed")
    speed = measured_speed(timed, None)
    assert speed.device == "cpu" and speed.at(1.0) == pytest.approx(1e12)
    assert "not counted: runs on NVIDIA H200" in speed.assumed[0].text
    assert measured_speed(timed, "H200").device == "NVIDIA H200"
    (planned,) = plan_budgets(timed, 3e20, options=FEW)
    assert planned.device_hours == pytest.approx(3e20 / 1e12 / 3600)


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        ({"price": Price(per_device_hour=2.0)}, "no run was timed"),
        ({"mfu": 1.5}, "utilisation"),
        ({"mfu": 0.4, "device": "abacus"}, "the peak of a device"),
        ({"peak_flops": 1e12}, "a peak says little alone"),
        ({"devices": 0}, "whole number from 1"),
        ({"power_watts": 700.0}, "no run was timed"),
        ({"mfu": 0.4, "peak_flops": 989.0}, "give the unit, such as 989T"),
        ({"mfu": 0.4, "peak_flops": float("nan")}, "finite number above zero"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(ladder, hardware, said):
    with pytest.raises(ForecastError, match=said) as refused:
        plan_budgets(ladder, 3e20, hardware=Hardware(**hardware), options=FEW)
    assert "\n" not in str(refused.value)


def test_every_number_that_is_assumed_is_a_value_and_a_line(ladder):
    means = replace(STATED, device=None, devices=2)
    document = json.loads(plan_budgets(ladder, 3e20, hardware=means, options=FEW).to_json())
    known = {one["name"]: one["value"] for one in document["assumed"]}
    assert known == {
        "mfu": 0.4,
        "peak_flops": 989e12,
        "power_watts": 700.0,
        "price_per_device_hour": 2.5,
        "devices": 2,
        "bytes_per_param": 20,
    }
    text = plan_budgets(ladder, 3e20, hardware=means, options=FEW).to_text()
    for one in document["assumed"]:
        assert one["text"] in " ".join(text.split())


def test_the_nearest_shape_is_of_the_runs_head_size_and_depth_rule():
    shapes = [
        TransformerShape(width=w, depth=w // 32, head_size=16, context=64, vocab_size=96)
        for w in (64, 128, 256)
    ]
    runs = [{**s.facts(), "tokens": 1e6, "loss": 3.0, "train_flops": 1e12} for s in shapes]
    rule = shape_rule(records_from_table(pd.DataFrame(runs), source="shapes"))
    wanted = TransformerShape(width=1024, depth=32, head_size=16, context=64, vocab_size=96)
    found = rule.nearest(1.01 * wanted.params)
    assert (found.width, found.depth, found.heads, found.params) == (1024, 32, 64, wanted.params)
    assert rule.nearest(10.0) is None
    others = pd.DataFrame(runs).assign(params=lambda t: t["params"] + 7)
    assert shape_rule(records_from_table(others, source="of another count")) is None


def test_a_budget_below_the_cheapest_run_says_so(ladder):
    plan = plan_budgets(ladder, 1e17, 3e19, options=FEW)
    below, inside = (first_of(LimitCode.EXTRAPOLATED, split.limits) for split in plan.splits)
    assert below is not None and "less than the 1e+18 of the cheapest run" in below.text
    assert inside is None
