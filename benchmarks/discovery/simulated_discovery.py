"""Laws found in simulated tables like the three public tasks whose data are not at hand.

    python -m benchmarks.discovery.simulated_discovery [--seeds 3]

Experts (Clark et al. 2022), repeated data (Muennighoff et al. 2023), and learning rate with batch
size, whose optima move (Li et al. 2025), by the published constants with noise of .5 to 1%; the
largest models, or the largest models on most data, are the test points. R2 beside the goals of the
public tasks; one setting for all.
"""

import argparse
from collections.abc import Callable
from time import process_time

import numpy as np
import pandas as pd

from analysis.discovery.discover import discover
from benchmarks.simulated.tables import of_experts, of_learning_rates, of_repeats

_EXPERTS = [2.0**k for k in range(10)]
_NOISE, _NOISE_OF_RATES = 0.01, 0.005


def experts(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six sizes to find the law in, one of 1.3e9 to predict."""
    sizes = list(np.geomspace(1.5e7, 3.7e8, 6))
    seen = of_experts(sizes, _EXPERTS, _NOISE, seed)
    return seen, of_experts([1.3e9], _EXPERTS, _NOISE, seed + 50)


def repeats(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Models to 1e9 to find the law in, larger ones to predict."""
    runs = of_repeats(_NOISE, seed)
    far = runs["model"] > 1e9
    return runs[~far], runs[far]


def rates(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The largest model on most data is to predict, at every rate and batch."""
    runs = of_learning_rates(_NOISE_OF_RATES, seed)
    far = (runs["model"] > 5e8) & (runs["trained"] > 4e10)
    return runs[~far], runs[far]


Made = Callable[[int], tuple[pd.DataFrame, pd.DataFrame]]
TASKS: dict[str, tuple[Made, float]] = {
    "experts": (experts, 0.80),
    "repeats": (repeats, 0.944),
    "rates": (rates, 0.604),
}


def score(seen: pd.DataFrame, asked: pd.DataFrame) -> float:
    """R2 of the test points; -1 for a failure."""
    inputs = [name for name in seen.columns if name != "loss"]
    found = discover(seen, inputs, at=asked[inputs])
    median = np.array([np.nan if p.median is None else p.median for p in found.predictions])
    if not found.claimed or np.isnan(median).any():
        return -1.0
    truth = asked["loss"].to_numpy()
    return float(1 - np.mean((median - truth) ** 2) / np.var(truth))


def main() -> None:
    """A line a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    for name, (made, goal) in TASKS.items():
        for seed in range(parser.parse_args().seeds):
            began = process_time()
            r2 = score(*made(seed))
            print(
                f"{name} {seed}: R2 {r2:.3f} (goal {goal}), {process_time() - began:.1f} s of CPU"
            )


if __name__ == "__main__":
    main()
