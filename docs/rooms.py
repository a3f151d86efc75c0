"""The rooms of the code, from the ground up, as docs/architecture.md shows them.

A room is a folder of Python, or a file beside the folders at the top of a package. It says what it
is in the first line of its docstring, and stands above every room that it imports.
"""

import ast
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("scaling", "sweeps", "analysis", "benchmarks")
PAGE = ROOT / "docs" / "architecture.md"
_BEGIN, _END = "```text\nscaling/ ", "```\n"
_NAMES_TO = 22  # characters of a line for the name of a room, after which it says what it is


@cache
def nodes_of(source: Path) -> tuple[ast.AST, ...]:
    """Every node of the syntax tree of a file of Python."""
    return tuple(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))


def imports_of(nodes: Iterable[ast.AST]) -> set[tuple[str, str]]:
    """What is imported of our packages, for types too: (module, name in it, or nothing)."""
    found: set[tuple[str, str]] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
    return {(module, name) for module, name in found if module.split(".")[0] in PACKAGES}


def room_arrows(folder: Path) -> dict[str, set[str]]:
    """Which rooms (files and folders) of a folder each of its rooms imports."""
    here = folder.relative_to(ROOT).parts
    rooms = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or entry.is_dir()}
    arrows: dict[str, set[str]] = {room: set() for room in rooms}
    for source in folder.rglob("*.py"):
        room = source.relative_to(folder).parts[0].removesuffix(".py")
        for module, name in imports_of(nodes_of(source)):
            parts = (*module.split("."), *([name] if name else []))
            if parts[: len(here)] == here and len(parts) > len(here):
                arrows[room].add(parts[len(here)])
    return {room: (others & rooms) - {room} for room, others in arrows.items()}


def tree() -> str:
    """Every room of every package in a line, the ground first."""
    return "\n".join("\n".join(_lines(ROOT / package, depth=0)) for package in PACKAGES)


def page() -> str:
    """The page of the architecture with the tree as the code is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    return f"{before}```text\n{tree()}\n```\n{rest.partition(_END)[2]}"


def _lines(folder: Path, depth: int) -> list[str]:
    indent = "  " * depth
    lines = [f"{indent}{folder.name + '/':{_NAMES_TO - len(indent)}} {_says(folder)}"]
    heights = _heights(room_arrows(folder))
    for name in sorted(heights, key=lambda name: (heights[name], name)):
        inside, file = folder / name, folder / f"{name}.py"
        if inside.is_dir() and any(inside.glob("*.py")):
            lines += _lines(inside, depth + 1)
        elif depth == 0 and file.is_file() and not name.startswith("_"):
            lines.append(f"  {file.name:{_NAMES_TO - 2}} {_says(file)}")
    return lines


def _says(room: Path) -> str:
    source = room / "__init__.py" if room.is_dir() else room
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
    if docstring is None:
        raise ValueError(f"{source.relative_to(ROOT)} does not say what it is: give it a docstring")
    return docstring.splitlines()[0]


def _heights(arrows: dict[str, set[str]]) -> dict[str, int]:
    """How many rooms stand below each, one on another: zero for one that imports none."""
    heights: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():  # CycleError where rooms are a circle
        heights[room] = max((1 + heights[below] for below in arrows[room]), default=0)
    return heights
