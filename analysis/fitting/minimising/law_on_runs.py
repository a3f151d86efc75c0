"""A law on given runs as a function of search coordinates, with exact derivatives, in batches.

Four models answer the same questions (`Model`):

    SumOfPowers  laws that are a floor plus powers of the inputs: closed-form derivatives, fast
    AnyLaw       every other law: complex-step derivatives of its own formula
    ExactLaw     a written formula: derivatives that SymPy derived
    OfGroups     a law of groups that share some constants: the models of the groups together
"""

from collections.abc import Mapping

from analysis.fitting.minimising.models.any_law import AnyLaw, ExactLaw
from analysis.fitting.minimising.models.coordinates import Model, Tie
from analysis.fitting.minimising.models.of_groups import OfGroups
from analysis.fitting.minimising.models.sum_of_powers import SumOfPowers
from scaling.arrays import FloatArray
from scaling.laws.base import Law
from scaling.laws.grouped import GroupedLaw
from scaling.laws.written.formula import FormulaLaw


def model_of(
    law: type[Law],
    inputs: tuple[FloatArray, ...],
    fixed: Mapping[str, float],
    tied: Mapping[str, Tie] | None = None,
) -> Model:
    """The fast model where the law has one, else the general one."""
    if issubclass(law, GroupedLaw):
        return OfGroups(law, inputs, fixed, tied, model_of)
    if law.powers and not tied:
        return SumOfPowers(law, inputs, fixed)
    return general_model(law, inputs, fixed, tied)


def general_model(
    law: type[Law],
    inputs: tuple[FloatArray, ...],
    fixed: Mapping[str, float],
    tied: Mapping[str, Tie] | None = None,
) -> "AnyLaw":
    """The model that asks nothing of the law's form."""
    if issubclass(law, FormulaLaw) and not tied:
        return ExactLaw(law, inputs, fixed)
    return AnyLaw(law, inputs, fixed, tied)
