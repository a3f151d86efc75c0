"""The cells that two arms have in common: runs of one size on so many tokens, or of one budget."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.columns import loss_unit
from scaling.errors import ForecastError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.tables.notes import printable

#: Ways to tell that runs of two arms belong together, the closest first.
KEYS: tuple[tuple[str, ...], ...] = (
    ("params", "tokens"),
    ("width", "depth", "tokens"),
    ("train_flops",),
)
_MUST_AGREE = ("eval_hash", "tokenizer_hash", "data", "objective")
_DIGITS = 6  # of a key of one arm
#: ln: how far numbers of two arms may differ that belong together. Tokens and budgets are those
#: of whole steps, whose batch a recipe may change.
_NEAR = {"params": 1e-3, "width": 1e-6, "depth": 1e-6}
_NEAR_ELSE = 0.04


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of both arms: the best configuration of each, its seeds averaged."""

    key: tuple[float, ...]
    log_loss: tuple[float, float]  # of A and of B
    log_flops: tuple[float, float]
    log_rate: tuple[float, float]  # FLOP a second of one device; NaN where it was not timed
    log_ratio: float  # tokens over parameters, of A; NaN where unknown
    runs: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The common cells of two arms, by what they were paired, and what is to be said of that."""

    by: tuple[str, ...]
    cells: tuple[Cell, ...]  # by rising compute of A
    limits: tuple[Limit, ...]

    def column(self, name: str, arm: int | None = None) -> FloatArray:
        """A field of all cells, of one arm where it is of both."""
        values = [getattr(cell, name) for cell in self.cells]
        return np.array(values if arm is None else [value[arm] for value in values], np.float64)


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The best configuration of one arm in one cell."""

    log_loss: float
    log_flops: float
    log_rate: float
    log_ratio: float
    runs: int


def pair(a: Records, b: Records) -> Pairs:
    """The cells that usable runs of both arms share.

    Raises ForecastError where their losses were measured on different things, where there are no
    common cells, and where compute is not known.
    """
    limits = _same_evaluation(a, b)
    ready = tuple(screen(arm, "train_flops") for arm in (a, b))
    tried = []
    for names in KEYS:
        if not all(name in arm for arm in ready for name in names):
            continue
        tried.append(" and ".join(names))
        found = [_cells(arm, names) for arm in ready]
        common = _common(names, *found)
        if common:
            cells = [_cell(one, found[0][one], found[1][other]) for one, other in common]
            cells.sort(key=lambda cell: (cell.log_flops[0], cell.key))
            limits += (*_of_arms(ready), *_left_out(found, len(cells)))
            return Pairs(by=names, cells=tuple(cells), limits=limits)
    raise ForecastError(
        f"{a.source} and {b.source} have no cell in common (tried: {'; '.join(tried)}): train both "
        "arms at the same sizes and tokens, or at the same budgets"
    )


def _same_evaluation(a: Records, b: Records) -> tuple[Limit, ...]:
    """What does not say that both arms were measured alike; raises where it says that they were
    not."""
    for arm in (a, b):
        arm.require_comparable()
    if loss_unit(a.loss_kind) != loss_unit(b.loss_kind):
        kinds = [loss_unit(arm.loss_kind).strip("()") or "an unknown unit" for arm in (a, b)]
        raise ForecastError(
            f"{a.source} has its loss in {kinds[0]} and {b.source} in {kinds[1]}: no comparison "
            "of them means anything; name columns of one loss with --columns loss=NAME"
        )
    unknown = []
    for name in _MUST_AGREE:
        values = [_one_value(arm, name) for arm in (a, b)]
        if None in values:
            unknown += [name] if name == "eval_hash" else []
        elif values[0] != values[1]:
            told = " and ".join(map(printable, map(str, values)))
            raise ForecastError(
                f"{a.source} and {b.source} differ in {name} ({told}): their losses were not "
                "measured on the same thing; evaluate both arms alike"
            )
    if not unknown:
        return ()
    text = "nothing in the tables says that both arms were measured on the same evaluation set"
    return (Limit(LimitCode.EVALUATION_UNKNOWN, f"{text} (no eval_hash)"),)


