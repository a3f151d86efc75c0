"""The conditional objective keeps the contract of objectives, and asks for the target alone."""

import pytest
import torch

from sweeps.config.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.models.encoder_decoder import EncoderDecoderFamily
from sweeps.objectives.conditional import Conditional
from tests.conformance.objective import ObjectiveContract

ENCODED = Conditional().suited_to(EncoderDecoderFamily())


class TestConditional(ObjectiveContract):
    objective = Conditional().configured(TargetsConfig(source_tokens=4), 7)


def test_every_token_behind_the_split_is_asked_for_and_none_before():
    windows = torch.arange(24).view(1, 3, 8)
    for source in range(1, 8):
        objective = Conditional().configured(TargetsConfig(source_tokens=source), 24)
        batch = objective.asked(Batch.of_windows(windows), seed=1, first_step=0)
        counted = batch.targets[batch.weights.bool()].view(3, -1)
        assert torch.equal(counted, windows[0, :, source:])
        assert counted.shape[1] == objective.targets_of(7)


class TestWithAnEncoder(ObjectiveContract):
    objective = ENCODED.configured(TargetsConfig(source_tokens=4), 6)


@pytest.mark.parametrize("source", range(1, 8))
def test_an_encoder_reads_the_source_and_a_decoder_the_target_behind_a_start(source):
    windows = torch.arange(24).view(1, 3, 8)
    objective = ENCODED.configured(TargetsConfig(source_tokens=source), 24)
    batch = objective.asked(Batch.of_windows(windows), seed=1, first_step=0)
    assert batch.weights is None
    assert torch.equal(batch.source, windows[..., :source])
    assert torch.equal(batch.targets, windows[..., source:])
    assert (batch.inputs[..., 0] == 24).all()
    assert torch.equal(batch.inputs[..., 1:], windows[..., source:-1])
    assert batch.targets.shape[-1] == objective.targets_of(7)
