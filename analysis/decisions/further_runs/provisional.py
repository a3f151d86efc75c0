"""What an answer still waits for: cells that run, failed or diverged, and how far each would move
it.

By the joint distribution of `run_design`: a run that measures f with the scatter of one run moves
the answer z by K(z, f) / (K(f, f) + R) for each unit that it lies off its own forecast, so that
before it is measured the move has a standard deviation of K(z, f) / sqrt(K(f, f) + R). Where the
curve of a running run says where it is heading, the move is told instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.decisions.further_runs.next_runs import Aim, posed
from analysis.decisions.further_runs.run_design import Design, design
from analysis.decisions.further_runs.runs_on_offer import RunOnOffer, as_choices
from analysis.display import Result
from analysis.forecasting.answer.support import target_limits
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.weighing.forecaster import log_forecast
from analysis.intervals import LEVEL, Interval
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.limits import Limit, LimitCode
from scaling.records import Records
from scaling.sources import Source, records_from
from scaling.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

AHEAD = 10.0  # times the largest run: where an answer is told unless asked
MOST_CELLS = 40  # whose effect is told, the dearest first
_ALIKE = 0.02  # ln: cells that differ by less are one


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A size and length that was planned or begun, and is not measured."""

    params: float | None
    tokens: float | None
    train_flops: float
    states: Mapping[str, int]  # how many of its runs run, failed, diverged
    measured: int  # other runs of it that the answer rests on
    predicted: float | None  # loss of a new run there; None where no forecast could be made
    interval: Interval | None  # 90%
    moves: float | None  # up to this share of the answer, nine times in ten
    heading_for: float | None  # where its curve is heading
    would_be: float | None  # the answer if it ends there; None where the answer is no number


