"""The laws there are, by name; and the way in for one that is written elsewhere.

Glossary, one symbol, one meaning, everywhere in the project:

    N  params         trainable parameters
    D  tokens         training tokens seen
    U  unique_tokens  distinct training tokens
    C  train_flops    FLOP spent on training
    L  loss           validation cross-entropy, nats per token
    E, c              irreducible loss: what no scale removes, nats per token

Constants are floats, or arrays of draws: the truth of a test, a best fit and a whole bootstrap
share one type. ``law.loss(...)`` has the shape of the constants followed by the shape of the
inputs. A new law is one dataclass and one entry in `LAWS`, or one call of `register_law`; what
it must fulfil is in `scaling.laws.conformance`.
"""

from difflib import get_close_matches

from scaling.errors import FitError
from scaling.laws.base import Law
from scaling.laws.curves import (
    M4,
    BrokenPowerLaw,
    PowerLaw,
    PurePowerLaw,
    SaturatingPowerLaw,
    ShiftedPowerLaw,
    TwiceBrokenPowerLaw,
)
from scaling.laws.farseer import Farseer
from scaling.laws.of_other_inputs.encoder_decoder import EncoderDecoderLaw
from scaling.laws.of_other_inputs.experts import Experts, FineGrainedExperts
from scaling.laws.of_other_inputs.learning_rate import LearningRateAndBatch
from scaling.laws.of_other_inputs.mixtures import Mixture, mixture_of
from scaling.laws.of_other_inputs.parts_of_models import (
    ParallelCopies,
    ShapeLaw,
    SparseWeights,
    Vocabulary,
)
from scaling.laws.surfaces import Chinchilla, DataConstrained, Overtraining, Skaling

LAWS: dict[str, type[Law]] = {
    law.name: law
    for law in (
        *(PowerLaw, PurePowerLaw, ShiftedPowerLaw, SaturatingPowerLaw, M4),
        *(BrokenPowerLaw, TwiceBrokenPowerLaw),
        *(Chinchilla, Skaling, Overtraining, Farseer, DataConstrained, ShapeLaw),
        *(EncoderDecoderLaw, Vocabulary, ParallelCopies, SparseWeights),
        *(Experts, FineGrainedExperts, Mixture, LearningRateAndBatch),
    )
}


def law_named(name: "str | type[Law]") -> type[Law]:
    """The law of this name (or the class itself); ``data_mixture(A, B, ...)`` is that of columns A,
    B and so on. Raises FitError naming the known ones."""
    if isinstance(name, type):
        return name
    if (of_columns := mixture_of(name)) is not None:
        return of_columns
    if name not in LAWS:
        near = get_close_matches(name.lower().replace("-", "_"), LAWS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise FitError(f'unknown law "{name}"; {meant}the laws are {", ".join(LAWS)}')
    return LAWS[name]


def register_law(law: type[Law]) -> type[Law]:
    """Make a law known by its name to fits, forecasts, reports and documents; works as a decorator.

    Raises FitError for a name that another law has.
    """
    if LAWS.get(law.name, law) is not law:
        raise FitError(f'a law "{law.name}" exists already: {LAWS[law.name].form}; choose a name')
    LAWS[law.name] = law
    return law


def unregister_law(law: type[Law]) -> None:
    """Forget a law that was registered."""
    LAWS.pop(law.name, None)
