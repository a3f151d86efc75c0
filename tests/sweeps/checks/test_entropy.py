"""Facts about the check of known entropy: no model beats it that does not see its targets."""

import dataclasses

import pytest

from sweeps.checks import entropy
from sweeps.checks.entropy import check_known_entropy
from sweeps.training.plain_loop import train_plainly


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
