"""Facts about the rules: measured values come back, and exponents are what they claim."""

import dataclasses
import math

import pytest

from scaling.errors import ConfigError
from scaling.shape import TransformerShape
from sweeps.config.recipe import LEARNING_RATE_RULES, RECIPES, find_recipe
from sweeps.planning.hyper_parameters.recipe import batch_sequences_for, settings_for
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor


def shape(width, depth=2):
    return TransformerShape(width=width, depth=depth, head_size=8, context=64, vocab_size=64)


# The ladders that the rules were written down with: width, depth, tokens, batch (tokens), steps,
# learning rate of hidden matrices. Constants behind them: eta 0.0054 at width 256 and 1e9 tokens,
# batch 65,536 there, rule `refit` (B^0.70 D^-0.27), cap 0.06. Four rows of the first are left out:
# their batches (such as 44 sequences) are not the nearest of {1, 1.25, 1.5, 1.75} x 2^k.
TWO_CORE_LADDER = [  # vocabulary 64, context 64, head size 8
    (8, 2, 539e3, 1536, 351, 0.060),
    (16, 1, 325e3, 1280, 254, 0.048),
    (16, 1, 973e3, 2048, 475, 0.050),
    (16, 2, 541e3, 1536, 352, 0.048),
    (24, 2, 270e3, 1024, 264, 0.029),
    (24, 2, 901e3, 2048, 440, 0.034),
    (32, 2, 541e3, 1536, 352, 0.024),
    (48, 2, 258e3, 1024, 252, 0.015),
    (48, 2, 1.03e6, 2048, 504, 0.016),
]
ONE_GPU_LADDER = [  # vocabulary 256, context 512, head size 32
    (64, 1, 16.9e6, 8192, 2068, 0.0151),
    (64, 2, 9.24e6, 6144, 1504, 0.0146),
    (96, 2, 4.84e6, 4096, 1182, 0.0087),
    (96, 3, 3.31e6, 3584, 923, 0.0088),
    (128, 4, 1.54e6, 2560, 602, 0.0064),
    (96, 2, 48.4e6, 14336, 3377, 0.0112),
    (96, 3, 33.1e6, 12288, 2691, 0.0112),
    (128, 4, 15.4e6, 8192, 1881, 0.0078),
    (160, 5, 8.39e6, 6144, 1365, 0.0060),
    (192, 6, 5.06e6, 5120, 988, 0.0050),
    (128, 4, 154e6, 24576, 6269, 0.0090),
    (160, 5, 83.9e6, 20480, 4095, 0.0075),
    (192, 6, 50.6e6, 14336, 3529, 0.0056),
    (256, 8, 22.5e6, 10240, 2197, 0.0041),
    (192, 6, 506e6, 49152, 10293, 0.0071),
    (256, 8, 225e6, 32768, 6866, 0.0050),
    (320, 10, 119e6, 24576, 4840, 0.0039),
    (384, 12, 70.3e6, 16384, 4293, 0.0028),
    (384, 12, 703e6, 57344, 12266, 0.0036),
]


@pytest.mark.parametrize(
    ("row", "head_size", "context", "vocab_size"),
    [(row, 8, 64, 64) for row in TWO_CORE_LADDER] + [(row, 32, 512, 256) for row in ONE_GPU_LADDER],
)
def test_the_recipe_gives_the_values_of_its_ladders(row, head_size, context, vocab_size):
    width, depth, tokens, batch_tokens, steps, learning_rate = row
    model = TransformerShape(
        width=width, depth=depth, head_size=head_size, context=context, vocab_size=vocab_size
    )
    settings = settings_for(RECIPES["cpt-adamw/1"], model, tokens)
    assert settings.batch_sequences * context == batch_tokens
    # Tokens are given there to three digits, the learning rate to two.
    assert settings.steps == pytest.approx(steps, rel=0.006)
    assert settings.hidden.learning_rate == pytest.approx(learning_rate, rel=0.03)
    assert settings.learning_rate_capped is (learning_rate == 0.060)
    assert settings.warmup_steps == max(10, round(0.05 * settings.steps))
    half_life = math.log(0.5) / math.log(settings.beta2) / settings.steps
    assert half_life == pytest.approx(0.015, rel=0.04) or settings.beta2 in (0.95, 0.999)


@pytest.mark.parametrize(
    ("rule", "growth"), [("refit", 1.27), ("delphi", 0.86), ("sde", 0.47), ("none", 2.1)]
)
def test_twentyfold_tokens_change_the_learning_rate_as_each_rule_says(rule, growth):
    recipe = find_recipe("cpt-adamw/1", {"learning_rate_rule": rule})
    exponent = recipe.learning_rate_batch_exponent / 2 + recipe.learning_rate_tokens_exponent
    assert 20**exponent == pytest.approx(growth, rel=0.01)  # given to two digits
    # In the settings the batch is rounded, by up to an eighth, and enters with 0.7 at most.
    rates = [settings_for(recipe, shape(256), tokens).hidden for tokens in (1e9, 2e10)]
    measured = rates[1].learning_rate / rates[0].learning_rate
    assert measured == pytest.approx(growth, rel=0.09)


def test_every_rule_agrees_at_the_reference_point():
    rates = {
        settings_for(
            find_recipe("cpt-adamw/1", {"learning_rate_rule": rule}), shape(256), 1e9
        ).hidden.learning_rate
        for rule in LEARNING_RATE_RULES
    }
    assert rates == {0.0054}


