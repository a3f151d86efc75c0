"""What a forecast assumes of its tuned laws before it sees the runs, as (mean, standard deviation).

Priors are on coordinates relative to the lowest loss seen and to the runs of largest compute, so
they hold for any ladder: exponents near 0.3, a floor near 0.6 of the lowest loss, both loosely.
They say what published ladders have in common, and a few runs outweigh them. A law that is no
candidate brings its own (`scaling.laws.base.Law.prior`).
"""

import numpy as np

from scaling.laws.base import FLOOR_PRIOR, Prior

FLOOR = FLOOR_PRIOR

AMPLITUDE: Prior = (-1.5, 2.0)

# Published joint fits: .24 to .27 (Gadre et al. 2024), .35 and .37 (Hoffmann et al. refitted).
EXPONENT: Prior = (float(np.log(0.3)), 0.2)

# Published optima put 45 to 57% of log compute into size: ln(alpha / beta) from -.3 to .2. Two
# standard deviations either way are 40 to 60%: other data may differ more.
EXPONENT_RATIO: Prior = (0.0, 0.2)

# Coupling far from additive is more often a sign of badly trained small runs than of a law: it does
# not carry on beyond them (docs/log.md).
COUPLING: Prior = (-0.15, 0.25)

# Exponents of compute are about .17: the fall may quicken or slow down by a quarter at the edge.
BEND: Prior = (0.0, 0.04)

# A decade and a half below the largest runs bad tuning costs 2% of the loss, within a factor of e;
# it halves every half decade of compute, within a factor of 1.5.
EXCESS: Prior = (-4.0, 1.0)

EXCESS_RATE: Prior = (-0.4, 0.4)

# What a fall of the learning rate to zero takes off ln L: the half of the ladders of
# benchmarks.forecasts.zoo that choose.
ANNEALING: Prior = (0.1, 0.1)
