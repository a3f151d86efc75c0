"""Facts about batches: views where views do, and the same parts in whatever order they are made."""

import pytest
import torch

from sweeps.data.batch import Batch


@pytest.fixture
def batch():
    """(2 steps, 3 sequences, 4) With weights, and sources of another length, one of them padded."""
    windows = torch.arange(30).view(2, 3, 5)
    weights, source = torch.rand(2, 3, 4), torch.arange(36).view(2, 3, 6)
    is_source = torch.arange(6).expand(2, 3, 6) < torch.tensor([6, 4, 6])[:, None]
    return Batch(windows[..., :-1], windows[..., 1:], weights, source, is_source)


def assert_same(one, other):
    for name in ("inputs", "targets", "weights", "source", "is_source"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_the_target_of_a_token_in_a_window_is_the_next_one_and_nothing_is_copied():
    windows = torch.arange(30).view(2, 3, 5)
    batch = Batch.of_windows(windows)
    assert torch.equal(batch.targets, batch.inputs + 1)
    for part in (batch.inputs, batch.targets):
        assert part.untyped_storage().data_ptr() == windows.untyped_storage().data_ptr()
    assert batch.seen == (batch.inputs,)


def test_parts_put_together_again_are_the_whole(batch):
    assert_same(Batch.stacked(batch.unbind(), dim=0), batch)
    parts = batch.split(2)
    assert [part.sequences for part in parts] == [2, 1]
    for name in ("inputs", "targets", "weights", "source", "is_source"):
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        assert torch.equal(joined, getattr(batch, name))


def test_a_copy_in_memory_of_its_own_takes_what_comes_next(batch):
    first, second = batch.unbind()
    kept = first.clone()  # as the input of a recorded step
    places = [part.data_ptr() for part in (kept.inputs, kept.targets, kept.weights, kept.source)]
    kept.copy_(second)
    assert_same(kept, second)
    assert not torch.equal(first.inputs, second.inputs)
    assert places == [
        part.data_ptr() for part in (kept.inputs, kept.targets, kept.weights, kept.source)
    ]


def test_normalised_weights_have_a_mean_of_one_in_each_step_and_none_stay_none(batch):
    means = batch.normalised().weights.mean(dim=(1, 2))
    torch.testing.assert_close(means, torch.ones(2))
    plain = Batch.of_windows(torch.arange(30).view(2, 3, 5))
    assert plain.normalised() is plain
