"""Facts about limits as values: their codes are documented, and no code reads their sentences."""

import ast
import re
from pathlib import Path

import pytest

from scaling.limits import Limit, LimitCode, first_of, limits_from, texts

ROOT = Path(__file__).parents[2]
TWO_WORDS = re.compile("[A-Za-z]{2,}[,:;]? [A-Za-z]{2,}")
READS_TEXT = {"startswith", "endswith", "find", "index", "count", "split", "partition", "get"}


def is_sentence(node: ast.expr) -> bool:
    """Text for people: words with spaces between them, the text of a limit, a reason by name."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(TWO_WORDS.search(node.value))
    if isinstance(node, ast.Attribute):
        return node.attr in ("text", "reason")
    if isinstance(node, ast.Tuple):
        return any(is_sentence(item) for item in node.elts)
    return isinstance(node, ast.Name) and node.id.endswith(("_REASON", "_TEXT"))


def reads_sentences(source: str) -> list[int]:
    """Lines that compare or search what is written for people."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            against_none = any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
            if not against_none and any(map(is_sentence, [node.left, *node.comparators])):
                lines.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            searched = node.func.attr in READS_TEXT
            if searched and any(map(is_sentence, [node.func.value, *node.args])):
                lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "line",
    [
        'if sentence.startswith("left out: rows"): pass',
        'if "no backtest" in limit.text: pass',
        "if why != EDGE_REASON: pass",
        "counted.get(EDGE_REASON, 0)",
        'limit.text == "x"',
    ],
)
def test_the_search_for_code_that_reads_sentences_finds_it(line):
    assert reads_sentences(line) == [1]


@pytest.mark.parametrize("package", ["analysis", "scaling"])
def test_no_code_compares_or_parses_a_sentence(package):
    for path in (ROOT / package).rglob("*.py"):
        assert reads_sentences(path.read_text()) == [], path


def test_every_code_is_documented_one_by_one():
    tree = ast.parse((ROOT / "scaling" / "limits.py").read_text())
    (codes,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "LimitCode")
    members = [n for n in codes.body if isinstance(n, ast.Assign)]
    strings = [n for n in codes.body if isinstance(n, ast.Expr)]
    assert len(members) == len(LimitCode) == len(strings) - 1  # the first says what they all are


def test_every_code_is_used():
    sources = [p.read_text() for p in (ROOT / "analysis").rglob("*.py")]
    sources += [p.read_text() for p in (ROOT / "scaling").rglob("*.py") if p.stem != "limits"]
    for code in LimitCode:
        assert any(f"LimitCode.{code.name}" in source for source in sources), code


def test_limits_are_found_by_code_and_read_as_sentences():
    limits = (Limit(LimitCode.FEW_RUNS, "few"), Limit(LimitCode.LEFT_OUT, "some"))
    assert first_of(LimitCode.LEFT_OUT, limits) is limits[1]
    assert first_of(LimitCode.UNSUPPORTED, limits) is None
    assert texts((*limits, limits[0]), without=[LimitCode.LEFT_OUT]) == ["few"]
    assert limits_from([{"code": "few runs", "text": "few"}]) == limits[:1]
