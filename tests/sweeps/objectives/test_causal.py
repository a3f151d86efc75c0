"""The causal objective keeps the contract of objectives, and asks for the next token."""

import torch

from sweeps.data.batch import Batch
from sweeps.objectives.registry import CAUSAL, OBJECTIVES
from tests.conformance.objective import ObjectiveContract


class TestCausal(ObjectiveContract):
    objective = CAUSAL


def test_it_asks_for_the_next_token_without_copying_a_window():
    windows = torch.arange(24).view(2, 3, 4)
    asked = CAUSAL.asked(Batch.of_windows(windows), seed=1, first_step=0)
    assert torch.equal(asked.targets, asked.inputs + 1)
    assert asked.inputs.untyped_storage().data_ptr() == windows.untyped_storage().data_ptr()


def test_every_objective_is_held_to_the_contract():
    from tests.sweeps.objectives import test_conditional, test_masked  # noqa: F401 - theirs are too

    tested = {contract.objective.name for contract in ObjectiveContract.__subclasses__()}
    assert tested >= OBJECTIVES.keys()
