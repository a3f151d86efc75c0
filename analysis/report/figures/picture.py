"""One figure as the page embeds it: drawn as SVG into an address, with its data beside it."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.plots.style import figure_style
from analysis.report.figures.data import MOST_ROWS, data_uri, file_name

# as wide as a phone, so that letters are as large there as in `figure_style`
SIZE_INCHES = (5.1, 4.2)
LEGEND_ROW = 0.22  # inches that a row of the legend beyond the fourth adds


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One embedded figure: a data URI, what it shows, what to see in it, what qualifies it, and
    its data."""

    uri: str
    title: str
    caption: str
    notes: str = ""  # sentences: what was left out, filled in, taken for granted
    data: str = ""  # a data URI of a CSV file; none where there are too many rows
    file: str = ""  # the name to save it by
    rows: int = 0


def picture_of(
    draw: Callable[[Axes], object], title: str, caption: str, notes: str = ""
) -> Picture:
    """What ``draw`` puts on axes, as a picture."""
    with figure_style():
        figure = Figure(figsize=SIZE_INCHES)
        canvas = FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        entries = max((len(legend.get_texts()) for legend in figure.legends), default=0)
        width, height = SIZE_INCHES  # a long legend takes no room from the axes
        figure.set_size_inches(width, height + LEGEND_ROW * max(0, (entries + 1) // 2 - 4))
        buffer = io.BytesIO()
        # `savefig` would draw it twice
        canvas.print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    # the metadata name web addresses, which are never loaded but which nobody needs either
    svg = re.sub(rb"<metadata>.*?</metadata>", b"", buffer.getvalue(), flags=re.DOTALL)
    encoded = base64.b64encode(svg).decode("ascii")
    return Picture(
        uri=f"data:image/svg+xml;base64,{encoded}", title=title, caption=caption, notes=notes
    )


def with_data(picture: Picture, table: pd.DataFrame) -> Picture:
    """The picture with the rows behind it, unless they are too many for a page."""
    data = data_uri(table) if len(table) <= MOST_ROWS else ""
    return replace(picture, data=data, file=file_name(picture.title), rows=len(table))
