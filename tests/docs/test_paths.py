"""Facts about what documents say of the code: files, modules and names that they name are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from docs import rooms
from scaling.store.one_run.run_state import SETTLEMENT

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(p for p in ROOT.glob("docs/**/*.md") if "gallery" not in p.parts)]
)
FOLDERS = "scaling|sweeps|analysis|benchmarks|tests|docs|configs|examples|scripts"
#: A path from the root of the project, or from a page of a folder beside it.
A_PATH = re.compile(rf"(?<![\w/.:-])(?:\.\./)*((?:{FOLDERS})/[\w./-]*\w)")
A_NAME = re.compile(r"(?<![\w/.-])((?:scaling|sweeps|analysis|benchmarks)(?:\.[a-zA-Z_]\w*)+)")
TAGS = {SETTLEMENT}  # of runs in the store, which begin as a module does


def unknown_paths(text):
    named = {match[1] for match in A_PATH.finditer(text)}
    return [one for one in named if not any((ROOT / f"{one}{end}").exists() for end in ("", ".py"))]


def is_there(dotted):
    """Whether there is such a module, or such a name in one; benchmarks are not imported for it."""
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:k])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            break
    if k == len(parts):
        return True
    if parts[0] == "benchmarks":
        return re.search(rf"\b{parts[k]}\b", file.read_text(encoding="utf-8")) is not None
    return hasattr(import_module(".".join(parts[:k])), parts[k])


def unknown_names(text):
    named = {match[1] for match in A_NAME.finditer(text)} - TAGS
    return [one for one in named if not is_there(one)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_module_and_name_that_a_document_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    assert unknown_paths(text) == []
    assert unknown_names(text) == []


def test_a_file_a_module_and_a_name_that_are_gone_are_seen():
    text = "See `analysis/gone.py`, `python -m benchmarks.gone`, `scaling.records.gone`."
    assert unknown_paths(text) == ["analysis/gone.py"]
    assert sorted(unknown_names(text)) == ["benchmarks.gone", "scaling.records.gone"]


def test_the_tree_of_the_rooms_is_what_their_docstrings_and_imports_say():
    committed = rooms.PAGE.read_text(encoding="utf-8")
    assert committed == rooms.page(), "run: python -m docs.generate"
