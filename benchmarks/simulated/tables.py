"""Tables of known laws, for a search that is to find them."""

import numpy as np
import pandas as pd


def two_powers(noise: float = 0.002, seed: int = 0) -> pd.DataFrame:
    """42 runs of E + A N^-a + B D^-b."""
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 3e10, 6)))
    loss = 1.7 + 400 * n**-0.34 + 410 * d**-0.28
    noisy = loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    return pd.DataFrame({"width_total": n, "seen": d, "loss": noisy})


def of_domains(seed: int = 0) -> pd.DataFrame:
    """36 mixtures of three domains, in two groups, by an exponential of the proportions."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), size=18)
    rows = []
    for size, floor in (("small", 2.0), ("large", 1.6)):
        loss = floor + 0.9 * np.exp(shares @ np.array([-1.4, 0.3, 0.1]))
        loss *= np.exp(0.002 * rng.normal(size=len(loss)))
        names = dict(zip(("web", "code", "books"), shares.T, strict=True))
        rows.append(pd.DataFrame({"size": size, **names, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


def of_experts(sizes: list[float], experts: list[float], noise: float, seed: int) -> pd.DataFrame:
    """Clark et al. 2022, arXiv:2202.01169: log-bilinear in size and saturated experts."""
    n, e = (g.ravel() for g in np.meshgrid(sizes, experts))
    start, most = 2.0, 314.0
    held = 1 / (1 / (e - 1 + 1 / (1 / start - 1 / most)) + 1 / most)
    log = -0.082 * np.log10(n) - 0.108 * np.log10(held) + 0.009 * np.log10(n) * np.log10(held)
    noisy = 10 ** (log + 1.104) * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    return pd.DataFrame({"dense_size": n, "num_experts": e, "loss": noisy})


def of_repeats(noise: float, seed: int) -> pd.DataFrame:
    """Muennighoff et al. 2023, arXiv:2305.16264: repeated tokens are worth less and less."""
    grid = np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e7, 3e9, 5), [1, 2, 4, 8, 16, 40])
    u, n, epochs = (g.ravel() for g in grid)
    worth = u * (1 + 15.4 * (1 - np.exp(-(epochs - 1) / 15.4)))
    loss = 1.87 + 521 * n**-0.353 + 1488 * worth**-0.353
    noisy = loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    return pd.DataFrame({"distinct": u, "model": n, "trained": u * epochs, "loss": noisy})


def of_learning_rates(noise: float, seed: int) -> pd.DataFrame:
    """An optimum of learning rate and batch that moves with size and data, as Li et al. 2025
    (arXiv:2503.04715) find it, on top of two powers."""
    axes = ([6e7, 2e8, 6e8], [2e9, 1e10, 5e10], 2.0 ** np.arange(-12, -6), 2.0 ** np.arange(16, 22))
    n, d, rate, batch = (g.ravel() for g in np.meshgrid(*axes))
    from_rate = np.log(rate / (1.79 * n**-0.713 * d**0.307))
    from_batch = np.log(batch / (0.58 * d**0.571))
    loss = 1.7 + 400 * n**-0.34 + 410 * d**-0.28 + 0.03 * from_rate**2 + 0.012 * from_batch**2
    noisy = loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    table = {"model": n, "trained": d, "rate": rate, "batch": batch, "loss": noisy}
    return pd.DataFrame(table)
