"""Facts about the rule of sampling: its edges, its distribution, its cache, its bad input."""

import dataclasses
import math

import pytest
import torch

from benchmarks.speed.sampling import RULES, p_value
from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.generation.decoding.sampling import (
    GREEDY,
    SamplingRule,
    filtered_log_probabilities,
    generate,
    next_tokens,
)
from sweeps.models.family import ModelOptions, ModelSizes
from sweeps.models.linear_lm.family import LinearFamily
from sweeps.models.registry import FAMILIES, find_family

#: Families whose models go on from a prompt.
CONTINUING = sorted(name for name, family in FAMILIES.items() if "continue" in family.can)


#: Tokens of a source, of families that read one apart.
SOURCE = 9


def built(family="slt-dec/1", seeds=(1,), options=None, view="past", **model):
    """A small model whose matrices are all non-zero, as after training."""
    found, sizes, further = find_family(family), {"context": 24, **model}, {"depth": 1}
    options = options or ModelOptions()
    if family != LinearFamily().name:
        sizes["head_size"], further["depth"] = 8, 2
    if "source" in found.views:  # and a start token behind those that can occur
        view, further["source_tokens"] = "source", SOURCE
        options = dataclasses.replace(options, used_vocab_size=options.used_vocab_size or 31)
    config = ModelConfig(family=family, **sizes)
    shape = found.shape(config, ModelSizes(width=16, vocab_size=32, view=view, **further))
    stack = found.build(shape, list(seeds), options)
    generator = torch.Generator().manual_seed(0)
    stack.hold(torch.randn(stack.held_weights().shape, generator=generator) / 3)
    return stack


@pytest.fixture(scope="module")
def model():
    return built()


def kept(probabilities, **rule):
    """The probabilities that a rule leaves of these."""
    logits = torch.tensor(probabilities, dtype=torch.float32).log()
    return filtered_log_probabilities(logits, **rule).exp().tolist()


def test_top_p_keeps_the_smallest_set_that_has_the_mass():
    # .5 and .3 are .8 already: the first two, and no third for a rounding of the sum
    assert kept([0.3, 0.1, 0.1, 0.5], top_p=0.8) == pytest.approx([0.375, 0, 0, 0.625])
    assert kept([0.3, 0.1, 0.1, 0.5], top_p=0.81) == pytest.approx([1 / 3, 1 / 9, 0, 5 / 9])
    assert kept([0.3, 0.1, 0.1, 0.5], top_p=1e-9) == [0, 0, 0, 1]


def test_top_k_keeps_those_tied_with_the_last():
    assert kept([0.25] * 4, top_k=1) == pytest.approx([0.25] * 4)
    assert kept([0.3, 0.1, 0.1, 0.5], top_k=3) == pytest.approx([0.3, 0.1, 0.1, 0.5])
    assert kept([0.3, 0.1, 0.1, 0.5], top_k=2) == pytest.approx([0.375, 0, 0, 0.625])


def test_top_p_of_equal_logits_takes_the_lower_tokens():
    assert kept([0.25] * 4, top_p=0.5) == pytest.approx([0.5, 0.5, 0, 0])
    assert kept([0.25] * 4, top_p=0.75) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert kept([0.25] * 4, top_p=0.8) == pytest.approx([0.25] * 4)
    assert kept([0.1] * 10, top_p=0.3) == pytest.approx([1 / 3] * 3 + [0] * 7)  # .1 + .1 + .1 > .3


def test_equal_logits_are_left_alone_by_top_k_and_min_p():
    assert kept([0.25] * 4, top_k=2) == kept([0.25] * 4, min_p=1.0) == pytest.approx([0.25] * 4)


def test_top_p_of_one_keeps_every_token_however_rare():
    rare = kept([1 - 1e-9, 1e-9], top_p=1.0)
    assert rare[1] == pytest.approx(1e-9)
    assert kept([0.3, 0.1, 0.1, 0.5], top_p=1.0) == pytest.approx([0.3, 0.1, 0.1, 0.5])


def test_a_k_above_the_vocabulary_is_refused():
    with pytest.raises(ConfigError, match="top-k 5: the model knows 4 tokens"):
        kept([0.25] * 4, top_k=5)
    assert kept([0.3, 0.1, 0.1, 0.5], top_k=4) == pytest.approx([0.3, 0.1, 0.1, 0.5])


def test_filters_come_in_the_stated_order():
    # the temperature flattens before top-p sums: at 2 the weights are sqrt(p)
    roots = [math.sqrt(p) for p in (0.64, 0.32, 0.04)]
    assert kept([0.64, 0.32, 0.04], temperature=2, top_p=0.95)[2] > 0
    assert kept([0.64, 0.32, 0.04], top_p=0.95)[2] == 0
    assert kept([0.64, 0.32, 0.04], temperature=2) == pytest.approx(
        [root / sum(roots) for root in roots]
    )
    # min-p asks what is left of a share of the likeliest
    assert kept([0.5, 0.3, 0.15, 0.05], top_k=3, min_p=0.3) == pytest.approx(
        [50 / 95, 30 / 95, 15 / 95, 0]
    )
    assert kept([0.5, 0.3, 0.15, 0.05], min_p=0.6) == pytest.approx([0.625, 0.375, 0, 0])


