"""The hyper-parameters of one run, as a recipe decides them."""

import dataclasses
from dataclasses import dataclass

from sweeps.config.recipe import Schedule
from sweeps.planning.hyper_parameters.schedule import schedule_factor


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """AdamW's settings for one group of matrices: theta <- theta (1 - lr wd) - lr m / (sqrt(v) +
    eps)."""

    learning_rate: float
    """Peak."""
    weight_decay: float
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class FallingRate:
    """A learning rate that falls as a power of the steps between warm-up and decay."""

    first_step: int
    """Until here it is constant."""
    reference_step: int
    """Where it is the peak that the settings state."""
    exponent: float

    def share(self, step: int) -> float:
        """Of the stated peak, at this step."""
        return float((max(self.first_step, step) / self.reference_step) ** self.exponent)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Every hyper-parameter of one run, resolved."""

    batch_sequences: int
    steps: int
    warmup_steps: int
    schedule: Schedule
    decay_steps: int
    """Last steps, over which the learning rate falls to zero."""
    embedding: GroupSettings
    hidden: GroupSettings
    head: GroupSettings
    beta1: float
    beta2: float
    residual_scale: float
    """Factor on every residual branch."""
    max_gradient_norm: float
    z_loss: float
    learning_rate_capped: bool
    """Whether the rule asked for more than the cap."""
    tied_logit_factor: float | None = None
    """Factor on the logits of a tied head; None: 1, or a head of its own."""
    falling_rate: FallingRate | None = None
    """None: constant between warm-up and decay."""

    @property
    def fork_step(self) -> int:
        """Steps before the decay: what a run shares with longer ones of its trunk."""
        return self.steps - self.decay_steps

    @property
    def learning_rate(self) -> float:
        """Of hidden matrices where the decay begins: the peak, unless the rate falls before."""
        if self.falling_rate is None:
            return self.hidden.learning_rate
        return self.hidden.learning_rate * self.falling_rate.share(self.fork_step)

    def schedule_factor(self, step: int) -> float:
        """Learning rate of a step (0-based) over its peak."""
        factor = schedule_factor(
            self.schedule,
            step,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            decay_steps=self.decay_steps,
        )
        if self.falling_rate is None:
            return factor
        return factor * self.falling_rate.share(min(step, self.fork_step))


def with_learning_rate_factor(settings: TrainingSettings, factor: float) -> TrainingSettings:
    """The same run with every learning rate times `factor`.

    What the rule ties to the learning rate follows: the weight decay falls, so that its averaging
    time stays.
    """

    def scaled(group: GroupSettings) -> GroupSettings:
        return dataclasses.replace(
            group,
            learning_rate=group.learning_rate * factor,
            weight_decay=group.weight_decay / factor,
        )

    return dataclasses.replace(
        settings,
        embedding=scaled(settings.embedding),
        hidden=scaled(settings.hidden),
        head=scaled(settings.head),
    )
