"""Arithmetic that people write into options: parsed, never executed.

    expression("A * 6**alpha", names=("A", "alpha"))({"A": 2.0, "alpha": 0.5})

The language has numbers, the names that the caller allows, + - * / ** (or ^), parentheses, and
exp, log, log10, sqrt. It has no other calls, no attributes, no comparisons, and it is bounded in
length and depth, so that text from anywhere can neither do anything nor take long.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
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
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "sqrt": np.sqrt,
}


class ExpressionError(ValueError):
    """What is wrong with the text of an expression, in half a sentence."""


def expression(text: str, names: Collection[str]) -> Expression:
    """The arithmetic of a text as a function of the values of its names.

    Values may be numbers or arrays of one shape, real or complex; what overflows is infinite, and
    what is undefined is nan. Raises ExpressionError for anything that is not of the language.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"{len(text):,} characters, and at most {MOST_CHARACTERS:,} are read")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError("not an expression of numbers, names and + - * / **") from error
    evaluate = _compiled(tree, frozenset(names), MOST_NESTING)

    def value(values: Mapping[str, Any]) -> Any:
        with np.errstate(all="ignore"):
            return evaluate(values)

    return value


def _compiled(node: ast.AST, names: frozenset[str], depth: int) -> Expression:
    if depth == 0:
        raise ExpressionError(f"nested more than {MOST_NESTING} deep")
    match node:
        case ast.Constant(value=int() | float() as constant) if not isinstance(constant, bool):
            return _constant(constant)
        case ast.Name(id=name) if name in names:
            return lambda values: values[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            sign, inner = _OPERATORS[type(op)], _compiled(operand, names, depth - 1)
            return lambda values: sign(inner(values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            combine = _OPERATORS[type(op)]
            first, second = _compiled(left, names, depth - 1), _compiled(right, names, depth - 1)
            return lambda values: combine(first(values), second(values))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            function, inner = _FUNCTIONS[name], _compiled(argument, names, depth - 1)
            return lambda values: function(inner(values))
    raise ExpressionError(_not_of_the_language(node, names))


def _constant(value: float) -> Expression:
    try:
        number = np.float64(value)
    except OverflowError as error:
        raise ExpressionError("a number beyond 1e308") from error
    return lambda values: number


def _not_of_the_language(node: ast.AST, names: frozenset[str]) -> str:
    if isinstance(node, ast.Name):
        return f"there is no {printable(node.id)}; names are {', '.join(sorted(names)) or 'none'}"
    return (
        f'"{printable(ast.unparse(node))}" is no arithmetic; numbers, names, + - * / ** and '
        f"{', '.join(_FUNCTIONS)} are"
    )
