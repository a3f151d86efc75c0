"""From a table of runs to a well-posed fitting problem, or one line that says why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fitting.minimising.law_on_runs import model_of
from analysis.fitting.minimising.models.coordinates import Model, Tie
from analysis.fitting.result import Fit
from analysis.tuning.rungs import health_limits
from analysis.tuning.screening import screen
from scaling.answerable import no_law
from scaling.arrays import FloatArray, log_with_zeros
from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw
from scaling.laws.of_other_inputs.mixtures import MixtureLaw
from scaling.laws.written.formula import require_own_column, undefined_at
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.cells.proportions import columns_of_shares, odd_sum
from scaling.tables.notes import printable
from scaling.words import counted

#: how fast weights fall with compute in `weights="compute"`: 2 decades lower counts a third
_COMPUTE_WEIGHT_POWER = 0.25

_EQUAL, _BY_HEALTH, _GIVEN = "equal", "by rung health", "given by the caller"
_NOT_A_COLUMN = (_EQUAL, _BY_HEALTH, _GIVEN)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The numbers that a fit works on."""

    law: type[Law]
    columns: tuple[str, ...]
    records: Records  # the runs that are used; what was left out is in its ``dropped``
    inputs: tuple[FloatArray, ...]  # each (runs,)
    log_loss: FloatArray  # (runs,)
    weights: FloatArray  # (runs,), sum = runs
    labels: npt.NDArray[np.int64]  # (runs,) cluster number
    configurations: int
    fixed: Mapping[str, float]
    tied: Mapping[str, Tie]
    limits: tuple[Limit, ...]

    def model(
        self,
        rows: npt.NDArray[np.int64] | None = None,
        held: Mapping[str, float] | None = None,
    ) -> Model:
        """The law on these runs, or on some rows of them, with more constants held if asked."""
        some = slice(None) if rows is None else rows
        inputs = tuple(values[some] for values in self.inputs)
        return model_of(self.law, inputs, {**self.fixed, **(held or {})}, self.tied)


def pose(
    records: Records,
    law: type[Law],
    *,
    x: str | None,
    fixed: Mapping[str, float],
    weights: str | Sequence[float] | FloatArray | None,
    cluster: str | None,
    tied: Mapping[str, Tie] | None = None,
) -> Problem:
    """Screen the runs and check that they can determine the law's free constants."""
    columns = _columns(law, x)
    check_fixed(law, fixed)
    records, weight_column = _with_weights(records, weights)
    used = screen(
        records, *columns, *([weight_column] if weight_column else []), or_zero=law.may_be_zero
    )
    inputs = tuple(used.column(name) for name in columns)
    loss = used.column("loss")
    labels, configurations = _configurations(inputs, len(used))
    given = {*fixed, *(tied or {})}
    free = [name for name in law.constant_names() if name not in given]
    if len(used) == 0:
        raise FitError(f"{used.source}: no usable run is left{_why(used)}")
    reason = no_law(law, columns, inputs, configurations, tuple(free), tuple(fixed), _why(used))
    if reason is not None:
        raise FitError(f"{used.source}: {reason}")
    _check_floor(used, law, loss, fixed)
    _check_defined(used, law, columns, inputs)
    limits = []
    if configurations == len(free):
        text = (
            f"{counted(configurations, 'configuration')} for "
            f"{counted(len(free), 'free constant')}: the law passes "
            "through every point, and nothing is left to judge it by"
        )
        limits.append(Limit(LimitCode.FEW_RUNS, text))
    limits += health_limits(used, weighed=weights is None)
    if law.inputs[:2] == ("params", "tokens"):
        limits += _spread_limits(inputs)
    limits += _unread_limits(used, columns)
    if cluster is None:
        labels = _clusters(used, labels)
    else:
        used.require(cluster)
        labels = np.unique(used.table[cluster].astype(str), return_inverse=True)[1]
    return Problem(
        law=law,
        columns=columns,
        records=used,
        inputs=inputs,
        log_loss=np.log(loss),
        weights=_weights(used, weights, weight_column),
        labels=np.asarray(labels, dtype=np.int64),
        configurations=configurations,
        fixed=dict(fixed),
        tied=dict(tied or {}),
        limits=tuple(limits),
    )


