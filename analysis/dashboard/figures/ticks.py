"""Ticks of logarithmic axes: powers of ten, and more of them where an axis spans no decade."""

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

SHORT = 1.5  # decades


def fit_ticks(
    drawn: go.Figure, *, x: Iterable[float] | None = None, y: Iterable[float] | None = None
) -> None:
    """Ticks for axes that show these values."""
    for update, values in ((drawn.update_xaxes, x), (drawn.update_yaxes, y)):
        if values is None:
            continue
        known = np.array([value for value in values if np.isfinite(value) and value > 0])
        is_short = len(known) > 0 and np.ptp(np.log10(known)) < SHORT
        how = {"dtick": None, "nticks": 6} if is_short else {"dtick": 1}
        update(exponentformat="power", **how)
