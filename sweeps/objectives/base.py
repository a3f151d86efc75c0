"""What an objective says: what is asked of a batch, what is minimised, and what is measured.

`tests/conformance/objective.py` holds what every objective keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from scaling.errors import ConfigError
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.models.family import Family, View

if TYPE_CHECKING:
    from torch import Tensor

    from sweeps.data.sources.base import CorpusFacts
    from sweeps.models.stacked import StackModel

_VIEWS = {
    "past": "only what comes before it",
    "both": "both sides",
    "source": "a source that is read apart",
}


class Objective(Protocol):
    """What training minimises."""

    @property
    def name(self) -> str:
        """Part of a run's identity."""

    @property
    def view(self) -> View:
        """What a position may see of the inputs, without knowing its target."""

    @property
    def loss_kind(self) -> str:
        """What its loss is, as the records say it: no law is fitted to losses of two kinds."""

    @property
    def own_tokens(self) -> int:
        """Tokens that it shows a model besides those of the corpus, which are never asked for."""

    def suited_to(self, family: Family) -> Objective:
        """The objective as it is asked of this family, by a view that it has; else ConfigError."""

    def resolved(
        self, targets: TargetsConfig, context: int, facts: CorpusFacts
    ) -> TargetsConfig | None:
        """The settings with its own in place of none, part of a run's identity; None: it has none.
        Raises ConfigError for settings that it does not use, and where blocks of ``context`` + 1
        tokens of this corpus cannot be asked by them."""

    def configured(self, targets: TargetsConfig | None, symbols: int) -> Objective:
        """The objective by such settings, on a corpus of so many tokens: its own follow them."""

    def targets_of(self, context: int) -> int:
        """How many places of a sequence without padding count."""

    def asked(self, batch: Batch, seed: int, first_step: int) -> Batch:
        """What it asks of a corpus' batch (steps, sequences, length), whose first step is
        `first_step`: a pure function of the seed and of each step's number."""

    def training_loss(
        self, model: StackModel, batch: Batch, z_loss: float
    ) -> tuple[Tensor, Tensor]:
        """What is minimised, summed over replicas, and each replica's own loss without z-loss,
        (replicas,). The batch: (replicas, sequences, length), its weights of mean 1."""

    def sequence_losses(self, model: StackModel, batch: Batch) -> Tensor:
        """(replicas, sequences) Of each sequence, whose mean is the loss."""


class CrossEntropyObjective:
    """What objectives share whose loss is the mean cross-entropy of what counts, in nats, and that
    have no settings; one that has its own says so in place of these."""

    name: str
    view: View
    own_tokens: int = 0

    def suited_to(self, family: Family) -> Self:
        """See Objective."""
        if self.view in family.views:
            return self
        reads = " and ".join(_VIEWS[view] for view in sorted(family.views))
        raise ConfigError(
            f'objective "{self.name}" lets a position see {_VIEWS[self.view]}, which '
            f'model.family "{family.name}" cannot: it sees {reads}; choose another of the two'
        )

    def resolved(
        self, targets: TargetsConfig, context: int, facts: CorpusFacts
    ) -> TargetsConfig | None:
        """See Objective."""
        self.check_no_pairs(facts)
        unused = f'is not used by objective "{self.name}"; drop it'
        targets.check_unused(unused, *targets.field_types())
        return None

    def check_no_pairs(self, facts: CorpusFacts) -> None:
        """Refuse pairs, of which it would ask for sources, too."""
        if facts.pair_room is not None:
            raise ConfigError(
                f'objective "{self.name}" asks for every token, and of pairs (data.source) the '
                'sources are given; set "objective: conditional"'
            )

    def configured(self, targets: TargetsConfig | None, symbols: int) -> Self:
        """See Objective."""
        return self

    def targets_of(self, context: int) -> int:
        """See Objective: all."""
        return context

    def training_loss(
        self, model: StackModel, batch: Batch, z_loss: float
    ) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy over targets, in nats."""
        from sweeps.objectives.cross_entropy import training_loss

        return training_loss(model, batch, z_loss)

    def sequence_losses(self, model: StackModel, batch: Batch) -> Tensor:
        """(replicas, sequences) Mean nats per target of each."""
        from sweeps.objectives.cross_entropy import sequence_losses

        return sequence_losses(model, batch)
