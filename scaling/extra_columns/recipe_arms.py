"""The arms of a recipe check: what of a recipe was changed for one run, and the losses it had.

A check (`sweeps.training.recipe_check`) trains one run of a rung again with other constants of its
recipe. `analysis.tuning.response` reads from the losses how far the recipe lies above the best one.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scaling.errors import RecordError

#: What an arm varies, each with the factor that is one step of it: a step each way spans what
#: recipes for models of one kind differ in.
STEPS = {"rate": 1.8, "decay": 3.0, "warmup": 4.0, "batch": 2.0}
#: What each is called where people read it.
CALLED = {
    "rate": "learning rate",
    "decay": "weight decay",
    "warmup": "warm-up",
    "batch": "batch",
}


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Constants of a recipe over those of the recipe that is checked; 1 is that recipe's."""

    rate: float = 1.0
    """Learning rate of every group, at the batch that is trained with."""
    decay: float = 1.0
    """Share of the weights that weight decay takes away over the run."""
    warmup: float = 1.0
    """Share of the steps that the learning rate rises over."""
    batch: float = 1.0
    """Tokens a step, at the same tokens in all; the learning rate follows by the recipe's power."""

    @property
    def steps(self) -> tuple[float, ...]:
        """Each as a number of steps of `STEPS`, in its order; 0 is the recipe's own."""
        return tuple(math.log(getattr(self, name)) / math.log(STEPS[name]) for name in STEPS)

    @classmethod
    def at(cls, steps: Iterable[float]) -> "Factors":
        """The factors so many steps from the recipe."""
        named = zip(STEPS.items(), steps, strict=True)
        return cls(**{name: factor**count for (name, factor), count in named})


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One recipe that was tried."""

    factors: Factors
    losses: tuple[float, ...]
    """Validation losses, nats per token, one a seed; NaN where the run diverged."""
    recipe: str = ""
    """The name of another recipe, trained as it stands; empty: the factors say all."""


def arms_text(arms: Iterable[Arm]) -> str:
    """The arms as the column `recipe_arms` of the records table holds them."""
    return json.dumps([_stated(arm) for arm in arms], separators=(",", ":"))


def arms_from(text: str) -> tuple[Arm, ...]:
    """The arms of a record; raises RecordError for what `arms_text` has not written."""
    try:
        return tuple(
            Arm(
                factors=Factors(**{name: float(one[name]) for name in STEPS if name in one}),
                losses=tuple(math.nan if x is None else float(x) for x in one["losses"]),
                recipe=str(one.get("recipe", "")),
            )
            for one in json.loads(text)
        )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise RecordError(f"recipe_arms holds no arms of a recipe check: {error}") from error


def _stated(arm: Arm) -> dict[str, Any]:
    changed = {name: value for name, value in vars(arm.factors).items() if value != 1}
    named = {"recipe": arm.recipe} if arm.recipe else {}
    losses = [None if math.isnan(loss) else loss for loss in arm.losses]
    return named | changed | {"losses": losses}
