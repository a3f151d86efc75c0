"""The conditional objective keeps the contract of objectives, and asks for the target alone."""

import torch

from sweeps.config.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.objectives.conditional import Conditional
from tests.conformance.objective import ObjectiveContract


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
