"""Facts about the checks: they hold where the code is right, and fail where it is not."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from scaling.cli import main
from scaling.errors import CheckError, ConfigError
from sweeps.checks import entropy
from sweeps.checks.coordinates import QUANTITIES, check_coordinates, sizes_of, watch_forward
from sweeps.checks.entropy import EASY, check_known_entropy
from sweeps.checks.equality import (
    check_accumulation,
    check_packing,
    check_resume,
    check_trainer,
    short_run,
)
from sweeps.checks.finding import (
    FALSE_ALARMS,
    FALSE_PASSES,
    MOST_APART,
    Bench,
    Finding,
    stderr_of_mean,
    until_decided,
)
from sweeps.checks.measures import check_bits_per_byte
from sweeps.checks.run import CheckReport, bench_for
from sweeps.checks.start import check_initial_loss
from sweeps.checks.tables import findings_text
from sweeps.checks.transfer import FACTORS, best_rate, check_transfer
from sweeps.checks.wider import check_wider
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.models.kernels.operations import rms_norm
from sweeps.training.learning_rate_check import count_spikes
from sweeps.training.pack import train_run
from sweeps.training.plain_loop import batch_of, planned_for, train_plainly
from sweeps.training.stack import build_model
from tests.sweeps.shipped import NAMES, quick_to_plan


@pytest.fixture
def bench(tiny_config):
    """The recipe on the small text of the tests, widths 16 and 32."""
    load_corpus.cache_clear()
    return Bench(
        config=tiny_config,
        corpus=load_corpus(tiny_config.data, tiny_config.model.context),
        tokens=20_000,
        looks=((1, 2),),
        widths=(16, 32),
        depths=(2, 4),
    )


@pytest.mark.parametrize(
    "check",
    [
        check_initial_loss,
        check_packing,
        check_trainer,
        check_accumulation,
        check_resume,
        check_bits_per_byte,
    ],
)
def test_every_invariant_holds(bench, check):
    findings = list(check(bench))
    assert findings
    for found in findings:
        assert found.is_invariant
        assert found.verdict == "pass", found


def test_a_difference_in_an_invariant_breaks_it_and_elsewhere_is_a_finding():
    found = Finding(check="c", measured=-0.3, threshold=0.2)
    assert found.verdict == "FAIL"
    assert dataclasses.replace(found, is_invariant=True).verdict == "BROKEN"
    assert dataclasses.replace(found, measured=0.2).verdict == "pass"
    assert dataclasses.replace(found, measured=math.nan).verdict == "FAIL"
    assert dataclasses.replace(found, measured=None).verdict == "skipped"


def test_an_estimate_fails_or_passes_where_its_error_allows_and_is_undecided_between():
    found = Finding(check="c", measured=0.0, threshold=0.2, stderr=0.01, degrees_of_freedom=9)
    verdicts = {
        measured: dataclasses.replace(found, measured=measured).verdict
        for measured in (-0.25, -0.19, 0.0, 0.17, 0.19, 0.2, 0.21, 0.25, math.nan)
    }
    assert verdicts == {
        -0.25: "FAIL", -0.19: "undecided", 0.0: "pass", 0.17: "pass", 0.19: "undecided",
        0.2: "undecided", 0.21: "undecided", 0.25: "FAIL", math.nan: "FAIL",
    }  # fmt: skip
    assert dataclasses.replace(found, measured=-9.0, one_sided=True).verdict == "pass"
    near = dataclasses.replace(found, measured=0.21, is_invariant=True)
    assert near.verdict == "pass"
    assert dataclasses.replace(near, measured=0.25).verdict == "BROKEN"
    assert dataclasses.replace(found, stderr=math.nan).verdict == "undecided"


def test_an_estimate_at_its_threshold_alarms_and_passes_as_rarely_as_is_said():
    """Four thousand checks of something that lies exactly at the threshold, each with looks at 5,
    10, 20 and 40 normal draws."""
    rng = np.random.default_rng(1)
    looks = [range(5), range(5), range(10), range(20)]

    def estimate(values):
        return [
            Finding(
                check="c",
                measured=float(values.mean()),
                threshold=1.0,
                stderr=stderr_of_mean(values),
                degrees_of_freedom=len(values) - 1,
                looks=len(looks),
            )
        ]

    def verdict():
        (found,) = until_decided(looks, lambda seeds: 1 + rng.normal(size=len(seeds)), estimate)
        return found.verdict

    verdicts = [verdict() for _ in range(4000)]
    # Both rates are upper bounds; three standard errors of 4,000 draws beside the first.
    assert verdicts.count("FAIL") <= 4000 * FALSE_ALARMS + 3 * math.sqrt(4000 * FALSE_ALARMS)
    assert 0.5 * FALSE_PASSES < verdicts.count("pass") / 4000 <= FALSE_PASSES


def test_what_was_decided_stays_while_others_are_looked_at_again():
    def findings(values):
        sure = Finding(check="sure", measured=float(len(values)), threshold=0.5)
        unsure = dataclasses.replace(
            sure, check="unsure", stderr=1e3 / len(values) ** 3, degrees_of_freedom=len(values)
        )
        return [sure, unsure]

    asked = []

    def measured(seeds):
        asked.append(tuple(seeds))
        return np.zeros(len(seeds))

    sure, unsure = until_decided([(1, 2), (3, 4), range(5, 30), (31,)], measured, findings)
    assert asked == [(1, 2), (3, 4), tuple(range(5, 30))]
    assert (sure.measured, unsure.measured) == (2.0, 29.0)


def test_a_report_in_which_a_check_fails_is_an_error():
    finding = Finding(check="slope", measured=0.1, threshold=0.2)
    report = CheckReport(sweep="s", recipe="r", context=16, findings=(finding,), seconds=1.0)
    report.require_passed()
    assert json.loads(report.to_json())["findings"][0]["verdict"] == "pass"
    for is_invariant, said in ((False, "s: failed: slope; recipe r"), (True, "s: broken: slope")):
        failed = dataclasses.replace(finding, measured=math.nan, is_invariant=is_invariant)
        wrong = dataclasses.replace(report, findings=(finding, failed))
        with pytest.raises(CheckError, match=said):
            wrong.require_passed()
        document = json.loads(wrong.to_json(), parse_constant=pytest.fail)
        assert document["passed"] is False


def test_a_report_says_what_is_undecided_and_how_often_it_alarms_falsely():
    near = Finding(check="near", measured=0.2, threshold=0.2, stderr=0.1, degrees_of_freedom=4)
    report = CheckReport(sweep="s", recipe="r", context=16, findings=(near, near), seconds=1.0)
    report.require_passed()
    assert json.loads(report.to_json())["false_alarm_rate"] == 2 * FALSE_ALARMS
    text = findings_text(report)
    assert "undecided: near: 0.2 +- 0.1" in text
    assert "0.4% of such reports" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_can_be_checked(name):
    """Its held-out runs, exclusions, probes, launch and precision are no hindrance."""
    bench = bench_for(quick_to_plan(name))
    for data in (None, *EASY):
        plan = planned_for(
            bench.config, width=bench.widths[0], depth=bench.depths[0], tokens=2e5, data=data
        )
        assert plan.precision == "fp32"
        assert bench.corpus.context == bench.config.model.context
        assert plan.recipe == bench.config.recipe.name


def test_a_packed_run_that_differs_is_noticed(bench, monkeypatch):
    def leaking(plans, corpus, **options):
        runs = train_plainly(plans, corpus, **options)
        return dataclasses.replace(runs, losses=runs.losses + 1e-6 * len(plans))

    monkeypatch.setattr("sweeps.checks.equality.train_plainly", leaking)
    (found,) = check_packing(bench)
    assert found.verdict == "BROKEN"


def slope(bench, quantity, **doublings):
    findings = check_coordinates(bench, looks=((1, 2, 3, 4, 5),), **doublings)
    return next(found.measured for found in findings if quantity in found.check)


def with_plans(bench, monkeypatch, change):
    """The bench with every plan's settings changed: change(settings, width, depth) -> settings."""
    plan = Bench.plan

    def changed(self, width, depth, seed=1):
        run = plan(self, width, depth, seed)
        return dataclasses.replace(run, settings=change(run.settings, width, depth))

    monkeypatch.setattr(Bench, "plan", changed)
    return bench


