"""What Streamlit runs to draw the dashboard: it ties the page to files and to the run store.

`scaling dashboard` starts it, with one JSON document of what was asked for as its argument.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from scaling.cli.inputs import curves_of
from scaling.cli.verbs.dashboard import outlooks_of, stored_sweeps
from scaling.cli.verbs.seals import seal_standings


def draw(request: Mapping[str, Any]) -> None:
    """The page for these sources, or for all sweeps of the run store where none is named."""
    from analysis.dashboard import Feeds, show_dashboard
    from scaling.sources import records_from
    from scaling.tables.reading import Reading

    sources, where, how = request["sources"], request["where"], Reading(**request["reading"])
    show_dashboard(
        Feeds(
            sources=(lambda: sources) if sources else stored_sweeps,
            load=partial(records_from, where=where, reading=how),
            curves=curves_of,
            outlooks=outlooks_of,
            seals=seal_standings,
        )
    )


if __name__ == "__main__":
    draw(json.loads(sys.argv[1]))
