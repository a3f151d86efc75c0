"""Runs whose law is known, for tests that ask what is answered from a table of them."""

import numpy as np
import pandas as pd


def grid_of_runs(side: int, noise: float = 0.003, seed: int = 1) -> pd.DataFrame:
    """``side`` sizes from 1e6 to 1e8 by ``side`` numbers of tokens from 1e8 to 1e10.

    Columns params, tokens and loss; ``noise`` is the standard deviation of the log loss.
    """
    sizes, tokens = np.geomspace(1e6, 1e8, side), np.geomspace(1e8, 1e10, side)
    n, d = (values.ravel() for values in np.meshgrid(sizes, tokens))
    error = np.exp(noise * np.random.default_rng(seed).standard_normal(side**2))
    return pd.DataFrame({"params": n, "tokens": d, "loss": true_loss(n, d) * error})


def true_loss(params, tokens):
    """The loss that runs of such sizes and tokens have without noise."""
    return 1.8 + 400 / params**0.34 + 1000 / tokens**0.36
