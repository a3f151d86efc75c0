"""Facts about a step that is recorded, in the order in which CUDA is asked: no GPU is needed, as
CUDA is pretended."""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sweeps.data.registry import load_corpus
from sweeps.models.kernels.fused import ALL, ops
from sweeps.objectives.cross_entropy import token_losses
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.plan import plan_sweep
from sweeps.training.batches import batches_of
from sweeps.training.devices.strategy import lightning_strategy
from sweeps.training.stack import Stack, build_model, build_optimizer
from sweeps.training.step import Step


@pytest.fixture
def setting(tiny_config):
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    return plan, load_corpus(tiny_config.data, plan.shape.context), tiny_config.launch


@pytest.fixture
def asked(monkeypatch):
    """What is asked of CUDA, in order; it does nothing."""
    calls = []

    class Stream:
        def __init__(self):
            calls.append("new stream")

        def wait_stream(self, other):
            calls.append("wait")

    class Graph:
        def replay(self):
            calls.append("replay")

    @contextlib.contextmanager
    def during(what, _):
        calls.append(what)
        yield

    default = Stream()
    calls.clear()
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: default)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: during("on it", stream))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: during("record", graph))
    return calls


def test_the_calls_before_a_recording_share_one_stream(setting, asked):
    """Each stream has an allocator's pool of its own, which keeps what it was given."""
    plan, corpus, _ = setting
    model = build_model(plan)
    step = Step(
        model, build_optimizer(model, plan), CAUSAL, z_loss=0.0, micro_sequences=99, graph=True
    )
    batches = batches_of([plan], corpus, 0, 6).unbind()
    for batch in batches:
        step(batch)
    before = ["new stream", *["wait", "on it", "wait"] * 3]
    assert asked == [*before, "record", *["replay"] * 3]
    assert torch.equal(step._input.inputs, batches[-1].inputs)  # what the graph reads
    asked.clear()
    step._begin_again()  # as after memory ran out
    for batch in batches[:4]:
        step(batch)
    assert asked == [*before[1:], "record", "replay"]


def test_what_is_recorded_holds_no_value_of_one_step(setting, asked):
    """The rate of a step is looked up by a counter on the device, which the step moves on."""
    plan, corpus, _ = setting
    model = build_model(plan)
    optimizer = build_optimizer(model, plan)
    read = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._schema.name == "aten::index_select" and args[0] is optimizer._table:
                read.append(args[2] is optimizer._step)
            return func(*args, **(kwargs or {}))

    model.weights.grad = torch.ones_like(model.weights)
    optimizer.gradient_norm.fill_(1.0)
    with Reads(), torch.no_grad():
        optimizer._update_together(model.weights.grad)
    assert read == [True]


def test_training_has_products_in_bfloat16_add_up_in_float32(setting):
    """cuBLAS may else add up parts of a weight's gradient in bfloat16."""
    plan, corpus, launch = setting
    flags = torch.backends.cuda.matmul
    before = flags.allow_bf16_reduced_precision_reduction
    try:
        flags.allow_bf16_reduced_precision_reduction = True
        Stack([plan], corpus, launch).close()
        assert not flags.allow_bf16_reduced_precision_reduction
    finally:
        flags.allow_bf16_reduced_precision_reduction = before


def test_fused_kernels_keep_the_factors_of_norms_and_the_losses_in_float32():
    low = torch.empty(2, 9, 64, dtype=torch.bfloat16, device="meta")
    unit, factor = ops.rms_norm(low, 1e-6)
    assert (unit.dtype, factor.dtype) == (torch.bfloat16, torch.float32)
    heads = torch.empty(2, 9, 3, 4, 16, dtype=torch.bfloat16, device="meta")
    turns = torch.empty(9, 1, 1, 8, 2, device="meta")
    assert ops.turn_heads_(heads, turns, 2, 1e-6).dtype == torch.float32
    targets = torch.empty(2, 9, dtype=torch.int64, device="meta")
    for one in token_losses(low.requires_grad_(), targets, fused=ALL.loss):
        assert one.dtype == torch.float32


def test_the_gradient_of_the_plain_loss_is_scattered_along_one_axis():
    """Of several axes PyTorch's deterministic way copies strides from the host, and no recording
    may wait for that."""
    scattered = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._schema.name == "aten::scatter_add_":
                scattered.append(args[0].dim())
            return func(*args, **(kwargs or {}))

    logits = torch.randn(2, 5, 7, requires_grad=True)
    losses, _ = token_losses(logits, torch.zeros(2, 5, dtype=torch.int64))
    with Reads():
        losses.sum().backward()
    assert scattered == [1]


def test_devices_that_each_hold_a_model_hold_its_gradient_once(tiny_config):
    """DDP would else keep a second copy, four bytes a parameter, to sum from."""
    launch = tiny_config.launch.changed(resources={"devices": 2, "strategy": "ddp"})
    assert lightning_strategy(launch)._ddp_kwargs["gradient_as_bucket_view"] is True
