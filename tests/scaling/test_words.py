"""Facts about words: one of a thing is written as one, wherever a result or a message counts."""

import ast
import re
from pathlib import Path

from scaling.words import counted

ROOT = Path(__file__).parents[2]
COUNTED = "backtest budget configuration document origin prediction row run rung seed shard weight"
PLURAL = re.compile(rf" ((?!of|beyond)[a-z-]+ )?({COUNTED.replace(' ', '|')})s\b")


def plurals_after_a_number(source: str) -> list[str]:
    """Where an f-string puts a plural after a bare count, which may be one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, after in zip(parts, parts[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                written = ast.unparse(value.format_spec) if value.format_spec else ""
                is_count = "." not in written and "%" not in written  # 1.5 and 12% are no counts
                if is_count and PLURAL.match(str(after.value)):
                    found.append(f"{node.lineno}: {ast.unparse(value.value)}{after.value}")
    return found


def test_one_is_written_as_one():
    assert counted(1, "run") == "1 run"
    assert counted(2, "run") == "2 runs"
    assert counted(1200, "row is", "rows are") == "1,200 rows are"


def test_no_sentence_counts_one_runs():
    assert plurals_after_a_number('f"{n} usable runs"') and plurals_after_a_number('f"{n:,} rows"')
    assert not plurals_after_a_number("f\"{counted(n, 'run')} of {share:.0%} runs\"")
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("analysis", "scaling", "sweeps")
        for path in (ROOT / package).rglob("*.py")
        for line in plurals_after_a_number(path.read_text(encoding="utf-8"))
    }
    assert not found
