"""What training costs: FLOP per token under five conventions, and the peak rates of devices.

A multiply-add is two FLOP, and the backward pass costs twice the forward, so a token costs 6 FLOP
for each parameter it is multiplied with. Papers differ in what else they count (attention, head,
embedding), by up to a factor of 2.6 for small models: hence the names. All leave out norms,
activations, softmax (but for `hoffmann`), rotary embedding, loss, the optimizer, and any
recomputation. Evaluation is not training and is not counted here.
"""

from collections.abc import Mapping
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
name; the first match counts. That of an H100 NVL, which is neither of the two H100s here, we do not
know."""

BOARD_POWER_WATTS = {
    "B200": 1000.0,
    "H200": 700.0,
    "H100 PCIe": 350.0,
    "H100": 700.0,
    "A100": 400.0,
    "L40S": 350.0,
    "L4": 72.0,
}
"""Most watts that a board draws (its thermal design power), of the SXM board where there are
several: NVIDIA's product brief of the H100 PCIe (PB-11133-001) and public comparisons of its data
sheets. Hosts, network and cooling come on top. Matched as `PEAK_BF16_FLOPS` is."""

STATE_BYTES_PER_PARAM = 20
"""float32 weights, gradient and two moments, and the root of one that AdamW draws in between (or,
in bf16, the copy of the weights that computes and its gradient), as our own training holds them."""


def peak_flops_per_second(device_name: str) -> float | None:
    """The device's dense bfloat16 peak, or None for a device that the table does not know."""
    return _of_device(PEAK_BF16_FLOPS, device_name)


def board_power_watts(device_name: str) -> float | None:
    """The most that the device's board draws, or None for one that the table does not know."""
    return _of_device(BOARD_POWER_WATTS, device_name)


def _of_device(table: Mapping[str, float], device_name: str) -> float | None:
    words = device_name.upper().replace("-", " ").split()
    if "NVL" in words:
        return None
    return next(
        (value for part, value in table.items() if all(w in words for w in part.upper().split())),
        None,
    )


def model_flops_utilization(
    train_flops: float, device_seconds: float, device_name: str
) -> float | None:
    """The share of the device's peak that the model's own FLOP reached (MFU); None where no peak is
    known."""
    peak = peak_flops_per_second(device_name)
    if peak is None or device_seconds <= 0:
        return None
    return train_flops / (peak * device_seconds)
