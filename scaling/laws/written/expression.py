"""Arithmetic that people write into options and laws: parsed, never executed.

    expression("A * 6**alpha", names=("A", "alpha"))({"A": 2.0, "alpha": 0.5})

The language has numbers, the names that the caller allows, + - * / ** (or ^), parentheses, and
exp, log (or ln), log10, sqrt; with ``of_laws`` also min and max. It has no other calls, no
attributes, no comparisons, and it is bounded in length and depth, so that text from anywhere can
neither do anything nor take long. The minus, times and raised digits of typeset text are read too.
"""

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np

from scaling.tables.notes import printable

Expression = Callable[[Mapping[str, Any]], Any]

#: An expression of a law's constants is a line; these are far above any that a person writes.
MOST_CHARACTERS = 1000
MOST_NESTING = 40

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "ln": np.log,
    "log10": np.log10,
    "sqrt": np.sqrt,
}
#: of two arguments and more, in laws alone
_EXTREMES = ("min", "max")
_RAISED = dict(
    zip(
        "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b",
        "0123456789-",
        strict=True,
    )
)
_SIGNS = {
    **{"^": "**", "\u00f7": "/"},
    **dict.fromkeys("\u2212\u2013", "-"),
    **dict.fromkeys("\u00d7\u00b7\u22c5\u2217", "*"),
}
_WRITTEN = re.compile(f"[{''.join(map(re.escape, _SIGNS))}]|[{''.join(_RAISED)}]+|.", re.DOTALL)


class ExpressionError(ValueError):
    """What is wrong with the text of an expression, and at which character, in half a sentence."""


