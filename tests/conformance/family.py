"""What every model family keeps. Subclass FamilyContract where the family is defined, and say which
sizes to try."""

import dataclasses
import json
import math
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.compute import FlopConvention
from sweeps.config.model import ModelConfig
from sweeps.models.family import Family, ModelOptions, ModelSizes
from sweeps.objectives.cross_entropy import token_losses

#: A size: settings of `model`, and width, depth and vocabulary.
Size = tuple[dict[str, Any], int, int, int]


class FamilyContract:
    """Facts that hold whatever the family computes."""

    family: ClassVar[Family]
    sizes: ClassVar[list[Size]]
    further: ClassVar[dict[str, Any]] = {}
    """What else its shapes are made with, of all sizes."""

    def __init_subclass__(cls):
        names = [f"{w}x{d} V{v} {m}" for m, w, d, v in cls.sizes]
        cls.pytestmark = [pytest.mark.parametrize("size", cls.sizes, ids=names)]

    @pytest.fixture
    def shape(self, size):
        settings, width, depth, vocab_size = size
        model = ModelConfig(family=self.family.name, **settings)
        sizes = ModelSizes(width=width, depth=depth, vocab_size=vocab_size, **self.further)
        return self.family.shape(model, sizes)

    def built(self, shape, seeds=(1,), *, noise=0.0, **options):
        """A stack, by default as it starts; with noise, as after training: no matrix is zero."""
        model = self.family.build(shape, seeds, ModelOptions(**options))
        with torch.no_grad():
            generator = torch.Generator().manual_seed(5)
            model.weights += noise * torch.randn(model.weights.shape[1], generator=generator)
        return model

    @staticmethod
    def seen(shape, tokens):
        """What a model reads of tokens (replicas, sequences, context), whose first part is its
        inputs."""
        return (tokens,)

    def targets(self, shape, tokens):
        """(replicas, positions) What the model is asked in the place of each input."""
        return self.seen(shape, tokens)[0].flatten(1)

    @staticmethod
    def tokens(shape, replicas=1, sequences=3):
        generator = torch.Generator().manual_seed(0)
        size = (replicas, sequences, shape.context)
        return torch.randint(shape.vocab_size, size, generator=generator)

    def test_a_shape_is_an_identity(self, shape):
        assert hash(shape) == hash(dataclasses.replace(shape))
        assert json.loads(json.dumps(dataclasses.asdict(shape)))
        facts = shape.facts()
        assert {"width", "depth", "context", "vocab_size", "params"} <= facts.keys()
        assert all(getattr(shape, name) == value for name, value in facts.items())

    def test_the_model_has_exactly_the_parameters_that_the_arithmetic_says(self, shape):
        model = self.built(shape, (1, 2))
        assert model.whole_weights().shape == (2, shape.params)
        assert sum(matrix[0].numel() for matrix in model.matrices().values()) == shape.params
        assert shape.params_head <= shape.params_matmul

    def test_optimizer_groups_cover_every_parameter_once_and_in_order(self, shape):
        groups = self.built(shape).groups
        columns = [column for group in groups.values() for column in range(shape.params)[group]]
        assert columns == list(range(shape.params))
        assert groups.keys() <= {"embedding", "hidden", "head"}

    @pytest.mark.parametrize("replicas", [1, 3])
    def test_flops_per_sequence_equal_the_frameworks_counter(self, shape, replicas):
        model, tokens = self.built(shape, range(replicas)), self.tokens(shape, replicas)
        # The fused kernels of a CPU are not in the counter's registry: attention counts nothing.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(*self.seen(shape, tokens)).sum().backward()
        expected = shape.flops_per_sequence(FlopConvention.FULL) * 3 * replicas
        assert counter.get_total_flops() == expected
        assert shape.flops_per_sequence() <= shape.flops_per_sequence(FlopConvention.FULL)

    def test_the_loss_before_the_first_step_is_that_of_a_uniform_guess(self, shape):
        if not shape.params_head:
            pytest.skip("a head that is the embedding does not start at zero")
        tokens = self.tokens(shape)
        logits = self.built(shape)(*self.seen(shape, tokens))
        losses, _ = token_losses(logits, self.targets(shape, tokens))
        # float32 logarithms
        assert losses.mean().item() == pytest.approx(math.log(shape.vocab_size), abs=1e-5)

    def test_tokens_that_pad_the_vocabulary_get_no_probability_and_no_gradient(self, shape):
        used = shape.vocab_size - 3
        model = self.built(shape, noise=0.1, used_vocab_size=used)
        seen = self.seen(shape, self.tokens(shape) % used)
        logits = model(*seen)
        assert logits.shape == (1, seen[0].numel(), used)
        logits.logsumexp(-1).sum().backward()
        if shape.params_head:
            head = model.weights.grad[0, model.groups["head"]].view(-1, shape.vocab_size)
            assert not head[:, used:].any()
            assert head[:, :used].any()

    def test_weights_are_a_function_of_the_seed_alone(self, shape):
        stack = self.built(shape, (1, 2, 1)).weights
        assert torch.equal(stack[0], stack[2])
        assert torch.equal(stack[1], self.built(shape, (2,)).weights[0])
        assert not torch.equal(stack[0], stack[1])

    def test_the_same_inputs_give_the_same_logits_to_the_last_bit(self, shape):
        model, seen = self.built(shape, noise=0.1), self.seen(shape, self.tokens(shape))
        assert torch.equal(model(*seen), model(*seen))

    def test_each_replica_has_the_gradient_that_it_has_alone(self, shape):
        tokens = self.tokens(shape, replicas=3)

        def gradients(seeds, tokens):
            model = self.built(shape, seeds, noise=0.1)
            logits = model(*self.seen(shape, tokens))
            losses, _ = token_losses(logits, self.targets(shape, tokens))
            losses.mean(dim=1).sum().backward()
            return model.weights.grad

        together = gradients((1, 2, 3), tokens)
        for place, seed in enumerate((1, 2, 3)):
            alone = gradients((seed,), tokens[place : place + 1])
            # To the last bit: each product is batched over replicas.
            assert torch.equal(together[place], alone[0])

    def test_a_replica_that_is_lost_takes_no_other_with_it(self, shape):
        stack, tokens = self.built(shape, (1, 2), noise=0.1), self.tokens(shape, replicas=2)
        with torch.no_grad():
            stack.weights[0] = float("nan")
        alone, seen = self.built(shape, (2,), noise=0.1), self.seen(shape, tokens)
        assert torch.equal(stack(*seen)[1], alone(*(part[1:] for part in seen))[0])

    def test_sequences_do_not_see_each_other(self, shape):
        model, seen = self.built(shape, noise=0.1), self.seen(shape, self.tokens(shape))
        alone, together = model(*(part[:, :1] for part in seen)), model(*seen)
        together = together[:, : alone.shape[1]]
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)  # float32 sums, reordered

    def test_no_position_sees_what_its_view_hides(self, shape):
        if "past" not in self.family.views:
            pytest.skip("it hides nothing")
        model, tokens = self.built(shape, noise=0.1, view="past"), self.tokens(shape, sequences=1)
        place = shape.context // 2
        changed = tokens.clone()
        changed[..., place:] = (changed[..., place:] + 1) % shape.vocab_size
        before, after = model(tokens), model(changed)
        # Equal to the last bit where inputs are equal; different at once where they are not.
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.allclose(before[:, place], after[:, place])

    def test_a_model_holds_the_weights_that_another_had(self, shape):
        trained, other = self.built(shape, (1, 2), noise=0.1), self.built(shape, (3, 4))
        other.hold(trained.held_weights())
        assert torch.equal(other.whole_weights(), trained.whole_weights())
        seen = self.seen(shape, self.tokens(shape, replicas=2))
        assert torch.equal(other(*seen), trained(*seen))