def test_temperature_zero_is_greedy_and_a_tiny_one_is_finite():
    assert kept([0.3, 0.1, 0.1, 0.5], temperature=0) == [0, 0, 0, 1]
    assert kept([0.5, 0.5], temperature=0) == [1, 0]
    assert kept([0.3, 0.1, 0.1, 0.5], temperature=1e-300) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"temperature": -0.1}, "temperature -0.1: it is a number from 0"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"top_k": 0}, "top-k 0: it is a number of tokens"),
        ({"top_p": 0.0}, "top-p 0: it is a mass above 0, and at most 1"),
        ({"top_p": 1.1}, "top-p 1.1"),
        ({"top_p": math.nan}, "top-p nan"),
        ({"min_p": -1.0}, "min-p -1: it is a share"),
    ],
)
def test_what_is_no_rule_is_refused(rule, said):
    with pytest.raises(ConfigError, match=said):
        SamplingRule(**rule)


@pytest.mark.parametrize("family", CONTINUING)
@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_greedy_text_is_the_same_with_and_without_a_cache(family, seeds):
    stack = built(family, seeds)
    prompts = torch.randint(31, (3, 5), generator=torch.Generator().manual_seed(1))
    with_cache, without = (
        generate(stack, prompts, tokens=12, cache=cache) for cache in (True, False)
    )
    assert with_cache.shape == (len(seeds), 3, 12)
    assert torch.equal(with_cache, without)


@pytest.mark.parametrize("model_of", [{}, {"mlp": "swiglu"}, {"tied_head": True}])
def test_logits_of_the_cache_are_those_of_the_whole_sequence(model_of):
    stack = built(seeds=(1, 2), **model_of)
    tokens = torch.randint(32, (2, 3, 24), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = stack(tokens).unflatten(1, (3, 24))
        cache = stack.new_cache(3)
        parts = [stack.logits_onward(part, cache) for part in tokens.split([5, 1, 7, 11], dim=-1)]
    found = torch.cat([part.unflatten(1, (3, -1)) for part in parts], dim=2)
    assert cache.length == 24
    assert (found - whole).abs().max() <= 1e-4  # float32 at other shapes of the products


def test_a_seed_gives_its_text_again_and_another_seed_another(model):
    prompts, rule = torch.tensor([[1, 2], [3, 4]]), SamplingRule(top_k=20)
    first, again, other = (
        generate(model, prompts, tokens=10, rule=rule, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_text_ends_where_the_context_does(model):
    prompts = torch.ones(1, 20, dtype=torch.long)
    assert generate(model, prompts, tokens=99).shape[-1] == 24 + 1 - 20
    assert generate(model, torch.ones(1, 24, dtype=torch.long), tokens=99).shape[-1] == 1


def test_padding_of_the_vocabulary_is_never_drawn():
    stack = built(options=ModelOptions(used_vocab_size=5))
    text = generate(stack, torch.tensor([[1]]), tokens=24, rule=SamplingRule(temperature=50.0))
    assert text.max() < 5


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (torch.ones(1, 0, dtype=torch.long), "the prompt is empty"),
        (torch.ones(1, 25, dtype=torch.long), "the prompt has 25 tokens, and .* context is 24"),
        (torch.tensor([[32]]), "token 32: the model knows tokens from 0 to 31"),
        (torch.tensor([[-1]]), "token -1"),
    ],
)
def test_prompts_that_no_model_takes_are_refused(model, prompts, said):
    with pytest.raises(ConfigError, match=said):
        list(next_tokens(model, prompts, tokens=1))


def test_a_model_that_reads_otherwise_gives_no_next_token():
    with pytest.raises(ConfigError, match="gives no next token: its positions see both"):
        generate(built(view="both"), torch.tensor([[1]]), tokens=1)


def test_no_tokens_are_refused(model):
    with pytest.raises(ConfigError, match="0 tokens to sample"):
        generate(model, torch.tensor([[1]]), tokens=0)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_two_hundred_thousand_draws_follow_the_rule(rule):
    # the seed is fixed; of right draws one seed in a thousand would fall below
    assert p_value(rule, 200_000) > 1e-3


@pytest.mark.slow
def test_greedy_text_with_a_cache_agrees_over_a_long_context():
    stack = built(context=512)
    prompts = torch.tensor([[1, 2, 3, 4]])
    texts = [generate(stack, prompts, tokens=508, rule=GREEDY, cache=cache) for cache in (0, 1)]
    assert torch.equal(*texts)
