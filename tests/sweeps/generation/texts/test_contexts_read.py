"""Facts about the contexts that a trained decoder reads in a text."""

import numpy as np
import torch

from tests.sweeps.generation.decoding.test_sampling import built


def test_the_head_makes_logits_of_the_states():
    model = built(seeds=(1,))
    tokens = torch.randint(32, (1, 3, 5), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model.states(tokens) @ model.head
        assert torch.allclose(logits, model(tokens), atol=1e-5)


def test_a_state_is_of_its_context_alone():
    model = built(seeds=(1,))
    tokens = torch.tensor([[[1, 2, 3], [4, 2, 3]]])
    with torch.inference_mode():
        both = model.states(tokens)[0].unflatten(0, (2, 3))[:, -1]
        one = model.states(tokens[:, :1])[0][-1]
    assert torch.allclose(both[0], one, atol=1e-6)
    assert not np.allclose(both[0], both[1])
