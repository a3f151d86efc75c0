"""
A law fitted to runs whose truth is known
=========================================

Runs are simulated from Chinchilla's law with .5% noise, fitted, and the constants compared with
those that made them.
"""

import numpy as np
from matplotlib import pyplot as plt

from analysis import fit_law
from scaling import grid_of_runs, simulate_records
from scaling.laws import Chinchilla

truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
runs = grid_of_runs(np.geomspace(1e7, 1e9, 6), [5, 10, 20, 40, 80])
records = simulate_records(truth, runs, relative_noise=0.005, seed=1)
fit = fit_law(records, "chinchilla", bootstrap=300)

for name, value in truth.constants().items():
    low, high = fit.interval(lambda law, name=name: law.constants()[name])
    found = getattr(fit.law, name)
    print(f"{name:5} {found:8.4g} [{low:.4g}, {high:.4g}], truth {value:g}")

# %%
# What matters is not each constant, some of which move together, but what they say of new runs.

budgets = np.geomspace(1e18, 1e23, 60)
low, high = fit.interval(lambda law: law.optimal_params(budgets))
axes = plt.figure(figsize=(6.4, 4.3), layout="constrained").subplots()
axes.fill_between(budgets, low, high, alpha=0.25, label="fitted, 90% interval")
axes.plot(budgets, truth.optimal_params(budgets), color="black", label="truth")
axes.set(xscale="log", yscale="log", xlabel="Budget (FLOP)", ylabel="Best size (parameters)")
axes.legend()
plt.show()