@dataclass(frozen=True, kw_only=True, repr=False)
class Provisional(Result):
    """What would change an answer once it is measured.

    Read it as: the answer at ``target_flops`` is ``now``; with the cells measured it moves by no
    more than ``together`` (a share of it), nine times in ten.
    """

    target_flops: float | None  # None where nothing is open
    aim: Aim  # "loss" of a new run there, or "allocation": its best size
    now: float | None  # None where it is not supported
    cells: tuple[OpenCell, ...]
    together: float | None
    source: str
    data_hash: str
    limits: tuple[Limit, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is open."""
        return bool(self.cells)

    def to_frame(self) -> "DataFrame":
        """One row a cell: size, tokens, FLOP, states, predicted loss, what it moves."""
        names = ("params", "tokens", "train_flops", "measured", "predicted", "moves")
        rows = [
            {name: getattr(cell, name) for name in (*names, "heading_for", "would_be")}
            | {"states": ", ".join(f"{n} {state}" for state, n in cell.states.items())}
            for cell in self.cells
        ]
        return pd.DataFrame(rows)


def provisional(
    records: Source,
    target_flops: float | None = None,
    *,
    aim: Aim = "loss",
    heading_for: Mapping[str, float] | None = None,
    options: ForecastOptions = DEFAULT,
) -> Provisional:
    """Which cells that run, failed or diverged would change the forecast at ``target_flops`` (ten
    times the largest run, unless given) or, by ``aim``, the best size there, and by how much.

    ``heading_for`` are losses that running runs are heading for, by run id, as
    `analysis.forecasting.unfinished_runs.outlooks` tells them. Where the runs give no forecast the
    cells are named alone, and a limit says why.
    """
    records = records_from(records)
    found = _open_cells(records, heading_for or {})
    base: dict[str, Any] = {"aim": aim, "source": records.source, "data_hash": records.data_hash}
    if not found:
        return Provisional(target_flops=None, now=None, cells=(), together=None, **base)
    try:
        told = _told(records, found, target_flops, aim, options)
    except ScalingError as error:
        reason = str(error).removeprefix(f"{records.source}: ")
        why = f"how far the open cells would move the answer: {reason}"
        limits = (_named(found), Limit(LimitCode.NO_ANSWER, why))
        cells = tuple(_cell(one) for one in found)
        return Provisional(
            target_flops=target_flops, now=None, cells=cells, together=None, limits=limits, **base
        )
    return Provisional(**told, **base)


@dataclass(frozen=True, kw_only=True)
class _Open:
    params: float | None
    tokens: float | None
    train_flops: float
    states: dict[str, int]
    measured: int
    heading: tuple[float, ...]

    @property
    def runs(self) -> int:
        return sum(self.states.values())


def _open_cells(records: Records, heading_for: Mapping[str, float]) -> list[_Open]:
    """The cells of runs that did not come to their end, dearest first."""
    table = records.table[~records.is_finished]
    if "held_out" in table:
        table = table[~table["held_out"].astype(bool)]
    if not len(table):
        return []
    tokens, flops = (_planned(table, name) for name in ("tokens", "train_flops"))
    params = _numbers(table, "params")
    flops = np.where(np.isfinite(flops), flops, 6 * params * tokens)
    at_all = np.isfinite(flops) & (flops > 0)
    done = _finished_cells(records)
    cells: dict[tuple[int, ...], list[int]] = {}
    for place in map(int, np.flatnonzero(at_all)):
        key = (flops,) if not np.isfinite(params[place] * tokens[place]) else (params, tokens)
        cells.setdefault(tuple(round(np.log(v[place]) / _ALIKE) for v in key), []).append(place)
    found = []
    for places in cells.values():
        first, rows = places[0], table.iloc[places]
        states = records.status.loc[rows.index].value_counts().to_dict()
        sized = bool(np.isfinite(params[first] * tokens[first]))
        n, d = (float(params[first]), float(tokens[first])) if sized else (None, None)
        ids = rows["run_id"].astype(str) if "run_id" in rows else []
        heading = [float(heading_for[one]) for one in ids if one in heading_for]
        if "forecast_loss" in rows:
            heading += [float(v) for v in _numbers(rows, "forecast_loss") if np.isfinite(v)]
        found.append(
            _Open(
                params=n,
                tokens=d,
                train_flops=float(flops[first]),
                states={str(state): int(count) for state, count in states.items()},
                measured=_how_many(done, n, d, float(flops[first])),
                heading=tuple(heading),
            )
        )
    return sorted(found, key=lambda cell: -cell.train_flops)


def _numbers(table: pd.DataFrame, name: str) -> FloatArray:
    if name not in table:
        return np.full(len(table), np.nan)
    return np.asarray(pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64))


def _planned(table: pd.DataFrame, name: str) -> FloatArray:
    """What was planned, else what the row says: of a run that ended early what was spent."""
    planned = _numbers(table, f"planned_{name}")
    return np.where(np.isfinite(planned), planned, _numbers(table, name))


def _finished_cells(records: Records) -> FloatArray:
    """(runs, 3) ln size, tokens and FLOP of the finished runs."""
    table = records.finished.table
    with np.errstate(all="ignore"):
        return np.log(
            np.column_stack([_numbers(table, n) for n in ("params", "tokens", "train_flops")])
        )


def _how_many(done: FloatArray, n: float | None, d: float | None, flops: float) -> int:
    if n is not None and d is not None:
        off = np.abs(done[:, :2] - np.log([n, d]))
    else:
        off = np.abs(done[:, 2:] - np.log(flops))
    return int(np.sum(np.all(off < _ALIKE, axis=1)))


def _told(
    records: Records,
    found: Sequence[_Open],
    target_flops: float | None,
    aim: Aim,
    options: ForecastOptions,
) -> dict[str, Any]:
    """What the cells would do to the answer, as fields of the result."""
    if target_flops is None:
        target_flops = AHEAD * float(screen(records, "train_flops").column("train_flops").max())
    _, forecaster, inputs, answer = posed(records, target_flops, options)
    surface = len(forecaster.ladder.inputs) == 2
    usable = [cell for cell in found if not surface or cell.params is not None][:MOST_CELLS]
    offer = [
        RunOnOffer(train_flops=c.train_flops, params=c.params, tokens=c.tokens) for c in usable
    ]
    choices = as_choices(offer, forecaster.ladder)
    log_budget = np.log([target_flops])
    asked = design(forecaster, choices, answer, inputs, log_budget, of_size=aim == "allocation")
    there = log_forecast(forecaster, choices.log_inputs, choices.log_compute, options)
    supported = not target_limits(forecaster, answer)[0]
    centre = float(inputs[0, 0] if aim == "allocation" else answer.centre[0])
    reach = float(norm.ppf((1 + LEVEL) / 2))
    cells = []
    for place, cell in enumerate(usable):
        ends = np.quantile(there.draws[place], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        gain, deviation = _effect(asked, place, cell.runs)
        heading = float(np.mean(cell.heading)) if cell.heading else None
        moved = None if heading is None else gain * (np.log(heading) - float(there.centre[place]))
        cells.append(
            OpenCell(
                **_facts(cell),
                predicted=float(np.exp(there.centre[place])),
                interval=Interval(*map(float, np.exp(ends))),
                moves=float(np.expm1(reach * deviation)),
                heading_for=heading,
                would_be=float(np.exp(centre + moved)) if moved is not None and supported else None,
            )
        )
    cells += [_cell(cell) for cell in found if cell not in usable]
    together = _together(asked, usable)
    return {
        "target_flops": target_flops,
        "now": float(np.exp(centre)) if supported else None,
        "cells": tuple(cells),
        "together": float(np.expm1(reach * together)),
        "limits": (_named(found), *_unsupported(supported, target_flops)),
    }


def _effect(asked: Design, place: int, runs: int) -> tuple[float, float]:
    """By how much the answer moves for each unit that the cell lies off, and the standard deviation
    of that before it is measured by so many runs."""
    joint = asked.joint
    seen = float(joint.runs[place, place] + asked.noise[place] / runs)
    across = float(joint.across[0, place])
    return across / seen, abs(across) / float(np.sqrt(seen))


def _together(asked: Design, cells: Sequence[_Open]) -> float:
    """The standard deviation of the move of the answer by all of them."""
    joint = asked.joint
    seen = joint.runs + np.diag(asked.noise / np.array([cell.runs for cell in cells]))
    across = joint.across[0]
    return float(np.sqrt(max(across @ np.linalg.solve(seen, across), 0.0)))


def _named(found: Sequence[_Open]) -> Limit:
    states: dict[str, int] = {}
    for cell in found:
        for state, count in cell.states.items():
            states[state] = states.get(state, 0) + count
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    text = f"provisional: {counted(len(found), 'cell')} not measured to the end ({words})"
    return Limit(LimitCode.PROVISIONAL, text)


def _unsupported(supported: bool, target: float) -> tuple[Limit, ...]:
    if supported:
        return ()
    text = f"unsupported: at {target:.3g} FLOP the runs give no number that a cell could move"
    return (Limit(LimitCode.UNSUPPORTED, text),)


def _facts(cell: _Open) -> dict[str, Any]:
    return {
        name: getattr(cell, name)
        for name in ("params", "tokens", "train_flops", "states", "measured")
    }


def _cell(cell: _Open) -> OpenCell:
    """A cell whose effect is not told."""
    return OpenCell(
        **_facts(cell),
        predicted=None,
        interval=None,
        moves=None,
        heading_for=float(np.mean(cell.heading)) if cell.heading else None,
        would_be=None,
    )
