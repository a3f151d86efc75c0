"""What a worker needs to train the runs of one pack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.errors import CorpusError
from scaling.store.connection.state_folder import state_dir
from scaling.store.run_store import RunStore
from sweeps.config.data import DataConfig
from sweeps.config.launch import LaunchConfig
from sweeps.config.probes import ProbesConfig
from sweeps.config.recipe import Recipe
from sweeps.config.sweep import HealthConfig
from sweeps.multi_device.rendezvous import Allocation
from sweeps.planning.packing import Pack
from sweeps.planning.run_plan import RunPlan
from sweeps.planning.variants.arms import PlannedCheck

if TYPE_CHECKING:
    from sweeps.data.sources.base import Corpus


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to train the runs of one pack."""

    pack: Pack
    todo: frozenset[str]
    """Run ids of the pack that the store does not hold yet."""
    data: DataConfig
    launch: LaunchConfig
    store: RunStore
    checked: Mapping[str, PlannedCheck] = field(default_factory=dict)
    """By run id, the checks that runs carry for their shape; where nothing is to be trained, of
    those that finished without it."""
    health: HealthConfig = HealthConfig()
    """How that check is done."""
    recipe: Recipe | None = None
    """What it varies; None where it varies the learning rate alone."""
    probes: ProbesConfig = ProbesConfig()
    """What is asked of each model besides its loss."""
    stops_settled: bool = False
    """Whether the driver may ask for the end of runs whose outcome is settled."""
    allocation: Allocation | None = None
    """The nodes of the task, from its launcher, where it has several."""
    state_dir: str | None = field(default_factory=state_dir)
    """Where the driver was told to keep what is its own; a worker that was told nothing keeps its
    own there too, and finds what the driver made for all, such as an autoencoder."""

    @classmethod
    def of_one(
        cls, run: RunPlan, data: DataConfig, launch: LaunchConfig, store: RunStore
    ) -> "Task":
        """The task of a run that shares its training with no other."""
        pack, todo = Pack(replicas=((run,),)), frozenset([run.run_id])
        return cls(pack=pack, todo=todo, data=data, launch=launch, store=store)

    @property
    def runs(self) -> tuple[RunPlan, ...]:
        """The runs whose results are wanted."""
        return tuple(run for run in self.pack.runs if run.run_id in self.todo)

    @property
    def may_settle(self) -> bool:
        """Whether its runs can be stopped: none is to be measured, and nothing else goes on."""
        kept = any(run.held_out or run.run_id in self.checked for run in self.runs)
        alone = len(self.pack.columns) == 1 and self.launch.world_size == 1
        return self.stops_settled and alone and not kept

    @property
    def checkpoint_folder(self) -> Path:
        """Where the states of unfinished runs lie."""
        return Path(self.launch.checkpoints.folder)

    def load_corpus(self) -> "Corpus":
        """What its runs train on, with this process made fit to train.

        Raises CorpusError where it is not what the sweep was planned with.
        """
        from sweeps.data.registry import load_corpus
        from sweeps.training.pack import settle_process

        settle_process(self.launch.resources.threads)
        first = self.pack.runs[0]
        corpus = load_corpus(self.data, first.shape.context)
        if corpus.facts != first.data:
            raise CorpusError("the text has changed since the sweep was planned; plan it again")
        return corpus