def test_the_coordinate_check_sees_a_learning_rate_that_ignores_the_width(bench, monkeypatch):
    doublings = {"doublings_of_width": 2, "doublings_of_depth": 0}
    scaled = slope(bench, "MLP of later blocks along width", **doublings)
    narrow = bench.plan(bench.widths[0], bench.depths[0]).settings.hidden
    wrong = with_plans(
        bench, monkeypatch, lambda settings, *_: dataclasses.replace(settings, hidden=narrow)
    )
    # Four times the width at the same rate: the branch's product of learned matrices grows at
    # least in proportion.
    assert slope(wrong, "MLP of later blocks along width", **doublings) > scaled + 0.5


@pytest.mark.parametrize("doublings", [1, 2])
def test_a_slope_may_make_as_much_between_the_ends_as_learning_rates_may_differ(bench, doublings):
    found = check_coordinates(
        bench, looks=((1, 2),), doublings_of_width=doublings, doublings_of_depth=0
    )
    allowed = [finding.threshold * doublings * math.log(2) for finding in found]
    assert allowed == pytest.approx([MOST_APART] * len(QUANTITIES))


@pytest.mark.parametrize(("power", "lowest"), [(0.0, 0.4), (0.5, 0.2)])
def test_the_coordinate_check_sees_branches_that_shrink_too_little_with_depth(
    bench, monkeypatch, power, lowest
):
    """No residual factor, and one of 1 / sqrt(depth): slopes of .55 and .32 where .14 may be."""
    wrong = with_plans(
        bench,
        monkeypatch,
        lambda settings, width, depth: dataclasses.replace(
            settings, residual_scale=(2 / depth) ** power
        ),
    )
    doublings = {"doublings_of_width": 0, "doublings_of_depth": 2}
    assert slope(wrong, "stream of later blocks along depth", **doublings) > lowest


