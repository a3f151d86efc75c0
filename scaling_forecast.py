"""The `scaling` command, when folders of the same names as its packages may lie where it is typed.

A module of its own beside them, since a folder `scaling` would hide any inside.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("scaling", "sweeps", "analysis")
ROOT = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 2 after a mistake that the input explains, else as it ended.

    A package hidden by another is such a mistake: what would run is anybody's guess.
    """
    for name in PACKAGES:
        other = hidden_by(name)
        if other is not None:
            print(
                f"scaling: {other} hides the toolkit's own package {name}; rename it, or take "
                f"{other.parent} off Python's path (PYTHONPATH; python -m adds the current folder)",
                file=sys.stderr,
            )
            return 2
    try:
        from scaling.cli import main as command

        return command(argv)
    except KeyboardInterrupt:  # before the command could hear it
        print("scaling: interrupted", file=sys.stderr)
        return 130


def hidden_by(name: str) -> Path | None:
    """The folder or file that Python finds under this name in the place of ours; None if ours."""
    spec = find_spec(name)
    if spec is None:
        return None
    found = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    if ROOT / name in found:
        return None
    return found[0] if found else Path(spec.origin or name)