def _one_value(records: Records, name: str) -> str | None:
    if name not in records:
        return None
    values = records.table[name].dropna().astype(str).unique()
    return str(values[0]) if len(values) else None


def _cells(records: Records, names: Sequence[str]) -> dict[tuple[float, ...], _Best]:
    """By key, the configuration of lowest mean loss."""
    columns = [records.column(name) for name in names]
    flops, loss = records.column("train_flops"), records.column("loss")
    usable = np.all([np.isfinite(c) & (c > 0) for c in (*columns, flops, loss)], axis=0)
    rates, ratios = _rates(records), _ratios(records)
    groups: dict[Hashable, list[int]] = {}
    for row in np.flatnonzero(usable):
        key = tuple(float(f"{column[row]:.{_DIGITS - 1}e}") for column in columns)
        groups.setdefault((key, int(records.configurations[row])), []).append(int(row))
    best: dict[tuple[float, ...], _Best] = {}
    for (key, _), rows in groups.items():  # type: ignore[misc]
        found = _Best(
            log_loss=float(np.log(loss[rows]).mean()),
            log_flops=float(np.log(flops[rows]).mean()),
            log_rate=float(np.mean(rates[rows])),
            log_ratio=float(np.mean(ratios[rows])),
            runs=len(rows),
        )
        if key not in best or found.log_loss < best[key].log_loss:
            best[key] = found
    return best


def _common(
    names: Sequence[str],
    a: Mapping[tuple[float, ...], _Best],
    b: Mapping[tuple[float, ...], _Best],
) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Keys of A with those of B that are nearest to them, and they to those."""
    if not a or not b:
        return []
    keys = (list(a), list(b))
    logs = [np.log(np.array(each)) for each in keys]
    room = np.array([_NEAR.get(name, _NEAR_ELSE) for name in names])
    apart = (np.abs(logs[0][:, None] - logs[1][None]) / room).max(axis=2)  # (a, b)
    to_b, to_a = apart.argmin(axis=1), apart.argmin(axis=0)
    return [
        (keys[0][i], keys[1][j]) for i, j in enumerate(to_b) if to_a[j] == i and apart[i, j] <= 1
    ]


def _rates(records: Records) -> FloatArray:
    """ln FLOP a second of one device (runs,); NaN where a run was not timed."""
    if "device_seconds" not in records:
        return np.full(len(records), np.nan)
    spent = "marginal_flops" if "marginal_flops" in records else "train_flops"
    with np.errstate(all="ignore"):
        rates = np.log(records.column(spent) / records.column("device_seconds"))
    return np.where(np.isfinite(rates), rates, np.nan)


def _ratios(records: Records) -> FloatArray:
    if "params" not in records or "tokens" not in records:
        return np.full(len(records), np.nan)
    with np.errstate(all="ignore"):
        return np.asarray(np.log(records.column("tokens") / records.column("params")))


def _cell(key: tuple[float, ...], a: _Best, b: _Best) -> Cell:
    return Cell(
        key=key,
        log_loss=(a.log_loss, b.log_loss),
        log_flops=(a.log_flops, b.log_flops),
        log_rate=(a.log_rate, b.log_rate),
        log_ratio=a.log_ratio,
        runs=(a.runs, b.runs),
    )


def _of_arms(arms: Sequence[Records]) -> tuple[Limit, ...]:
    """Which rows of each arm take no part, and whether what is said of it is provisional."""
    return tuple(
        Limit(limit.code, f"{name}: {limit.text}")
        for name, arm in zip("AB", arms, strict=True)
        for limit in arm.left_out()
    )


def _left_out(found: Sequence[Mapping[tuple[float, ...], _Best]], paired: int) -> list[Limit]:
    alone = [len(arm) - paired for arm in found]
    if not any(alone):
        return []
    text = f"cells of one arm alone take no part: {alone[0]} of A, {alone[1]} of B"
    return [Limit(LimitCode.LEFT_OUT, text)]
