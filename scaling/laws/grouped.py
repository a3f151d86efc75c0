"""One law for several groups of runs: some constants are shared, each group has its own others.

    Grouped = grouped_law(Chinchilla, groups=3, shared=("alpha",))

is a law as any other, of the inputs of the law and of the number of the group (one, two, ...),
with the constants ``alpha``, ``E_1``, ``E_2``, ``E_3``, ``A_1`` and so on. So whatever fits,
bootstraps and judges a law does so for groups.
"""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from scaling.arrays import BoolArray, FloatArray
from scaling.laws.base import Bounds, Constant, Law, Prior
from scaling.laws.starts import Grid

GROUP = "group_number"
"""The column that says to which group a run belongs, from one on."""
_MOST_CANDIDATES = 6  # shared constants to start from, each with the groups' own solved for


class GroupedLaw(Law):
    """A law whose constants differ between groups, save for shared ones."""

    base: ClassVar[type[Law]]
    groups: ClassVar[int]
    shared: ClassVar[tuple[str, ...]]

    @classmethod
    def own(cls, name: str, group: int) -> str:
        """What a constant of the law is called here, for this group (from one on)."""
        return name if name in cls.shared else f"{name}_{group}"

    @classmethod
    def of_group(cls, values: Mapping[str, Any], group: int) -> dict[str, Any]:
        """Of values by the names used here those of one group, by the names of the law."""
        names = {name: cls.own(name, group) for name in cls.base.constant_names()}
        return {name: values[own] for name, own in names.items() if own in values}

    @classmethod
    def rows(cls, inputs: tuple[FloatArray, ...], group: int) -> BoolArray:
        """Which runs (runs,) are of a group."""
        return np.asarray(inputs[-1] == group)

    @classmethod
    def starts(
        cls,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        fixed: Mapping[str, float],
    ) -> Grid:
        """Of each group alone the best start's shared constants, and all groups' own solved for
        with these; and with their means."""
        alone = [
            cls._best_start(inputs, loss, weights, cls.of_group(fixed, g), g)
            for g in range(1, cls.groups + 1)
        ]
        order = np.argsort([worth for worth, _ in alone], kind="stable")[:_MOST_CANDIDATES]
        candidates = [{k: alone[i][1][k] for k in cls.shared} for i in order]
        candidates.append({k: float(np.mean([c[k] for c in candidates])) for k in cls.shared})
        found = []
        for shared in candidates:
            one = dict(shared)
            for g in range(1, cls.groups + 1):
                held = {**cls.of_group(fixed, g), **shared}
                own = cls._best_start(inputs, loss, weights, held, g)[1]
                one |= {cls.own(name, g): value for name, value in own.items()}
            found.append({**one, **shared})
        return {name: np.array([one[name] for one in found]) for name in cls.constant_names()}

    @classmethod
    def _best_start(
        cls,
        inputs: tuple[FloatArray, ...],
        loss: FloatArray,
        weights: FloatArray,
        held: Mapping[str, float],
        group: int,
    ) -> tuple[float, dict[str, float]]:
        """The misfit of the best start of one group alone, and its constants."""
        rows = cls.rows(inputs, group)
        x, y, w = tuple(v[rows] for v in inputs[:-1]), loss[rows], weights[rows]
        if set(held) >= {*cls.base.constant_names()}:
            starts = {name: np.array([held[name]]) for name in cls.base.constant_names()}
        else:
            starts = cls.base.starts(x, y, w, held)
        with np.errstate(all="ignore"):
            missed = np.log(cls.base(**starts).loss(*x) / y) ** 2 @ w
        best = int(np.nan_to_num(missed, nan=np.inf).argmin())
        return float(missed[best]), {name: float(v[best]) for name, v in starts.items()}


def grouped_law(base: type[Law], groups: int, shared: tuple[str, ...]) -> type[GroupedLaw]:
    """The law ``base`` for so many groups, with the constants ``shared`` in common."""
    key: Any = base  # a class, which is hashable whatever mypy makes of its dataclass
    made: type[GroupedLaw] = _made(key, groups, shared)
    return made


@lru_cache(maxsize=64)
def _made(base: Any, groups: int, shared: tuple[str, ...]) -> Any:
    own = tuple(name for name in base.constant_names() if name not in shared)
    of_all = [(name, name) for name in base.constant_names() if name in shared]
    of_each = [(f"{name}_{g}", name) for g in range(1, groups + 1) for name in own]
    names = dict([*of_all, *of_each])  # name here -> name in the law
    bounds: dict[str, Bounds] = {here: base.bounds()[name] for here, name in names.items()}
    priors: dict[str, Prior] = {here: base.prior(name) for here, name in names.items()}
    return dataclasses.make_dataclass(
        f"Grouped{base.__name__}",
        [(name, Constant) for name in names],
        bases=(GroupedLaw,),
        frozen=True,
        namespace={
            "__doc__": f"{base.form}, by groups that share {', '.join(shared)}.",
            "__module__": __name__,
            "name": base.name,
            "form": base.form,
            "reference": base.reference,
            "inputs": (*base.inputs, GROUP),
            "symbols": {here: base.symbols[name] for here, name in names.items()},
            "linear": (),
            "positive": tuple(here for here, name in names.items() if name in base.positive),
            "floor": base.floor if base.floor in shared else None,
            "own_bounds": bounds,
            "own_priors": priors,
            "base": base,
            "groups": groups,
            "shared": shared,
            "formula": staticmethod(_evaluated(base, groups, shared, tuple(names))),
        },
    )


def _evaluated(
    base: type[Law], groups: int, shared: tuple[str, ...], names: tuple[str, ...]
) -> Any:
    def formula(*values: Any) -> Any:
        *inputs, group = values[: len(base.inputs) + 1]
        constants = dict(zip(names, values[len(base.inputs) + 1 :], strict=True))
        found: Any = 0.0
        for g in range(1, groups + 1):
            own = (constants[k if k in shared else f"{k}_{g}"] for k in base.constant_names())
            found = found + np.where(group == g, base.formula(*inputs, *own), 0.0)
        return found

    return formula
