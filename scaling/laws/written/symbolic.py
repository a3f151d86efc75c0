"""What SymPy makes of a formula: the parts that its constants play, and its derivatives."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.errors import FitError
from scaling.laws.base import Power
from scaling.laws.written.expression import Arithmetic, numeric
from scaling.tables.notes import printable

if TYPE_CHECKING:
    import sympy


class Symbolic:
    """The formula as SymPy knows it: what its constants are, and its derivatives."""

    def __init__(
        self,
        arithmetic: Arithmetic,
        columns_of: Mapping[str, str],
        inputs: tuple[str, ...],
        constants: tuple[str, ...],
        positive: Collection[str],
    ) -> None:
        """Constants in ``positive`` are zero or above. Raises FitError for what is no law."""
        import sympy

        self.inputs = {name: sympy.Dummy(f"x{i}", positive=True) for i, name in enumerate(inputs)}
        self.constants = {
            name: sympy.Dummy(f"c{i}", positive=True if name in positive else None, real=True)
            for i, name in enumerate(constants)
        }
        symbols = self.constants | {k: self.inputs[v] for k, v in columns_of.items()}
        self._where = f'"{printable(arithmetic.text.strip())}"'
        overflows = f"{self._where}: a number in it overflows or divides by zero"
        overflows += arithmetic.infinite_part()
        try:
            found = arithmetic.fold(
                lambda of: symbols[of] if isinstance(of, str) else float(of), _symbolic
            )
        except (OverflowError, ZeroDivisionError, ValueError, TypeError) as error:
            raise FitError(overflows) from error
        self.loss = sympy.sympify(found)
        if self.loss.has(sympy.zoo, sympy.nan, sympy.oo):
            raise FitError(overflows)
        for name, symbol in self.constants.items():
            if not self.loss.has(symbol):
                raise FitError(f"{self._where}: {name} cancels out; leave it away")
        self.terms = sympy.Add.make_args(self.loss)
        self.floor = self._floor()
        self.linear = self._linear()
        self.exponents = self._exponents()

    def _floor(self) -> str | None:
        """The constant to which the loss falls: a term of its own, with only positive ones beside
        it. Raises FitError where two constants are such terms: only their sum is told."""
        alone = [name for name, symbol in self.constants.items() if symbol in self.terms]
        if len(alone) > 1:
            raise FitError(
                f"{self._where}: {alone[0]} and {alone[1]} are only ever added to each other, so "
                "no runs can tell them apart; keep one"
            )
        if not alone:
            return None
        symbol = self.constants[alone[0]]
        rest = self.loss - symbol
        return alone[0] if not rest.has(symbol) and rest.is_positive else None

    def _linear(self) -> tuple[str, ...]:
        """Constants in which the loss is linear together: one factor of each term."""
        found = []
        for term in self.terms:
            factors = [
                name
                for name, symbol in self.constants.items()
                if (term / symbol).has(symbol) is False
                and term.has(symbol)
                and not any(other.has(symbol) for other in self.terms if other is not term)
            ]
            if not factors:
                return ()
            found.append(factors[0])
        return tuple(name for name in self.constants if name in found)

    def _exponents(self) -> tuple[str, ...]:
        """Constants that are found in exponents of inputs alone."""
        import sympy

        in_exponents, elsewhere = set(), set()
        for power in self.loss.atoms(sympy.Pow):
            if power.base.has(*self.inputs.values()):
                in_exponents |= power.exp.free_symbols
        bare = self.loss.replace(
            lambda e: e.is_Pow and e.base.has(*self.inputs.values()), lambda e: e.base
        )
        elsewhere = bare.free_symbols
        found = in_exponents - elsewhere
        return tuple(name for name, symbol in self.constants.items() if symbol in found)

    def is_defined_at_zero(self, column: str) -> bool:
        """Whether the formula has values and derivatives where this input is zero: no power or
        logarithm is of it alone."""
        import sympy

        x = self.inputs[column]
        powers = [power for power in self.loss.atoms(sympy.Pow) if power.base.has(x)]
        bases = [p.base for p in powers if not (p.exp.is_Integer and p.exp >= 0)]
        bases += [log.args[0] for log in self.loss.atoms(sympy.log) if log.has(x)]
        return all(base.subs(x, 0).is_positive for base in bases)

    def powers(self) -> tuple[Power, ...]:
        """The formula as its floor plus powers of single inputs; none where it is not."""
        rest = [term for term in self.terms if term is not self.constants.get(self.floor or "")]
        powers = [self._power(term) for term in rest]
        if any(power is None for power in powers):
            return ()
        found = tuple(power for power in powers if power is not None)
        used = [n for power in found for n in (power.coefficient, power.exponent)]
        floor = () if self.floor is None else (self.floor,)
        is_all = sorted((*used, *floor)) == sorted(self.constants)
        return found if is_all else ()

    def _power(self, term: "sympy.Expr") -> Power | None:
        """``coefficient * input**(sign * exponent)``."""
        by_symbol = {symbol: name for name, symbol in self.constants.items()}
        for i, base in enumerate(self.inputs.values()):
            for coefficient, name in by_symbol.items():
                exponent = (term / coefficient).as_base_exp()
                if exponent[0] is not base:
                    continue
                for sign in (-1.0, 1.0):
                    of = by_symbol.get(exponent[1] * int(sign))
                    if of in self.exponents:
                        return Power(name, i, str(of), sign)
        return None

    @cached_property
    def compiled(self) -> Callable[..., list[Any]]:
        """Loss, gradient, and the lower triangle of the Hessian, as one function of the inputs,
        then the constants."""
        import sympy

        symbols = list(self.constants.values())
        first = [_without_jumps(sympy.diff(self.loss, s)) for s in symbols]
        second = [
            _without_jumps(sympy.diff(first[j], symbols[k]))
            for j in range(len(symbols))
            for k in range(j + 1)
        ]
        order = [*self.inputs.values(), *symbols]
        function: Callable[..., list[Any]] = sympy.lambdify(
            order, [self.loss, *first, *second], modules="numpy", cse=True
        )
        return function


def _without_jumps(derivative: "sympy.Expr") -> "sympy.Expr":
    """A derivative where min and max are smooth: at their corners it jumps, on no run's account."""
    import sympy

    flat = derivative.replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    return flat.replace(sympy.Heaviside, lambda at, *_: sympy.Heaviside(at, 0.5))


def _symbolic(name: str, arguments: list[Any]) -> Any:
    """A function of the language on SymPy's terms, or on numbers."""
    import sympy

    if all(isinstance(argument, float) for argument in arguments):
        return float(numeric(name, arguments))
    known = {"exp": _exponential, "log": sympy.log, "ln": sympy.log, "sqrt": sympy.sqrt}
    if name == "log10":
        return sympy.log(arguments[0]) / float(np.log(10))
    if name in known:
        return known[name](*arguments)
    return (sympy.Min if name == "min" else sympy.Max)(*arguments)


def _exponential(of: "sympy.Expr") -> "sympy.Expr":
    """exp of a sum as a product, in which exp(-alpha*log(N)) is the power N**-alpha that it is."""
    import sympy

    product = sympy.Integer(1)
    for term in sympy.Add.make_args(of):
        factors = sympy.Mul.make_args(term)
        logs = [factor for factor in factors if isinstance(factor, sympy.log)]
        is_power = len(logs) == 1 and logs[0].args[0].is_positive
        product *= logs[0].args[0] ** (term / logs[0]) if is_power else sympy.exp(term)
    return product
