"""What training costs: FLOP per token under five conventions, and the peak rates of devices.

A multiply-add is two FLOP, and the backward pass costs twice the forward, so a token costs 6 FLOP
for each parameter it is multiplied with. Papers differ in what else they count (attention, head,
embedding), by up to a factor of 2.6 for small models: hence the names. All leave out norms,
activations, softmax (but for `hoffmann`), rotary embedding, loss, the optimizer, and any
recomputation. Evaluation is not training and is not counted here.
"""

from enum import StrEnum


class FlopConvention(StrEnum):
    """What is counted per trained token. N is params_blocks plus params_head unless said
    otherwise."""

    KAPLAN = "kaplan"
    """6 params_blocks: neither head nor attention scores (Kaplan et al. 2020, arXiv:2001.08361)."""
    STANDARD = "standard"
    """6 N: blocks and head, no attention scores."""
    CAUSAL = "causal"
    """`standard` plus attention scores over the (T + 1) / 2 tokens that a causal mask shows on
    average; over all T where there is no mask (a bidirectional model). The default."""
    FULL = "full"
    """`standard` plus attention scores over all T tokens, as a kernel without a mask computes them
    and as frameworks count."""
    HOFFMANN = "hoffmann"
    """`full` plus embedding and softmax, as the public reproductions of Hoffmann et al. 2022
    (arXiv:2203.15556) count."""


PEAK_BF16_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
"""Dense bfloat16 matrix FLOP per second from the makers' data sheets, by a part of the device's
name; the first match counts."""


def peak_flops_per_second(device_name: str) -> float | None:
    """The device's dense bfloat16 peak, or None for a device that the table does not know."""
    for part, peak in PEAK_BF16_FLOPS.items():
        if all(word in device_name.replace("-", " ").split() for word in part.split()):
            return peak
    return None


def model_flops_utilization(
    train_flops: float, device_seconds: float, device_name: str
) -> float | None:
    """The share of the device's peak that the model's own FLOP reached (MFU); None where no peak is
    known."""
    peak = peak_flops_per_second(device_name)
    if peak is None or device_seconds <= 0:
        return None
    return train_flops / (peak * device_seconds)
