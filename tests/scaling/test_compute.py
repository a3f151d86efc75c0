"""Facts about counting FLOP and about device peaks."""

import pytest

from scaling.compute import (
    FlopConvention,
    model_flops_utilization,
    peak_flops_per_second,
)
from scaling.shape import TransformerShape

SHAPES = [
    TransformerShape(width=width, depth=depth, head_size=16, context=context, vocab_size=256)
    for width, depth, context in [(16, 1, 1), (64, 2, 512), (256, 8, 512), (768, 12, 1024)]
]


def test_conventions_agree_with_a_count_by_hand():
    # d 32, L 2, V 16, T 64: 6 x (12 d^2 L + V d) = 150,528 and 12 T d L = 49,152, whose sum a
    # framework's counter confirmed (tests/sweeps/models/test_transformer.py does so again).
    shape = TransformerShape(width=32, depth=2, head_size=16, context=64, vocab_size=16)
    assert shape.flops_per_token(FlopConvention.KAPLAN) == 147_456
    assert shape.flops_per_token(FlopConvention.STANDARD) == 150_528
    assert shape.flops_per_token(FlopConvention.CAUSAL) == 150_528 + 6 * 65 * 32 * 2
    assert shape.flops_per_token(FlopConvention.FULL) == 199_680
    assert shape.flops_per_token(FlopConvention.HOFFMANN) == 199_680 + 6 * 512 + 9 * 2 * 64 * 2


@pytest.mark.parametrize("shape", SHAPES)
def test_conventions_are_ordered_by_what_they_count(shape):
    counts = [shape.flops_per_token(convention) for convention in FlopConvention]
    assert counts == sorted(counts)


def test_published_ratios_of_conventions_come_out():
    # d 64, L 2, V 256, T 512: kaplan .55, standard .64, full 1.36, hoffmann 1.47 of causal
    # (rounded to two digits, hence the tolerance).
    shape = TransformerShape(width=64, depth=2, head_size=16, context=512, vocab_size=256)
    causal = shape.flops_per_token()
    ratios = {name: shape.flops_per_token(name) / causal for name in FlopConvention}
    assert ratios[FlopConvention.KAPLAN] == pytest.approx(0.55, abs=0.006)
    assert ratios[FlopConvention.STANDARD] == pytest.approx(0.64, abs=0.006)
    assert ratios[FlopConvention.FULL] == pytest.approx(1.36, abs=0.006)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", None),  # neither of the two
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("Intel(R) Xeon(R) Processor", None),
    ],
)
def test_device_peaks_are_found_by_the_makers_names(name, peak):
    assert peak_flops_per_second(name) == peak


def test_an_unknown_device_has_no_utilization():
    assert model_flops_utilization(1e15, 10.0, "abacus") is None
    assert model_flops_utilization(989e12, 2.0, "NVIDIA H200") == pytest.approx(0.5)
