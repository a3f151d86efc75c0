"""Which runs are trained as one: replicas of a stack, and branches of a trunk.

Runs of one shape, batch and length differ in seed, learning rate or data order alone. Trained as
replicas of one stack they share every kernel launch, which is most of the cost of a small model.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.config.launch import LaunchConfig
from sweeps.planning.gpus import uses_cuda, workers_for
from sweeps.planning.run_plan import RunPlan

_MOST_ON_CPU = 8
_CPU_ENTRIES = 65536  # of the residual stream in a step: more, and a core's caches overflow
_MOST_ON_CUDA = 64
_CUDA_TOKENS = 65536  # a step of this many tokens keeps one GPU busy
_CUDA_WIDEST = 320  # a single wider model fills it by itself


#: The runs of one replica: a trunk with its branches, the shortest first.
Row = tuple[RunPlan, ...]


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Runs trained together, as a table: a row a replica of the stack, a column a horizon.

    A row of several runs is a trunk with its branches, the shortest first.
    """

    replicas: tuple[Row, ...]

    @property
    def columns(self) -> tuple[tuple[RunPlan, ...], ...]:
        """The runs that end at the same step, by ascending horizon."""
        return tuple(zip(*self.replicas, strict=True))

    @property
    def runs(self) -> tuple[RunPlan, ...]:
        """All of them, by ascending horizon."""
        return tuple(run for column in self.columns for run in column)

    @property
    def key(self) -> str:
        """Identity: what its checkpoints are called."""
        ids = "".join(run.run_id for run in self.runs)
        return hashlib.sha256(ids.encode()).hexdigest()[:16]

    @property
    def train_flops(self) -> int:
        """FLOP to be spent: each trunk once."""
        return sum(run.marginal_flops for run in self.runs)

    def halves(self) -> tuple["Pack", "Pack"]:
        """The same runs as two packs."""
        middle = len(self.replicas) // 2
        return Pack(replicas=self.replicas[:middle]), Pack(replicas=self.replicas[middle:])


def pack_runs(runs: Sequence[RunPlan], launch: LaunchConfig) -> tuple[Pack, ...]:
    """The runs as packs, in the order in which their first runs come.

    As many replicas share a pack as `replicas_for` says, but no worker is left without one.
    """
    alike: dict[object, list[Row]] = {}
    for row in trunk_rows(runs):
        alike.setdefault(tuple(map(stack_key, row)), []).append(row)
    packs = [
        Pack(replicas=tuple(rows[first : first + size]))
        for rows in alike.values()
        for size in [replicas_for(rows[0][-1], launch)]
        for first in range(0, len(rows), size)
    ]
    workers = workers_for(launch)
    while packs and len(packs) < workers:
        largest = max(packs, key=lambda pack: (len(pack.replicas) > 1, pack.train_flops))
        if len(largest.replicas) == 1:
            break
        packs.remove(largest)
        packs.extend(largest.halves())
    order = {run.run_id: place for place, run in enumerate(runs)}
    return tuple(sorted(packs, key=lambda pack: min(order[run.run_id] for run in pack.runs)))


def trunk_rows(runs: Iterable[RunPlan]) -> list[Row]:
    """The runs by the trunk that they share, each by ascending horizon."""
    trunks: dict[str, list[RunPlan]] = {}
    for run in runs:
        trunks.setdefault(run.trunk_id, []).append(run)
    return [tuple(sorted(trunk, key=lambda run: run.settings.steps)) for trunk in trunks.values()]


def state_name(row: Row) -> str:
    """What the states of a replica are called on disk: they belong to its runs alone."""
    ids = " ".join(run.run_id for run in row)
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def runs_with_states(runs: Iterable[RunPlan], launch: LaunchConfig) -> frozenset[str]:
    """Run ids of those that would go on from a state in `launch.checkpoints.folder`."""
    folder = Path(launch.checkpoints.folder)
    kept = {path.name.split(".")[0] for path in folder.glob("*.*")}
    rows = (row for row in trunk_rows(runs) if state_name(row) in kept)
    return frozenset(run.run_id for row in rows for run in row)


def stack_key(run: RunPlan) -> object:
    """What replicas of one stack must agree in."""
    settings = run.settings
    return (
        run.shape,
        run.data,
        run.family,
        run.objective,
        run.targets,
        run.held_out,
        run.rotary_base,
        run.precision,
        settings.batch_sequences,
        settings.steps,
        settings.fork_step if run.branch else None,
        settings.residual_scale,
        settings.tied_logit_factor,
        settings.z_loss,
        settings.beta1,
    )


def replicas_for(run: RunPlan, launch: LaunchConfig) -> int:
    """How many replicas of this model one device trains best together, or `launch.speed.pack`.

    On a CPU, as many as the caches hold: measured, see docs/log.md. On a GPU, as many as give a
    step tokens enough to fill it.
    """
    if launch.speed.pack is not None:
        return launch.speed.pack
    if uses_cuda(launch):
        if run.shape.width > _CUDA_WIDEST:
            return 1
        return min(_MOST_ON_CUDA, max(1, math.ceil(_CUDA_TOKENS / run.batch_tokens)))
    return min(_MOST_ON_CPU, max(1, _CPU_ENTRIES // (run.batch_tokens * run.shape.width)))
