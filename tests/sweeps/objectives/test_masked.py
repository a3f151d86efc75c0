"""The masked objective keeps the contract of objectives, and hides what it asks for."""

import torch

from sweeps.config.data import AnbnData
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.data.registry import load_corpus
from sweeps.data.sources.generated.grammars import PADDING, START
from sweeps.objectives.masked import Masked
from tests.conformance.objective import ObjectiveContract


class TestMasked(ObjectiveContract):
    objective = Masked().configured(TargetsConfig(mask_share=0.3), 6)


def asked(seed=1, first_step=0, steps=50, share=0.25):
    windows = torch.arange(steps * 8 * 17).view(steps, 8, 17) % 5
    objective = Masked().configured(TargetsConfig(mask_share=share), 5)
    return windows, objective.asked(Batch.of_windows(windows), seed, first_step)


def test_it_hides_a_share_of_every_sequence_and_asks_for_what_it_hid():
    windows, batch = asked()
    hidden = batch.inputs == 5
    assert torch.equal(hidden, batch.weights.bool())
    assert (hidden.sum(dim=-1) == 4).all()  # a quarter of 16
    assert torch.equal(batch.targets, windows[..., :-1])
    assert torch.equal(batch.inputs[~hidden], batch.targets[~hidden])


def test_every_position_is_hidden_as_often_and_no_two_seeds_or_steps_hide_the_same():
    hidden = asked()[1].weights
    # 400 draws with chance 1/4: standard deviation .022, and the largest of 16 within 4 of them.
    assert ((hidden.mean(dim=(0, 1)) - 0.25).abs() < 4 * 0.022).all()
    assert not torch.equal(hidden[0], hidden[1])
    assert not torch.equal(hidden, asked(seed=2)[1].weights)


def test_a_short_sequence_has_one_hidden_token():
    windows, batch = asked(share=0.01)
    assert (batch.weights.sum(dim=-1) == 1).all()


def test_of_a_sentence_a_share_of_its_own_tokens_is_hidden_and_nothing_of_its_padding():
    corpus = load_corpus(AnbnData(lengths="uniform", longest=8), 17)
    objective = Masked().configured(TargetsConfig(mask_share=0.25), corpus.facts.vocab_size)
    before = corpus.batches(1, 0, 3, 8)
    batch = objective.asked(before, 1, 0)
    real = (before.inputs != START) & (before.inputs != PADDING)
    hidden = batch.inputs == objective.mask_token
    assert not (hidden & ~real).any()
    assert torch.equal(batch.weights, hidden.float())
    assert torch.equal(hidden.sum(-1), (real.sum(-1) * 0.25).round().clamp(min=1).long())
    assert torch.equal(batch.targets, before.inputs)
