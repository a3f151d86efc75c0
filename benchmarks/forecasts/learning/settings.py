"""Priors of the laws as steps from those set by hand, which the search for better ones moves."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis.forecasting.constants.priors import (
    BEND,
    COUPLING,
    EXPONENT,
    EXPONENT_RATIO,
    FLOOR,
)
from analysis.forecasting.members.candidates import Candidate

GAUSSIAN, HEAVY = 1e6, 3.0  # degrees of freedom of a prior


@dataclass(frozen=True, order=True)
class Setting:
    """Priors as steps (whole numbers) from those set by hand."""

    steps: tuple[int, ...]

    @property
    def values(self) -> dict[str, float]:
        """The means, the standard deviations and the tail by name."""
        named = zip(COORDINATES.items(), self.steps, strict=True)
        return {name: base + k * step for (name, (base, step)), k in named}

    @property
    def priors(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each parameter that is learned."""
        v = self.values
        return {
            "floor": (v["floor mean"], float(np.exp(v["floor sd"]))),
            "mu": (v["exponent mean"], float(np.exp(v["exponent sd"]))),
            "d": (EXPONENT_RATIO[0], float(np.exp(v["ratio sd"]))),
            "kappa": (v["coupling mean"], float(np.exp(v["coupling sd"]))),
            "bend": (v["bend mean"], float(np.exp(v["bend sd"]))),
        }

    def of(self, candidate: Candidate) -> Candidate:
        """The candidate with these priors of its parameters."""
        own, named = self.priors, zip(candidate.form.parameters, candidate.priors, strict=True)
        return replace(candidate, priors=tuple(own.get(name, prior) for name, prior in named))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the priors."""
        return HEAVY if self.values["tail"] > 0 else GAUSSIAN

    @property
    def away(self) -> float:
        """Squared steps from what was set by hand."""
        return float(np.sum(np.square(self.steps)))

    def moved(self, steps: Mapping[int, int]) -> "Setting":
        """With these coordinates (by place) so many steps further."""
        return Setting(tuple(k + steps.get(i, 0) for i, k in enumerate(self.steps)))

    def neighbours(self) -> list["Setting"]:
        """One step along each coordinate, either way."""
        last = len(self.steps) - 1
        moves = itertools.product(range(len(self.steps)), (-1, 1))
        found = [self.moved({place: sign}) for place, sign in moves]
        return [one for one in found if one.steps[last] in (0, 1)]


#: Where each stands and what one step of it is; standard deviations as logs.
COORDINATES: Mapping[str, tuple[float, float]] = {
    "floor mean": (FLOOR[0], 0.15),
    "floor sd": (float(np.log(FLOOR[1])), 0.5),
    "exponent mean": (EXPONENT[0], 0.08),
    "exponent sd": (float(np.log(EXPONENT[1])), 0.4),
    "ratio sd": (float(np.log(EXPONENT_RATIO[1])), 0.5),
    "coupling mean": (COUPLING[0], 0.12),
    "coupling sd": (float(np.log(COUPLING[1])), 0.5),
    "bend mean": (BEND[0], 0.015),
    "bend sd": (float(np.log(BEND[1])), 0.5),
    "tail": (0.0, 1.0),
}
BY_HAND = Setting((0,) * len(COORDINATES))
