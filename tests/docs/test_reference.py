"""Facts about the reference: its pages are what the code gives, and they leave nothing out."""

from importlib import import_module

import pytest

from docs.generate import FOLDER, PACKAGES, PAGES, page
from scaling.cli import VERBS
from scaling.columns import COLUMNS
from scaling.laws.registry import LAWS
from scaling.limits import LimitCode
from sweeps.config.data import SOURCES
from sweeps.config.launch import ENGINES
from sweeps.config.recipe import RECIPES
from sweeps.models.registry import FAMILIES
from sweeps.objectives.registry import OBJECTIVES

#: A version, a module and a registry, which have pages of their own or need none.
NO_DOCSTRING = ("__version__", "laws", "LAWS")


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_gives(name):
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == page(name), "run: python -m docs.generate"


def own(registry):
    """Without what other tests of this process have registered."""
    kinds = {name: getattr(one, "__module__", "") for name, one in registry.items()}
    return [name for name, module in kinds.items() if not module.startswith("tests")]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("laws.md", [f"## {law}\n" for law in own(LAWS)]),
        ("columns.md", [f"| `{column}` |" for column in COLUMNS]),
        ("limits.md", [f"| `{code}` |" for code in LimitCode]),
        ("verbs.md", [f"## {verb.__name__.rstrip('_')}\n" for verb in VERBS]),
        ("config.md", [f"### source: {source}\n" for source in own(SOURCES)]),
        ("config.md", [f"`{n}`" for n in (*own(FAMILIES), *own(OBJECTIVES), *RECIPES, *ENGINES)]),
    ],
    ids=["laws", "columns", "limits", "verbs", "sources", "names"],
)
def test_a_page_has_every_member_of_its_registry(name, members):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert [member for member in members if member not in text] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_of_a_package_has_every_name_that_it_offers(package):
    text = page(f"python_{package.split('.')[-1]}.md")
    offered = import_module(package).__all__
    assert [n for n in offered if f":: {n}\n" not in text and n not in NO_DOCSTRING] == []


def test_every_setting_has_a_meaning():
    rows = [line for line in page("config.md").splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []
