"""Facts about the rules: measured values come back, and exponents are what they claim."""

import dataclasses
import math

import pytest

from scaling.errors import ConfigError
from scaling.shape import TransformerShape
from sweeps.recipe import RECIPES, batch_sequences_for, find_recipe, settings_for


def shape(width, depth=2):
    return TransformerShape(width=width, depth=depth, head_size=8, context=64, vocab_size=64)


@pytest.mark.parametrize(
    ("width", "depth", "tokens", "batch_tokens", "learning_rate"),
    [  # rows of the two-core ladder that the recipe was written down with
        (16, 1, 325e3, 1280, 0.048),
        (24, 2, 270e3, 1024, 0.029),
        (32, 2, 541e3, 1536, 0.024),
        (48, 2, 1.03e6, 2048, 0.016),
        (8, 2, 539e3, 1536, 0.060),  # capped
    ],
)
def test_the_recipe_gives_the_values_of_its_ladder(
    width, depth, tokens, batch_tokens, learning_rate
):
    settings = settings_for(RECIPES["cpt-adamw/1"], shape(width, depth), tokens)
    assert settings.batch_sequences * 64 == batch_tokens
    # Two digits are given there, from a reference learning rate of two digits.
    assert settings.hidden.learning_rate == pytest.approx(learning_rate, rel=0.03)
    assert settings.learning_rate_capped is (width == 8)


def test_the_hidden_learning_rate_falls_as_one_over_width_and_ignores_depth():
    recipe = RECIPES["cpt-adamw/1"]
    rates = {
        size: settings_for(recipe, shape(*size), 1e7).hidden.learning_rate
        for size in [(64, 2), (128, 2), (128, 8)]
    }
    assert rates[64, 2] == pytest.approx(2 * rates[128, 2])
    assert rates[128, 8] == rates[128, 2]


def test_the_embedding_learning_rate_ignores_the_width():
    recipe = RECIPES["cpt-adamw/1"]
    rates = [settings_for(recipe, shape(width), 1e7).embedding for width in (64, 256)]
    assert rates[0].learning_rate == rates[1].learning_rate


def test_residual_branches_shrink_as_one_over_depth():
    recipe = RECIPES["cpt-adamw/1"]
    scales = [settings_for(recipe, shape(64, depth), 1e7).residual_scale for depth in (1, 2, 8)]
    assert scales == [2.0, 1.0, 0.25]


def test_batches_grow_as_the_square_root_of_the_horizon():
    recipe = RECIPES["cpt-adamw/1"]
    for tokens in (1e8, 1e9, 1e10):
        batch = batch_sequences_for(recipe, tokens, 64) * 64
        exact = 65536 * math.sqrt(tokens / 1e9)
        assert batch == pytest.approx(exact, rel=0.125)  # half of the widest gap, 4 to 5


def test_batches_are_four_to_seven_times_a_power_of_two():
    recipe = RECIPES["cpt-adamw/1"]
    for tokens in [10**exponent for exponent in range(5, 11)]:
        batch = batch_sequences_for(recipe, tokens, 64)
        while batch % 2 == 0 and batch > 7:
            batch //= 2
        assert batch in (4, 5, 6, 7)


def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_almost_zero():
    settings = settings_for(RECIPES["cpt-adamw/1"], shape(64), 1e6)
    factors = [settings.schedule_factor(step) for step in range(settings.steps)]
    peak = settings.warmup_steps - 1
    assert factors[peak] == 1.0
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(1 / (settings.steps - settings.warmup_steps))


def test_weight_decay_averages_over_the_same_share_of_every_run_of_equal_tokens_per_parameter():
    recipe = RECIPES["cpt-adamw/1"]
    shares = []
    for width in (64, 128):
        tokens = 20 * shape(width).params_matmul
        settings = settings_for(recipe, shape(width), tokens)
        per_step = settings.hidden.learning_rate * settings.hidden.weight_decay
        shares.append(1 / (per_step * settings.steps))
    assert shares == pytest.approx([0.22, 0.22])


def test_any_changed_constant_changes_the_recipes_hash():
    recipe = RECIPES["cpt-adamw/1"]
    assert find_recipe("cpt-adamw/1", {}).hash == recipe.hash
    hashes = {
        dataclasses.replace(recipe, **{item.name: getattr(recipe, item.name) * 2}).hash
        for item in dataclasses.fields(recipe)
    }
    assert len(hashes | {recipe.hash}) == len(dataclasses.fields(recipe)) + 1


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("cpt-adam/1", {}, 'did you mean "cpt-adamw/1"'),
        ("cpt-adamw/1", {"beta_1": 0.8}, 'did you mean "beta1"'),
        ("cpt-adamw/1", {"beta1": "high"}, "must be a number"),
        ("cpt-adamw/1", {"max_gradient_norm": -1}, "must not be negative"),
        ("cpt-adamw/1", {"schedule": "cosine"}, 'choose "linear"'),
    ],
)
def test_unknown_names_and_values_are_refused(name, overrides, message):
    with pytest.raises(ConfigError, match=message):
        find_recipe(name, overrides)
