"""A law of the shares of a mixture of data, however many there are and whatever they are called."""

import dataclasses
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from scaling.arrays import FloatArray
from scaling.errors import FitError
from scaling.laws.base import NATS, Bounds, Constant, Law, Prior, Symbol
from scaling.laws.reference import Reference
from scaling.laws.starts import Grid

_CALL = re.compile(r"\s*data_mixture\s*\((.*)\)\s*", re.DOTALL)
_NAME = "data_mixture"
_FEWEST = 2
_LARGEST_PULL = 30.0
_FLOOR_SHARES = (0.05, 0.3, 0.6, 0.8, 0.95)


class MixtureLaw(Law):
    """A floor and an exponential of the shares of domains in a mixture of data.

        L(r_1, ..., r_n) = E + exp(t_1 r_1 + ... + t_n r_n)

    Ye et al. 2024, "Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling
    Performance", arXiv:2403.16952, who write c + k exp(t_1 r_1 + ...). Shares that add up to one
    tell k exp(t_j) alone, so here k is one. It holds for one size and one number of tokens.
    ``data_mixture(web, code, books)`` is the law of these columns.
    """

    name: ClassVar[str] = _NAME
    reference: ClassVar[Reference] = Reference(
        "ye2024mixing",
        ("Jiasheng Ye", "others"),
        "Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling Performance",
        2024,
        "2403.16952",
    )
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("E",)
    floor: ClassVar[str | None] = "E"

    @staticmethod
    def formula(*values: Any) -> Any:
        """E + exp(t_1 r_1 + ... + t_n r_n): shares, E, then t."""
        count = (len(values) - 1) // 2
        shares, floor, pulls = values[:count], values[count], values[count + 1 :]
        return floor + np.exp(sum(t * r for t, r in zip(pulls, shares, strict=True)))

    @classmethod
    def starts(
        cls,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        fixed: Mapping[str, float],
    ) -> Grid:
        """A few floors, each with the pulls that are the least squares of ln(L - E)."""
        floors = [fixed["E"]] if "E" in fixed else [s * loss.min() for s in _FLOOR_SHARES]
        pulls = [name for name in cls.constant_names() if name != "E"]
        free = [i for i, name in enumerate(pulls) if name not in fixed]
        x, root = np.column_stack(inputs), np.sqrt(weights)
        rows = []
        for floor in floors:
            target = np.log(np.maximum(loss - floor, 1e-3 * loss))
            found = np.array([fixed.get(name, 0.0) for name in pulls])
            rest = (target - x @ found) * root
            found[free] = np.linalg.lstsq(x[:, free] * root[:, None], rest, rcond=None)[0]
            rows.append([floor, *np.clip(found, -_LARGEST_PULL, _LARGEST_PULL)])
        return dict(zip(cls.constant_names(), np.array(rows).T, strict=True))

    @classmethod
    def example(cls) -> Self:
        """Made up: the first domains help most."""
        count = len(cls.inputs)
        pulls = np.linspace(-0.5, 1.5, count)
        return cls(1.5, *map(float, pulls))  # type: ignore[call-arg]  # its fields are made below

    @classmethod
    def example_runs(cls) -> dict[str, FloatArray]:
        """Sixty mixtures, drawn evenly from all there are."""
        drawn = np.random.default_rng(0).dirichlet(np.ones(len(cls.inputs)), size=60)
        return dict(zip(cls.inputs, (0.98 * drawn + 0.02 / len(cls.inputs)).T, strict=True))


def mixture_of(text: str) -> type[MixtureLaw] | None:
    """The law that ``data_mixture(web, code, books)`` names; None for other texts.

    Raises FitError for columns that make no mixture.
    """
    called = _CALL.fullmatch(text)
    if called is None:
        return None
    names = tuple(name.strip() for name in called[1].split(","))
    if "" in names or len(names) < _FEWEST or len(set(names)) < len(names):
        raise FitError(
            f'"{text}": write data_mixture(A, B, ...) with two columns or more, each of them once'
        )
    return mixture_law(names)


@lru_cache(maxsize=64)
def mixture_law(columns: tuple[str, ...], name: str = "") -> type[MixtureLaw]:
    """The law of the shares in these columns."""
    pulls = tuple(f"t{i}" for i in range(1, len(columns) + 1))
    powers = " + ".join(f"{t} {column}" for t, column in zip(pulls, columns, strict=True))
    pull = {
        t: Symbol(f"ln of the loss above E of {c} alone")
        for t, c in zip(pulls, columns, strict=True)
    }
    bounds: dict[str, Bounds] = dict.fromkeys(pulls, (-_LARGEST_PULL, _LARGEST_PULL))
    priors: dict[str, Prior] = dict.fromkeys(pulls, (0.0, 3.0))
    return dataclasses.make_dataclass(
        "Mixture",
        [("E", Constant), *((t, Constant) for t in pulls)],
        bases=(MixtureLaw,),
        frozen=True,
        namespace={
            "__doc__": MixtureLaw.__doc__,
            "__module__": __name__,
            "name": name or f"data_mixture({', '.join(columns)})",
            "form": f"L = E + exp({powers})",
            "inputs": columns,
            "not_falling": columns,
            "may_be_zero": columns,
            "symbols": {"E": Symbol("loss that no mixture removes", NATS), **pull},
            "own_bounds": bounds,
            "own_priors": priors,
        },
    )


Mixture = mixture_law(("share_1", "share_2", "share_3"), _NAME)
"""The law of three columns ``share_1``, ``share_2`` and ``share_3``."""