def weights_in_words(weights: str | Sequence[float] | FloatArray | None, problem: Problem) -> str:
    """What the runs were weighted by, for the record of a fit."""
    if weights is None:
        return _EQUAL if np.ptp(problem.weights) == 0 else _BY_HEALTH
    return weights if isinstance(weights, str) else _GIVEN


def pose_again(fit: Fit, records: Records, tied: Mapping[str, Tie] | None = None) -> Problem:
    """The problem behind a fit, from the records that it was made of.

    Weights that the caller gave as numbers are not kept in a fit; runs then count equally.
    """
    return pose(
        records,
        type(fit.law),
        x=fit.columns[0] if len(fit.columns) == 1 else None,
        fixed=fit.fixed,
        weights=None if fit.weights in _NOT_A_COLUMN else fit.weights,
        cluster=None,
        tied=tied,
    )


def _columns(law: type[Law], x: str | None) -> tuple[str, ...]:
    require_own_column(law, x)
    if x is None:
        return law.inputs
    if len(law.inputs) > 1:
        raise FitError(
            f"--x {x}: {law.name} reads {', '.join(law.inputs)}; --x is for laws of one input "
            f"such as {PowerLaw.name}"
        )
    return (x,)


def check_fixed(law: type[Law], fixed: Mapping[str, float]) -> None:
    """Raise FitError for constants that the law has not, or cannot hold at these values."""
    for name, value in fixed.items():
        if name not in law.constant_names():
            raise FitError(
                f"--fix {name}={value}: {law.name} has no constant {name}; it has "
                f"{', '.join(law.constant_names())}"
            )
        if not np.isfinite(value):
            raise FitError(f"--fix {name}={value}: give a finite number")
        if name in law.positive and (value < 0 or (value == 0 and name != law.floor)):
            raise FitError(f"--fix {name}={value:g}: {name} of {law.name} cannot be below zero")
        low, high = law.bounds()[name]
        if not low <= value <= high:
            raise FitError(
                f"--fix {name}={value:g}: {name} of {law.name} is searched from {low:g} to {high:g}"
            )
    if len(fixed) == len(law.constant_names()):
        raise FitError(f"--fix names every constant of {law.name}; leave at least one to fit")


def check_given_once(
    fixed: Mapping[str, float], bounds: Mapping[str, object], tied: Mapping[str, str]
) -> None:
    """Raise FitError for a constant that is given in two ways, of which one would say nothing."""
    given = (("--fix", fixed), ("--tie", tied), ("--bound", bounds))
    for i, (flag, first) in enumerate(given):
        for other, second in given[i + 1 :]:
            if both := [name for name in first if name in second]:
                raise FitError(f"{flag} and {other} both give {printable(both[0])}; leave one out")


def _with_weights(
    records: Records, weights: str | Sequence[float] | FloatArray | None
) -> tuple[Records, str | None]:
    """The records with the column that weights come from, and its name."""
    if weights is None:
        return records, None
    if isinstance(weights, str):
        column = {"stderr": "loss_stderr", "compute": "train_flops"}.get(weights, weights)
        records.require(column)
        return records, column
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (len(records),):
        raise FitError(
            f"{counted(values.size, 'weight')} for {counted(len(records), 'run')}; "
            "give one weight a run"
        )
    return replace(records, table=records.table.assign(fit_weight=values)), "fit_weight"


def _weights(
    used: Records, weights: str | Sequence[float] | FloatArray | None, column: str | None
) -> FloatArray:
    if column is None and "health_weight" not in used:
        return np.ones(len(used))
    values = used.column(column or "health_weight")
    if isinstance(weights, str) and weights == "stderr":
        values = (used.column("loss") / values) ** 2
    elif isinstance(weights, str) and weights == "compute":
        values = (values / values.max()) ** _COMPUTE_WEIGHT_POWER
    return np.asarray(values * (len(values) / values.sum()))


