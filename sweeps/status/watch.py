"""A sweep's ledger on the screen, drawn anew while there is something left to do."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweeps.status.ledger import SweepStanding
from sweeps.status.text import standing_text

_SECONDS = 2.0


def watch(
    look: Callable[[], SweepStanding],
    *,
    every_run: bool = False,
    console: Console | None = None,
    seconds: float = _SECONDS,
) -> None:
    """Show what `look` returns every few seconds, until nothing is left or Ctrl-C."""
    with Live(console=console or Console(stderr=True), auto_refresh=False, transient=True) as live:
        while (standing := look()).flops_left:
            live.update(Text(standing_text(standing, every_run=every_run)), refresh=True)
            time.sleep(seconds)
