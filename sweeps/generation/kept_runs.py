"""Which runs have kept their weights: by run id, by sweep, or by the file itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scaling.errors import ConfigError
from scaling.sources import STORED
from scaling.store.connection.tracking_uri import resolve_tracking_uri
from scaling.store.experiments import sweep_ids
from scaling.store.one_run.run_state import RunState
from scaling.store.run_store import RunStore
from scaling.tables.notes import printable
from scaling.words import counted
from sweeps.data.documents.tensor_files import SUFFIX
from sweeps.generation.weights import KeptModel, read_weights
from sweeps.models.registry import find_family
from sweeps.objectives.registry import find_objective

_ID_DIGITS = frozenset("0123456789abcdef")
_SHORTEST_BEGINNING = 4


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A run whose weights were kept, where they lie, and what the store says of it."""

    path: str
    run_id: str | None = None
    """None: of a file whose run nobody was asked about."""
    sweep: str | None = None
    sha256: str | None = None
    params: int | None = None
    loss: float | None = None

    def known(self) -> dict[str, Any]:
        """What every document says of the run beside its id and name."""
        return {
            "sweep": self.sweep,
            "params": self.params,
            "loss": self.loss,
            "weights_file": self.path,
        }

    def read(self, device: torch.device | None = None) -> KeptModel:
        """Its model, on that device (None: on the host); ConfigError where the file is not the one
        that the run wrote."""
        kept = read_weights(self.path, self.sha256, self.run_id)
        kept.model.to(device or torch.device("cpu"))
        return kept


@dataclass(frozen=True, kw_only=True)
class AskedRun:
    """A run that was asked something: which, and how it was computed."""

    run: KeptRun
    run_id: str
    name: str
    """Of the run, for people."""
    context: int
    source_tokens: int | None
    """Of a model that reads a source apart, which the prompt is then: tokens of one, at most."""
    source_length: int | None
    """Tokens that each source had in training; None: there was none apart, or they differed."""
    device: str
    """What it was computed on: `cpu` or `cuda`."""
    deterministic: bool
    """Whether by algorithms alone that repeat themselves to the last bit."""

    def asked(self) -> dict[str, Any]:
        """What every document says of it, for JSON."""
        return {
            "run_id": self.run_id,
            "name": self.name,
            **self.run.known(),
            "context": self.context,
            "source_tokens": self.source_tokens,
            "source_length": self.source_length,
            "device": self.device,
            "deterministic": self.deterministic,
        }


def facts_of(kept: KeptModel) -> dict[str, Any]:
    """Fields of an AskedRun that its model tells."""
    return {
        "run_id": kept.run_id,
        "name": kept.name,
        "context": kept.model.context,
        "source_tokens": kept.model.source_tokens or None,
        "source_length": kept.source_length,
    }


@dataclass(frozen=True, kw_only=True)
class KeptRuns:
    """The runs that a name stands for, smallest first."""

    runs: tuple[KeptRun, ...]
    without: int = 0
    """Finished runs of the sweep that have kept none."""


def kept_runs(source: str, where: Sequence[str] = ()) -> KeptRuns:
    """What a source names: a file of weights, a run id or its beginning (four digits at least) in
    any sweep of the run store, or a sweep, as mlflow:EXPERIMENT or by its name alone; of a sweep
    the runs that `where` keeps.

    Raises ConfigError where there is no such run, or several, or none that has kept weights.
    """
    if source.endswith(SUFFIX):
        _refuse(where, "a file")
        return KeptRuns(runs=(KeptRun(path=source),))
    if not source.startswith(STORED):
        if found := _by_id(source):
            _refuse(where, "a run id")
            return KeptRuns(runs=(found,))
        if source not in sweep_ids(resolve_tracking_uri()) and _may_be_id(source):
            raise ConfigError(
                f'no run id of the run store begins with "{source}", and no sweep has that name; '
                "name a sweep for all of its runs, each with its id"
            )
    return _of_sweep(source.removeprefix(STORED), where)


def check_continues(kept: KeptModel) -> None:
    """ConfigError for a model that gives no next token: it sees both sides, or its family cannot
    go on."""
    if find_objective(kept.objective).view != "past":
        raise ConfigError(
            f"run {kept.run_id}: a model of objective {kept.objective} sees both sides of a token "
            "and gives no next one; name a run of objective causal"
        )
    if "continue" not in find_family(kept.family).can:
        raise ConfigError(
            f"run {kept.run_id}: a model of family {kept.family} goes on from no prompt, and "
            "cannot be sampled or scored; name a run of another family"
        )


def _of_sweep(sweep: str, where: Sequence[str]) -> KeptRuns:
    store = RunStore.find(sweep)
    facts = store.facts()
    if where:
        left = set(store.read_records(where=where).table["run_id"].astype(str))
        facts = {run_id: one for run_id, one in facts.items() if run_id in left}
    finished = {i: one for i, one in facts.items() if one["status"] == RunState.FINISHED}
    runs = [_kept(run_id, one, sweep) for run_id, one in finished.items() if "weights_file" in one]
    if not runs:
        raise ConfigError(
            f"{STORED}{sweep}: {counted(len(finished), 'finished run')} and none with weights; "
            + _HOW
        )
    runs.sort(key=lambda run: (run.params or 0, facts[str(run.run_id)].get("tokens", 0)))
    return KeptRuns(runs=tuple(runs), without=len(finished) - len(runs))


_HOW = (
    "train with launch.keep_weights: true (runs that have finished are trained again under another "
    "name of the sweep)"
)


def _by_id(beginning: str) -> KeptRun | None:
    """The run whose id begins so; None where none does."""
    if not _may_be_id(beginning):
        return None
    found = {}
    for sweep in sorted(sweep_ids(resolve_tracking_uri())):
        for run_id, one in RunStore.find(sweep).facts().items():
            better = "weights_file" in one or run_id not in found
            if run_id.startswith(beginning) and better:
                found[run_id] = (sweep, one)
    if len(found) > 1:
        raise ConfigError(
            f'"{beginning}" begins the ids of {counted(len(found), "run")}: '
            f"{', '.join(sorted(found)[:6])}; give more of it"
        )
    for run_id, (sweep, one) in found.items():
        if one["status"] != RunState.FINISHED:
            raise ConfigError(
                f"run {run_id} of {STORED}{sweep} is {one['status']}; weights are kept of finished "
                "runs"
            )
        if "weights_file" not in one:
            raise ConfigError(f"run {run_id} of {STORED}{sweep} has kept no weights; {_HOW}")
        return _kept(run_id, one, sweep)
    return None


def _may_be_id(text: str) -> bool:
    return len(text) >= _SHORTEST_BEGINNING and set(text) <= _ID_DIGITS


def _kept(run_id: str, facts: Mapping[str, Any], sweep: str) -> KeptRun:
    return KeptRun(
        path=str(Path(facts["weights_file"])),
        run_id=run_id,
        sweep=sweep,
        sha256=str(facts.get("weights_sha256")),
        params=facts.get("params"),
        loss=facts.get("loss"),
    )


def _refuse(where: Sequence[str], what: str) -> None:
    if where:
        raise ConfigError(
            f"--where {printable(where[0])}: it chooses among the runs of a sweep, and {what} "
            "names one; drop it"
        )
