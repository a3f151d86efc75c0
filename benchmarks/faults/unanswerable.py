"""Kinds of tables that cannot answer, or not all, and clean ladders that can; what of each is true.

Each is drawn at random (5 to 60 rows) from a law of its own. It says of which questions its rows
carry at least a part, and holds the truth by which an answer to these can be judged.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

QUESTIONS = ("fit", "surface", "forecast", "budget", "allocate", "backtest")
CURVE = frozenset({"fit", "forecast", "budget", "backtest"})
ALL = frozenset(QUESTIONS)
NOTHING = frozenset()


@dataclass(frozen=True)
class World:
    """A true law L(N, D) = E + a (N/N0)^-alpha + b (D/D0)^-beta, and C = 6 N D."""

    E: float
    a: float
    b: float
    alpha: float
    beta: float
    n0: float = 1e8
    d0: float = 2e9

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "World":
        """A law like published ones."""
        E, a, b = rng.uniform(1.4, 2.0), *rng.uniform(0.4, 1.0, 2)
        return cls(E, a, b, *rng.uniform(0.25, 0.45, 2))

    def loss(self, n: Any, d: Any) -> Any:
        """The loss of runs of these sizes on so many tokens."""
        return self.E + self.a * (n / self.n0) ** -self.alpha + self.b * (d / self.d0) ** -self.beta

    def best_size(self, flops: float) -> float:
        """The size of lowest loss at a budget."""
        n = np.geomspace(1e2, 1e22, 40001)
        with np.errstate(all="ignore"):
            return float(n[np.argmin(self.loss(n, flops / 6 / n))])

    def at_budget(self, flops: float) -> float:
        """The lowest loss at a budget."""
        n = self.best_size(flops)
        return float(self.loss(n, flops / 6 / n))


@dataclass(frozen=True)
class Table:
    """A table, and what is true of it."""

    rows: pd.DataFrame
    carries: frozenset[str] = NOTHING  # questions of which it carries a part, or all
    loss_at: Callable[[float], float] | None = None  # the true loss at a budget
    size_at: Callable[[float], float] | None = None  # the true best size
    constants: dict[str, float] | None = None  # of the surface
    #: questions that a table with 1% of noise must answer, up to the first factor
    must: frozenset[str] = NOTHING


Kind = Callable[[np.random.Generator, World, int], Table]


def design(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens (rows,) over one and a half to three decades of either."""
    spans = rng.uniform(1.5, 3.0, 2)
    if rng.random() < 0.5:
        sizes = max(3, round(math.sqrt(rows)))
        n = np.resize(np.logspace(-spans[0], 0, sizes), rows)
        ratio = np.repeat(np.logspace(-spans[1] / 2, spans[1] / 2, -(-rows // sizes)), sizes)[:rows]
        return 1e9 * n, 2e10 * n * ratio
    return 1e9 * 10 ** -(spans[0] * rng.random(rows)), 2e10 * 10 ** -(spans[1] * rng.random(rows))


def noisy(loss: Any, rng: np.random.Generator, noise: float = 0.01) -> np.ndarray:
    """Losses with so much relative noise."""
    return np.asarray(loss * np.exp(noise * rng.standard_normal(np.shape(loss))))


def surface_table(rng: np.random.Generator, world: World, rows: int, **told: Any) -> Table:
    """A clean ladder by size and tokens."""
    n, d = design(rng, rows)
    table = pd.DataFrame({"params": n, "tokens": d, "loss": noisy(world.loss(n, d), rng)})
    told = {"carries": ALL, "loss_at": world.at_budget, "size_at": world.best_size} | told
    return Table(table, constants={"E": world.E, "alpha": world.alpha, "beta": world.beta}, **told)


def curve_table(rng: np.random.Generator, rows: int, loss_of: Callable, **told: Any) -> Table:
    """Losses of compute alone, over one and a half to five decades; no noise but that given."""
    c = 1e18 * np.logspace(0, rng.uniform(1.5, 5), rows)
    return Table(pd.DataFrame({"train_flops": c, "loss": loss_of(c)}), **told)


def _with(table: Table, **columns: Any) -> pd.DataFrame:
    return table.rows.assign(**columns)


def _losses(draw: Callable[[np.random.Generator, int], Any]) -> Kind:
    """Sizes and tokens of a ladder, with losses that know nothing of them."""

    def kind(rng: np.random.Generator, world: World, rows: int) -> Table:
        n, d = design(rng, rows)
        return Table(pd.DataFrame({"params": n, "tokens": d, "loss": draw(rng, rows)}))

    return kind


def rising(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Losses that rise with compute."""
    n, d = design(rng, rows)
    return Table(pd.DataFrame({"params": n, "tokens": d, "loss": noisy(0.1 * np.log(n * d), rng)}))


def accuracy(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Accuracy in percent, under a name that says so or does not."""
    n, d = design(rng, rows)
    percent = 100 * (1 - world.loss(n, d) / 5)
    name = str(rng.choice(["loss", "accuracy", "val_acc"]))
    return Table(pd.DataFrame({"params": n, "tokens": d, name: percent}))


def half_in_bits(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Every other loss in bits."""
    clean = surface_table(rng, world, rows)
    in_bits = rng.permutation(np.arange(rows) % 2)
    return Table(_with(clean, loss=clean.rows["loss"] / np.where(in_bits, math.log(2), 1)))


def points(count: int) -> Kind:
    """A ladder of so few runs."""

    def kind(rng: np.random.Generator, world: World, rows: int) -> Table:
        clean = surface_table(rng, world, count)
        return Table(clean.rows)

    return kind


def collinear(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Twenty tokens per parameter in all runs: a curve, and no split."""
    n = np.logspace(7, rng.uniform(9, 10), rows)
    table = pd.DataFrame({"params": n, "tokens": 20 * n, "loss": noisy(world.loss(n, 20 * n), rng)})
    along = lambda c: float(world.loss(np.sqrt(c / 120), 20 * np.sqrt(c / 120)))  # noqa: E731
    return Table(table, CURVE, loss_at=along)


def flops_off(rng: np.random.Generator, world: World, rows: int) -> Table:
    """One factor for all rows: sizes and tokens may answer, by C = 6 N D."""
    clean = surface_table(rng, world, rows)
    c = 6e15 * clean.rows["params"] * clean.rows["tokens"]
    may = frozenset({"surface", "budget", "backtest"})
    return Table(_with(clean, train_flops=c), may, clean.loss_at, constants=clean.constants)


def flops_random(rng: np.random.Generator, world: World, rows: int) -> Table:
    """A column of FLOP that has nothing to do with the sizes."""
    clean = surface_table(rng, world, rows)
    c = 6 * clean.rows["params"] * clean.rows["tokens"] * 10 ** rng.uniform(-15, 15, rows)
    may = frozenset({"surface", "budget", "backtest"})
    return Table(_with(clean, train_flops=c), may, clean.loss_at, constants=clean.constants)


def third_in_millions(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Every third size in millions."""
    clean = surface_table(rng, world, rows)
    return Table(_with(clean, params=clean.rows["params"] / np.resize([1, 1, 1e6], rows)))


def one_loss(value: float) -> Kind:
    """One loss that no run has."""

    def kind(rng: np.random.Generator, world: World, rows: int) -> Table:
        clean = surface_table(rng, world, rows)
        losses = clean.rows["loss"].to_numpy().copy()
        losses[rng.integers(rows)] = value
        told = {"loss_at": clean.loss_at, "size_at": clean.size_at, "constants": clean.constants}
        return Table(_with(clean, loss=losses), ALL, **told)

    return kind


def other_corpus(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Half of the losses measured on another corpus."""
    clean = surface_table(rng, world, rows)
    other = World.drawn(rng).loss(clean.rows["params"], clean.rows["tokens"]) + rng.uniform(
        0.5, 1.5
    )
    return Table(_with(clean, loss=np.where(rng.random(rows) < 0.5, other, clean.rows["loss"])))


def random_exponents(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Each run by a law of its own."""
    n, d = design(rng, rows)
    alpha, beta = rng.uniform(0.05, 0.8, (2, rows))
    loss = world.E + 20 * n**-alpha + 20 * d**-beta
    return Table(pd.DataFrame({"params": n, "tokens": d, "loss": loss}))


def sinusoid(rng: np.random.Generator, world: World, rows: int) -> Table:
    """A wave."""
    turns, phase = rng.uniform(1, 4), rng.uniform(0, 7)
    wave = lambda c: 3 + np.sin(turns * np.log10(c) + phase)  # noqa: E731
    return curve_table(rng, rows, wave)


def step(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Two flat stretches."""
    at = 1e18 * 10 ** rng.uniform(0.5, 1.5)
    told = {"carries": CURVE - {"fit"}, "loss_at": lambda c: 3.2 if c < at else 2.2}
    return curve_table(rng, rows, lambda c: noisy(np.where(c < at, 3.2, 2.2), rng, 0.002), **told)


def one_budget(rng: np.random.Generator, world: World, rows: int) -> Table:
    """One budget, spent on many sizes."""
    n = 1e8 * np.logspace(-1, 1, rows)
    d = 1e19 / 6 / n
    return Table(pd.DataFrame({"params": n, "tokens": d, "loss": noisy(world.loss(n, d), rng)}))


def one_size(rng: np.random.Generator, world: World, rows: int) -> Table:
    """One size on more and more tokens."""
    d = np.logspace(9, 9 + rng.uniform(1.5, 3), rows)
    table = pd.DataFrame({"params": 1e8, "tokens": d, "loss": noisy(world.loss(1e8, d), rng)})
    return Table(table, CURVE, loss_at=lambda c: float(world.loss(1e8, c / 6e8)))


def copies(rng: np.random.Generator, world: World, rows: int) -> Table:
    """One configuration, over and over."""
    loss = noisy(np.full(rows, 3.0), rng, float(rng.choice([0.0, 0.01])))
    return Table(pd.DataFrame({"params": 1e8, "tokens": 2e9, "loss": loss}))


def checkpoints(rng: np.random.Generator, world: World, rows: int) -> Table:
    """One run, looked at as it trains."""
    d = np.linspace(1e8, 2e9, rows)
    table = {"run_id": "one", "step": np.arange(rows), "params": 1e8, "tokens": d}
    rows_of = pd.DataFrame({**table, "loss": noisy(world.loss(1e8, d), rng)})
    return Table(rows_of, CURVE, loss_at=lambda c: float(world.loss(1e8, c / 6e8)))


def drowned(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Noise four times as large as the fall."""
    clean = surface_table(rng, world, rows)
    fall = np.log(world.loss(clean.rows["params"], clean.rows["tokens"]))
    scatter = 4 * float(np.std(fall)) * rng.standard_normal(rows)
    return Table(_with(clean, loss=np.exp(fall + scatter)))


def failed(rng: np.random.Generator, world: World, rows: int) -> Table:
    """No run that finished."""
    clean = surface_table(rng, world, rows)
    return Table(_with(clean, status=rng.choice(["failed", "diverged"], rows)))


def u_shaped(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Losses that fall, and rise again within the runs."""
    low = 1e18 * 10 ** rng.uniform(0.8, 1.4)
    return curve_table(rng, rows, lambda c: noisy(2.5 + np.log10(c / low) ** 2, rng))


KINDS: dict[str, Kind] = {
    "noise": _losses(lambda rng, rows: rng.uniform(2, 4, rows)),
    "small noise": _losses(lambda rng, rows: rng.uniform(3, 3.1, rows)),
    "equal": _losses(lambda rng, rows: np.full(rows, 3.0)),
    "booleans": _losses(lambda rng, rows: rng.random(rows) < 0.5),
    "zeros and ones": _losses(lambda rng, rows: (rng.random(rows) < 0.5).astype(int)),
    "rising": rising,
    "accuracy": accuracy,
    "half in bits": half_in_bits,
    "one point": points(1),
    "two points": points(2),
    "three points": points(3),
    "collinear": collinear,
    "C off by 1e15": flops_off,
    "C at random": flops_random,
    "third in millions": third_in_millions,
    "one loss 1e308": one_loss(1e308),
    "one loss 1e-320": one_loss(1e-320),
    "two corpora": other_corpus,
    "random exponents": random_exponents,
    "sinusoid": sinusoid,
    "step": step,
    "one budget": one_budget,
    "one size": one_size,
    "copies": copies,
    "checkpoints": checkpoints,
    "drowned": drowned,
    "failed": failed,
    "U-shaped": u_shaped,
}


def clean_surface(rng: np.random.Generator, world: World, rows: int) -> Table:
    """At least sixteen runs, whose split is told too."""
    return surface_table(rng, world, max(16, rows), must=ALL - {"budget", "surface"})


def clean_isoflop(rng: np.random.Generator, world: World, rows: int) -> Table:
    """Five sizes at each of at least four budgets."""
    budgets = np.repeat(np.logspace(18, 18 + rng.uniform(1.5, 3), max(4, rows // 6)), 5)
    best = np.array([world.best_size(c) for c in budgets])
    n = best * np.resize([0.25, 0.5, 1, 2, 4], len(best))
    d = budgets / 6 / n
    table = pd.DataFrame({"params": n, "tokens": d, "loss": noisy(world.loss(n, d), rng)})
    truth = {"E": world.E, "alpha": world.alpha, "beta": world.beta}
    must = ALL - {"budget", "surface"}
    return Table(table, ALL, world.at_budget, world.best_size, truth, must=must)


def clean_curve(rng: np.random.Generator, world: World, rows: int) -> Table:
    """The best losses by compute."""
    along = np.vectorize(world.at_budget)
    told = {"carries": CURVE, "loss_at": world.at_budget}
    must = frozenset({"fit", "forecast"})
    return curve_table(rng, max(8, rows), lambda c: noisy(along(c), rng), must=must, **told)


CLEAN: dict[str, Kind] = {
    "surface": clean_surface,
    "isoflop": clean_isoflop,
    "curve": clean_curve,
}


def drawn(kinds: dict[str, Kind], name: str, seed: int) -> Table:
    """The table of one kind and seed."""
    rng = np.random.default_rng([seed, *name.encode()])
    return kinds[name](rng, World.drawn(rng), int(rng.integers(5, 61)))


def largest_budget(rows: pd.DataFrame) -> float:
    """The largest compute of a table, as its reader has it."""
    c = rows["train_flops"] if "train_flops" in rows else 6 * rows["params"] * rows["tokens"]
    return float(c.max())
