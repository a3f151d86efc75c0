"""The cells of a ladder: every planned run with its state, and the map of them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.text.numbers import count_in_words, loss_in_words
from scaling.records import Records

#: A colour a state, in the order of the legend; what needs a person is warm.
STATES = {
    "finished": charts.HELD_OUT,
    "settled": "#8fd0b9",
    "running": charts.MEASURED,
    "interrupted": charts.ROUGH,
    "failed": charts.FORECAST,
    "diverged": charts.ASKED,
    "excluded": charts.MUTED,
    "planned": "#d4d4d4",
}
MOST_TICKS = 7
MANY = 2000  # cells beyond which the browser draws them as one picture
_COLUMNS = ("run_id", "name", "state", "held_out", "params", "tokens", "steps", "planned_steps")
_SPREAD = 0.7  # of the gap between neighbours that the runs of one cell may fill
_LONE = 0.08  # decades that they fill where there are no neighbours


def cells_of(ledger: Mapping[str, Any] | None, records: Records | None) -> pd.DataFrame:
    """A row a run: of the plan where there is one, else of the runs that there are.

    Columns run_id, name, state, held_out, params, tokens (planned, where a plan says), steps,
    planned_steps, loss, reason, traceback, outlook; blank where nothing is known.
    """
    if ledger is not None:
        cells = pd.DataFrame(list(ledger["runs"]))
        if "planned_tokens" in cells:
            cells["tokens"] = cells["planned_tokens"]
    elif records is not None:
        cells = records.table.assign(state=records.status)
        cells["name"] = records.row_names
        if "planned_tokens" in cells:
            cells["tokens"] = cells["planned_tokens"].fillna(cells.get("tokens"))
        if "run_id" not in cells:
            cells["run_id"] = cells["name"]
    else:
        cells = pd.DataFrame()
    wanted = (*_COLUMNS, "loss", "reason", "traceback", "outlook")
    cells = cells.reindex(columns=list(wanted)).reset_index(drop=True)
    cells["held_out"] = cells["held_out"].fillna(False).astype(bool)
    for column in ("params", "tokens", "steps", "planned_steps", "loss"):
        cells[column] = pd.to_numeric(cells[column], errors="coerce").astype(float)
    for column in ("run_id", "name", "state", "reason", "traceback", "outlook"):
        cells[column] = cells[column].astype(object).where(cells[column].notna(), "").astype(str)
    return cells


def map_figure(cells: pd.DataFrame, outlooks: Mapping[str, str]) -> go.Figure | None:
    """Size against tokens, a square a run, coloured by state; None where no run has both."""
    placed = cells[(cells["params"] > 0) & (cells["tokens"] > 0)]
    if placed.empty:
        return None
    drawn = charts.figure(x=charts.axis_title("tokens"), y=charts.axis_title("params"), height=400)
    for update, column in ((drawn.update_yaxes, "params"), (drawn.update_xaxes, "tokens")):
        ticks = _ticks(placed[column])
        update(tickvals=ticks, ticktext=[count_in_words(tick) for tick in ticks])
    x, y = _spread(placed)
    kind = go.Scattergl if len(placed) > MANY else go.Scatter
    size = 11 if len(placed) <= 200 else 9 if len(placed) <= MANY else 5
    hovers = [_hover(cell, outlooks) for cell in placed.to_dict("records")]
    for state in (*STATES, *sorted(set(placed["state"]) - set(STATES))):
        there = (placed["state"] == state).to_numpy()
        if not there.any():
            continue
        drawn.add_trace(
            kind(
                x=x[there],
                y=y[there],
                mode="markers",
                name=f"{charts.named(state)} ({int(there.sum()):,})",
                marker={
                    "symbol": "square",
                    "size": size,
                    "color": STATES.get(state, charts.MUTED),
                    "line": {"width": 0.5, "color": "#444444"},
                },
                text=[hover for hover, one in zip(hovers, there, strict=True) if one],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return drawn


def _ticks(values: pd.Series) -> list[float]:
    """Round numbers over these values, few enough to be read on a phone."""
    low, high = float(values.min()), float(values.max())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in decades for step in steps]
        inside = [tick for tick in ticks if low / 1.2 <= tick <= high * 1.2]
        if len(inside) <= MOST_TICKS:
            return inside or [low]
    return inside[:: math.ceil(len(inside) / MOST_TICKS)]


def _spread(placed: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where the squares lie: the runs of one cell side by side around it."""
    groups = placed.groupby(["params", "tokens"], sort=False)
    number = groups.cumcount().to_numpy(dtype=float)
    count = groups["state"].transform("size").to_numpy(dtype=float)
    side = np.ceil(np.sqrt(count))
    rows = np.ceil(count / side)
    across = (number % side + 0.5) / side - 0.5
    down = (number // side + 0.5) / rows - 0.5
    return (
        placed["tokens"].to_numpy() * 10 ** (across * _room(placed["tokens"])),
        placed["params"].to_numpy() * 10 ** (down * _room(placed["params"])),
    )


def _room(values: pd.Series) -> float:
    """Decades between neighbouring values that the runs of one cell may fill."""
    apart = np.diff(np.unique(np.round(np.log10(values.to_numpy()), 3)))
    return _SPREAD * float(min(np.median(apart), 4 * _LONE)) if len(apart) else _LONE


def _hover(cell: Mapping[Any, Any], outlooks: Mapping[str, str]) -> str:
    lines = [f"<b>{charts.named(cell['name'] or cell['run_id'])}</b>", charts.named(cell["state"])]
    lines.append(
        f"{count_in_words(cell['params'])} parameters, {count_in_words(cell['tokens'])} tokens"
    )
    if cell["held_out"]:
        lines.append("held out: its loss stays unread")
    elif np.isfinite(cell["loss"]):
        lines.append(f"loss {loss_in_words(cell['loss'])}")
    if cell["planned_steps"] > 0 and cell["steps"] < cell["planned_steps"]:
        lines.append(f"step {cell['steps']:,.0f} of {cell['planned_steps']:,.0f}")
    remark = outlooks.get(cell["run_id"]) or cell["reason"]
    if remark:
        lines.append(charts.named(remark))
    return "<br>".join(lines)