def _configurations(inputs: tuple[FloatArray, ...], runs: int) -> tuple[npt.NDArray[np.int64], int]:
    """Runs with equal inputs are one configuration, whatever their seed."""
    if runs == 0:
        return np.zeros(0, np.int64), 0
    # twelve digits: 6 N D computed in another order is still the same configuration
    keys = np.stack([np.round(log_with_zeros(values), 12) for values in inputs], axis=1)
    order = np.lexsort(keys.T)
    fresh = np.r_[True, (np.diff(keys[order], axis=0) != 0).any(axis=1)]
    labels = np.empty(runs, np.int64)
    labels[order] = np.cumsum(fresh) - 1
    return labels, int(fresh.sum())


def _clusters(used: Records, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Runs of one configuration are one cluster, and so are those that share a past (`trunk`)."""
    if "trunk" not in used:
        return labels
    own = pd.Series(labels, index=used.table.index).astype("string")
    shared = used.table["trunk"].astype("string").fillna("configuration " + own)
    return np.asarray(shared.factorize()[0], dtype=np.int64)


def _spread_limits(inputs: tuple[FloatArray, ...]) -> list[Limit]:
    ratio = inputs[1] / inputs[0]
    decades = float(np.log10(ratio.max() / ratio.min()))
    if decades >= 1:
        return []
    text = (
        f"tokens per parameter span a factor of {10**decades:.3g}; below a factor of 10 the "
        "effects of size and data are hard to tell apart"
    )
    return [Limit(LimitCode.NARROW_RATIO, text)]


def _check_floor(
    used: Records, law: type[Law], loss: FloatArray, fixed: Mapping[str, float]
) -> None:
    floor = None if law.floor is None else fixed.get(law.floor)
    below = 0 if floor is None else int((loss <= floor).sum())
    if below:
        raise FitError(
            f"{used.source}: {below} of {len(loss)} losses are not above the fixed floor "
            f"{law.floor} = {floor:g} (lowest {loss.min():.4g}); fix it lower or leave it free"
        )


def _check_defined(
    used: Records, law: type[Law], columns: tuple[str, ...], inputs: tuple[FloatArray, ...]
) -> None:
    """Refuse runs where a formula has no value, and shares of a mixture that make no whole."""
    row = undefined_at(law, inputs, used.column("loss"))
    if row is not None:
        at = ", ".join(f"{printable(n)} = {v[row]:g}" for n, v in zip(columns, inputs, strict=True))
        raise FitError(
            f'{used.source}: "{printable(law.name)}" has no finite value in {used.row_names[row]} '
            f"({at}); choose another form, or leave such rows out with --where"
        )
    x, is_mixture = np.column_stack(inputs), issubclass(law, MixtureLaw)
    shares = tuple(range(x.shape[1])) if is_mixture else columns_of_shares(x)
    odd = odd_sum(x[:, shares]) if shares else None
    if odd is not None:
        named = ", ".join(printable(columns[i]) for i in shares)
        whole = f"{printable(law.name)} is of shares that add up" if is_mixture else "they add up"
        raise FitError(
            f"{used.source}: proportions ({named}) add up to {odd[1]:.4g} in "
            f"{used.row_names[odd[0]]}, and {whole} to 1{'' if is_mixture else ' in others'}; mend "
            "that row, or leave it out with --where"
        )


def _why(used: Records) -> str:
    if not used.dropped:
        return ""
    return (
        " (left out: " + ", ".join(f"{n} {why}" for why, n in used.dropped_by_reason.items()) + ")"
    )


#: Columns by which a law knows how long a run was trained; and by how much lengths may differ.
_LENGTHS = frozenset(("tokens", "train_flops", "steps", "unique_tokens"))
_ONE_LENGTH = 1.05


def _unread_limits(used: Records, columns: tuple[str, ...]) -> list[Limit]:
    """Of a law that reads no length, on runs that were not equally long."""
    if _LENGTHS & {*columns} or "tokens" not in used:
        return []
    tokens = used.column("tokens")
    tokens = tokens[np.isfinite(tokens) & (tokens > 0)]
    if not len(tokens) or tokens.max() <= _ONE_LENGTH * tokens.min():
        return []
    text = (
        f"the runs have {tokens.min():.3g} to {tokens.max():.3g} tokens, of which a law of "
        f"{' and '.join(columns)} reads nothing: what more of them did is taken for what size did; "
        "keep runs of one length with --where"
    )
    return [Limit(LimitCode.UNREAD, text)]
