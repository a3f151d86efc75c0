"""A law found from runs in any variables: search, blocked backtests, ranking, ensemble."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.discovery.backtest import Backtested, backtest_form
from analysis.discovery.blocks import Block, Direction, blocks, towards, upwards
from analysis.discovery.dependence import LEVEL as CHANCE_LEVEL
from analysis.discovery.dependence import chance_of_no_law
from analysis.discovery.ensemble import Ensemble, weigh
from analysis.discovery.forms.form import Form
from analysis.discovery.forms.given import GivenForm, given_form
from analysis.discovery.forms.table import Arranged, arrange
from analysis.discovery.hidden_runs import hidden_runs
from analysis.discovery.predictions import point_predictions
from analysis.discovery.ranking import found_forms, separating_runs, undecided
from analysis.discovery.reading import SearchedRuns, read_points, read_table, require_defined
from analysis.discovery.result import Discovery
from analysis.discovery.search import Candidate, Search, best_fit, thinned
from analysis.fitting.problem import check_fixed
from analysis.intervals import LEVEL
from scaling.arrays import FloatArray, IntArray
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.written.formula import Formula, law_for
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.tables.notes import printable
from scaling.words import counted

PRICE = 0.03  # of a constant, in the logarithm of the backtests' error
LEAST_SKILL = 0.1  # of hidden runs' squared error, below which no law is claimed

Asked = str | Formula | type[Law]  # a law, by its name, its arithmetic or itself
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is at most."""


