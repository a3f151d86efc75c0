"""What every objective keeps. Subclass ObjectiveContract where the objective is defined."""

import dataclasses
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from scaling.columns import NATS_PER_TOKEN
from sweeps.data.batch import Batch
from sweeps.models.stacked import StackedWeights
from sweeps.objectives.base import Objective

REPLICAS, SEQUENCES, LENGTH, VOCABULARY = 2, 6, 9, 7


class Table(StackedWeights):
    """Logits of each input token, looked up: a model that any objective can train."""

    def __init__(self):
        super().__init__()
        self.layout = {"embedding": (VOCABULARY, VOCABULARY)}
        generator = torch.Generator().manual_seed(0)
        self.start(torch.randn(REPLICAS, VOCABULARY**2, generator=generator))

    def forward(self, tokens, *source):
        (table,) = self.matrices().values()
        return F.one_hot(tokens.flatten(1), VOCABULARY).float() @ table


class ObjectiveContract:
    """Facts that hold whatever is asked of a batch; the loss is a cross-entropy."""

    objective: ClassVar[Objective]

    @pytest.fixture
    def corpus_batch(self):
        """What a corpus may deliver: (steps, sequences, length)."""
        generator = torch.Generator().manual_seed(1)
        return Batch.of_windows(
            torch.randint(VOCABULARY, (4, SEQUENCES, LENGTH + 1), generator=generator)
        )

    @pytest.fixture
    def batch(self, corpus_batch):
        """What the objective asks in one step of two replicas."""
        return self.of_step(corpus_batch)

    @pytest.fixture
    def weighted(self, batch):
        """The same, with some targets that do not count, and others twice."""
        generator = torch.Generator().manual_seed(2)
        weights = torch.randint(3, batch.targets.shape, generator=generator).float()
        return dataclasses.replace(batch, weights=weights).normalised()

    def of_step(self, corpus_batch):
        rows = [self.objective.asked(corpus_batch, seed, 0) for seed in range(REPLICAS)]
        return Batch.stacked(rows, dim=1).normalised().unbind()[0]

    def gradient(self, batch, z_loss=0.0):
        model = Table()
        total, losses = self.objective.training_loss(model, batch, z_loss)
        total.backward()
        return losses, model.weights.grad

    @staticmethod
    def plain(model, batch):
        """Cross-entropy of every target and log-partition, by PyTorch: (replicas, positions)."""
        logits = model(*batch.seen)
        targets = batch.targets.flatten(1)
        losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        return losses, logits.logsumexp(-1)

    @pytest.mark.parametrize("which", ["batch", "weighted"])
    @pytest.mark.parametrize("z_loss", [0.0, 0.3])
    def test_the_loss_is_a_mean_over_what_counts_and_its_gradient_that_of_autograd(
        self, request, which, z_loss
    ):
        batch, model = request.getfixturevalue(which), Table()
        found, gradient = self.gradient(batch, z_loss)
        losses, log_partition = self.plain(model, batch)
        weights = torch.ones_like(losses) if batch.weights is None else batch.weights.flatten(1)
        mean = (weights * losses).sum(dim=1) / weights.sum(dim=1)
        squares = (weights * log_partition.square()).sum(dim=1) / weights.sum(dim=1)
        (mean + z_loss * squares).sum().backward()
        torch.testing.assert_close(found, mean.detach())  # float32 sums in another order
        torch.testing.assert_close(gradient, model.weights.grad)

    def test_a_target_that_weighs_nothing_changes_nothing(self, weighted):
        off = weighted.weights == 0
        assert 0 < off.sum() < off.numel()
        other = torch.where(off, (weighted.targets + 1) % VOCABULARY, weighted.targets)
        changed = dataclasses.replace(weighted, targets=other)
        for one, two in zip(self.gradient(weighted, 0.3), self.gradient(changed, 0.3), strict=True):
            assert torch.equal(one, two)

    @pytest.mark.parametrize("which", ["batch", "weighted"])
    def test_what_is_measured_is_what_is_trained_without_z_loss(self, request, which):
        batch = request.getfixturevalue(which)
        with torch.no_grad():
            _, expected = self.objective.training_loss(Table(), batch, 0.0)
            losses = self.objective.sequence_losses(Table(), batch)
        assert losses.shape == (REPLICAS, SEQUENCES)
        torch.testing.assert_close(losses.mean(dim=1), expected)  # float32 sums in another order

    @pytest.mark.parametrize("which", ["batch", "weighted"])
    def test_micro_batches_add_up_to_the_whole(self, request, which):
        batch = request.getfixturevalue(which)
        whole = self.gradient(batch, 0.3)
        parts = [(part.sequences, self.gradient(part, 0.3)) for part in batch.split(4)]
        for place in (0, 1):
            total = sum(count / SEQUENCES * found[place] for count, found in parts)
            torch.testing.assert_close(total, whole[place])  # float32 sums in another order

    def test_what_it_asks_is_a_function_of_seed_and_step(self, corpus_batch):
        whole = self.objective.asked(corpus_batch, 3, 10)
        later = self.objective.asked(corpus_batch.mapped(lambda part: part[2:]), 3, 12)
        for one, other in zip(whole.unbind()[2:], later.unbind(), strict=True):
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets, other.targets)
            assert (one.weights is None) == (other.weights is None)
            assert one.weights is None or torch.equal(one.weights, other.weights)

    def test_its_losses_are_nats_per_token_only_where_every_token_counts(self, batch):
        assert self.objective.loss_kind
        assert batch.weights is None or self.objective.loss_kind not in NATS_PER_TOKEN
