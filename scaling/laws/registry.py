"""Scaling laws as values: each law is a frozen dataclass of its constants.

Glossary, one symbol, one meaning, everywhere in the project:

    N  params         trainable parameters
    D  tokens         training tokens seen
    U  unique_tokens  distinct training tokens
    C  train_flops    FLOP spent on training
    L  loss           validation cross-entropy, nats per token
    E, c              floor: the loss that no scale removes, nats per token

Constants are floats, or arrays of draws: the truth of a test, a best fit and a whole bootstrap
share one type. ``law.loss(...)`` has the shape of the constants followed by the shape of the
inputs. A new law is one dataclass and one entry in `LAWS`.
"""

from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import M4, BrokenPowerLaw, PowerLaw, ShiftedPowerLaw, TwiceBrokenPowerLaw
from scaling.laws.surfaces import Chinchilla, DataConstrained, Overtraining, ShapeLaw, Skaling

LAWS: dict[str, type[Law]] = {
    "power_law": PowerLaw,
    "shifted_power_law": ShiftedPowerLaw,
    "m4": M4,
    "broken_power_law": BrokenPowerLaw,
    "broken_power_law_2": TwiceBrokenPowerLaw,
    "chinchilla": Chinchilla,
    "skaling": Skaling,
    "overtraining": Overtraining,
    "data_constrained": DataConstrained,
    "shape_law": ShapeLaw,
}


def law_named(name: "str | type[Law]") -> type[Law]:
    """The law of this name (or the class itself). Raises FitError naming the known ones."""
    if isinstance(name, type):
        return name
    if name not in LAWS:
        raise FitError(f'unknown law "{name}"; the laws are {", ".join(LAWS)}')
    return LAWS[name]