def test_seeds_that_would_take_too_long_are_left_out_and_the_first_never(bench):
    def seeds(most):
        looks = ((1, 2), (3, 4), (5, 6))
        doublings = {"doublings_of_width": 1, "doublings_of_depth": 0}
        found = check_coordinates(bench, looks=looks, most_flops=most, **doublings)
        return {(item.detail.split("; ")[0], item.looks) for item in found}

    plans = [bench.plan(width, bench.depths[0]) for width in (16, 32)]
    of_a_seed = sum(10 * plan.train_flops / plan.settings.steps for plan in plans)
    assert seeds(0.0) == {("slope, 2 seeds", 1)}
    assert ("slope, 4 seeds", 2) in seeds(5 * of_a_seed)
    assert {looks for _, looks in seeds(6 * of_a_seed)} == {3}


def test_the_embedding_and_the_branches_that_are_watched_make_the_logits(bench):
    plans = [short_run(bench, seed) for seed in (1, 2)]
    plans = [
        dataclasses.replace(
            plan,
            shape=dataclasses.replace(plan.shape, depth=3),
            settings=dataclasses.replace(plan.settings, residual_scale=2 / 3),
        )
        for plan in plans
    ]
    model = build_model(*plans)
    tokens = batch_of(plans, bench.corpus, 0).inputs
    with torch.no_grad():
        model.weights += 0.1
        seen, matrices = watch_forward(model, tokens), model.matrices()
        rows = [table[ids] for table, ids in zip(matrices["embedding"], tokens, strict=True)]
        stream = rms_norm(torch.stack(rows).flatten(1, 2))
        stream = stream + 2 / 3 * seen.branches.sum(dim=0)
        logits = torch.bmm(rms_norm(stream), matrices["head"])
    assert seen.branches.shape[0] == 2 * 3
    # float32 sums in another order.
    assert torch.allclose(logits, seen.logits, rtol=1e-3, atol=1e-3)


