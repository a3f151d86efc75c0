"""Where the pages get their data. They know neither the run store nor the training."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from analysis.evaluation.verdicts import SealStanding
from analysis.forecasting.unfinished_runs import RunningForecast
from scaling.records import Records


class Load(Protocol):
    """How runs are read."""

    def __call__(self, source: str, *, columns: Mapping[str, str], where: Sequence[str]) -> Records:
        """The runs of a source, with columns mapped by hand (ours -> theirs) and filtered."""
        ...


def _none(source: str) -> None:
    return None


def _no_curves(source: str, run_ids: Collection[str] | None = None) -> None:
    return None


def _no_outlooks(source: str) -> dict[str, RunningForecast]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Feeds:
    """Where the pages get their data. Each call reads afresh; a ScalingError becomes one line."""

    sources: Callable[[], Sequence[str]]
    """Names of tables and sweeps to choose from."""
    load: Load
    seals: Callable[[], tuple[SealStanding, ...]]
    """Where every sealed forecast stands."""
    fingerprint: Callable[[str], Hashable] = _none
    """What changes whenever a source does, at next to no cost; None where nothing tells, and then
    it is read again every few seconds."""
    changed: Callable[[str], float | None] = _none
    """When a source changed last, seconds since 1970; None where nothing tells."""
    curves: Callable[[str, Collection[str] | None], pd.DataFrame | None] = _no_curves
    """Training curves (run_id, step, train_loss) of a sweep, of all runs or of those with these
    ids; None for a table."""
    outlooks: Callable[[str], Mapping[str, RunningForecast]] = _no_outlooks
    """Where running cells are heading, by run id."""
    ledger: Callable[[str], Mapping[str, Any] | None] = _none
    """Where the sweep stands against its plan, as `scaling status --json` tells; None of a table,
    and of a sweep whose plan is not kept."""