@dataclass(frozen=True)
class Arithmetic:
    """A text that is of the language, as a tree; names are not looked at yet."""

    text: str
    tree: ast.expr

    @classmethod
    def of(cls, text: str, *, of_laws: bool = False) -> "Arithmetic":
        """Raises ExpressionError for anything that is not of the language."""
        if len(text) > MOST_CHARACTERS:
            raise ExpressionError(
                f"{len(text):,} characters, and at most {MOST_CHARACTERS:,} are read"
            )
        if (remark := text.find("#")) >= 0:  # Python would leave the rest away
            raise ExpressionError(f'"#" at character {remark + 1} is no arithmetic')
        try:
            tree = ast.parse(_as_python(text)[0], mode="eval").body
        except SyntaxError as error:
            last = f"character {len(text.rstrip())}"  # of what ends too early it names no place
            place = _place(text, error.offset - 1) if error.offset else last
            problem = f"not an expression of numbers, names and + - * / **, from {place} on"
            raise ExpressionError(_reserved(text) or problem) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError("not an expression of numbers, names and + - * / **") from error
        found = cls(text, tree)
        found._check(tree, MOST_NESTING, (*_FUNCTIONS, *(_EXTREMES if of_laws else ())))
        return found

    def names(self) -> Iterator[tuple[str, str]]:
        """Every name with its place, in the order of the text; functions are none."""
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        nodes = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called]
        for node in sorted(nodes, key=lambda n: n.col_offset):
            yield node.id, self._at(node)

    def infinite_part(self) -> str:
        """Where the innermost part of numbers alone stands that overflows or divides by zero, as
        " at character 5"; "" where none does."""
        place = ""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.BinOp | ast.Call):
                continue
            match node:
                case ast.BinOp(op=ast.Div(), right=right):
                    by_zero = self._number(right) == 0
                case _:
                    by_zero = False
            if by_zero or not np.isfinite(self._number(node)):
                place = f" at {self._at(node)}"
        return place

    def _number(self, node: ast.expr) -> Any:
        """The value of a part of numbers alone; one where it has names."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if names - {*_FUNCTIONS, *_EXTREMES}:
            return np.float64(1)
        with np.errstate(all="ignore"):
            return Arithmetic(self.text, node).fold(np.float64, numeric)

    def fold(
        self,
        leaf: Callable[[str | float], Any],
        call: Callable[[str, list[Any]], Any],
    ) -> Any:
        """The value of the tree, where ``leaf`` makes one of a name or a number, and ``call`` one
        of a function's name and its arguments; operators are those of the values."""

        def value(node: ast.AST) -> Any:
            match node:
                case ast.Constant(value=int() | float() as number):
                    return leaf(number)
                case ast.Name(id=name):
                    return leaf(name)
                case ast.UnaryOp(op=op, operand=operand):
                    return _OPERATORS[type(op)](value(operand))
                case ast.BinOp(left=left, op=op, right=right):
                    return _OPERATORS[type(op)](value(left), value(right))
                case ast.Call(func=ast.Name(id=name), args=arguments):
                    return call(name, [value(argument) for argument in arguments])
            raise AssertionError(f"{type(node).__name__} was let through")

        return value(self.tree)

    def _check(self, node: ast.AST, depth: int, functions: tuple[str, ...]) -> None:
        if depth == 0:
            raise ExpressionError(f"nested more than {MOST_NESTING} deep at {self._at(node)}")
        check = partial(self._check, depth=depth - 1, functions=functions)
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                if not _is_finite(number):
                    raise ExpressionError(f"a number beyond 1e308 at {self._at(node)}")
            case ast.Name():
                pass
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                check(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                check(left)
                check(right)
            case ast.Call(func=ast.Name(id=name), args=[_, *more] as arguments, keywords=[]) if (
                name in functions and bool(more) == (name in _EXTREMES)
            ):
                for argument in arguments:
                    check(argument)
            case _:
                raise ExpressionError(
                    f'"{printable(ast.unparse(node))}" at {self._at(node)} is no arithmetic; '
                    f"numbers, names, + - * / ** and {', '.join(functions)} are"
                )

    def _at(self, node: Any) -> str:
        """The place of a node in the text that was given."""
        python, _ = _as_python(self.text)
        return _place(self.text, len(python.encode()[: node.col_offset].decode()))


def expression(text: str, names: Collection[str]) -> Expression:
    """The arithmetic of a text as a function of the values of its names.

    Values may be numbers or arrays of one shape, real or complex; what overflows is infinite, and
    what is undefined is nan. Raises ExpressionError for anything that is not of the language.
    """
    parsed = Arithmetic.of(text)
    for name, place in parsed.names():
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise ExpressionError(f"there is no {printable(name)} ({place}); names are {known}")

    def value(values: Mapping[str, Any]) -> Any:
        def leaf(of: str | float) -> Any:
            return values[of] if isinstance(of, str) else np.float64(of)

        with np.errstate(all="ignore"):
            return parsed.fold(leaf, numeric)

    return value


def numeric(name: str, arguments: list[Any]) -> Any:
    """A function of the language on numbers or arrays."""
    if name in _EXTREMES:
        return reduce(np.minimum if name == "min" else np.maximum, arguments)
    return _FUNCTIONS[name](*arguments)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def _as_python(text: str) -> tuple[str, list[int]]:
    """The text as Python reads it, and for each of its characters the place in the text of the one
    that it came from; what stands before the first word is none."""
    python, places = "", []
    at = len(text) - len(text.lstrip())
    for found in _WRITTEN.finditer(text[at:].rstrip()):
        sign = found[0]
        read = _SIGNS.get(sign, " " if sign.isspace() else sign)  # a formula may have many lines
        if sign[0] in _RAISED:
            read = "**" + "".join(_RAISED[digit] for digit in sign)
        python += read
        places += [at + found.start()] * len(read)
    return python, places


def _place(text: str, offset: int) -> str:
    """Where in the text that was given a character of its Python form stands, from one on."""
    _, places = _as_python(text)
    at = places[offset] if offset < len(places) else len(text.rstrip())
    return f"character {at + 1}"


def _reserved(text: str) -> str:
    """That a name of the text is a word of Python's, which no name can be; "" where none is."""
    for word in re.finditer(r"[^\W\d]\w*", text):
        if keyword.iskeyword(word[0]):
            return (
                f'"{word[0]}" at character {word.start() + 1} is reserved; write {word[0]}_ or '
                "another name"
            )
    return ""
