"""From a shape and a horizon to every hyper-parameter of a run, by the constants of a recipe.

`cpt-adamw/1` transfers learning rates over width and depth by CompleteP (Dey et al. 2025,
arXiv:2505.01618: hidden learning rate as 1/width, residual branches as 1/depth, no depth factor on
the learning rate; `cpt-adamw/3` has one that was measured), and over the horizon by power laws in
batch and tokens. The constants are in `sweeps.config.recipe`.
"""

import dataclasses
import math
from collections.abc import Sequence

from sweeps.config.recipe import Recipe
from sweeps.models.family import Shape
from sweeps.planning.hyper_parameters.schedule import mean_schedule_factor
from sweeps.planning.hyper_parameters.settings import FallingRate, GroupSettings, TrainingSettings

_WIDTH, _DEPTH, _TOKENS, _BATCH = 256, 2, 1e9, 65536.0  # the reference point


def batch_sequences_for(recipe: Recipe, tokens: float, context: int) -> int:
    """Sequences a step: the square-root rule, rounded to 4, 5, 6, 7 times a power of two."""
    wanted = recipe.base_batch_tokens * math.sqrt(tokens / _TOKENS) / context
    if wanted <= recipe.min_batch_sequences:
        return max(1, recipe.min_batch_sequences)
    power = 2.0 ** (math.floor(math.log2(wanted)) - 2)
    sizes = [round(quarters * power) for quarters in (4, 5, 6, 7, 8)]
    return min(sizes, key=lambda size: abs(size - wanted))


def settings_for(recipe: Recipe, shape: Shape, tokens: float) -> TrainingSettings:
    """What the recipe says for a model of this shape that sees about this many tokens."""
    if recipe.anchor_tokens_per_param is None or recipe.schedule != "wsd":
        return horizon_settings_for(recipe, shape, tokens)
    anchor = horizon_settings_for(
        recipe, shape, recipe.anchor_tokens_per_param * shape.params_matmul
    )
    steps = max(1, round(tokens / (anchor.batch_sequences * shape.context)))
    return dataclasses.replace(
        anchor,
        steps=steps,
        decay_steps=_decay_steps(recipe, steps, anchor.warmup_steps),
        falling_rate=_falling_rate(recipe, shape, anchor),
    )


def _falling_rate(recipe: Recipe, shape: Shape, anchor: TrainingSettings) -> FallingRate | None:
    """Along the rule's power of the tokens, which passes through the anchor's rate at its fork."""
    exponent = recipe.learning_rate_tokens_exponent
    if recipe.rate_falls_from is None or exponent >= 0:
        return None
    highest = recipe.max_hidden_learning_rate / anchor.hidden.learning_rate  # share of the anchor's
    first = max(recipe.rate_falls_from, highest ** (1 / exponent))
    return FallingRate(
        first_step=max(1, math.ceil(first * anchor.fork_step)),
        reference_step=anchor.fork_step,
        exponent=exponent,
    )


def horizon_settings_for(recipe: Recipe, shape: Shape, tokens: float) -> TrainingSettings:
    """What the power laws give for this very horizon, whether or not the recipe has an anchor."""
    batch_sequences = batch_sequences_for(recipe, tokens, shape.context)
    batch_tokens = batch_sequences * shape.context
    steps = max(1, round(tokens / batch_tokens))
    width_ratio, depth_ratio = shape.width / _WIDTH, shape.depth / _DEPTH
    warmup_steps = _warmup_steps(recipe, steps)
    decay_steps = _decay_steps(recipe, steps, warmup_steps)
    mean_ratio = _mean_ratio(recipe, steps, warmup_steps, decay_steps)
    of_depth = depth_ratio ** (recipe.learning_rate_depth_exponent or 0.0)
    wanted = _rule(recipe, batch_tokens, tokens) * of_depth / mean_ratio
    eta = min(wanted, recipe.max_hidden_learning_rate * width_ratio)
    timescale = (
        recipe.decay_timescale
        * (tokens / shape.params_matmul / 20) ** recipe.decay_timescale_exponent
    )
    weight_decay = recipe.weight_decay_factor / (eta * mean_ratio * steps * timescale)
    if shape.params_matmul == shape.params_head:
        weight_decay = 0.0  # of hidden matrices, of which there are none
    rare = shape.vocab_size >= recipe.large_vocab_size
    embedding_rate = recipe.embedding_learning_rate_factor * eta
    return TrainingSettings(
        batch_sequences=batch_sequences,
        steps=steps,
        warmup_steps=warmup_steps,
        schedule=recipe.schedule,
        decay_steps=decay_steps,
        embedding=GroupSettings(
            learning_rate=embedding_rate / math.sqrt(width_ratio) if rare else embedding_rate,
            weight_decay=0.0,
            epsilon=recipe.epsilon / width_ratio,
        ),
        hidden=GroupSettings(
            learning_rate=eta / width_ratio,
            weight_decay=weight_decay * width_ratio,
            epsilon=recipe.epsilon / (width_ratio * depth_ratio),
        ),
        head=GroupSettings(
            learning_rate=eta / width_ratio, weight_decay=0.0, epsilon=recipe.epsilon
        ),
        beta1=recipe.beta1,
        beta2=1 - min(0.05, max(0.001, recipe.beta2_steps / steps)),
        residual_scale=1 / depth_ratio,
        max_gradient_norm=recipe.max_gradient_norm,
        z_loss=recipe.z_loss,
        learning_rate_capped=wanted > eta,
        tied_logit_factor=None if shape.params_head else recipe.tied_logit_factor,
    )


def _rule(recipe: Recipe, batch_tokens: float, tokens: float) -> float:
    """The learning rate that the power laws give, before group factors and cap."""
    return (
        recipe.base_learning_rate
        * (batch_tokens / _BATCH) ** recipe.learning_rate_batch_exponent
        * (tokens / _TOKENS) ** recipe.learning_rate_tokens_exponent
    )


def _mean_ratio(recipe: Recipe, steps: int, warmup_steps: int, decay_steps: int) -> float:
    """The schedule's mean factor over the one that the recipe's learning rate refers to."""
    if recipe.reference_mean_rate is None:
        return 1.0
    mean = mean_schedule_factor(
        recipe.schedule, steps=steps, warmup_steps=warmup_steps, decay_steps=decay_steps
    )
    return mean / recipe.reference_mean_rate


def trunk_settings_for(
    recipe: Recipe, shape: Shape, horizons: Sequence[float]
) -> tuple[float, list[TrainingSettings]]:
    """What the recipe says for runs of these horizons (tokens, ascending) that share one trunk, and
    the horizon whose settings the trunk has.

    With an anchor, each has the settings that it would have alone. Else the trunk has one batch,
    learning rate, beta2 and weight decay: those of the geometric mean of its horizons. Its warm-up
    is then at most a tenth of the shortest branch.
    """
    if recipe.anchor_tokens_per_param is not None:
        anchor = recipe.anchor_tokens_per_param * shape.params_matmul
        return anchor, [settings_for(recipe, shape, tokens) for tokens in horizons]
    reference = math.exp(sum(map(math.log, horizons)) / len(horizons))
    shared = settings_for(recipe, shape, reference)
    batch_tokens = shared.batch_sequences * shape.context
    lengths = [max(1, round(tokens / batch_tokens)) for tokens in horizons]
    warmup_steps = max(recipe.min_warmup_steps, min(shared.warmup_steps, round(0.1 * min(lengths))))
    return reference, [
        dataclasses.replace(
            shared,
            steps=steps,
            warmup_steps=warmup_steps,
            decay_steps=_decay_steps(recipe, steps, warmup_steps),
        )
        for steps in lengths
    ]


def _warmup_steps(recipe: Recipe, steps: int) -> int:
    return max(recipe.min_warmup_steps, round(recipe.warmup_share * steps))


def _decay_steps(recipe: Recipe, steps: int, warmup_steps: int) -> int:
    if recipe.schedule == "linear":
        return max(0, steps - warmup_steps)
    return max(1, round(recipe.decay_share * steps))
