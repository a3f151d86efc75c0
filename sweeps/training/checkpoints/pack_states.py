"""Where the states of a pack lie on disk: a file a replica, and on several devices a file a share.

A replica's state belongs to its runs alone, so a pack that is put together anew (another K, runs
added or taken away) goes on from what its members had reached.
"""

from dataclasses import dataclass
from pathlib import Path

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig
from sweeps.planning.packing import Pack, Row, state_name
from sweeps.training.checkpoints.stack_state import StackState
from sweeps.training.checkpoints.state_file import CheckpointFile
from sweeps.training.devices.process_group import gathered, rank
from sweeps.training.devices.strategy import is_sharded


@dataclass(frozen=True, kw_only=True)
class PackStates:
    """The states of one kind (`trunk`, or `branch`) of the replicas of a pack."""

    files: tuple[CheckpointFile, ...]
    """One a replica; of a sharded run, that of this process."""
    writes: bool
    """False on processes that hold what another one writes."""

    @classmethod
    def of(cls, pack: Pack, folder: Path, kind: str, launch: LaunchConfig) -> "PackStates":
        """The states of a pack in a folder; `launch` says whether they are shares."""
        share = f".{rank()}of{launch.world_size}" if is_sharded(launch) else ""
        return cls(
            files=tuple(_file(row, folder, kind + share) for row in pack.replicas),
            writes=is_sharded(launch) or rank() == 0,
        )

    def save(self, state: StackState) -> None:
        """Write a new generation of each file; the ones before stay."""
        if self.writes:
            for replica, file in enumerate(self.files):
                file.save(state.part(slice(replica, replica + 1)).content())
        gathered(None)  # a process may not run ahead by two generations

    def load(self) -> tuple[StackState | None, str]:
        """The latest state that all files have, and what had to be passed over; every process that
        trains the pack has to call it.

        A kill may have come between two files; the others still have the generation before. Raises
        ConfigError where there are states, but shared among another number of devices.
        """
        for file in self.files:
            _refuse_other_shares(file.path)
        latest = [file.load() for file in self.files]
        notes = [one.note for one in latest if one is not None and one.note]
        steps = [one.content.get("step", 0) if one is not None else 0 for one in latest]
        step = min(min(steps) for steps in gathered(steps))
        found = [
            one if one is not None and one.content.get("step") == step else file.load(step)
            for file, one in zip(self.files, latest, strict=True)
        ]
        whole = all(one is not None and one.content for one in found)
        if not all(gathered(whole)):
            if any(steps) and not notes:
                notes = [f"{self.files[0].path}: others of its step are gone; started anew"]
            return None, "; ".join(notes)
        parts = [StackState.from_content(one.content) for one in found if one is not None]
        return StackState.of_parts(parts), "; ".join(notes)

    def remove(self) -> None:
        """Delete the files."""
        if self.writes:
            for file in self.files:
                file.remove()


def parts_alike(pack: Pack, folder: Path) -> tuple[Pack, ...]:
    """The pack in parts whose replicas have reached the same step, so that none has to start anew
    because it shares the pack with others."""
    if len(pack.replicas) == 1:
        return (pack,)
    steps = {row: _steps(_file(row, folder, "trunk")) for row in pack.replicas}
    if set.intersection(*steps.values()):
        return (pack,)
    parts: dict[int, list[Row]] = {}
    for row in pack.replicas:
        parts.setdefault(max(steps[row]), []).append(row)
    return tuple(Pack(replicas=tuple(rows)) for _, rows in sorted(parts.items(), reverse=True))


def _steps(file: CheckpointFile) -> set[int]:
    """The steps that a replica can go on from; 0, the start, only where there is nothing else."""
    return set(file.steps()) or {0}


def _refuse_other_shares(path: Path) -> None:
    """A run does not start anew, silently, because the devices have become more or fewer."""
    if path.exists():
        return
    key, kind, *share = path.name.split(".")
    for other in path.parent.glob(f"{key}.{kind}*"):
        found = [part for part in other.name.split(".")[2:] if "of" in part]
        if [part.split("of")[1] for part in found] != [part.split("of")[1] for part in share]:
            had = f"{found[0].split('of')[1]} devices by fsdp" if found else "no devices"
            raise ConfigError(
                f"{other}: this state is shared among {had}; go on with the "
                "launch.resources.devices, nodes and strategy of then, or delete it to start anew"
            )


def _file(row: Row, folder: Path, kind: str) -> CheckpointFile:
    run = row[0]
    return CheckpointFile(
        path=folder / f"{state_name(row)}.{kind}",
        identity={
            "runs": " ".join(run.run_id for run in row),
            "data": run.data.data_hash,
            "validation set": run.data.eval_hash,
            "tokenizer": run.data.tokenizer_hash,
            "recipe": run.recipe_hash,
            "order of weights": "heads in pairs",
        },
    )
