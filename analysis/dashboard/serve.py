"""Start Streamlit's server with what the pages need already imported, so that nobody waits for it.

python -m analysis.dashboard.serve MODULE,MODULE... SCRIPT [FLAGS] -- ARGUMENTS
"""

import importlib
import sys

from streamlit.web import cli


def main(words: list[str]) -> None:
    """Import the modules, then do what `streamlit run` does with the rest."""
    modules, *rest = words
    for name in filter(None, modules.split(",")):
        importlib.import_module(name)
    sys.argv = ["streamlit", "run", *rest]
    cli.main()


if __name__ == "__main__":
    main(sys.argv[1:])
