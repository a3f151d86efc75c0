"""Named, versioned recipes: the constants of the rules that turn a size and a horizon into
hyper-parameters.

`sweeps.planning.hyper_parameters.recipe` has the rules themselves. Constants are measured;
docs/log.md says on what.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from scaling.errors import ConfigError
from sweeps.config.rules.unknown_key import nearest

#: Learning rate over a run; `sweeps.planning.hyper_parameters.schedule` says what each does.
Schedule = Literal["linear", "wsd"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

LearningRateRule = Literal["refit", "delphi", "sde", "none", "custom"]

#: How the learning rate goes with batch and with tokens: (exponent of B, exponent of D).
#: Along B ~ D^0.5 they differ fourfold over two decades of tokens, so a ladder checks its own.
LEARNING_RATE_RULES: dict[str, tuple[float, float]] = {
    # our refit of the optima of StepLaw's public runs (Li et al. 2025, arXiv:2503.04715)
    "refit": (0.70, -0.27),
    # marin-community/marin, completed_adamh.py
    "delphi": (0.50, -0.30),
    # as a stochastic differential equation scales (Complete(d)P, arXiv:2512.22382)
    "sde": (0.50, -0.50),
    # blind to the horizon: a test arm
    "none": (0.50, 0.0),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The constants of the rules. Reference point: width 256, depth 2, 1e9 tokens, 65,536 tokens a
    step."""

    name: str
    """What `recipe.name` calls it: the rules, and the version of their constants."""
    base_learning_rate: float = 0.0054
    """Learning rate eta at the reference point, before group factors."""
    learning_rate_rule: LearningRateRule = "refit"
    """How the learning rate goes with batch and tokens: a name of LEARNING_RATE_RULES, or custom
    where the two exponents are given."""
    learning_rate_batch_exponent: float = 0.70
    """Power of the batch, over its reference, by which the learning rate grows."""
    learning_rate_tokens_exponent: float = -0.27
    """Power of the training tokens, over their reference, by which it goes."""
    learning_rate_depth_exponent: float | None = None
    """Power of the depth, over 2, by which the learning rate of every group goes. None: it is free
    of depth, as CompleteP has it (Dey et al. 2025, arXiv:2505.01618)."""
    max_hidden_learning_rate: float = 0.06
    """Cap on the learning rate of hidden matrices."""
    embedding_learning_rate_factor: float = 20.0
    """Embedding learning rate over eta; the embedding's is free of width."""
    large_vocab_size: int = 16384
    """From this vocabulary on the embedding's learning rate falls as the root of the width: most
    rows are then seen rarely (arXiv:2506.15025)."""
    base_batch_tokens: float = 65536.0
    """Batch at 1e9 tokens; grows as the square root of the horizon."""
    min_batch_sequences: int = 4
    """Sequences of the smallest batch."""
    warmup_share: float = 0.05
    """Linear warm-up as a share of the steps."""
    min_warmup_steps: int = 10
    """Steps of the shortest warm-up."""
    schedule: Schedule = "linear"
    """linear: from the peak to zero over all steps after warm-up. wsd: constant, then to zero over
    the last `decay_share`; horizons within `max_trunk_span` share a trunk."""
    decay_share: float = 0.2
    """The share of a `wsd` run's own steps over which it decays."""
    max_trunk_span: float = 4.0
    """Longest over shortest horizon of one trunk; 1 gives every horizon a run of its own."""
    anchor_tokens_per_param: float | None = None
    """With `wsd`, batch, warm-up, beta2 and weight decay are those of this horizon, whatever a
    run's own: no step before a decay depends on where the run ends. None: they are those of its own
    horizon, or of its trunk's."""
    rate_falls_from: float | None = None
    """With an anchor: from this share of its steps before the decay on, the learning rate is at any
    time the one that the rule gives for the horizon that would fork there: a power of the tokens
    so far (Shen et al. 2024, arXiv:2408.13359; the exponent is our rule's). None: the anchor's."""
    reference_mean_rate: float | None = None
    """Mean over a run of the schedule's factor for which `base_learning_rate` is the peak; another
    schedule's peak is such that its mean learning rate is the same. None: it is every schedule's
    peak. `linear` has a mean of a half, `wsd` one of .84."""
    beta1: float = 0.9
    """Share of the first moment that AdamW keeps from one step to the next."""
    beta2_steps: float = 46.0
    """1 - beta2 = this over the steps, within [0.001, 0.05]: a half-life of 1.5% of the run."""
    epsilon: float = 1e-10
    """Adam's epsilon at the reference shape; hidden matrices get it over width and depth ratio."""
    decay_timescale: float = 0.22
    """Weight-decay averaging time as a share of the run at 20 tokens a parameter."""
    decay_timescale_exponent: float = -0.5
    """How that share goes with tokens per parameter over 20."""
    weight_decay_factor: float = 1.0
    """Multiplies the weight decay that the timescale asks for."""
    tied_logit_factor: float | None = None
    """Factor on the logits of a tied head, which are rms(x) Embedding^T over the width: with 256
    over `embedding_learning_rate_factor` they move as far in a step as those of a head of its own
    (`output_mult` of MuSharedReadout in microsoft/mup, which is tuned there). None: 1, where they
    move at a thirteenth of that."""
    max_gradient_norm: float = 1.0
    """Global norm to which a larger gradient is scaled down."""
    z_loss: float = 1e-5
    """Weight of the squared log-partition in the training loss; reported losses are without it."""

    @property
    def hash(self) -> str:
        """Identity of the rules: two recipes of one name but other constants differ here.

        A rule that is None is none, so a new kind of rule leaves earlier recipes as they are.
        """
        stated = {key: value for key, value in vars(self).items() if value is not None}
        text = json.dumps(stated, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


#: The constants of a recipe, by which `recipe.overrides` replaces them.
CONSTANTS = tuple(item.name for item in dataclasses.fields(Recipe) if item.name != "name")

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="cpt-adamw/1"),
        # The same, with a rule for tied heads: where the head is not tied no loss differs.
        Recipe(name="cpt-adamw/2", tied_logit_factor=12.8),
        # The same, with a learning rate that falls with the depth: from 2 to 8 blocks the best one
        # fell by 18%, over 60 runs of 8e5 tokens at width 32. At depth 2 both are the same.
        Recipe(name="cpt-adamw/3", tied_logit_factor=12.8, learning_rate_depth_exponent=-0.13),
        # Below about 1e5 parameters and 1e7 tokens, measured on the quick-start text: smaller
        # batches, twice the learning rate, a faster embedding and twice the weight decay take 2-5%
        # off the loss and most of the spread between seeds.
        Recipe(
            name="cpt-adamw-tiny/1",
            base_learning_rate=0.0108,
            base_batch_tokens=16384.0,
            weight_decay_factor=2.0,
        ),
        # For `wsd`, measured on the same text from 1.5e5 to 6e5 tokens: the peak that has the mean
        # rate of `linear`, half the batch and a third of the decay take 2-5% off the loss, and the
        # branches of a stepped trunk with a short warm-up end where runs of their own would.
        Recipe(
            name="cpt-adamw-tiny/2",
            base_learning_rate=0.0108,
            base_batch_tokens=8192.0,
            weight_decay_factor=0.6,
            warmup_share=0.005,
            reference_mean_rate=0.5,
            anchor_tokens_per_param=10.0,
            rate_falls_from=0.25,
            beta2_steps=92.0,
        ),
        # Rate, decay, batch, warm-up and schedule tuned together on the same text, at 32 : 3e10 and
        # 48 : 2.4e11: 1 to 4% below `/1` on the quick start's fitted rungs, .6% on the held-out.
        # Every horizon is a run of its own.
        Recipe(
            name="cpt-adamw-tiny/3",
            base_learning_rate=0.0108,
            base_batch_tokens=8192.0,
            weight_decay_factor=0.9,
            warmup_share=0.005,
            schedule="wsd",
            max_trunk_span=1.0,
            reference_mean_rate=0.5,
            beta2_steps=92.0,
        ),
        # The same, with a rule for tied heads: where the head is not tied no loss differs.
        Recipe(
            name="cpt-adamw-tiny/4",
            base_learning_rate=0.0108,
            base_batch_tokens=8192.0,
            weight_decay_factor=0.9,
            warmup_share=0.005,
            schedule="wsd",
            max_trunk_span=1.0,
            reference_mean_rate=0.5,
            tied_logit_factor=12.8,
            beta2_steps=92.0,
        ),
    )
}


