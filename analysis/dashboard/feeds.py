"""Where the pages get their data. They know neither the run store nor the training."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from analysis.decisions.further_runs.next_runs import NextRuns
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer
from analysis.evaluation.verdicts import SealStanding
from analysis.forecasting.unfinished_runs import RunningForecast
from scaling.laws.written.formula import Formula
from scaling.records import Records


class Load(Protocol):
    """How runs are read."""

    def __call__(self, source: str, *, columns: Mapping[str, str], where: Sequence[str]) -> Records:
        """The runs of a source, with columns mapped by hand (ours -> theirs) and filtered."""
        ...


class Offer(Protocol):
    """What the recipe of a sweep can build within a budget, and how its config grows by it."""

    @property
    def name(self) -> str:
        """The sweep's name."""
        ...

    @property
    def offer(self) -> tuple[RunOnOffer, ...]:
        """The runs with what each costs."""
        ...

    @property
    def checks_flops(self) -> float | None:
        """What checks of learning rates cost; None where there are none to make."""
        ...

    def cells(self, found: NextRuns) -> str:
        """The new cells as YAML."""
        ...

    def document(self, found: NextRuns) -> str:
        """The proposal as JSON."""
        ...

    def text(self, found: NextRuns, document: str, path: str) -> str:
        """The config that trains what was proposed."""
        ...

    def over_budget(self, found: NextRuns) -> str:
        """That the runs together take more than the budget, if they do."""
        ...


def _none(source: str) -> None:
    return None


def _no_curves(source: str, run_ids: Collection[str] | None = None) -> None:
    return None


def _no_offer(source: str, budget: float) -> None:
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
    laws: Mapping[str, Formula] = field(default_factory=dict)
    """Formulas that may be chosen as a law, by name."""
    offer: Callable[[str, float], Offer | None] = _no_offer
    """The runs that a sweep's recipe builds within a budget, FLOP; None of a table."""
