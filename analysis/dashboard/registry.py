"""The pages that there are, in the order of the menu; the first is where a viewer arrives."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.dashboard.page import Page
from analysis.dashboard.pages import (
    allocate,
    compare,
    discover,
    forecast,
    home,
    next_runs,
    record,
    sweep,
)
from analysis.dashboard.state import Field


@dataclass(frozen=True)
class Row:
    """One page: its name in the address, its title and icon in the menu, who draws it, and the
    fields of its own."""

    name: str
    title: str
    icon: str
    draw: Callable[[Page], None]
    fields: tuple[Field, ...] = ()
    needs_runs: bool = True
    """Whether it says nothing without a source."""


PAGES = (
    Row("home", "Home", ":material/home:", home.draw, home.FIELDS, needs_runs=False),
    Row("sweep", "Sweep", ":material/grid_on:", sweep.draw, sweep.FIELDS),
    Row("forecast", "Forecast", ":material/trending_down:", forecast.draw, forecast.FIELDS),
    Row("allocate", "Allocate", ":material/call_split:", allocate.draw, allocate.FIELDS),
    Row("discover", "Discover", ":material/function:", discover.draw, discover.FIELDS),
    Row("next", "Next", ":material/shopping_cart:", next_runs.draw, next_runs.FIELDS),
    Row("compare", "Compare", ":material/compare_arrows:", compare.draw, compare.FIELDS),
    Row("record", "Record", ":material/fact_check:", record.draw, needs_runs=False),
)
