"""Laws that people write: any arithmetic of any columns, with constants that are found by name.

    Formula("E + A*N^-alpha + G*vocab_size^-gamma").on(records)

is a law as any other: fitted, bootstrapped, forecast with and saved. A name of the formula that is
a column of the table is an input; N, D, C and U are params, tokens, train_flops and unique_tokens;
every other name is a constant, zero or above unless its bounds say otherwise. The text is parsed,
never executed; derivatives are exact, by SymPy.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scaling.arrays import FloatArray
from scaling.columns import canonical_name
from scaling.errors import FitError
from scaling.laws.base import LARGEST_EXPONENT, Bounds, Constant, Law, Prior, Symbol
from scaling.laws.of_other_inputs.mixtures import MixtureLaw, mixture_law, mixture_of
from scaling.laws.reference import Reference
from scaling.laws.registry import law_named
from scaling.laws.starts import Grid, guesses_within
from scaling.laws.written.expression import Arithmetic, ExpressionError, numeric
from scaling.laws.written.symbolic import Symbolic
from scaling.tables.notes import printable

if TYPE_CHECKING:
    from scaling.records import Records

#: what the letters of the glossary stand for in a formula
LETTERS = {"N": "params", "D": "tokens", "C": "train_flops", "U": "unique_tokens"}
_ORDER = ("params", "tokens")  # what a law of size and data reads first
_SHARE_OF_A_NAME = 0.8  # a constant that is so like a column is taken for a slip
_SHORTEST_SLIP = 4  # letters; shorter names are alike by chance
_EXPONENT_GUESSES = (0.05, 0.15, 0.3, 0.5, 0.8)
_EXPONENT_PRIOR: Prior = (0.3, 0.5)
_PROBES = 40  # of the guesses: where none has a value, the formula has none
_MOST_SOLVED = 6  # constants that least squares gives at once: every subset of them is tried


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A law as it was written, before it meets a table."""

    expression: str = field(kw_only=False)
    """The arithmetic, with or without ``L =`` before it."""
    name: str = ""
    """What results call it; without a name, by its arithmetic."""
    bounds: Mapping[str, Bounds] = field(default_factory=dict, hash=False)
    """Between which values constants are searched; a lower end below zero lets one be negative."""
    units: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Units of constants, for tables."""
    reference: Reference | None = None
    """Where it comes from."""

    @property
    def called(self) -> str:
        """Its name in results."""
        return self.name or " ".join(self.expression.split())

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """The parsed text. Raises FitError with what is wrong, and where."""
        head, equals, body = self.expression.partition("=")
        if equals and head.strip().split("(")[0].strip() not in ("L", "loss"):
            raise FitError(
                f'"{printable(self.expression)}": a formula is of the loss: write L = ...'
            )
        text = " " * (len(head) + 1) + body if equals else self.expression
        try:
            return Arithmetic.of(text, of_laws=True)
        except ExpressionError as error:
            raise FitError(f'"{printable(self.expression)}": {error}') from error

    def on(self, records: "Records") -> type[Law]:
        """The law on the columns of this table. Raises FitError where it is none there, RecordError
        where nobody can tell which column is meant."""
        columns: dict[str, str] = {}
        constants: list[str] = []
        where = f'"{printable(self.expression)}"'
        self._check_columns_read_as_sums(records)
        for name, place in self.arithmetic.names():
            if name not in records and (known := LETTERS.get(name) or canonical_name(name)):
                records.require_clear(known)
            column = _column(name, records)
            if column is not None:
                columns[name] = column
            elif name in LETTERS:
                raise FitError(
                    f'{records.source}: "{printable(name)}" ({place} of the formula) stands for '
                    f"{LETTERS[name]}, and the table has none; map it with --columns "
                    f"{LETTERS[name]}=THEIR_NAME"
                )
            elif records.name_of(name) == "loss":
                raise FitError(
                    f'{where}: "{printable(name)}" ({place} of the formula) is the loss itself, '
                    "which the formula gives; name other columns"
                )
            elif name.lower() in ("nan", "inf"):
                raise FitError(f'{where}: "{name}" ({place} of the formula) names no constant')
            elif name not in constants:
                self._check_slip(name, place, records)
                constants.append(name)
        if not columns:
            has = ", ".join(printable(c) for c in list(records.table.columns)[:12])
            names = ", ".join(f"{printable(n)} ({at})" for n, at in self.arithmetic.names())
            names = f"; it names {names}" if names else ""
            raise FitError(f"{where} reads no column of {records.source} (it has: {has}){names}")
        if not constants:
            raise FitError(f"{where} has no constants, so there is nothing to fit")
        if unknown := sorted({*self.bounds, *self.units} - {*constants}):
            raise FitError(f"{where} has no constant {unknown[0]} to bound or to give a unit")
        return _law(self, tuple(columns.items()), tuple(constants), tuple(self.bounds.items()))

    def _check_columns_read_as_sums(self, records: "Records") -> None:
        """Refuse a column whose name would be read as arithmetic, such as vocab-size."""
        ours = {theirs: ours for ours, theirs in records.names.items()}
        for column in dict.fromkeys((*map(str, records.table.columns), *ours)):
            if column.isidentifier() or not re.search(r"[^\W\d]", column):
                continue
            if found := re.search(rf"(?<!\w){re.escape(column)}(?!\w)", self.expression):
                word = re.sub(r"\W+", "_", column).strip("_")
                use = ours.get(column)
                hint = f"write {use}" if use else f'map it: --columns "{word}={printable(column)}"'
                raise FitError(
                    f'{records.source}: the column "{printable(column)}" (character '
                    f"{found.start() + 1} of the formula) is no name in a formula; {hint}"
                )

    def _check_slip(self, name: str, place: str, records: "Records") -> None:
        """Refuse a constant that is spelt like a column, one of the table's but for a letter or one
        that the table lacks: the fit would be of something else."""
        if name in self.bounds or name in self.units or len(name) < _SHORTEST_SLIP:
            return
        if (known := canonical_name(name)) is not None:
            raise FitError(
                f'{records.source}: there is no column "{printable(name)}" ({place} of the '
                f"formula); map it with --columns {known}=THEIR_NAME. A constant needs another name"
            )
        columns = [*map(str, records.table.columns), *records.names.values()]
        near = get_close_matches(name, columns, n=1, cutoff=_SHARE_OF_A_NAME)
        if near:
            raise FitError(
                f'{records.source}: there is no column "{printable(name)}" ({place} of the '
                f"formula); did you mean {printable(near[0])}? A constant needs another name"
            )

    def to_dict(self) -> dict[str, Any]:
        """Everything that makes the formula again, ready for JSON."""
        return {
            "expression": self.expression,
            "name": self.name,
            "bounds": {k: [None if np.isinf(v) else v for v in b] for k, b in self.bounds.items()},
            "units": dict(self.units),
            "reference": None if self.reference is None else dataclasses.asdict(self.reference),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Formula":
        """The inverse of `to_dict`."""
        source = document["reference"]
        if source is not None:
            source = Reference.from_dict(source)
        ends = {k: (_end(low, -1), _end(high, 1)) for k, (low, high) in document["bounds"].items()}
        return cls(**{**document, "bounds": ends, "reference": source})


def _end(value: float | None, side: float) -> float:
    return side * np.inf if value is None else value


def is_formula(text: str) -> bool:
    """Whether this is arithmetic rather than the name of a law."""
    return mixture_of(text) is None and any(sign in text for sign in "+*/^(=")


def law_for(
    law: "str | type[Law] | Formula",
    records: "Records",
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> type[Law]:
    """The law of this name or formula on the columns of this table; a class is itself.

    ``bounds`` of the caller that begin below zero let a formula's constant be negative. Raises
    FitError for unknown names, and for formulas that the table cannot carry.
    """
    if isinstance(law, str) and is_formula(law):
        ends = {k: (_end(low, -1), _end(high, 1)) for k, (low, high) in (bounds or {}).items()}
        law = Formula(law, bounds={k: b for k, b in ends.items() if -np.inf < b[0] < 0})
    if isinstance(law, Formula):
        return law.on(records)
    named = law_named(law)
    if issubclass(named, MixtureLaw) and any(name not in records for name in named.inputs):
        named = mixture_law(tuple(records.name_of(name) for name in named.inputs))
    return named


def undefined_at(law: type[Law], inputs: tuple[FloatArray, ...], values: FloatArray) -> int | None:
    """The first row of ``inputs``, each (rows,), where a formula has no finite value for any of
    its usual constants, such as a logarithm of what is below zero; None where there is none.

    ``values`` are those of the loss (runs,), whose size the guesses have. Laws that are no
    formulas are defined wherever their inputs are above zero.
    """
    if not issubclass(law, FormulaLaw):
        return None
    grid = law.guesses(inputs, np.abs(values) + np.finfo(np.float64).tiny)
    most = max((len(v) for v in grid.values()), default=1)
    some = np.unique(np.linspace(0, most - 1, _PROBES).astype(np.int64))
    constants = [
        np.asarray(grid[name])[some, None] if name in grid else np.ones((1, 1))
        for name in law.constant_names()
    ]
    with np.errstate(all="ignore"):
        found = np.asarray(law.formula(*inputs, *constants))
    has_none = ~np.isfinite(np.broadcast_to(found, (len(some), len(inputs[0])))).any(axis=0)
    return int(has_none.argmax()) if has_none.any() else None


def own_input(laws: "str | type[Law] | tuple[type[Law], ...]") -> str | None:
    """The one column that these formulas read, where a forecast would not ask for it by itself."""
    if isinstance(laws, str):
        return None
    read = {law.inputs for law in (laws if isinstance(laws, tuple) else (laws,))}
    alone = next(iter(read))
    return alone[0] if len(read) == len(alone) == 1 and alone != ("train_flops",) else None


def require_own_column(law: type[Law], x: str | None) -> None:
    """Refuse a column that stands for the input of a law where a formula names its own."""
    if x is not None and issubclass(law, FormulaLaw) and law.inputs != (x,):
        raise FitError(
            f'--x {printable(x)}: "{printable(law.name)}" reads {", ".join(law.inputs)}; leave --x '
            "out, or write the formula of that column"
        )


def _column(name: str, records: "Records") -> str | None:
    """The column of the table that a name of a formula is; None where it is none."""
    if name in LETTERS and name not in records:
        return LETTERS[name] if LETTERS[name] in records else None
    found = records.name_of(name)
    return found if found in records and found != "loss" else None


class FormulaLaw(Law):
    """A formula on the columns of one table: what `Formula.on` makes a law of."""

    written: ClassVar[Formula]
    columns_of: ClassVar[Mapping[str, str]]  # name in the formula -> column
    symbolic: ClassVar[Symbolic]

    @classmethod
    def solved(cls) -> tuple[str, ...]:
        """See `Law`; only so many as can be solved for together."""
        return cls.linear if len(cls.linear) <= _MOST_SOLVED else ()

    @classmethod
    def guesses(cls, inputs: tuple[FloatArray, ...], loss: FloatArray) -> Grid:
        """Usual exponents; of all else what its bounds say."""
        wanted = {k: ends for k, ends in cls.bounds().items() if k not in cls.solved()}
        known: dict[str, list[float]] = {}
        for name in set(wanted) & set(cls.symbolic.exponents):
            low, high = wanted[name]
            if within := [v for v in _EXPONENT_GUESSES if low < v < high]:
                known[name] = within
        if cls.floor in wanted:
            known[cls.floor] = [share * loss.min() for share in (0.1, 0.5, 0.8, 0.95)]
        return guesses_within(wanted, inputs, known) if wanted else {}

    @classmethod
    def second_derivatives(
        cls, inputs: tuple[FloatArray, ...], constants: Mapping[str, Any]
    ) -> tuple[FloatArray, list[FloatArray], list[list[FloatArray]]]:
        """The loss with its first and second derivatives by the constants, in their order; of
        ``constants`` (batch, 1) on inputs (runs,), each (batch, runs)."""
        values = [constants[name] for name in cls.constant_names()]
        with np.errstate(all="ignore"):
            found = cls.symbolic.compiled(*inputs, *values)
        shape = np.broadcast_shapes(*(np.shape(v) for v in (*inputs, *values)))
        flat = [np.broadcast_to(np.asarray(v, dtype=np.float64), shape) for v in found]
        p = len(values)
        rows = [[flat[1 + p + _packed(j, k)] for k in range(p)] for j in range(p)]
        return flat[0], flat[1 : 1 + p], rows


def _packed(j: int, k: int) -> int:
    """Where the lower triangle of a symmetric matrix, row by row, has its entry (j, k)."""
    row, column = max(j, k), min(j, k)
    return row * (row + 1) // 2 + column


@lru_cache(maxsize=256)
def _law(
    formula: Formula,
    columns: tuple[tuple[str, str], ...],
    constants: tuple[str, ...],
    bounds: tuple[tuple[str, Bounds], ...],
) -> type[Law]:
    """The class of a formula on these columns; one and the same for equal ones."""
    columns_of, given = dict(columns), dict(bounds)
    read = dict.fromkeys(columns_of.values())
    inputs = (*(c for c in _ORDER if c in read), *(c for c in read if c not in _ORDER))
    positive = {k for k in constants if given.get(k, (0.0, 0.0))[0] >= 0}
    symbolic = Symbolic(formula.arithmetic, columns_of, inputs, constants, positive)
    powers = symbolic.powers()
    exponents = symbolic.exponents
    own = {k: (0.0, LARGEST_EXPONENT) for k in exponents} | given
    signed = {k for k, (low, _) in given.items() if low < 0}
    form = " ".join(formula.expression.split())
    return dataclasses.make_dataclass(
        "".join(part.title() for part in formula.name.split("_")) + "Formula",
        [(name, Constant) for name in constants],
        bases=(FormulaLaw,),
        frozen=True,
        namespace={
            "__doc__": f"{form}\n\nA formula of {', '.join(inputs)}.",
            "__module__": __name__,
            "name": formula.called,
            "form": form if "=" in form else f"L = {form}",
            "reference": formula.reference,
            "inputs": inputs,
            "symbols": {
                k: Symbol(_meaning(k, symbolic), formula.units.get(k, "")) for k in constants
            },
            "linear": symbolic.linear,
            "positive": tuple(k for k in constants if k not in signed and k not in exponents),
            "floor": symbolic.floor if symbolic.floor not in signed else None,
            "powers": powers,
            "own_bounds": own,
            "own_priors": dict.fromkeys(exponents, _EXPONENT_PRIOR),
            "written": formula,
            "columns_of": columns_of,
            "may_be_zero": tuple(c for c in inputs if symbolic.is_defined_at_zero(c)),
            "symbolic": symbolic,
            "formula": staticmethod(_evaluated(formula.arithmetic, columns_of, inputs, constants)),
        },
    )


def _meaning(name: str, symbolic: Symbolic) -> str:
    if name == symbolic.floor:
        return "loss that no scale removes"
    return "exponent" if name in symbolic.exponents else "constant of the formula"


def _evaluated(
    tree: Arithmetic,
    columns_of: Mapping[str, str],
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
) -> Callable[..., Any]:
    """The formula as a function of its inputs, then its constants, real or complex."""

    def formula(*values: Any) -> Any:
        given = dict(zip((*inputs, *constants), values, strict=True))

        def leaf(of: str | float) -> Any:
            return given[columns_of.get(of, of)] if isinstance(of, str) else np.float64(of)

        with np.errstate(all="ignore"):  # far guesses of a search may overflow
            return tree.fold(leaf, numeric)

    return formula


def law_to_dict(law: type[Law]) -> dict[str, Any]:
    """Name and source of a law, and of a formula what makes it again; ready for JSON."""
    source = law.reference
    cited = {"citation": source.citation, "bibtex": source.bibtex} if source else None
    named: dict[str, Any] = {"law": law.name, "form": law.form, "reference": cited}
    if issubclass(law, FormulaLaw):
        columns = {"columns_of": dict(law.columns_of), "constants": list(law.constant_names())}
        named["formula"] = {**law.written.to_dict(), **columns}
    return named


def law_from(document: Mapping[str, Any]) -> type[Law]:
    """The law that `law_to_dict` wrote down. Raises FitError for an unknown name."""
    if "formula" not in document:
        return law_named(document["law"])
    of = dict(document["formula"])
    columns, constants = of.pop("columns_of"), of.pop("constants")
    formula = Formula.from_dict(of)
    return _law(formula, tuple(columns.items()), tuple(constants), tuple(formula.bounds.items()))
