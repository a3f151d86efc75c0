"""Planned runs -> records: a pack trained together, its branches forked, each run measured."""

import ctypes
import functools
import hashlib
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scaling.columns import BITS, NATS_PER_TOKEN
from scaling.compute import model_flops_utilization
from sweeps.config.launch import LaunchConfig
from sweeps.data.sources.base import Corpus
from sweeps.models.stacked import Layout
from sweeps.planning.packing import Pack
from sweeps.planning.run_plan import RunPlan
from sweeps.training.checkpoints.pack_states import PackStates, parts_alike
from sweeps.training.checkpoints.stack_state import CurvePoint, StackState
from sweeps.training.checkpoints.state_file import CheckpointClock
from sweeps.training.devices.device import choose_device, device_name
from sweeps.training.devices.memory import is_out_of_memory
from sweeps.training.devices.process_group import agreed, gathered
from sweeps.training.devices.strategy import is_sharded, resolve_strategy
from sweeps.training.evaluation import evaluate, evaluate_stack, evaluation_flops
from sweeps.training.learning_rate_check import count_spikes
from sweeps.training.stack import Stack, build_model, build_optimizer
from sweeps.training.step import StackTooLargeError
from sweeps.training.stop import Stopped

__all__ = [
    "CurvePoint",
    "TrainedRun",
    "build_model",
    "build_optimizer",
    "evaluate",
    "evaluation_flops",
    "settle_process",
    "train_pack",
    "train_run",
    "train_runs",
]


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """What one run measured and cost. A diverged run has no loss, but a step where it did."""

    loss: float
    loss_stderr: float
    diverged_at_step: int | None
    train_seconds: float
    """Of the whole pack, without what a shorter branch had already had trained."""
    evaluation_seconds: float
    device: str
    replicas: int
    """Runs trained at once; the seconds are shared between them."""
    devices: int
    """Devices that shared each batch."""
    clipped_share: float
    """Share of the steps after warm-up whose gradient was scaled down; over a tenth of them, the
    clipping sets the learning rate."""
    spikes: int
    """Jumps of the training loss."""
    fork_state_hash: str | None
    """Of the state that a branch left its trunk in."""
    notes: tuple[str, ...]
    """What went otherwise than planned, without changing the result."""
    weights: Tensor
    """(parameters,) As trained."""
    layout: Layout
    """The matrices in them."""
    points: tuple[CurvePoint, ...]
    """The training curve, from the first step."""

    def record(self, plan: RunPlan) -> dict[str, float | int | str | bool | None]:
        """The columns of the records table that a whole training adds to the plan's facts."""
        device_seconds = self.train_seconds / self.replicas
        branch = {"fork_state_hash": self.fork_state_hash} if self.fork_state_hash else {}
        # None where tokens stand for no text, or the loss is not that of each token.
        bytes_ = plan.data.bytes_per_token if plan.loss_kind in NATS_PER_TOKEN else None
        notes = {"notes": "; ".join(self.notes)} if self.notes else {}
        entropy = plan.data.entropy if plan.loss_kind in NATS_PER_TOKEN else None
        excess = {} if entropy is None else {"excess_loss": self.loss - entropy}
        return {
            **plan.progress(plan.settings.steps),
            "loss": self.loss,
            "loss_stderr": self.loss_stderr,
            "bits_per_byte": bytes_ and self.loss / math.log(2) / bytes_,
            **self._bits(plan),
            "wall_seconds": self.train_seconds,
            "device_seconds": device_seconds,
            "evaluation_seconds": self.evaluation_seconds / self.replicas,
            "evaluation_flops": evaluation_flops(plan),
            "replicas": self.replicas,
            "clipped_share": self.clipped_share,
            "spikes": self.spikes,
            "device": self.device,
            "mfu": model_flops_utilization(
                plan.marginal_flops, device_seconds * self.devices, self.device
            ),
            **branch,
            **excess,
            **notes,
        }

    def _bits(self, plan: RunPlan) -> dict[str, float]:
        """The loss in bits, where it is of what has a column of its own."""
        column = BITS.get(plan.loss_kind)
        return {} if column is None else {column: self.loss / math.log(2)}


@dataclass(kw_only=True)
class Listener:
    """What a caller wants to hear while a pack trains."""

    on_start: Callable[[Sequence[RunPlan]], None] = lambda runs: None
    """Before the runs of one horizon go on from what is trained already."""
    on_point: Callable[[RunPlan, CurvePoint], None] = lambda run, point: None
    """A new point of a run's curve; a branch's curve begins with its trunk's."""
    on_seconds: Callable[[Sequence[RunPlan], float], None] = lambda runs, seconds: None
    """How long the runs of one horizon have trained by the points that follow: as in
    `TrainedRun.train_seconds`."""
    on_pulse: Callable[[], None] = lambda: None
    """Often, while there is nothing else to hear: at each step, and through a measurement."""
    on_end: Callable[[Mapping[RunPlan, TrainedRun]], None] = lambda trained: None
    """The runs of one horizon are trained and measured."""