def test_sizes_are_those_of_the_products_in_the_forward_pass(bench):
    plans = [short_run(bench, seed) for seed in (1, 2)]
    plans = [
        dataclasses.replace(plan, shape=dataclasses.replace(plan.shape, depth=2)) for plan in plans
    ]
    model = build_model(*plans)
    tokens = batch_of(plans, bench.corpus, 0).inputs
    sizes = dict(zip(QUANTITIES, sizes_of(model, tokens).T, strict=True))
    # Before the first step branches and head are zero; normalised random queries and keys are not.
    for quantity in set(QUANTITIES) - {"attention logits"}:
        assert (sizes[quantity] == 0).all()
    assert (sizes["attention logits"] > 0.5).all()
    with torch.no_grad():
        model.weights += 0.1
    expected = model(tokens).abs().flatten(1).mean(dim=1).detach().numpy()
    assert sizes_of(model, tokens)[:, QUANTITIES.index("logits")] == pytest.approx(expected)


@pytest.mark.parametrize("optimum", [-1.0, 0.0, 0.4, 5.0])
def test_the_best_rate_is_that_of_the_parabola_and_never_outside(optimum):
    losses = 2 + 0.1 * (np.log(FACTORS) - optimum) ** 2
    assert best_rate(losses) == pytest.approx(min(optimum, math.log(FACTORS[-1])))


def test_optima_of_learning_rates_are_looked_at_with_more_seeds_until_they_decide(
    bench, monkeypatch
):
    """Losses whose optimum lies at the rule's rate, and at 2.7 times it for the deep."""
    asked = []

    def losses(bench, width, depth, seeds):
        asked.append((width, depth, tuple(seeds)))
        optimum = float(depth == bench.depths[-1])
        noise = 0.1 * (-1.0) ** np.array(seeds)[:, None] * (width == bench.widths[0])
        return 2 + 0.1 * (np.log(FACTORS) - optimum - noise) ** 2

    monkeypatch.setattr("sweeps.checks.transfer.losses_over_rates", losses)
    looks = ((1, 2), (3, 4, 5))
    over_width, over_depth = check_transfer(dataclasses.replace(bench, looks=looks))
    assert over_width.verdict == "pass"
    assert over_depth.verdict == "FAIL"
    assert over_depth.measured == pytest.approx(1.0)
    assert {seeds for *_, seeds in asked} == {(1, 2), (3, 4, 5)}


def test_a_width_is_worse_in_one_direction_only(bench):
    bench = dataclasses.replace(bench, tokens=5_000, looks=((1, 2, 3),))
    (wider,) = check_wider(bench)
    (narrower,) = check_wider(dataclasses.replace(bench, widths=bench.widths[::-1]))
    assert wider.measured == pytest.approx(-narrower.measured)
    assert wider.stderr > 0
    assert {wider.verdict, narrower.verdict} != {"FAIL"}


def test_records_count_spikes_and_clipped_steps_as_the_plain_loop_sees_them(bench):
    plan = bench.plan(16, 2)
    plain = train_plainly([plan], bench.corpus)
    trained = train_run(plan, bench.corpus, bench.config.launch)
    warm = plain.gradient_norms[plan.settings.warmup_steps :, 0]
    assert trained.clipped_share == pytest.approx(float((warm > 1).float().mean()))
    assert 0 < trained.clipped_share < 1
    assert trained.spikes == count_spikes(plain.losses[:, 0])


def test_a_text_too_short_for_the_checks_is_refused(tiny_config):
    load_corpus.cache_clear()
    with pytest.raises(ConfigError, match="max_epochs"):
        bench_for(tiny_config)


