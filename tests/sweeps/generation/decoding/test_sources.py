"""Facts about models that read a source apart: what they say of it, and how likely they find it."""

import itertools

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.generation.decoding.greedy import greedy_answers
from sweeps.generation.decoding.sampling import SamplingRule, generate, next_tokens
from sweeps.generation.metrics.scoring import log_likelihoods, target_log_likelihoods
from sweeps.models.family import ModelOptions
from tests.sweeps.generation.decoding.test_sampling import SOURCE, built

FAMILY = "encoder_decoder/1"
TARGETS = 24 + 1 - SOURCE
KINDS = [{}, {"mlp": "swiglu"}, {"tied_head": True}]


def words(*size, tokens=31, seed=1):
    return torch.randint(tokens, size, generator=torch.Generator().manual_seed(seed))


def with_start(targets):
    return torch.cat((torch.full_like(targets[..., :1], 31), targets[..., :-1]), dim=-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [9, 4, 1]])
def test_logits_of_the_cache_are_those_of_the_whole_target(kind, lengths):
    stack = built(FAMILY, (1, 2), **kind)
    source, tokens = words(2, 3, SOURCE), with_start(words(2, 3, TARGETS, seed=2))
    seen = [source]
    if lengths:
        seen.append((torch.arange(SOURCE) < torch.tensor(lengths)[:, None]).expand(2, -1, -1))
    with torch.inference_mode():
        whole = stack(tokens, *seen).unflatten(1, (3, TARGETS))
        cache = stack.new_cache(3, *seen)
        parts = [stack.logits_onward(part, cache) for part in tokens.split([5, 1, 10], dim=-1)]
    found = torch.cat([part.unflatten(1, (3, -1)) for part in parts], dim=2)
    assert cache.length == TARGETS
    assert (found - whole).abs().max() <= 1e-4  # float32 at other shapes of the products


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 4, SOURCE])
def test_greedy_targets_are_the_same_with_and_without_a_cache(kind, length):
    stack, sources = built(FAMILY, (1, 2), **kind), words(3, length)
    texts = [generate(stack, sources, tokens=99, cache=cache) for cache in (True, False)]
    assert texts[0].shape == (2, 3, TARGETS)
    assert torch.equal(*texts)


