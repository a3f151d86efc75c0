"""One planned run -> one record: trained by a Lightning Trainer, measured on the validation set."""

import contextlib
import logging
import math
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from scaling.compute import model_flops_utilization
from sweeps.config import LaunchConfig
from sweeps.data.corpus import Corpus, WindowOrder
from sweeps.models.transformer import Transformer, parameter_groups, token_losses
from sweeps.optimizer import PackedAdamW
from sweeps.plan import RunPlan

_EVALUATION_SEQUENCES = 64  # a batch of the validation set


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The training loss of the steps since the point before."""

    step: int
    tokens: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """What one run measured and cost. A diverged run has no loss, but a reason."""

    loss: float
    loss_stderr: float
    diverged_at_step: int | None
    train_seconds: float
    evaluation_seconds: float
    device: str
    weights: Tensor
    """(parameters,) As trained."""

    def record(self, plan: RunPlan) -> dict[str, float | int | str | bool | None]:
        """The columns of the records table that training has added to the plan's facts."""
        return {
            "loss": self.loss,
            "loss_stderr": self.loss_stderr,
            "bits_per_byte": self.loss / math.log(2) / plan.data.bytes_per_token,
            "wall_seconds": self.train_seconds,
            "device_seconds": self.train_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            "device": self.device,
            "mfu": model_flops_utilization(plan.train_flops, self.train_seconds, self.device),
        }


def settle_process(threads: int) -> None:
    """Make this process fit to train beside others: so many threads, and no denormal numbers."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # sums of denormals make a CPU slower a hundredfold


def train_run(
    plan: RunPlan,
    corpus: Corpus,
    launch: LaunchConfig,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
) -> TrainedRun:
    """Train the planned model to its last step and measure it on the validation set."""
    device = choose_device(launch.device)
    module = LanguageModelModule(plan, corpus, launch.inner_steps, on_point)
    start = time.perf_counter()
    with _quiet():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, train_dataloaders=range(module.chunks))
    train_seconds = time.perf_counter() - start
    loss, stderr = math.nan, math.nan
    if module.diverged_at_step is None:
        loss, stderr = evaluate(module.model.to(device), corpus)
    return TrainedRun(
        loss=loss,
        loss_stderr=stderr,
        diverged_at_step=module.diverged_at_step,
        train_seconds=train_seconds,
        evaluation_seconds=time.perf_counter() - start - train_seconds,
        device=device_name(device),
        weights=module.model.weights.detach()[0].cpu(),
    )


class LanguageModelModule(pl.LightningModule):
    """The training of one run. One Lightning step is a chunk of optimizer steps.

    The Trainer's overhead of about a millisecond is then paid once a chunk, and losses travel to
    the host once a chunk. Batches are computed from the step number; the loader delivers chunk
    numbers.
    """

    def __init__(
        self,
        plan: RunPlan,
        corpus: Corpus,
        inner_steps: int,
        on_point: Callable[[CurvePoint], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = build_model(plan)
        self.diverged_at_step: int | None = None
        self._plan = plan
        self._order = WindowOrder(corpus.windows, plan.seed)
        self._inner_steps = inner_steps
        self._on_point = on_point
        self._context = corpus.context
        self._text: Tensor
        self.register_buffer("_text", torch.from_numpy(corpus.train.copy()), persistent=False)
        self._offsets = torch.arange(corpus.context + 1)

    @property
    def chunks(self) -> int:
        """Lightning steps of the whole run."""
        return math.ceil(self._plan.settings.steps / self._inner_steps)

    def configure_optimizers(self) -> PackedAdamW:
        """The recipe's optimizer."""
        return build_optimizer(self.model, self._plan)

    def training_step(self, chunk: int, batch_index: int) -> None:
        """Take the optimizer steps of one chunk; stop the run where a loss is not finite."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        first = chunk * self._inner_steps
        last = min(first + self._inner_steps, self._plan.settings.steps)
        batches = self._batches(first, last)
        losses = torch.empty(last - first, device=self.device)
        for index, batch in enumerate(batches):
            objective, loss = training_loss(self.model, batch, self._plan.settings.z_loss)
            self.manual_backward(objective)
            optimizer.step()
            losses[index] = loss[0]
        self._report(first, losses.tolist())

    def _batches(self, first: int, last: int) -> Tensor:
        """(steps, replicas, sequences, context + 1) The tokens of the steps first to last - 1."""
        sequences = self._plan.settings.batch_sequences
        windows = torch.from_numpy(self._order.positions(first * sequences, last * sequences))
        index = windows[:, None] * self._context + self._offsets
        tokens = self._text[index.to(self.device)].long()
        return tokens.view(last - first, 1, sequences, self._context + 1)

    def _report(self, first: int, losses: list[float]) -> None:
        for index, loss in enumerate(losses):
            if not math.isfinite(loss):
                self.diverged_at_step = first + index
                self.trainer.should_stop = True
                return
        settings, last = self._plan.settings, first + len(losses)
        self._on_point(
            CurvePoint(
                step=last,
                tokens=last * self._plan.batch_tokens,
                loss=sum(losses) / len(losses),
                learning_rate=settings.hidden.learning_rate * settings.schedule_factor(last - 1),
            )
        )


def build_model(plan: RunPlan) -> Transformer:
    """The planned model before its first step."""
    return Transformer(
        plan.shape,
        [plan.seed],
        residual_scale=plan.settings.residual_scale,
        rotary_base=plan.rotary_base,
    )


def build_optimizer(model: Transformer, plan: RunPlan) -> PackedAdamW:
    """The optimizer with the plan's constants."""
    return PackedAdamW(model.weights, parameter_groups(plan.shape), [plan.settings])


def training_loss(model: Transformer, batch: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """What is minimised, summed over replicas, and each replica's cross-entropy in nats.

    batch: (replicas, sequences, context + 1)
    """
    targets = batch[..., 1:].flatten(1)
    losses, log_partition = token_losses(model(batch[..., :-1]), targets)
    loss = losses.mean(dim=1)
    objective = loss + z_loss * log_partition.square().mean(dim=1)
    return objective.sum(), loss.detach()


@torch.no_grad()
def sequence_losses(model: Transformer, corpus: Corpus) -> Tensor:
    """(validation sequences,) Mean nats per token of each, for a stack of one."""
    device = model.weights.device
    sequences = torch.from_numpy(corpus.validation).long()
    parts = []
    for batch in sequences.split(_EVALUATION_SEQUENCES):
        tokens = batch.unsqueeze(0).to(device)
        losses, _ = token_losses(model(tokens[..., :-1]), tokens[..., 1:].flatten(1))
        parts.append(losses.view(len(batch), -1).mean(dim=1))
    return torch.cat(parts).double().cpu()


def evaluate(model: Transformer, corpus: Corpus) -> tuple[float, float]:
    """Validation loss in nats per token, and its standard error over whole sequences.

    Tokens of one sequence are not independent, so sequences are what is counted.
    """
    losses = sequence_losses(model, corpus)
    stderr = losses.std() / math.sqrt(len(losses)) if len(losses) > 1 else torch.tensor(math.nan)
    return float(losses.mean()), float(stderr)


def choose_device(wanted: str) -> torch.device:
    """The device that the config means."""
    if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """What the device is called by its maker."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "CPU"


@contextlib.contextmanager
def _quiet() -> Any:
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
