"""The process that serves the dashboard: it imports what the pages will need, then serves them.

`scaling dashboard` starts this module as `python -m ... SCRIPT FLAGS -- REQUEST`.
"""

import json
import sys

from analysis.dashboard.serve import serve
from scaling.cli.verbs.pages import dashboard_page
from scaling.sources import STORED
from scaling.store.connection.mlflow_client import import_mlflow
from sweeps.status import ledger

#: What the script imports, so that no viewer waits for it.
NEEDED = (dashboard_page, ledger)


def main(words: list[str]) -> None:
    """Serve what the last word asks for."""
    sources = json.loads(words[-1])["sources"]
    if not sources or any(source.startswith(STORED) for source in sources):
        import_mlflow()
    serve(words)


if __name__ == "__main__":
    main(sys.argv[1:])