def test_a_target_is_drawn_again_by_its_seed():
    model, rule = built(FAMILY), SamplingRule(top_k=20)
    first, again, other = (
        generate(model, words(2, 5), tokens=10, rule=rule, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.max() < 31  # the start never comes


def test_padding_of_a_source_changes_nothing():
    model, source = built(FAMILY), words(1, 1, 4)
    tokens = with_start(words(1, 1, 6, seed=2))
    padded = torch.cat((source, torch.full((1, 1, SOURCE - 4), 7)), dim=-1)
    is_source = torch.arange(SOURCE)[None, None] < 4
    with torch.inference_mode():
        short, long = model(tokens, source), model(tokens, padded, is_source)
        other = model(tokens, torch.where(is_source, padded, 9), is_source)
    assert torch.allclose(short, long, atol=1e-5)  # float32 sums over more places
    assert torch.equal(long, other)


def test_gradients_of_padding_are_zero():
    model, source = built(FAMILY), torch.tensor([[[1, 2, 3, 30, 30]]])
    is_source = torch.tensor([[[True, True, True, False, False]]])
    model(with_start(words(1, 1, 6, tokens=20)), source, is_source).sum().backward()
    embedding = model.weights.grad[0, model.groups["embedding"]].view(32, 16)
    assert not embedding[30].any()
    assert embedding[3].any()


@pytest.mark.parametrize("family", ["slt-dec/1", "linear_lm/1", FAMILY])
def test_answers_to_prompts_of_many_lengths_are_those_to_each_alone(family):
    model, prompts = built(family), words(8, 6)
    lengths = torch.tensor([6, 3, 1, 6, 4, 3, 2, 5])
    found = greedy_answers(model, prompts, lengths, tokens=9)
    for prompt, length, answer in zip(prompts, lengths, found, strict=True):
        alone = generate(model, prompt[None, :length], tokens=9)[0, 0]
        assert list(answer) == alone.tolist()
    assert len(set(found)) > 1
    assert greedy_answers(model, prompts[:0], lengths[:0], tokens=9) == []


@pytest.mark.parametrize("family", ["slt-dec/1", "linear_lm/1", FAMILY])
def test_answers_end_with_their_end_or_where_they_must(family):
    model, prompts = built(family), words(8, 6)
    long = greedy_answers(model, prompts, tokens=99)
    assert {len(answer) for answer in long} == {TARGETS if family == FAMILY else 24 + 1 - 6}
    end = long[0][2]
    for answer, whole in zip(greedy_answers(model, prompts, tokens=99, end=end), long, strict=True):
        assert answer == (whole[: whole.index(end) + 1] if end in whole else whole)


def test_probabilities_of_all_targets_of_a_length_add_up_to_one():
    model = built(FAMILY, (1, 2), ModelOptions(used_vocab_size=3))
    targets = torch.tensor(list(itertools.product(range(3), repeat=4)))
    sources = torch.tensor([[2, 0, 1, 1]]).expand(len(targets), -1)
    total = target_log_likelihoods(model, targets, sources).sum(-1).exp().sum(-1)
    assert total.tolist() == pytest.approx([1, 1], abs=1e-5)  # 81 targets in float32


def test_conditionals_of_a_target_add_up_to_the_joint():
    model, source, target = built(FAMILY), words(1, 5), words(1, TARGETS, seed=2)
    joint = float(target_log_likelihoods(model, target, source).sum())
    parts = [target_log_likelihoods(model, target[:, :n], source)[0, 0, -1] for n in range(1, 17)]
    # 16 sums in float32, each of other shapes; as a share of some 60 nats
    assert float(sum(parts)) == pytest.approx(joint, rel=1e-5)


def test_it_is_minus_the_loss_that_training_measures():
    from sweeps.data.batch import Batch
    from sweeps.objectives.conditional import Conditional

    model = built(FAMILY, (1, 2))
    objective = Conditional(view="source", own_tokens=1, source_tokens=SOURCE, start_token=31)
    windows = words(3, 25)
    asked = objective.asked(Batch.of_windows(windows.expand(2, -1, -1)), 1, 0)
    with torch.no_grad():
        losses = objective.sequence_losses(model, asked)
    found = target_log_likelihoods(model, windows[:, SOURCE:], windows[:, :SOURCE])
    assert torch.allclose(found.mean(-1), -losses, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "lengths", "said"),
    [
        (words(1, 0), None, "the source is empty"),
        (words(1, 10), None, "the source has 10 tokens, and the model's sources have 9 tokens at"),
        (torch.tensor([[31]]), None, "token 31: the model knows tokens from 0 to 30"),
        (words(2, 4), [4], "the lengths of 2 prompts are .*; each has 1 to 4 tokens"),
        (words(2, 4), [0, 4], "each has 1 to 4 tokens"),
    ],
)
def test_sources_that_no_model_takes_are_refused(source, lengths, said):
    lengths = None if lengths is None else torch.tensor(lengths)
    with pytest.raises(ConfigError, match=said):
        list(next_tokens(built(FAMILY), source, tokens=1, lengths=lengths))


@pytest.mark.parametrize(
    ("target", "source", "said"),
    [
        (words(1, 0), words(1, 3), "nothing to score after the source"),
        (words(1, 17), words(1, 3), "the text has 17 tokens, and the model's targets have 16 at"),
        (words(2, 3), words(1, 3), "2 targets and 1 source are no pairs"),
        (torch.tensor([[31]]), words(1, 3), "token 31"),
    ],
)
def test_targets_that_cannot_be_scored_are_refused(target, source, said):
    with pytest.raises(ConfigError, match=said):
        target_log_likelihoods(built(FAMILY), target, source)


def test_a_text_without_its_source_is_refused():
    with pytest.raises(ConfigError, match="scores a target given its source"):
        log_likelihoods(built(FAMILY), words(1, 5))


def test_a_model_without_a_token_to_start_with_says_so():
    model = built(FAMILY, options=ModelOptions(used_vocab_size=32))
    with pytest.raises(ConfigError, match="none is left for a target's start"):
        generate(model, words(1, 5), tokens=1)


def test_a_decoder_takes_prompts_of_one_length_at_once():
    with pytest.raises(ConfigError, match="are of one length"):
        generate(built(), words(2, 4), tokens=1, lengths=torch.tensor([4, 3]))
