"""Facts about parameter counts that need no model."""

import pytest

from scaling.errors import ConfigError
from scaling.shape import TransformerShape


def shape(**sizes: int) -> TransformerShape:
    defaults = {"width": 32, "depth": 2, "head_size": 16, "context": 64, "vocab_size": 256}
    return TransformerShape(**(defaults | sizes))


def test_a_block_holds_twelve_squared_widths():
    assert shape(width=32, depth=2).params_blocks == 2 * 12 * 32**2


def test_embedding_and_head_are_counted_apart():
    sizes = shape(width=32, vocab_size=256)
    assert sizes.params_embedding == sizes.params_head == 256 * 32
    assert sizes.params == sizes.params_blocks + 2 * 256 * 32
    assert sizes.params_matmul == sizes.params - sizes.params_embedding


def test_the_context_adds_no_parameters():
    assert shape(context=64).params == shape(context=4096).params


def test_a_width_that_splits_a_head_is_refused_with_the_nearest_that_do_not():
    with pytest.raises(ConfigError, match="width 50 .* heads of 16; choose 48 or 64"):
        shape(width=50)


@pytest.mark.parametrize("size", ["width", "depth", "head_size", "context", "vocab_size"])
def test_sizes_below_one_are_refused(size):
    with pytest.raises(ConfigError, match=f"{size} is 0"):
        shape(**{size: 0})