def find_recipe(name: str, overrides: dict[str, float | str] | None = None) -> Recipe:
    """The recipe of this name with some constants replaced; ConfigError names the nearest known
    word."""
    if name not in RECIPES:
        raise ConfigError(f'recipe.name is "{name}"; {nearest(name, RECIPES)}')
    recipe = RECIPES[name]
    constants = {key: getattr(recipe, key) for key in CONSTANTS}
    given = {}
    for key, value in (overrides or {}).items():
        if key not in constants:
            raise ConfigError(f'unknown key "recipe.overrides.{key}"; {nearest(key, CONSTANTS)}')
        given[key] = _same_kind(key, value, constants[key])
    changed = dataclasses.replace(recipe, **constants | _with_exponents(given))
    _check_used(changed, given)
    return changed


#: What only a schedule with a decay of its own reads.
_OF_WSD = ("decay_share", "max_trunk_span", "anchor_tokens_per_param", "rate_falls_from")


def _check_used(recipe: Recipe, given: Collection[str]) -> None:
    """Refuse constants that this recipe will not read."""
    reasons = {}
    if recipe.schedule != "wsd":
        reasons = dict.fromkeys(_OF_WSD, f"schedule {recipe.schedule}; choose schedule wsd")
    elif recipe.anchor_tokens_per_param is not None:
        reasons["max_trunk_span"] = "a recipe with an anchor, whose horizons all share one trunk"
        if recipe.learning_rate_tokens_exponent >= 0:
            reasons["rate_falls_from"] = "a learning rate that does not fall with the tokens"
    else:
        reasons["rate_falls_from"] = "a recipe without anchor_tokens_per_param; give that too"
    for key in given:
        if key in reasons:
            raise ConfigError(
                f"recipe.overrides.{key} is not used by {reasons[key]}, or leave it out"
            )


