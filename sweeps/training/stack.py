"""A stack of replicas in training, as a Lightning module.

One Lightning step is a chunk of optimizer steps: the Trainer's overhead of about a millisecond is
paid once a chunk, and losses travel to the host once a chunk. Batches are computed from the step
number; the loader delivers chunk numbers.
"""

import contextlib
import dataclasses
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import Tensor

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.base import Corpus
from sweeps.models.kernels.fused import Fused
from sweeps.models.registry import find_family
from sweeps.models.stacked import ShardedModel, StackedWeights
from sweeps.planning.run_plan import RunPlan
from sweeps.training.adamw import PackedAdamW
from sweeps.training.ahead import Ahead
from sweeps.training.batches import batches_of
from sweeps.training.checkpoints.stack_state import CurvePoint, StackState
from sweeps.training.devices.device import add_up_exactly, choose_device
from sweeps.training.devices.kernel_choice import choose_kernels, compiles
from sweeps.training.devices.memory import free_memory, is_out_of_memory
from sweeps.training.devices.strategy import is_sharded, lightning_strategy
from sweeps.training.evaluation import sequences_while_training, stack_losses
from sweeps.training.sharded_adamw import ShardedAdamW
from sweeps.training.step import Step


class Stack(pl.LightningModule):
    """Replicas of one shape, each with its own seed, data order and optimizer constants."""

    def __init__(self, runs: Sequence[RunPlan], corpus: Corpus, launch: LaunchConfig) -> None:
        super().__init__()
        if runs[0].settings.batch_sequences % launch.world_size:
            over, nodes = f"launch.resources.devices {launch.resources.devices}", ""
            if launch.resources.nodes > 1:
                nodes = f" on each of launch.resources.nodes {launch.resources.nodes}"
            raise ConfigError(
                f"{runs[0].name}: {runs[0].settings.batch_sequences} sequences a step do not split "
                f"over {over}{nodes}; choose a divisor"
            )
        self.automatic_optimization = False
        add_up_exactly()
        self.model, self.optimizer = _build(runs, launch)
        device = choose_device(launch.device)
        self.notes: list[str] = []
        self._choose_kernels(runs, launch, device)
        self.diverged_at = [-1] * len(runs)
        self.points: list[list[CurvePoint]] = [[] for _ in runs]
        self.clipped = [0] * len(runs)
        self.losses = torch.empty(len(runs), 0)
        self.step = 0
        self.seconds = self.paid_seconds = self.validation_seconds = 0.0
        self.fork_hashes: tuple[str, ...] = ()
        self.micro_sequences = launch.speed.micro_sequences or runs[0].settings.batch_sequences
        self._runs = tuple(runs)
        self._corpus = corpus
        self._launch = launch
        self._until = 0
        self._take_step: Step | None = None
        # Beside a CPU that trains, a thread would take a core that nobody has given it.
        self._ahead = Ahead(corpus) if device.type == "cuda" else None
        self._on_chunk: Callable[[], None] = lambda: None
        self._on_step: Callable[[], None] = lambda: None

    def _choose_kernels(
        self, runs: Sequence[RunPlan], launch: LaunchConfig, device: torch.device
    ) -> None:
        """Which operations run as one kernel, or compiled, where the model will be."""
        choice = choose_kernels(runs[0], launch, device)
        self.model.fused = choice.fused
        self.notes += choice.notes
        if compiles(runs, launch, choice.fused, device.type == "cuda"):
            self.model.fused = Fused(loss=choice.fused.loss)  # the compiler has its own for blocks
            self.model.compile_blocks()

    def use(self, runs: Sequence[RunPlan]) -> None:
        """Go on as these runs: their schedules count from here on."""
        self._runs = tuple(runs)
        self.optimizer.use([run.settings for run in runs])

    @property
    def has_ended(self) -> bool:
        """Whether every replica has diverged."""
        return all(step >= 0 for step in self.diverged_at)

    def advance(
        self,
        until: int,
        on_chunk: Callable[[], None] = lambda: None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Train to this step (or until every replica has diverged); `on_chunk` is called after each
        chunk, `on_step` after each step."""
        if self.step >= until or self.has_ended:
            return
        self._until, self._on_chunk, self._on_step = until, on_chunk, on_step
        chunks = math.ceil((until - self.step) / self._launch.speed.inner_steps)
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        with _quiet():
            trainer = pl.Trainer(
                accelerator="gpu" if choose_device(self._launch.device).type == "cuda" else "cpu",
                devices=self._launch.resources.devices,
                num_nodes=self._launch.resources.nodes,
                strategy=lightning_strategy(self._launch),
                plugins=[LightningEnvironment()],  # Slurm and others have started one process
                max_epochs=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                deterministic=self._launch.speed.deterministic,
            )
            trainer.fit(self, train_dataloaders=range(chunks))
        self.notes += self._step_taken.notes

    def forget_step(self) -> None:
        """Give back what a step keeps for the next one: its CUDA graph holds all of its memory."""
        self._take_step = None
        if self._is_on_gpu:
            free_memory()

    def close(self) -> None:
        """Give back all memory of the device. Trainer and stack refer to each other: what they hold
        would stay until Python looks for such circles."""
        self._take_step = None
        if self._ahead is not None:
            self._ahead.close()
        if isinstance(self.model, StackedWeights):
            for tensor in (self.model.weights, self.optimizer.first, self.optimizer.second):
                tensor.data = tensor.new_empty(0)
            self.model.weights.grad = None
        if self._is_on_gpu:
            free_memory()

    @property
    def _is_on_gpu(self) -> bool:
        return choose_device(self._launch.device).type == "cuda"

    @property
    def _step_taken(self) -> Step:
        assert self._take_step is not None, "made as training starts"
        return self._take_step

    def state(self) -> StackState:
        """A copy of where training stands, on the host."""
        optimizer = self.optimizer
        return StackState(
            step=self.step,
            seconds=self.seconds,
            weights=_copy(self.model.held_weights()),
            first=_copy(optimizer.first),
            second=_copy(optimizer.second),
            active=_copy(optimizer.active),
            diverged_at=tuple(self.diverged_at),
            clipped=tuple(self.clipped),
            losses=self.losses,
            points=tuple(map(tuple, self.points)),
            paid_seconds=self.paid_seconds,
            fork_hashes=self.fork_hashes,
            micro_sequences=self.micro_sequences,
        )

    @torch.no_grad()
    def restore(self, state: StackState) -> None:
        """Stand where the state was taken."""
        self.step, self.seconds, self.paid_seconds = state.step, state.seconds, state.paid_seconds
        self.fork_hashes = state.fork_hashes
        self.micro_sequences = min(self.micro_sequences, state.micro_sequences)
        self.model.hold(state.weights)
        self.optimizer.restore(state.step, state.first, state.second, state.active)
        self.diverged_at, self.clipped = list(state.diverged_at), list(state.clipped)
        self.losses = state.losses
        self.points = [list(curve) for curve in state.points]

    def configure_model(self) -> None:
        """Nothing: a model that is shared among devices was made in shares."""

    def on_train_start(self) -> None:
        """Answer SIGTERM as this process did before: Lightning, which has just taken it over, would
        leave without a state that resumes."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def configure_optimizers(self) -> PackedAdamW | ShardedAdamW:
        """The recipe's optimizer, where the weights are."""
        self.optimizer.to(self.device)
        self._take_step = Step(
            self.model,
            self.optimizer,
            self._runs[0].asks,
            z_loss=self._runs[0].settings.z_loss,
            micro_sequences=self.micro_sequences,
            backward=self.manual_backward,
            graph=self._launch.speed.cuda_graph
            and self.device.type == "cuda"
            and self._launch.world_size == 1,
            others_wait=self._launch.world_size > 1,
        )
        return self.optimizer

    def training_step(self, chunk: int, batch_index: int) -> None:
        """Take the optimizer steps of one chunk; stop where no replica is left."""
        start = time.perf_counter()
        first, last = self.step, min(self.step + self._launch.speed.inner_steps, self._until)
        take_step = self._step_taken
        losses = torch.empty(last - first, len(self._runs), device=self.device)
        norms = torch.empty_like(losses)
        for index, batch in enumerate(self._batches(first, last).unbind()):
            losses[index] = take_step(batch)
            norms[index] = self.optimizer.gradient_norm
            self._on_step()
        self.step, self.micro_sequences = last, take_step.micro_sequences
        if self._launch.world_size > 1:
            torch.distributed.all_reduce(losses)
            losses /= self._launch.world_size
        self._account(first, losses.cpu(), norms.cpu())
        self.seconds += time.perf_counter() - start
        self._validate(first)
        self._on_chunk()
        if self.has_ended:
            self.trainer.should_stop = True

    def _validate(self, first: int) -> None:
        """Measure the replicas on some of the validation sequences where a share of their steps was
        passed since the step `first`; the curve's latest points say what it was."""
        run, validation = self._runs[0], self._launch.validation
        shares = [
            step * validation.evaluations // run.settings.steps for step in (first, self.step)
        ]
        held = self._corpus.validation.sequences
        count = sequences_while_training(run, validation, held)
        if shares[0] == shares[1] or not count or self._launch.world_size > 1 or self.has_ended:
            return
        start = time.perf_counter()
        said: list[str] = []
        try:
            losses = stack_losses(
                self.model,
                self._corpus,
                run.asks,
                self._on_step,
                sequences=count,
                at_once=self.micro_sequences,
                notes=said,
            )
        except RuntimeError as error:  # a recorded step keeps its memory: the run goes on without
            if not is_out_of_memory(error):
                raise
            said, losses = ["out of memory: not measured while it trains"], None
        self.notes += [note for note in said if note not in self.notes]
        if losses is None:
            return
        for replica, loss in enumerate(losses.mean(dim=1).tolist()):
            if self.diverged_at[replica] < 0 and math.isfinite(loss):
                latest = dataclasses.replace(self.points[replica][-1], validation_loss=loss)
                self.points[replica][-1] = latest
        self.validation_seconds += time.perf_counter() - start

    def _batches(self, first: int, last: int) -> Batch:
        """(steps, replicas, sequences, length) This device's part of those steps."""
        if self._ahead is not None:
            self._ahead.wait()
        whole = batches_of(self._runs, self._corpus, first, last, self.device)
        if self._ahead is not None:
            further = min(last + self._launch.speed.inner_steps, self._until)
            self._ahead.begin(self._runs, last, further)
        parts = whole.split(whole.sequences // self._launch.world_size)
        return parts[self.global_rank if self._launch.world_size > 1 else 0]

    def _account(self, first: int, losses: Tensor, norms: Tensor) -> None:
        """Curve points, clipped steps, and who has diverged; both inputs: (steps, replicas)."""
        healthy = losses.isfinite() & norms.isfinite()
        self.losses = torch.cat((self.losses, losses.T), dim=1)
        for replica, run in enumerate(self._runs):
            if self.diverged_at[replica] >= 0:
                continue
            if not healthy[:, replica].all():
                step = int(healthy[:, replica].logical_not().nonzero()[0])
                self.diverged_at[replica] = first + step
                continue
            settings, last = run.settings, first + len(losses)
            warm = norms[max(0, settings.warmup_steps - first) :, replica]
            self.clipped[replica] += int((warm > settings.max_gradient_norm).sum())
            values = losses[:, replica].tolist()
            self.points[replica].append(
                CurvePoint(
                    step=last,
                    tokens=last * run.batch_tokens,
                    loss=sum(values) / len(values),
                    learning_rate=settings.hidden.learning_rate
                    * settings.schedule_factor(last - 1),
                )
            )


def build_model(*runs: RunPlan) -> StackedWeights:
    """The planned models before their first step, as a stack."""
    first, seeds = runs[0], [run.seed for run in runs]
    return find_family(first.family).build(first.shape, seeds, first.model_options)


def build_optimizer(model: StackedWeights, *runs: RunPlan) -> PackedAdamW:
    """The optimizer with the plans' constants."""
    return PackedAdamW(model.weights, model.groups, [run.settings for run in runs])


def _build(
    runs: Sequence[RunPlan], launch: LaunchConfig
) -> tuple[StackedWeights | ShardedModel, PackedAdamW | ShardedAdamW]:
    if not is_sharded(launch):
        model = build_model(*runs)
        return model, build_optimizer(model, *runs)
    (run,) = runs
    device = choose_device(launch.device)
    family = find_family(run.family)
    shared = family.build_sharded(run.shape, run.seed, run.model_options, device)
    return shared, ShardedAdamW(shared.held, [run.settings])


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its banners, and without its advice on data loaders: there is none here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
