"""How well each found form predicted the runs that were hidden from it."""

import plotly.graph_objects as go

from analysis.dashboard import charts
from analysis.discovery.result import Discovery

_MARKS = ("circle", "diamond", "square", "star", "x")
_COLOURS = (charts.MEASURED, charts.FORECAST, charts.HELD_OUT, charts.ASKED, charts.MUTED)


def forms_figure(found: Discovery) -> go.Figure:
    """A row a form in the order of the ranking, a mark for the error wherever runs were hidden, and
    an open one for that of the runs it was fitted to."""
    as_percent = found.errors_are == "relative"
    scale = 100.0 if as_percent else 1.0
    title = "Error where runs were hidden " + ("(%)" if as_percent else "(standard deviations)")
    rows = len(found.forms)
    height = 180 + 34 * rows
    drawn = charts.figure(x=title, y="Form", x_log=False, y_log=False, height=height)
    names = [str(number) for number in range(1, rows + 1)]
    drawn.update_yaxes(type="category", autorange="reversed")
    drawn.update_xaxes(rangemode="tozero", exponentformat="none")
    told = [charts.named(form.formula) for form in found.forms]
    hover = "%{text}<br>%{x:.3g}<extra></extra>"
    drawn.add_trace(
        go.Scatter(
            x=[scale * form.fit_error for form in found.forms],
            y=names,
            mode="markers",
            name="the runs it was fitted to",
            marker={"color": charts.MUTED, "symbol": "square-open", "size": 9},
            text=told,
            hovertemplate=hover,
        )
    )
    for number, place in enumerate(found.forms[0].errors):
        drawn.add_trace(
            go.Scatter(
                x=[scale * form.errors[place] for form in found.forms],
                y=names,
                mode="markers",
                name=charts.named(f"{place} hidden"),
                marker={
                    "color": _COLOURS[number % len(_COLOURS)],
                    "symbol": _MARKS[number % len(_MARKS)],
                    "size": 10,
                },
                text=told,
                hovertemplate=hover,
            )
        )
    return drawn
