"""
A forecast with its interval
============================

Sixteen runs of the quick start, a forecast to ten times their compute, and the seventeenth run,
which the plan held out: no fit reads it.
"""

from pathlib import Path

from matplotlib import pyplot as plt

from analysis import Targets, check_held_out, forecast, forecast_held_out
from analysis.plots import plot_loss_against
from scaling import read_records

folder = Path(__file__).parent if "__file__" in globals() else Path.cwd()
records = read_records(folder / "quickstart_runs.csv")
answer = forecast(records, Targets.flops(2.6e11, 4e11, 8e11, 1.6e12, 2.4e12))
for target in answer.targets:
    low, high = target.intervals[0.9]
    print(f"{target.at['train_flops']:.1e} FLOP: {target.median:.3f} [{low:.3f}, {high:.3f}]")

# %%
# The held-out run is predicted without its loss, and then compared with it.

check = check_held_out(records, forecast_held_out(records))
print(check.line)
plot_loss_against(records, forecast=answer, held_out=check)
plt.show()
