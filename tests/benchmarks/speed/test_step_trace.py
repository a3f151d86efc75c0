"""What a step asks of a GPU, by its trace on meta tensors. The bars are what it asks today: lower
them with it, never raise them unseen."""

import pytest
import torch

from benchmarks.speed.step_trace import listening, shares, step_on_meta, trace_step
from benchmarks.speed.steps.stepper import shape_of
from sweeps.models.kernels.fused import ALL, PLAIN, Fused
from sweeps.objectives.registry import CAUSAL
from sweeps.training.evaluation import sequences_at_once

#: Kernels of a layer; bytes of a layer and token over the width; bytes of a logit.
BARS = {ALL: (26, 242, 13), PLAIN: (67, 383, 43)}


@pytest.mark.parametrize("fused", BARS)
def test_a_layer_and_a_logit_ask_for_no_more_than_they_did(fused):
    launches, moved, of_logit = BARS[fused]
    found = shares(fused)
    assert found.launches_per_layer <= launches
    assert found.bytes_per_layer_and_token <= moved
    assert found.bytes_per_logit <= of_logit


def test_the_bars_of_fused_kernels_are_within_the_goals_and_too_low_for_plain_operations():
    launches, moved, of_logit = BARS[ALL]
    assert (launches <= 26, moved <= 280, of_logit <= 16) == (True, True, True)
    without = shares(PLAIN)
    assert without.launches_per_layer > launches
    assert without.bytes_per_layer_and_token > moved
    assert without.bytes_per_logit > of_logit
    for name in Fused._fields:  # each seam alone: without it a bar is missed
        found = shares(ALL._replace(**{name: False}))
        assert (
            found.launches_per_layer > launches
            or found.bytes_per_layer_and_token > moved
            or found.bytes_per_logit > of_logit
        ), name


@pytest.mark.parametrize("fused", [ALL, PLAIN])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("micro_sequences", [8, 3])
def test_a_step_asks_nothing_of_the_host(fused, dtype, micro_sequences):
    shape = shape_of(64, 2, 256, 128, 32)
    options = {"dtype": dtype, "micro_sequences": micro_sequences, "fused": fused}
    assert trace_step(shape, 2, 8, **options).host_reads == []


def test_the_trace_sees_what_waits_for_the_device():
    """A copy to the host; of a meta tensor itself PyTorch refuses to read a value."""
    with listening() as trace, pytest.raises((RuntimeError, NotImplementedError)):
        torch.empty(3, device="meta").sum().item()
    with listening() as trace:
        torch.empty_like(torch.empty(3, device="meta"), device="cpu")
    assert trace.host_reads == ["empty_like"]


@pytest.mark.parametrize("fused", [ALL, PLAIN])
@pytest.mark.parametrize(
    ("sizes", "replicas", "sequences"),
    [
        ((64, 2, 256, 512, 32), 8, 12),
        ((256, 4, 8192, 512, 32), 4, 8),
        ((256, 2, 32768, 256, 64), 1, 64),
    ],
)
def test_measuring_needs_no_more_memory_than_training(fused, sizes, replicas, sequences):
    shape = shape_of(*sizes)
    step, batch, model = step_on_meta(shape, replicas, sequences, fused=fused)
    with listening([model.weights, batch.inputs]) as training:
        step(batch)
    at_once = sequences_at_once(torch.device("cuda"), step.micro_sequences)
    part = batch.split(at_once)[0]
    with listening([model.weights, batch.inputs]) as measuring, torch.no_grad():
        CAUSAL.sequence_losses(model, part)
    assert 0 < measuring.peak_bytes <= training.peak_bytes