def settle_process(threads: int) -> None:
    """Make this process fit to train beside others: so many threads, no denormal numbers, and
    memory kept from step to step."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # sums of denormals make a CPU slower a hundredfold
    with suppress(AttributeError, OSError):  # where there is no glibc
        c_library = ctypes.CDLL(None)
        # Else every tensor above 128 KB is mapped anew, zeroed by the kernel, page by page.
        c_library.mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most it allows
        c_library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def train_run(
    plan: RunPlan,
    corpus: Corpus,
    launch: LaunchConfig,
    on_point: Callable[[CurvePoint], None] = lambda point: None,
) -> TrainedRun:
    """Train one planned model to its last step and measure it on the validation set."""
    listener = Listener(on_point=lambda run, point: on_point(point))
    pack = Pack(replicas=((plan,),))
    return train_pack(pack, corpus, launch, listener=listener)[plan]


def train_runs(plans: Sequence[RunPlan], corpus: Corpus, launch: LaunchConfig) -> list[TrainedRun]:
    """Train runs of one shape, batch and length as one stack; what each measured, in order."""
    trained = train_pack(Pack(replicas=tuple((plan,) for plan in plans)), corpus, launch)
    return [trained[plan] for plan in plans]


def train_pack(
    pack: Pack,
    corpus: Corpus,
    launch: LaunchConfig,
    *,
    listener: Listener | None = None,
    done: Collection[str] = (),
    folder: Path | None = None,
    notes: tuple[str, ...] = (),
) -> dict[RunPlan, TrainedRun]:
    """Train the runs of a pack and measure each on the validation set.

    A trunk is trained once; each branch goes on from a copy of its state. Horizons whose runs are
    all `done` (run ids) are left out. With a `folder`, states are kept there until all is trained,
    and a call after a kill goes on from the latest. `notes` go into the records.
    """
    launch = resolve_strategy(launch, pack)
    wanted = [row for row in pack.replicas if any(run.run_id not in done for run in row)]
    if not wanted:
        return {}
    pack = Pack(replicas=tuple(wanted))
    train = functools.partial(
        train_pack, corpus=corpus, launch=launch, listener=listener, folder=folder
    )
    trained: dict[RunPlan, TrainedRun] = {}
    if folder is not None and len(parts := parts_alike(pack, folder)) > 1:
        for part in parts:
            trained |= train(part, done=done, notes=notes)
        return trained
    columns = [column for column in pack.columns if any(run.run_id not in done for run in column)]
    training = _PackTraining(pack, corpus, launch, listener or Listener(), folder, notes)
    fits = True
    try:
        for place, column in enumerate(columns):
            trained |= training.column(column, is_last=place == len(columns) - 1)
    except StackTooLargeError:
        if len(pack.replicas) == 1 or launch.world_size > 1:
            raise
        fits = False  # the halves train below, when nothing holds on to the whole any more
    finally:
        training.free()
    if not fits:
        ended = {run.run_id for run in trained} | set(done)
        halves = pack.halves()
        said = f"out of memory: {len(halves[1].replicas)} replicas at once after {len(wanted)}"
        for half in halves:
            trained |= train(half, done=ended, notes=(*notes, said))
    training.close()
    return trained


class _PackTraining:
    """The horizons of a pack, one after the other, from one trunk."""

    def __init__(
        self,
        pack: Pack,
        corpus: Corpus,
        launch: LaunchConfig,
        listener: Listener,
        folder: Path | None,
        notes: Sequence[str],
    ) -> None:
        self._corpus, self._launch, self._listener = corpus, launch, listener
        self._trunks = PackStates.of(pack, folder, "trunk", launch) if folder else None
        self._branches = PackStates.of(pack, folder, "branch", launch) if folder else None
        self._clock = CheckpointClock(launch.checkpoints.seconds)
        self._notes = list(notes)
        self._stack = Stack(pack.columns[0], corpus, launch)
        self._start = self._stack.state()
        self._trunk = self._load(self._trunks) or self._start

    def column(self, runs: Sequence[RunPlan], *, is_last: bool) -> dict[RunPlan, TrainedRun]:
        """Train the trunk on to where these runs leave it, and them to their ends."""
        stack, settings = self._stack, runs[0].settings
        self._listener.on_start(runs)
        self._to_trunk(runs, settings.steps if is_last else settings.fork_step)
        told = [0] * len(runs)
        if runs[0].branch and stack.step <= settings.fork_step:
            self._advance(runs, told, settings.fork_step, self._trunks)
            trunk = stack.state()
            stack.fork_hashes = self._hashes(trunk)
            self._trunk = trunk
        states = self._trunks
        if not is_last:
            self._keep(lambda: self._trunk, self._trunks)
            states = self._branches
            resumed = self._load(states)
            if resumed is not None and settings.fork_step < resumed.step <= settings.steps:
                stack.restore(resumed)
        self._advance(runs, told, settings.steps, states)
        trained = self._measured(runs, states)
        if not is_last and self._branches:
            self._branches.remove()
        return trained

    def free(self) -> None:
        """Leave nothing on the device."""
        self._stack.close()

    def close(self) -> None:
        """Forget the states on disk: everything is trained."""
        for states in (self._trunks, self._branches):
            if states:
                states.remove()

    def _to_trunk(self, runs: Sequence[RunPlan], latest_step: int) -> None:
        """Put the stack where the trunk stands, or at the start where that is too late already."""
        if self._trunk.step > latest_step:
            self._trunk = self._start
        self._stack.restore(self._trunk)
        self._stack.use(runs)
        if runs[0].branch and self._trunk.step == runs[0].branch.paid_steps:
            self._stack.paid_seconds = self._trunk.seconds

    def _advance(
        self, runs: Sequence[RunPlan], told: list[int], until: int, states: PackStates | None
    ) -> None:
        """Train to a step, telling of every point that has not been told, keeping states."""

        def after_chunk() -> None:
            stopped: Stopped | None = None
            try:
                self._tell(runs, told)
            except Stopped as stop:
                stopped = stop
            keep, leave = agreed((self._clock.is_due(), stopped is not None))
            if keep or leave:
                self._keep(self._stack.state, states)
            if leave:
                raise stopped or Stopped

        self._tell(runs, told)
        self._stack.advance(until, after_chunk, self._pulse)

    def _pulse(self) -> None:
        with suppress(Stopped):  # said again after the chunk, when there is a state to keep
            self._listener.on_pulse()

    def _tell(self, runs: Sequence[RunPlan], told: list[int]) -> None:
        self._listener.on_seconds(runs, self._stack.seconds - self._stack.paid_seconds)
        for replica, (run, curve) in enumerate(zip(runs, self._stack.points, strict=True)):
            for point in curve[told[replica] :]:
                self._listener.on_point(run, point)
            told[replica] = len(curve)

    def _measured(
        self, runs: Sequence[RunPlan], states: PackStates | None
    ) -> dict[RunPlan, TrainedRun]:
        """Measure trained runs and tell of it; the next call measures what is stopped meanwhile,
        and trains none of it again."""
        if self._launch.world_size > 1:
            self._keep(self._stack.state, states)  # who is stopped then is stopped alone
        try:
            trained = self._measure(runs)
            self._listener.on_end(trained)
        except Stopped:
            if self._launch.world_size == 1:
                self._keep(self._stack.state, states)
            raise
        except RuntimeError as error:
            if self._launch.world_size == 1 and is_out_of_memory(error):
                self._keep(self._stack.state, states)  # what is trained is measured another time
            raise
        return trained

    def _measure(self, runs: Sequence[RunPlan]) -> dict[RunPlan, TrainedRun]:
        stack, device = self._stack, choose_device(self._launch.device)
        start = time.perf_counter()
        measured = [(math.nan, math.nan)] * len(runs)
        if not stack.has_ended:
            stack.forget_step()
            measured = evaluate_stack(
                stack.model.to(device),
                self._corpus,
                runs[0].asks,
                self._listener.on_pulse,
                at_once=stack.micro_sequences,
                notes=stack.notes,
            )
        seconds = time.perf_counter() - start + stack.validation_seconds
        stack.validation_seconds = 0.0
        weights = stack.model.whole_weights()
        trained = {}
        for replica, run in enumerate(runs):
            diverged_at = stack.diverged_at[replica]
            loss, stderr = measured[replica] if diverged_at < 0 else (math.nan, math.nan)
            trained[run] = TrainedRun(
                loss=loss,
                loss_stderr=stderr,
                diverged_at_step=diverged_at if diverged_at >= 0 else None,
                train_seconds=stack.seconds - stack.paid_seconds,
                evaluation_seconds=seconds,
                device=device_name(device),
                replicas=len(runs),
                devices=self._launch.world_size,
                clipped_share=stack.clipped[replica]
                / max(1, run.settings.steps - run.settings.warmup_steps),
                spikes=count_spikes(stack.losses[replica].numpy()),
                fork_state_hash=stack.fork_hashes[replica] if stack.fork_hashes else None,
                notes=(*self._notes, *stack.notes),
                weights=weights[replica],
                layout=stack.model.layout,
                points=tuple(stack.points[replica]),
            )
        return trained

    def _load(self, states: PackStates | None) -> StackState | None:
        if not states:
            return None
        state, note = states.load()
        if note:
            self._notes.append(note)
        return state

    def _keep(self, state: Callable[[], StackState], states: PackStates | None) -> None:
        """Save what a kill may undo; a full disk costs that, and not the run."""
        if not states:
            return
        try:
            self._clock.time(lambda: states.save(state()))
        except OSError as error:
            note = f"a state could not be written ({error.strerror or error})"
            self._notes += [] if note in self._notes else [note]

    def _hashes(self, state: StackState) -> tuple[str, ...]:
        """Of each replica's state; of a sharded one, of all its shares together."""
        hashes = tuple(state.hash(replica) for replica in range(len(state.weights)))
        if not is_sharded(self._launch):
            return hashes
        shares = "".join(share for (share,) in gathered(hashes))
        return (hashlib.sha256(shares.encode()).hexdigest()[:16],)
