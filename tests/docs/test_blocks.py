"""Facts about the documents: every block of code in them runs, and prints what they show."""

import re
import shutil

import pytest
import yaml

from scaling.laws.registry import LAWS
from sweeps.config.data import SOURCES
from sweeps.config.yaml_file import config_from_mapping, merged
from sweeps.data.registry import LOADERS
from sweeps.models.registry import FAMILIES
from sweeps.objectives.registry import OBJECTIVES
from tests.docs.blocks import ROOT, RUN, SHOWN, blocks_of, missing_lines, run_block

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
BLOCKS = {page: blocks_of(page) for page in PAGES}
LEAST = {"name": "page", "grid": {"width": 32, "tokens": 1e6}}  # what any part of a config needs


@pytest.fixture
def clone(tmp_path, monkeypatch, _empty_database):
    """A folder with what a clone has beside the packages, and a run store of its own."""
    for name in ("examples", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(_empty_database, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def registries():
    """What pages register is forgotten afterwards."""
    kept = [(one, dict(one)) for one in (LAWS, SOURCES, LOADERS, FAMILIES, OBJECTIVES)]
    yield
    for registry, before in kept:
        for name in registry.keys() - before.keys():
            del registry[name]


def run_page(blocks):
    names = {"__name__": "page"}
    for block in blocks:
        if block.language == "yaml":
            config_from_mapping(merged(LEAST, yaml.safe_load(block.code)))
        elif block.language in RUN:
            printed = run_block(block, names)
            assert missing_lines(block, printed) == [], f"{block} printed\n{printed}"


def here(page, slow):
    return [b for b in BLOCKS[page] if b.elsewhere is None and (slow or not b.slow)]


@pytest.mark.usefixtures("clone", "registries")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_in_order(page):
    run_page(here(page, slow=False))


@pytest.mark.slow
@pytest.mark.usefixtures("clone", "registries")
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.slow for b in BLOCKS[p])], ids=lambda page: page.stem
)
def test_the_slow_blocks_of_a_page_run_too(page):
    run_page(here(page, slow=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_of_a_page_escapes(page):
    assert [str(b) for b in BLOCKS[page] if b.language not in (*RUN, *SHOWN)] == []
    commands = r"\n\n    (?:scaling|python|make|ray|mlflow|from|import) .*"
    indented = re.findall(commands, page.read_text(encoding="utf-8"))
    assert indented == []


def test_what_runs_elsewhere_names_a_test():
    named = [b.elsewhere for blocks in BLOCKS.values() for b in blocks if b.elsewhere is not None]
    assert [name for name in named if not (ROOT / name).is_file()] == []
