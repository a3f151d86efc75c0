"""Groups of runs as one fitting problem, in which they share some constants of a law."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from analysis.fitting.measurements.reach import reach_of
from analysis.fitting.minimising.models.coordinates import Tie
from analysis.fitting.problem import Problem
from analysis.fitting.refits.bootstrap import FEWEST_CLUSTERS_FOR_PAIRS, Resampling
from analysis.fitting.result import Fit
from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.grouped import GROUP, GroupedLaw, grouped_law
from scaling.records import Records
from scaling.words import counted


@dataclass(frozen=True)
class JointProblem:
    """The problems of groups, and the one that they make."""

    labels: tuple[str, ...]
    parts: tuple[Problem, ...]  # of each group, its runs and what is given of its constants
    shared: tuple[str, ...]

    @property
    def law(self) -> type[GroupedLaw]:
        """The law of all groups."""
        return grouped_law(self.parts[0].law, len(self.parts), self.shared)

    def problem(self, records: Records, fixed: Mapping[str, float] | None = None) -> Problem:
        """One problem of the runs of all groups. ``fixed`` are further constants, by the names of
        the law of groups. Raises FitError where the runs are fewer than the constants."""
        law, numbers = self.law, range(1, len(self.parts) + 1)
        tables = [
            part.records.table.assign(**{GROUP: float(g)})
            for g, part in zip(numbers, self.parts, strict=True)
        ]
        labels, first = [], 0
        for part in self.parts:
            labels.append(part.labels + first)
            first += int(part.labels.max()) + 1
        whole = Problem(
            law=law,
            columns=(*self.parts[0].columns, GROUP),
            records=replace(records, table=pd.concat(tables), dropped=()),
            inputs=tuple(map(np.concatenate, zip(*map(_inputs, numbers, self.parts), strict=True))),
            log_loss=np.concatenate([part.log_loss for part in self.parts]),
            weights=np.concatenate([part.weights for part in self.parts]),
            labels=np.concatenate(labels),
            configurations=sum(part.configurations for part in self.parts),
            fixed={**self.named([part.fixed for part in self.parts]), **(fixed or {})},
            tied=self._ties(),
            limits=(),
        )
        free = [n for n in law.constant_names() if n not in {*whole.fixed, *whole.tied}]
        if whole.configurations < len(free):
            raise FitError(
                f"{records.source}: {counted(len(self.parts), 'group')} that share "
                f"{', '.join(self.shared)} have {len(free)} free constants together, and "
                f"{counted(whole.configurations, 'configuration')}; add runs or share more"
            )
        return whole

    def named(self, of_groups: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Values of each group by the names of the law of groups."""
        law = self.law
        return {
            law.own(name, g): value
            for g, own in enumerate(of_groups, start=1)
            for name, value in own.items()
        }

    def _ties(self) -> dict[str, Tie]:
        law = self.law

        def of(tie: Tie, group: int) -> Tie:
            return lambda values: tie(law.of_group(values, group))

        return {
            law.own(name, g): of(tie, g)
            for g, part in enumerate(self.parts, start=1)
            for name, tie in part.tied.items()
        }

    @property
    def resampling(self) -> Resampling | None:
        """By residuals where a group is so small that resamples would often lack it."""
        fewest = min(int(part.labels.max()) + 1 for part in self.parts)
        return "wild" if fewest < FEWEST_CLUSTERS_FOR_PAIRS else None

    def apart(self, whole: Fit) -> dict[str, Fit]:
        """The fit of all groups as one of each."""
        law, base = self.law, self.parts[0].law
        found, first = {}, 0
        for g, (label, part) in enumerate(zip(self.labels, self.parts, strict=True), start=1):
            rows = range(first, first + len(part.log_loss))
            first = rows.stop
            own = partial(law.of_group, group=g)
            found[label] = replace(
                whole,
                law=base(**own(whole.law.constants())),
                draws=None if whole.draws is None else base(**own(whole.draws.constants())),
                columns=part.columns,
                reach=reach_of(part.records, part.columns),
                fixed=own(whole.fixed),
                bounds=own(whole.bounds),
                unidentified=own(whole.unidentified),
                limits=(*part.limits, *part.records.left_out()),
                n_runs=len(rows),
                n_configurations=part.configurations,
                dropped=part.records.dropped_by_reason,
                log_residuals=tuple(whole.log_residuals[i] for i in rows),
                rows=tuple(whole.rows[i] for i in rows),
                records=part.records,
            )
        return found


def _inputs(number: int, part: Problem) -> tuple[FloatArray, ...]:
    return (*part.inputs, np.full(len(part.log_loss), float(number)))


def law_with_floor(law: type[Law], floor: str) -> type[Law]:
    """The same law, of which this constant is the floor."""
    return type(law.__name__, (law,), {"floor": floor})