def discover(
    source: Source,
    inputs: Sequence[str] = (),
    *,
    law: Asked | Sequence[Asked] | None = None,
    fix: Mapping[str, float] | None = None,
    by: str | None = None,
    along: Sequence[str] = (),
    at: pd.DataFrame | None = None,
    confidence_levels: Sequence[float] = (LEVEL,),
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Discovery:
    """Find which laws the loss of runs follows in these input columns, and how sure that is.

    Forms of a stated grammar (`analysis.discovery.forms`) are fitted by variable
    projection and judged by blocked backtests: the end of the data in the direction asked for is
    hidden at several cuts, and so is each fifth of the points in turn. The direction is that of the
    points ``at`` where these lie beyond the runs, or upwards in the columns ``along``, or upwards
    in every input. ``by`` is a column of groups: one form, constants of its own for each, of which
    the exponents may be shared where that extrapolates better. The best forms predict ``at``
    together, weighted by their backtests. With ``law``, a formula of any columns or the name of a
    law, or several, nothing is searched: each is fitted, backtested and predicted with in the same
    way, with the constants of ``fix`` held where it is one.

    No law is claimed where permuted targets do as well, or hidden runs are predicted no better than
    by their mean; no winner is named where backtests cannot tell forms apart. The same seed gives
    the same answer. An interrupt (Ctrl-C) ends the search with what was found.

    Raises RecordError for a missing column and FitError for runs that no search can work with.
    """
    records = records_from(source)
    laws = _given(law, records, fix or {})
    columns = dict.fromkeys(name for one in laws for name in one.inputs) if laws else inputs
    read = read_table(records, tuple(columns), by)
    asked = None if at is None else read_points(at, read)
    for one in laws:
        require_defined(one, read, asked)
    directions = _directions(read, along, asked)
    table = read.table
    rng = np.random.default_rng(seed)
    chance = chance_of_no_law(table, rng)
    start = _Outcome(read, seed, chance, tuple(d.label for d in directions), dict(fix or {}))
    if chance > CHANCE_LEVEL:
        return start.without_law(
            f"{chance:.0%} of permuted targets are explained as well by the best single term: "
            "nothing shows that the values depend on these inputs"
        )
    with np.errstate(all="ignore"):
        given = [given_form(one, table, fix or {}) for one in laws]
        return _searched(start, directions, asked, confidence_levels, on_progress, given)


def _given(
    law: Asked | Sequence[Asked] | None, records: Records, fix: Mapping[str, float]
) -> tuple[type[Law], ...]:
    """The laws that were given, on the columns of these runs."""
    if law is None:
        asked: Sequence[Asked] = ()
    else:
        asked = (law,) if isinstance(law, str | Formula | type) else law
    laws = tuple(dict.fromkeys(law_for(one, records) for one in asked))
    if len(laws) == 1:
        check_fixed(laws[0], fix)
    elif fix:
        raise FitError("--fix holds a constant of one law; name it with --law")
    return laws


@dataclass(frozen=True)
class _Outcome:
    """What every answer of a search says."""

    read: SearchedRuns
    seed: int
    chance: float
    directions: tuple[str, ...]
    fixed: Mapping[str, float]

    def without_law(self, why: str, fitted: int = 0, skill: float | None = None) -> Discovery:
        return self.answered(
            claimed=False,
            skill=skill,
            forms_fitted=fitted,
            limits=(*self.read.limits, Limit(LimitCode.NO_LAW, f"no law is claimed: {why}")),
        )

    def answered(self, **found: object) -> Discovery:
        records, table = self.read.records, self.read.table
        usual: dict[str, object] = {"winner": None, "forms": (), "separating": (), "stretch": None}
        usual |= {"hidden_runs": (), "predictions": (), "interrupted": False}
        return Discovery(
            source=records.source,
            data_hash=records.data_hash,
            inputs=table.names,
            target=records.names.get("loss", "loss"),
            errors_are="relative" if table.is_relative else "standard deviations of the value",
            standard_deviation=float(table.y.std()),
            by=self.read.by,
            groups=self.read.groups,
            runs=len(table.y),
            directions=self.directions,
            fixed=self.fixed,
            chance=self.chance,
            seed=self.seed,
            notes=records.told,
            read=self.read,
            **{**usual, **found},  # type: ignore[arg-type]
        )


def _directions(
    read: SearchedRuns, along: Sequence[str], asked: tuple[FloatArray, IntArray] | None
) -> list[Direction]:
    if not along:
        return upwards(read.table) if asked is None else towards(read.table, asked[0])
    places = []
    for name in along:
        ours = read.records.name_of(name)
        if ours not in read.table.names:
            have = ", ".join(map(printable, read.table.names))
            raise FitError(f"--along {printable(name)} is none of the inputs ({have})")
        places.append(read.table.names.index(ours))
    return upwards(read.table, places)


def _searched(
    start: _Outcome,
    directions: list[Direction],
    asked: tuple[FloatArray, IntArray] | None,
    levels: Sequence[float],
    on_progress: Progress | None,
    given: Sequence[GivenForm],
) -> Discovery:
    table = start.read.table
    centres = table.centres()
    arranged = arrange(table, centres)
    if not given:
        candidates, fitted, interrupted = _candidates(start, centres, on_progress)
    else:
        interrupted = False
        candidates = [one for form in given for one in _fits_of(form, start, centres)]
        fitted = len(candidates)
    hidden = blocks(table, directions, np.random.default_rng(start.seed))
    backtested: list[Backtested] = []
    try:
        for number, candidate in enumerate(candidates):
            with suppress(np.linalg.LinAlgError):  # a form that hidden runs leave undetermined
                backtested.append(backtest_form(candidate, table, arranged, hidden, PRICE))
            _tell(on_progress, "backtesting", number + 1, len(candidates))
    except KeyboardInterrupt:
        interrupted = True
    if not backtested:
        why = "interrupted before any form was judged" if interrupted else "no form could be judged"
        return start.without_law(why, fitted)
    ensemble = weigh(backtested, hidden, table, arranged, centres)
    mean = Candidate(Form(), False, np.zeros((table.groups, 0)), 0.0)
    skill = _skill(ensemble.members[0], backtest_form(mean, table, arranged, hidden, PRICE), hidden)
    if skill < LEAST_SKILL:
        return start.without_law(
            f"hidden runs were predicted no better than by their mean (skill {skill:.2f})",
            fitted,
            skill,
        )
    return _claimed(start, ensemble, hidden, asked, levels, skill, fitted, interrupted)


def _claimed(
    start: _Outcome,
    ensemble: Ensemble,
    hidden: Sequence[Block],
    asked: tuple[FloatArray, IntArray] | None,
    levels: Sequence[float],
    skill: float,
    fitted: int,
    interrupted: bool,
) -> Discovery:
    read = start.read
    forms = found_forms(ensemble, hidden, read)
    rivals = undecided(ensemble, hidden)
    limits = list(read.limits)
    if rivals:
        others = counted(rivals, "other form")
        text = f"backtests cannot tell the first form and {others} apart: no winner is named"
        limits.append(Limit(LimitCode.NO_WINNER, text))
    if not any(block.along for block in hidden):
        where = "the points lie among the runs" if asked else "no input has an end to hide"
        limits.append(
            Limit(LimitCode.INTERPOLATED, f"{where}: backtests hid points inside the data")
        )
    if interrupted:
        text = f"interrupted: the best of the {counted(fitted, 'form')} fitted so far"
        limits.append(Limit(LimitCode.NOT_CONVERGED, text))
    predictions = () if asked is None else point_predictions(ensemble, read, *asked, levels)
    return start.answered(
        claimed=True,
        skill=skill,
        forms_fitted=fitted,
        winner=None if rivals else forms[0].formula,
        forms=forms,
        separating=separating_runs(ensemble, read, asked),
        stretch=ensemble.stretch,
        hidden_runs=hidden_runs(ensemble, hidden, read),
        predictions=predictions,
        interrupted=interrupted,
        limits=tuple(limits),
        ensemble=ensemble,
    )


def _candidates(
    start: _Outcome, centres: tuple[float, ...], on_progress: Progress | None
) -> tuple[list[Candidate], int, bool]:
    """The forms to backtest, how many were fitted, and whether an interrupt ended the search."""
    table = start.read.table
    small = thinned(table, np.random.default_rng(start.seed))
    arranged: Arranged = arrange(small, centres)
    found: list[Candidate] = []
    fitted = 0
    for shared in (False, True) if table.groups > 1 else (False,):
        search = Search(small, arranged, np.random.default_rng(start.seed), shared)
        what = "searching, exponents shared by groups" if shared else "searching"
        found += search.run(lambda done, most, what=what: _tell(on_progress, what, done, most))  # type: ignore[misc]
        fitted += len(search.met)
        if search.interrupted:
            return found, fitted, True
    return found, fitted, False


def _fits_of(form: GivenForm, start: _Outcome, centres: tuple[float, ...]) -> list[Candidate]:
    """The best fit of a written law, with constants of each group, and with shared ones."""
    table = start.read.table
    rng = np.random.default_rng(start.seed)
    seen = arrange(thinned(table, rng), centres).seen
    starts = form.starts(table.inputs, table.y, rng)
    found = []
    for shared in (False, True) if table.groups > 1 else (False,):
        groups = 1 if shared else table.groups
        each = np.repeat(starts[:, None], groups, axis=1)
        theta, _ = best_fit(form, seen, each, shared, tried=32, polished=8)
        found.append(Candidate(form, shared, theta, 0.0))
    return found


def _skill(best: Backtested, mean: Backtested, hidden: Sequence[Block]) -> float:
    """The share of the mean's squared error, on points hidden inside the data, that is spared."""
    inside = [k for k, block in enumerate(hidden) if not block.along]
    ours, theirs = best.block_errors[inside] ** 2, mean.block_errors[inside] ** 2
    return float(1 - ours.sum() / max(theirs.sum(), 1e-300))


def _tell(on_progress: Progress | None, what: str, done: int, most: int) -> None:
    if on_progress is not None:
        on_progress(what, done, most)


def with_found_predictions(points: pd.DataFrame, found: Discovery) -> pd.DataFrame:
    """``points`` with the columns ``median``, ``low_90``, ``high_90`` ... of what was found.

    A point without support has no median. Raises FitError where no law was claimed.
    """
    from analysis.intervals import interval_columns

    if not found.claimed:
        raise FitError(next(iter(_texts(found))))
    added: dict[str, list[float | None]] = {"median": [p.median for p in found.predictions]}
    columns = [interval_columns(p.intervals) for p in found.predictions]
    added |= {name: [ends[name] for ends in columns] for name in columns[0]}
    if taken := [name for name in added if name in points.columns]:
        raise FitError(f'points: column "{taken[0]}" exists already; rename it first')
    return points.assign(**added)


def _texts(found: Discovery) -> Iterator[str]:
    return (limit.text for limit in found.limits if limit.code is LimitCode.NO_LAW)
