"""Was it so? What a proposal of runs promised, beside what its runs have made of the answer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.decisions.further_runs.next_runs import Aim, NextRuns, Width, answer_now, runs_alike
from analysis.display import Result
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True, repr=False)
class ProposalCheck(Result):
    """What was promised of proposed runs, and what came of it.

    Read it as: the interval was to go from ``before`` to ``promised`` and is ``measured`` now.
    """

    target_flops: float
    aim: Aim
    proposed: int  # runs, seeds counted
    landed: int  # of them, by size and tokens, beyond those that the table had
    before: Width
    promised: Width
    measured: Width
    interval_before: tuple[float, float]
    interval_now: tuple[float, float]
    centre: float | None  # of the answer now; None where it is no number to read
    source: str
    data_hash: str
    limits: tuple[Limit, ...] = ()

    @property
    def share_of_promise(self) -> float:
        """The log width now over the one that was promised; above 1 it is wider."""
        return float(np.log(self.measured.factor) / np.log(self.promised.factor))

    @property
    def held(self) -> bool | None:
        """Whether the answer now lies in the interval of before; None where it is no number."""
        if self.centre is None:
            return None
        low, high = self.interval_before
        return low <= self.centre <= high

    def to_frame(self) -> "DataFrame":
        """One row: before, promised, measured (each high over low end), proposed, landed, held."""
        import pandas as pd

        row = {
            "target_flops": self.target_flops,
            "before": self.before.factor,
            "promised": self.promised.factor,
            "measured": self.measured.factor,
            "proposed": self.proposed,
            "landed": self.landed,
            "held": self.held,
        }
        return pd.DataFrame([row])


def check_proposal(
    proposal: NextRuns, records: Source, *, options: ForecastOptions = DEFAULT
) -> ProposalCheck:
    """What the runs of a proposal have made of its answer, from a table that holds them now.

    Raises ForecastError where nothing was proposed, where none of the runs has landed, and where
    the table gives no forecast.
    """
    if proposal.after is None:
        raise ForecastError("the proposal holds no run: nothing was promised")
    records = records_from(records)
    if records.data_hash == proposal.data_hash:
        raise ForecastError(
            f"{records.source}: the runs are those that the proposal was made from; train what it "
            "proposes first"
        )
    landed = sum(
        min(run.times, max(0, runs_alike(run, records) - run.had)) for run in proposal.runs
    )
    count = sum(run.times for run in proposal.runs)
    if not landed and proposal.runs:
        raise ForecastError(
            f"{records.source}: none of the {counted(count, 'proposed run')} is among its runs; "
            "train them first, or name the table that has them"
        )
    width, interval, centre = answer_now(
        records, proposal.target_flops, proposal.aim, options=options
    )
    limits = [*records.usable().left_out(LimitCode.PROVISIONAL)]
    if landed < count:
        text = (
            f"{landed} of {counted(count, 'proposed run')} have landed: what was promised is of all"
        )
        limits.append(Limit(LimitCode.WAITING, text))
    others = len(records.usable()) - proposal.usable_now - landed
    if others > 0:
        text = f"{counted(others, 'further run')} landed that the proposal does not have"
        limits.append(Limit(LimitCode.ALTERED, text))
    return ProposalCheck(
        target_flops=proposal.target_flops,
        aim=proposal.aim,
        proposed=count,
        landed=landed,
        before=proposal.now,
        promised=proposal.after,
        measured=width,
        interval_before=proposal.interval_now,
        interval_now=interval,
        centre=centre if width.supported else None,
        source=records.source,
        data_hash=records.data_hash,
        limits=tuple(limits),
        notes=records.told,
    )