def test_exponents_without_a_name_are_a_custom_rule():
    own = find_recipe("cpt-adamw/1", {"learning_rate_tokens_exponent": -0.4})
    assert (own.learning_rate_rule, own.learning_rate_tokens_exponent) == ("custom", -0.4)
    with pytest.raises(ConfigError, match="contradicts learning_rate_rule"):
        find_recipe(
            "cpt-adamw/1", {"learning_rate_tokens_exponent": -0.4, "learning_rate_rule": "sde"}
        )


def test_the_embedding_learning_rate_falls_as_the_root_of_the_width_where_the_vocabulary_is_large():
    def rate(width, vocab_size):
        model = TransformerShape(
            width=width, depth=2, head_size=8, context=64, vocab_size=vocab_size
        )
        return settings_for(RECIPES["cpt-adamw/1"], model, 1e8).embedding.learning_rate

    assert rate(64, 32768) == pytest.approx(2 * rate(256, 32768))
    assert rate(64, 256) == rate(256, 256) == rate(256, 32768)


def test_a_learning_rate_factor_keeps_the_averaging_time_of_the_weight_decay():
    settings = settings_for(RECIPES["cpt-adamw/1"], shape(64), 1e7)
    faster = with_learning_rate_factor(settings, 1.8)
    for before, after in ((settings.hidden, faster.hidden), (settings.head, faster.head)):
        assert after.learning_rate == pytest.approx(1.8 * before.learning_rate)
        product = before.learning_rate * before.weight_decay
        assert after.learning_rate * after.weight_decay == pytest.approx(product)
    same = dataclasses.replace(
        faster, embedding=settings.embedding, hidden=settings.hidden, head=settings.head
    )
    assert same == settings


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


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cpt-adamw/1", "e9d1a24db932a09b"),
        ("cpt-adamw/2", "f654b9fe3be540e9"),
        ("cpt-adamw-tiny/1", "e583bfaa00db4eb2"),
        ("cpt-adamw-tiny/2", "a4b6b6c514cac716"),
        ("cpt-adamw-tiny/3", "435f64a22259e8cf"),
        ("cpt-adamw-tiny/4", "4add1af8b86ff48f"),
        ("cpt-adamw/3", "2b881985b445307d"),
    ],
)
def test_a_published_recipe_keeps_its_hash(name, known):
    assert RECIPES[name].hash == known


@pytest.mark.parametrize("width", [32, 64, 256])
def test_the_logits_of_a_tied_head_move_as_far_in_a_step_as_those_of_a_head_of_its_own(width):
    """Along the last state an entry of the embedding moves by its rate, and logits are width
    products over the width times the factor; a head's are width products of its own rate."""
    recipe = RECIPES["cpt-adamw/2"]
    own, tied = (
        settings_for(recipe, dataclasses.replace(shape(width), tied_head=is_tied), 1e7)
        for is_tied in (False, True)
    )
    moved = tied.tied_logit_factor * tied.embedding.learning_rate
    assert moved == pytest.approx(width * own.head.learning_rate)
    assert own.tied_logit_factor is None


TIED_TINY = ("cpt-adamw-tiny/3", "cpt-adamw-tiny/4")


def test_a_rule_for_tied_heads_changes_nothing_of_other_models():
    for is_tied in (False, True):
        model = dataclasses.replace(shape(64), tied_head=is_tied)
        for earlier, later in (("cpt-adamw/1", "cpt-adamw/2"), TIED_TINY):
            before, after = (settings_for(RECIPES[name], model, 1e7) for name in (earlier, later))
            assert (before == after) is not is_tied


def test_a_rule_for_depth_changes_nothing_at_depth_two_and_every_rate_at_eight():
    for depth in (2, 8):
        model = dataclasses.replace(shape(64), depth=depth)
        before, after = (
            settings_for(RECIPES[f"cpt-adamw/{version}"], model, 1e7) for version in "23"
        )
        for group in ("embedding", "hidden", "head"):
            rates = [getattr(one, group).learning_rate for one in (before, after)]
            assert rates[1] / rates[0] == pytest.approx((depth / 2) ** -0.13)
        taken = [one.hidden.learning_rate * one.hidden.weight_decay for one in (before, after)]
        assert taken[0] == pytest.approx(taken[1])


def test_any_changed_constant_changes_the_recipes_hash():
    recipe = dataclasses.replace(
        RECIPES["cpt-adamw-tiny/2"], tied_logit_factor=12.8, learning_rate_depth_exponent=-0.13
    )
    given = {"tied_logit_factor": 12.8, "learning_rate_depth_exponent": -0.13}
    assert find_recipe("cpt-adamw-tiny/2", given).hash == recipe.hash
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
        ("cpt-adamw/1", {"learning_rate_rule": "cosine"}, 'choose "refit" or "delphi"'),
        ("cpt-adamw/1", {"schedule": "cosine"}, 'choose "linear"'),
        ("cpt-adamw/1", {"anchor_tokens_per_param": 0}, "must be positive"),
        ("cpt-adamw/2", {"tied_logit_factor": 0}, "must be positive"),
        ("cpt-adamw/1", {"decay_share": 0.1}, "not used by schedule linear; choose schedule wsd"),
        ("cpt-adamw/1", {"schedule": "wsd", "rate_falls_from": 0.1}, "give that too"),
        ("cpt-adamw-tiny/2", {"schedule": "wsd", "max_trunk_span": 2}, "share one trunk"),
        ("cpt-adamw/1", {"reference_mean_rate": 0}, "lies between 0 and 1"),
        ("cpt-adamw/1", {"reference_mean_rate": "half"}, "must be a number"),
    ],
)
def test_unknown_names_and_values_are_refused(name, overrides, message):
    with pytest.raises(ConfigError, match=message):
        find_recipe(name, overrides)
