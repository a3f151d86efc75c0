"""The objectives there are, by the name that `objective` gives."""

import difflib

from scaling.errors import ConfigError
from sweeps.objectives.base import Objective
from sweeps.objectives.causal import Causal
from sweeps.objectives.conditional import Conditional
from sweeps.objectives.masked import Masked

CAUSAL = Causal()
CONDITIONAL = Conditional().name
_OWN: tuple[Objective, ...] = (CAUSAL, Conditional(), Masked())

OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _OWN}


def find_objective(name: str) -> Objective:
    """The objective of this name; ConfigError names the nearest known one."""
    if name not in OBJECTIVES:
        near = difflib.get_close_matches(name, OBJECTIVES, n=1, cutoff=0.0)[0]
        raise ConfigError(f'objective is "{name}"; did you mean "{near}"?')
    return OBJECTIVES[name]
