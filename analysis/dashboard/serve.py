"""Start Streamlit's server in this process, where what the pages need is imported already."""

import gc
import sys
from collections.abc import Sequence

from streamlit.web import cli

from analysis.dashboard import app

__all__ = ["app", "serve"]  # the pages are imported here so that no viewer waits for it


def serve(words: Sequence[str]) -> None:
    """Do what `streamlit run` does with these words: a script, flags, and its arguments.

    Streamlit collects garbage after each time it draws, through every object that the process
    holds. Those of the libraries that are imported here never go: they are left out.
    """
    gc.collect()
    gc.freeze()
    sys.argv = ["streamlit", "run", *words]
    cli.main()
