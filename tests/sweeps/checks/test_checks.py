"""Facts about the checks: they hold where the code is right, and fail where it is not."""

import dataclasses
import json

import pytest

from scaling.cli import main
from scaling.errors import ConfigError
from sweeps.checks.entropy import EASY
from sweeps.checks.equality import (
    check_accumulation,
    check_packing,
    check_resume,
    check_trainer,
)
from sweeps.checks.measures import check_bits_per_byte
from sweeps.checks.run import bench_for
from sweeps.checks.start import check_initial_loss
from sweeps.checks.wider import check_wider
from sweeps.data.registry import load_corpus
from sweeps.training.learning_rate_check import count_spikes
from sweeps.training.pack import train_run
from sweeps.training.plain_loop import planned_for, train_plainly
from tests.sweeps.shipped import NAMES, quick_to_plan


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
