"""Start Streamlit's server in this process, where what the pages need is imported already."""

import sys
from collections.abc import Sequence

from streamlit.web import cli

from analysis.dashboard import app

__all__ = ["app", "serve"]  # the pages are imported here so that no viewer waits for it


def serve(words: Sequence[str]) -> None:
    """Do what `streamlit run` does with these words: a script, flags, and its arguments."""
    sys.argv = ["streamlit", "run", *words]
    cli.main()
