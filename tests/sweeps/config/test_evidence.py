"""Facts about where recipes' constants come from: nothing is without a row, no row is idle."""

import re
from pathlib import Path

import pytest

from sweeps.config.evidence import EVIDENCE, evidence_in_words, evidence_of
from sweeps.config.recipe import CONSTANTS, RECIPES, find_recipe

LOG = Path(__file__).parents[3] / "docs" / "log.md"
TITLES = re.findall(r"^## \d{4}-\d\d-\d\d (.*)$", LOG.read_text(encoding="utf-8"), re.MULTILINE)
NAMED = [pytest.param(row, id=f"{row.constant} {row.value}") for row in EVIDENCE]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_constant_of_a_recipe_says_where_its_value_comes_from(recipe):
    rows = evidence_of(recipe)
    rules = {name for name in CONSTANTS if getattr(recipe, name) is not None}
    assert rows.keys() == rules
    assert {name: row.value for name, row in rows.items()} == {
        name: getattr(recipe, name) for name in rules
    }


@pytest.mark.parametrize("row", NAMED)
def test_a_row_is_of_a_value_that_some_recipe_has(row):
    assert row.value in [getattr(recipe, row.constant) for recipe in RECIPES.values()]
    same = [
        other for other in EVIDENCE if (other.constant, other.value) == (row.constant, row.value)
    ]
    assert same == [row]


@pytest.mark.parametrize("row", NAMED)
def test_a_row_names_its_source_and_a_measured_one_its_interval(row):
    if row.where:
        assert [title for title in TITLES if title.startswith(row.where)]
    if row.origin == "measured":
        assert row.where or "a trial before this project" in row.basis
        if isinstance(row.value, str):
            assert row.interval is None
        else:
            low, high = row.interval
            assert low <= row.value <= high
    if row.origin == "literature":
        assert re.search(r"arXiv:\d{4}\.\d{5}", row.basis)
    if row.origin == "unmeasured":
        assert row.interval is None
        assert not row.where


def test_a_changed_constant_is_without_a_row_until_it_has_one():
    changed = find_recipe("cpt-adamw/1", {"beta1": 0.8})
    assert evidence_of(RECIPES["cpt-adamw/1"]).keys() - evidence_of(changed).keys() == {"beta1"}


def test_constants_are_counted_by_where_they_come_from():
    recipe = RECIPES["cpt-adamw/1"]
    found = re.match(
        r"of (\d+) constants (\d+) were measured, (\d+) are .* (\d+) were never",
        said := evidence_in_words(recipe),
    )
    total, *parts = map(int, found.groups())
    assert total == sum(parts) == len([n for n in CONSTANTS if getattr(recipe, n) is not None])
    assert "beta1" in said
    own = evidence_in_words(find_recipe("cpt-adamw/1", {"beta1": 0.8}), ["beta1"])
    assert own.startswith(f"of {total} constants")
    assert own.endswith("1 is the config's own")
    assert "beta1" not in own