def _with_exponents(given: dict[str, object]) -> dict[str, object]:
    """A rule's name brings its exponents; exponents without a name are a custom rule."""
    names = ("learning_rate_batch_exponent", "learning_rate_tokens_exponent")
    rule = given.get("learning_rate_rule")
    if rule in LEARNING_RATE_RULES:
        of_rule = dict(zip(names, LEARNING_RATE_RULES[str(rule)], strict=True))
        for name in names:
            if given.get(name, of_rule[name]) != of_rule[name]:
                raise ConfigError(
                    f'recipe.overrides.{name} contradicts learning_rate_rule "{rule}"; '
                    'drop one of the two, or choose "custom"'
                )
        return given | of_rule
    return given | {"learning_rate_rule": "custom"} if set(names) & set(given) else given


_CHOICES = {"schedule": SCHEDULES, "learning_rate_rule": get_args(LearningRateRule)}


def _same_kind(key: str, value: float | str, default: object) -> object:
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            choices = " or ".join(f'"{choice}"' for choice in _CHOICES[key])
            raise ConfigError(f'recipe.overrides.{key} is "{value}"; choose {choices}')
        return value
    if isinstance(value, str) or not math.isfinite(value):
        raise ConfigError(f"recipe.overrides.{key} is {value!r}; it must be a number")
    if key == "reference_mean_rate" and not 0 < value <= 1:
        raise ConfigError(f"recipe.overrides.{key} is {value:g}; it lies between 0 and 1")
    if key in ("anchor_tokens_per_param", "tied_logit_factor") and value <= 0:
        raise ConfigError(f"recipe.overrides.{key} is {value:g}; it must be positive")
    if value < 0 and "exponent" not in key:
        raise ConfigError(f"recipe.overrides.{key} is {value:g}; it must not be negative")
    return round(value) if isinstance(default, int) else float(value)
