"""The ranking as people read it: constants with intervals, rivals, and runs that would separate."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from analysis.discovery.backtest import Backtested, constant_spread
from analysis.discovery.blocks import Block
from analysis.discovery.ensemble import Ensemble
from analysis.discovery.forms.given import GivenForm
from analysis.discovery.reading import SearchedRuns
from analysis.discovery.result import FoundConstant, FoundForm, SeparatingRun
from analysis.intervals import Interval
from scaling.arrays import FloatArray, IntArray

_NORMAL_90 = 1.6448536
_TOLD = 3  # runs that separate forms
_LEAST_APART = 1.0  # of the spread that each form gives a run
_FURTHER = 4.0  # times the largest value of an input
_MOST_PLACES = 400
_SURE = 2.0  # standard errors


def found_forms(
    ensemble: Ensemble, blocks: Sequence[Block], read: SearchedRuns
) -> tuple[FoundForm, ...]:
    """The members of the ensemble, best first."""
    return tuple(
        _found(one, float(weight), ensemble, blocks, read)
        for one, weight in zip(ensemble.members, ensemble.weights, strict=True)
    )


def _found(
    one: Backtested, weight: float, ensemble: Ensemble, blocks: Sequence[Block], read: SearchedRuns
) -> FoundForm:
    form, table = one.form, read.table
    places: dict[str, list[float]] = {}
    for block, error in zip(blocks, one.block_errors, strict=True):
        places.setdefault(block.along or "inside", []).append(float(error))
    outside, inside = form.named(_columns(read))
    free = [n for n, c in zip(inside, form.constants, strict=True) if not c.is_log]
    names = [str(n) for n in table.names]
    formula = form.written(names, ensemble.centres, _columns(read))
    return FoundForm(
        formula=formula,
        equation=form.law.form if isinstance(form, GivenForm) else f"L = {formula}",
        negative=(*(() if table.is_relative else outside[:1]), *free),
        constants_count=form.complexity,
        shares_exponents=one.candidate.shared,
        weight=weight,
        score=one.score,
        errors={k: float(np.sqrt(np.mean(np.square(v)))) for k, v in places.items()},
        fit_error=float(one.noise[-1]),
        constants=_constants(one, ensemble, read),
    )


def _columns(read: SearchedRuns) -> frozenset[str]:
    """What a name in a formula on this table may be taken for."""
    return frozenset((*map(str, read.records.table.columns), *read.records.names.values()))


def _constants(
    one: Backtested, ensemble: Ensemble, read: SearchedRuns
) -> dict[str, dict[str, FoundConstant]]:
    form = one.form
    outside, inside = form.named(_columns(read))
    spread = ensemble.stretch * constant_spread(form, ensemble.arranged.seen, one)
    found = {}
    for g, label in enumerate(read.groups):
        own = 0 if one.candidate.shared else g
        coefficients = one.solved.coefficients[-1, g, : len(outside)]
        values = np.concatenate([coefficients, one.solved.theta[-1, own]])
        is_log = [False] * len(outside) + [c.is_log for c in form.constants]
        told = {}
        for name, value, sd, log in zip(
            (*outside, *inside), values, spread[g], is_log, strict=True
        ):
            if not name:  # a written law without a floor
                continue
            ends = value - _NORMAL_90 * sd, value + _NORMAL_90 * sd
            if name in outside and (read.table.is_relative or name != outside[0]):
                ends = max(ends[0], 0.0), ends[1]
            if log:
                value, ends = np.exp(value), (np.exp(ends[0]), np.exp(ends[1]))
            if name in inside:
                value, *ends = np.clip([value, *ends], *form.ends(name))
            told[name] = FoundConstant(
                value=float(value), interval=Interval(float(ends[0]), float(ends[1]))
            )
        found[label] = told
    return found


def undecided(ensemble: Ensemble, blocks: Sequence[Block]) -> int:
    """How many other members the backtests do not set apart from the best: the mean difference of
    log errors over the blocks is within two of its standard errors."""
    best, *rest = ensemble.members
    beyond = [k for k, block in enumerate(blocks) if block.along]
    own = beyond if len(beyond) > 2 else list(range(len(blocks)))
    count = 0
    for other in rest:
        if other.form.key == best.form.key:  # the same form, with other constants shared
            continue
        gaps = np.log(other.block_errors[own] / best.block_errors[own])
        error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.inf
        count += not (gaps.mean() > _SURE * error)
    return count


def separating_runs(
    ensemble: Ensemble, read: SearchedRuns, asked: tuple[FloatArray, IntArray] | None
) -> tuple[SeparatingRun, ...]:
    """The places at which the members differ most, of the points asked for, or up to four times as
    far as the runs reach."""
    if len(ensemble.members) < 2:
        return ()
    inputs, group = _places(read) if asked is None else asked
    found = ensemble.predict(inputs, group)
    weights = ensemble.weights[:, None]
    values = np.log(np.maximum(found.medians, 1e-300)) if found.is_relative else found.medians
    middle = (weights * values).sum(axis=0)
    between = np.sqrt((weights * (values - middle) ** 2).sum(axis=0))
    within = np.sqrt((weights * found.deviations**2).sum(axis=0)) / ensemble.stretch
    apart = between / within
    order = np.argsort(-np.nan_to_num(apart))[:_TOLD]
    return tuple(
        SeparatingRun(
            at=dict(zip(read.table.names, map(float, inputs[k]), strict=True)),
            group=read.groups[int(group[k])],
            apart=float(apart[k]),
            medians=tuple(float(v) for v in found.medians[:, k]),
        )
        for k in order
        if apart[k] > _LEAST_APART
    )


def _places(read: SearchedRuns) -> tuple[FloatArray, IntArray]:
    """Combinations of the middle, the largest, and four times the largest of each input; mixtures
    are those of the runs."""
    table = read.table
    if any(role == "proportion" for role in table.roles):
        return table.inputs, table.group
    axes = [
        (float(np.median(x)), float(x.max()), _FURTHER * float(x.max())) for x in table.inputs.T
    ]
    rows = np.array(list(product(*axes))[:_MOST_PLACES])
    groups = np.repeat(np.arange(len(read.groups)), len(rows))
    return np.tile(rows, (len(read.groups), 1)), groups
