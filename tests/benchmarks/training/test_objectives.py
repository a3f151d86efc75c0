"""Facts about the cloze that compares objectives."""

import itertools

import torch

from benchmarks.training.objectives import causal_cloze, cloze_places, masked_cloze
from sweeps.config.model import ModelConfig
from sweeps.models.family import ModelOptions, ModelSizes
from sweeps.models.registry import find_family

SYMBOLS, LENGTH = 3, 4


def built(view, vocab_size):
    family = find_family("slt-dec/1")
    config = ModelConfig(head_size=8, context=LENGTH)
    shape = family.shape(config, ModelSizes(width=16, vocab_size=vocab_size, view=view))
    model = family.build(shape, [1], ModelOptions(used_vocab_size=SYMBOLS, view=view))
    generator = torch.Generator().manual_seed(0)
    model.hold(torch.randn(model.held_weights().shape, generator=generator) / 3)
    return model


def test_a_causal_cloze_is_that_of_the_joint_probabilities_of_all_texts():
    model = built("past", SYMBOLS)
    texts = torch.tensor(list(itertools.product(range(SYMBOLS), repeat=LENGTH)))
    with torch.no_grad():
        chances = model(texts[None, :, :-1]).view(len(texts), LENGTH - 1, -1).log_softmax(-1)
    joint = chances.gather(-1, texts[:, 1:, None]).squeeze(-1).sum(-1).exp()
    places = torch.tensor([1, 2, 3] * 27)
    found = causal_cloze(model, texts, places).exp()
    torch.testing.assert_close(found.sum(-1), torch.ones(len(texts)))
    for text, place, chance in zip(texts, places.tolist(), found, strict=True):
        same = (texts == text).sum(-1) - (texts[:, place] == text[place]).long() == LENGTH - 1
        expected = joint[same] / joint[same].sum()  # in the order of the token in the place
        torch.testing.assert_close(chance, expected)


def test_a_masked_cloze_does_not_see_what_it_asks():
    model = built("both", SYMBOLS + 1)
    blocks, places = torch.tensor([[0, 1, 2, 0], [2, 2, 1, 1]]), torch.tensor([1, 3])
    found = masked_cloze(model, SYMBOLS, blocks, places)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2))
    for row, place in enumerate(places.tolist()):
        blocks[row, place] = 0
    assert torch.equal(masked_cloze(model, SYMBOLS, blocks, places), found)


def test_no_question_is_of_a_first_token():
    places = cloze_places(500, 8)
    assert places.min() == 1 and places.max() == 7
