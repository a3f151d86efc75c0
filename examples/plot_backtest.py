"""
A rolling-origin backtest
=========================

The largest budgets are hidden in turn, those below predict them, and then the truth is looked at:
what such forecasts would have been worth.
"""

import numpy as np
from matplotlib import pyplot as plt

from analysis import backtest
from analysis.plots import plot_backtest_errors
from scaling import isoflop_runs, simulate_records
from scaling.laws import Chinchilla

truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
runs = isoflop_runs(np.geomspace(1e17, 1e20, 6), [0.5, 1.0, 2.0], truth)
records = simulate_records(truth, runs, relative_noise=0.004, seed=3)
scored = backtest(records)
for origin, score in zip(scored.origins, scored.by_origin, strict=True):
    print(f"{origin.hides} hidden: error {score.error:.2f}%, in 90%: {score.coverage[0.9]:.0%}")

plot_backtest_errors(scored)
plt.show()
