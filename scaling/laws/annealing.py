"""What a learning-rate schedule does to the loss along one run: its areas.

Tissue, Wang and Wang 2024, "Scaling Law with Learning Rate Annealing", arXiv:2408.11029:

    L = L0 + A S1**-alpha - C S2

with S1 the sum of the learning rates of all steps so far, and S2 the annealing area. S2 is zero
until the rate is lowered, and may take the loss to any depth, so this is no law of `LAWS`, which
are fitted to any table of positive inputs; `analysis.forecasting.members.annealed_forms` fits it to
curves.
"""

import numpy as np

from scaling.arrays import FloatArray
from scaling.laws.reference import Reference

REFERENCE = Reference(
    "tissue2024annealing",
    ("Howe Tissue", "Venus Wang", "Lu Wang"),
    "Scaling Law with Learning Rate Annealing",
    2024,
    "2408.11029",
)


def annealing_areas(rates: FloatArray, memory: float = 0.999) -> tuple[FloatArray, FloatArray]:
    """The sum S1 of the learning rates ``rates`` (steps,) up to each step, and the annealing area
    S2 of each; both (steps,).

    S2 sums a momentum m_s = ``memory`` m_(s-1) + (rate_(s-1) - rate_s), where the paper's name of
    ``memory`` is lambda. What the warm-up raises takes nothing off.
    """
    falls = np.maximum(-np.diff(rates, prepend=rates[:1]), 0.0)
    momentum = np.empty(len(rates))
    last = 0.0
    for step, fall in enumerate(falls):
        last = memory * last + fall
        momentum[step] = last
    return np.cumsum(rates), np.cumsum(momentum)