@pytest.mark.slow
def test_the_check_command_prints_one_document_and_exits_with_zero(capsys):
    load_corpus.cache_clear()
    assert main(["check", "quickstart", "--quick", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    verdicts = {found["check"]: found["verdict"] for found in document["findings"]}
    assert verdicts["packed equals single"] == "pass"
    assert "BROKEN" not in verdicts.values()


@pytest.fixture
def short(monkeypatch):
    """Runs on sources of known entropy are long enough for a target that is seen to be copied (a
    loss of .55 nats where the entropy is 1.99); to learn the source itself takes 25 times as much.
    """
    monkeypatch.setattr(entropy, "_TOKENS", 2e4)
    monkeypatch.setattr(entropy, "_VALIDATION_TOKENS", 2**16)


def below_the_entropy(bench):
    below = [found for found in check_known_entropy(bench) if "below" in found.check]
    assert len(below) == 2
    assert all(found.is_invariant for found in below)
    return [found.verdict for found in below]


def test_no_model_beats_the_entropy_of_its_source(bench, short):
    assert below_the_entropy(bench) == ["pass", "pass"]


def test_a_model_that_sees_its_targets_beats_the_entropy_and_breaks_the_check(
    bench, short, monkeypatch
):
    def leaking(plans, corpus):
        shapes = [dataclasses.replace(plan.shape, bidirectional=True) for plan in plans]
        seeing = [
            dataclasses.replace(plan, shape=shape)
            for plan, shape in zip(plans, shapes, strict=True)
        ]
        return train_plainly(seeing, corpus)

    monkeypatch.setattr(entropy, "train_plainly", leaking)
    assert below_the_entropy(bench) == ["BROKEN", "BROKEN"]


@pytest.mark.slow  # the whole runs
def test_an_easy_source_is_learned_to_its_entropy_and_no_further(bench):
    found = list(check_known_entropy(bench))
    assert [one.verdict for one in found] == ["pass"] * 4, found


def test_what_does_not_apply_is_not_counted_among_the_checks():
    findings = [
        Finding(check="made", measured=0.0, threshold=1.0),
        Finding(check="not made", measured=None, threshold=1.0, detail="no such thing"),
    ]
    report = CheckReport(sweep="one", recipe="r", context=16, findings=tuple(findings), seconds=1.0)
    assert "1 of 1 check passed (1 other does not apply here) in 1 s" in findings_text(report)
    report = dataclasses.replace(report, findings=(findings[0],) * 2)
    assert "2 of 2 checks passed in 1 s" in findings_text(report)


@pytest.fixture
def linear(bench):
    """The same of a family without blocks."""
    model = {"family": "linear_lm/1", "context": 32}
    config = config_from_mapping(
        {**bench.config.mapping(), "model": model, "grid": {"width": 16, "tokens": 20_000}}
    )
    return dataclasses.replace(bench, config=config, depths=(1,))


def test_a_family_of_one_depth_is_not_said_to_keep_its_rate_over_depth(linear, monkeypatch):
    flat = np.tile(2 + 0.1 * np.log(FACTORS) ** 2, (2, 1))
    monkeypatch.setattr("sweeps.checks.transfer.losses_over_rates", lambda *_: flat)
    over_width, over_depth = check_transfer(linear)
    assert over_width.verdict == "pass"
    assert over_depth.verdict == "skipped"
    assert "models of this family all have depth 1" in over_depth.detail


@pytest.mark.parametrize(("context", "judged"), [(32, []), (1, ["markov"])])
def test_an_entropy_that_a_family_cannot_reach_is_no_fault_of_the_recipe(
    linear, short, context, judged
):
    model = linear.config.model.changed(context=context)
    config = dataclasses.replace(linear.config, model=model)
    found = [*check_known_entropy(dataclasses.replace(linear, config=config))]
    excess = {one.check.split()[2]: one for one in found if "excess" in one.check}
    assert [name[:-1] for name, one in excess.items() if one.verdict != "skipped"] == judged
    assert all("; loss " in one.detail for one in excess.values())
    below = [one.verdict for one in found if "below" in one.check]
    assert below == ["pass", "pass"]


def test_the_coordinate_check_says_whose_blocks_it_looks_into(linear):
    (found,) = check_coordinates(linear)
    assert (found.verdict, found.detail) == (
        "skipped",
        "looks inside the blocks of a decoder alone, and of no other family",
    )
