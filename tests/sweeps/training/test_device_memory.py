"""Facts about memory that runs out, and about what a finished pack leaves behind."""

import dataclasses
import gc
import weakref

import pytest
import torch

from sweeps.data.registry import load_corpus
from sweeps.objectives.causal import Causal
from sweeps.objectives.registry import CAUSAL
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.training import evaluation, pack
from sweeps.training.devices.memory import is_out_of_memory
from sweeps.training.evaluation import stack_losses
from sweeps.training.pack import build_model, build_optimizer, train_pack, train_run
from sweeps.training.stack import Stack
from sweeps.training.step import Step


@pytest.fixture
def setting(tiny_config):
    load_corpus.cache_clear()
    plan = next(run for run in plan_sweep(tiny_config).runs if not run.held_out)
    return plan, load_corpus(tiny_config.data, plan.shape.context), tiny_config.launch


def out_of_memory():
    return torch.OutOfMemoryError("CUDA out of memory (pretended)")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (out_of_memory(), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
        (None, False),
    ],
)
def test_libraries_that_find_no_memory_are_understood(error, found):
    assert is_out_of_memory(error) is found


def test_a_step_is_tried_again_before_it_is_cut(setting, monkeypatch):
    """What another pack has left behind may have been in the way: no note, no smaller sums."""
    plan, corpus, launch = setting
    expected = train_run(plan, corpus, launch)
    original, failures = Causal.training_loss, [RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")]

    def hungry_once(self, *arguments):
        if failures:
            raise failures.pop()
        return original(self, *arguments)

    monkeypatch.setattr(Causal, "training_loss", hungry_once)
    trained = train_run(plan, corpus, launch)
    assert not failures
    assert trained.notes == ()
    assert trained.loss == expected.loss


def test_a_step_that_cannot_be_recorded_is_taken_as_it_is_and_says_so(setting, monkeypatch):
    """This PyTorch has no CUDA, so that recording fails where a GPU's would begin."""
    monkeypatch.setattr(Step, "_on_side_stream", Step._compute)
    plan, corpus, _ = setting
    sides = []
    for graph in (False, True):
        model = build_model(plan)
        step = Step(
            model, build_optimizer(model, plan), CAUSAL, z_loss=0.0, micro_sequences=99, graph=graph
        )
        sequences = plan.settings.batch_sequences
        losses = [step(corpus.batches(plan.seed, n, n + 1, sequences)).clone() for n in range(6)]
        sides.append((torch.stack(losses), model.weights.detach()))
    assert all(torch.equal(*pair) for pair in zip(*sides, strict=True))
    (note,) = step.notes
    assert note.startswith("not recorded as a CUDA graph (")
    assert note.endswith("): slower steps")


def test_an_update_that_finds_no_memory_has_changed_nothing(setting, monkeypatch):
    plan, _, _ = setting
    model = build_model(plan)
    optimizer = build_optimizer(model, plan)
    gradient = torch.randn(model.weights.shape, generator=torch.Generator().manual_seed(0))
    large, calls = model.weights.numel(), []

    class _Limited(torch.utils._python_dispatch.TorchDispatchMode):
        """Refuses the allocation of this number, of tensors as large as the weights."""

        def __init__(self, refused):
            super().__init__()
            self.refused, self.made = refused, 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            changes = func._schema.name.endswith("_") or "out" in (kwargs or {})
            if isinstance(found, torch.Tensor) and found.numel() == large and not changes:
                self.made += 1
                if self.made == self.refused:
                    raise out_of_memory()
            return found

    for refused in range(1, 20):
        before = [tensor.clone() for tensor in (model.weights, optimizer.first, optimizer.second)]
        model.weights.grad = gradient.clone()
        norm = gradient.norm(dim=1, keepdim=True)
        optimizer.gradient_norm.copy_(norm[:, 0])
        try:
            with _Limited(refused), torch.no_grad():
                optimizer._update_together(model.weights.grad)
        except torch.OutOfMemoryError:
            calls.append(refused)
            after = (model.weights, optimizer.first, optimizer.second)
            assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        else:
            break
    assert calls  # it does allocate, and was refused
    assert not torch.equal(before[0], model.weights)


def limit_measuring(monkeypatch, most):
    original, tried = Causal.sequence_losses, []

    def hungry(self, model, batch):
        tried.append(batch.sequences)
        if batch.sequences > most:
            raise out_of_memory()
        return original(self, model, batch)

    monkeypatch.setattr(Causal, "sequence_losses", hungry)
    return tried


def test_a_measurement_that_finds_no_memory_takes_less_at_once_and_loses_no_run(
    setting, monkeypatch
):
    plan, corpus, launch = setting
    expected = train_run(plan, corpus, launch)
    limit_measuring(monkeypatch, 3)
    trained = train_run(plan, corpus, launch)
    assert trained.loss == pytest.approx(expected.loss, rel=1e-6)  # sums in another order
    assert trained.loss_stderr == pytest.approx(expected.loss_stderr, rel=1e-4)
    assert trained.notes[-1] == "out of memory: measured on 2 sequences at once after 4"


def test_a_measurement_without_any_memory_keeps_what_was_trained(setting, monkeypatch, tmp_path):
    plan, corpus, launch = setting
    expected = train_run(plan, corpus, launch)
    steps = []
    limit_measuring(monkeypatch, 0)
    pack_of_one = Pack(replicas=((plan,),))
    with pytest.raises(torch.OutOfMemoryError):
        train_pack(pack_of_one, corpus, launch, folder=tmp_path)
    monkeypatch.undo()
    listener = pack.Listener(on_pulse=lambda: steps.append(1))
    trained = train_pack(pack_of_one, corpus, launch, folder=tmp_path, listener=listener)
    assert len(steps) < plan.settings.steps  # it was measured, and not trained again
    assert trained[plan].loss == expected.loss


def test_a_run_that_finds_no_memory_to_be_measured_while_it_trains_trains_on(setting, monkeypatch):
    plan, corpus, launch = setting
    launch = launch.changed(validation={"evaluations": 3, "cost": 1.0})
    expected = train_run(plan, corpus, launch)
    original, trains = Stack._validate, []

    def noted(self, first):
        trains.append(True)
        original(self, first)
        trains.clear()

    def hungry(self, model, batch):
        if trains:
            raise out_of_memory()
        return measured(self, model, batch)

    measured = Causal.sequence_losses
    monkeypatch.setattr(Stack, "_validate", noted)
    monkeypatch.setattr(Causal, "sequence_losses", hungry)
    trained = train_run(plan, corpus, launch)
    assert trained.notes[-1] == "out of memory: not measured while it trains"
    assert trained.loss == expected.loss
    assert [point.validation_loss for point in expected.points] != [
        point.validation_loss for point in trained.points
    ]


def test_on_a_gpu_no_more_is_measured_at_once_than_is_trained(setting):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert evaluation.sequences_at_once(gpu, 12) == 12
    assert evaluation.sequences_at_once(gpu, 900) == 64
    assert evaluation.sequences_at_once(gpu, None) == 64
    assert evaluation.sequences_at_once(cpu, 12) == 64


def test_a_measurement_in_parts_is_that_of_the_whole(setting):
    plan, corpus, _ = setting
    model = build_model(plan)
    model.weights.data += 0.05 * torch.randn(
        model.weights.shape, generator=torch.Generator().manual_seed(2)
    )
    whole = stack_losses(model, corpus, CAUSAL)
    torch.testing.assert_close(stack_losses(model, corpus, CAUSAL, sequences=None), whole)


def kept_alive(monkeypatch):
    """Storages of the stacks that training makes, and whether they are still there."""
    stacks = []
    original = Stack.__init__

    def noted(self, *arguments):
        original(self, *arguments)
        stacks.append((weakref.ref(self), self.model.weights, self.optimizer))

    monkeypatch.setattr(Stack, "__init__", noted)
    return stacks


def bytes_of(stacks):
    return [
        weights.untyped_storage().nbytes()
        + optimizer.first.untyped_storage().nbytes()
        + optimizer.second.untyped_storage().nbytes()
        for _, weights, optimizer in stacks
    ]


def test_a_finished_pack_leaves_no_memory_behind(setting, monkeypatch):
    """Trainer and stack refer to each other, and Python looks for such circles at its leisure."""
    plan, corpus, launch = setting
    stacks = kept_alive(monkeypatch)
    gc.disable()
    try:
        train_run(plan, corpus, launch)
        ((reference, weights, _),) = stacks
        assert bytes_of(stacks) == [0]
        assert weights.grad is None
        stack = reference()
        assert stack is None or stack._take_step is None
    finally:
        gc.enable()


def test_the_halves_of_a_pack_train_when_the_whole_has_left_the_device(setting, monkeypatch):
    plan, corpus, launch = setting
    other = dataclasses.replace(plan, seed=plan.seed + 1)
    stacks = kept_alive(monkeypatch)
    original, seen = Causal.training_loss, []

    def hungry(self, model, batch, z_loss):
        if len(batch.inputs) > 1:
            raise out_of_memory()
        seen.append(bytes_of(stacks)[0])
        return original(self, model, batch, z_loss)

    monkeypatch.setattr(Causal, "training_loss", hungry)
    trained = train_pack(Pack(replicas=((plan,), (other,))), corpus, launch)
    assert set(seen) == {0}  # of the pack of two, while its halves train
    assert bytes_of(stacks) == [0, 0, 0]
    assert all("1 replicas at once after 2" in run.notes[-1] for run in trained.values())
