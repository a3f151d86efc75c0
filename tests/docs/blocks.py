"""The code blocks of a page of Markdown, and how one is run.

A block runs where its page is tested, unless a comment on the line before it says otherwise:

    <!-- slow -->                    it takes more than a few seconds
    <!-- elsewhere: tests/... -->    it cannot run here; that test covers it
    <!-- replace: FROM -> TO -->     it runs with other words, so that it ends in seconds

A block of `text` after a block of `bash` or `python` is what that prints; `...` stands for lines
left out.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from scaling.cli import main

ROOT = Path(__file__).parents[2]
RUN = ("bash", "python", "yaml")
WRITERS = ("cat", "printf")  # commands that leave nothing in the shell
SHOWN = ("text", "csv", "bibtex")
_FENCE = re.compile(
    r"(?P<mark>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\S*)\n(?P<code>.*?)^```$", re.M | re.S
)
_NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?|\.\d+")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    code: str
    marks: tuple[tuple[str, str], ...] = ()
    output: str = field(default="", compare=False)

    @property
    def slow(self) -> bool:
        """Whether it takes more than a few seconds."""
        return "slow" in dict(self.marks)

    @property
    def elsewhere(self) -> str | None:
        """The test that covers it, where it cannot run here."""
        return dict(self.marks).get("elsewhere")

    @property
    def runnable(self) -> str:
        """Its code as a test runs it."""
        code = self.code
        for mark, words in self.marks:
            if mark == "replace":
                before, _, after = words.partition(" -> ")
                assert before in code, f"{self}: nothing to replace: {before}"
                code = code.replace(before, after)
        return code

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """Every fenced block of a page, what it prints beside it."""
    text, found = path.read_text(encoding="utf-8"), []
    for match in _FENCE.finditer(text):
        marks = re.findall(r"^<!-- (\w+):? ?(.*?) ?-->$", match["mark"], re.M)
        line = text[: match.start("code")].count("\n")
        block = Block(str(path.relative_to(ROOT)), line, match["language"], match["code"])
        before = found[-1] if found else None
        if block.language == "text" and before is not None and before.language in RUN:
            found[-1] = Block(**{**vars(before), "output": block.code})
        found.append(Block(**{**vars(block), "marks": tuple(marks)}))
    return found


def run_block(block: Block, names: dict[str, object]) -> str:
    """What a block of bash or Python prints; its Python names are kept in ``names``."""
    if block.language == "python":
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block.runnable, str(block), "exec"), names)
        return printed.getvalue()
    commands = _commands(block.runnable)
    words = [shlex.split(command.partition("\n")[0], comments=True) for command in commands]
    if block.slow or not all(one[0] in ("scaling", *WRITERS) for one in words):
        return _shell(block, block.runnable)
    return "".join(
        _verb(block, one[1:]) if one[0] == "scaling" else _shell(block, command)
        for one, command in zip(words, commands, strict=True)
    )


def _commands(code: str) -> list[str]:
    """The commands of a block, each with the text that is given to it (`<<`)."""
    lines, found = iter(re.sub(r"\\\n\s*", "", code).splitlines()), []
    for line in lines:
        if not shlex.split(line, comments=True):
            continue
        if end := re.search(r"<<'?(\w+)'?$", line):
            line = "\n".join([line, *takewhile(end[1].__ne__, lines), end[1]])
        found.append(line)
    return found


def _verb(block: Block, words: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    assert code == 0, f"{block}: scaling {' '.join(words)} ended with {code}\n{printed.getvalue()}"
    return printed.getvalue()


def _shell(block: Block, code: str) -> str:
    """Through bash, with the command `scaling` of this tree on the path."""
    here = f'"{sys.executable}"'
    wrapper = f'scaling() {{ {here} -m scaling "$@"; }}\npython() {{ {here} "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-ec", wrapper + code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def missing_lines(block: Block, printed: str) -> list[str]:
    """Lines that the page shows and the block did not print.

    Blanks and the last digits of numbers may differ (.05%: processors round differently); of a slow
    block, which trains, the numbers themselves.
    """
    tolerance = float("inf") if block.slow else 5e-4
    lines = [_parts(line) for line in printed.splitlines()]
    shown = [line for line in block.output.splitlines() if line.strip() not in ("", "...")]
    return [line for line in shown if not any(_like(_parts(line), p, tolerance) for p in lines)]


def _parts(line: str) -> tuple[str, list[float]]:
    numbers = [float(number.replace(",", "")) for number in _NUMBER.findall(line)]
    return " ".join(_NUMBER.sub("#", line).split()), numbers


def _like(shown: tuple[str, list[float]], printed: tuple[str, list[float]], most: float) -> bool:
    if shown[0] != printed[0]:
        return False
    pairs = zip(shown[1], printed[1], strict=True)
    return all(abs(a - b) <= most * max(abs(b), 0.02) for a, b in pairs)
