"""What a table holds: exact losses of a law drawn by the seed, in the shapes that people keep.

Every shape says what a verb owes to it: the law's numbers, or a question that one flag answers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Truth:
    """L(N, D) = E + A N^-alpha + B D^-beta, the law of a table."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Losses in nats per token."""
        return self.E + self.A / params**self.alpha + self.B / tokens**self.beta

    def optimum(self, flops: float) -> tuple[float, float]:
        """The size and tokens of least loss at 6 N D = C: Hoffmann et al. 2022, equation 4."""
        shape = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        params = shape * (flops / 6) ** (self.beta / (self.alpha + self.beta))
        return params, flops / 6 / params


@dataclass(frozen=True)
class Shape:
    """A table of numbers and what is owed to it."""

    table: pd.DataFrame  # params, tokens, train_flops and loss, as many as it has, and more
    flags: tuple[str, ...] = ()  # what must be said for an answer
    asks: str = ""  # the words of the refusal without them
    loss: str = "loss"  # the column of losses


def truth_of(rng: np.random.Generator) -> Truth:
    """A law within what is published of language models."""
    return Truth(
        E=round(rng.uniform(1.5, 2.1), 2),
        A=round(rng.uniform(300, 500)),
        B=round(rng.uniform(300, 500)),
        alpha=round(rng.uniform(0.30, 0.38), 3),
        beta=round(rng.uniform(0.25, 0.33), 3),
    )


def ladder(truth: Truth) -> pd.DataFrame:
    """Twenty runs of exact losses, five sizes at four numbers of tokens each, to three digits."""
    n = np.repeat(_three_digits(np.geomspace(1e7, 1e9, 5)), 4)
    d = _three_digits(n * np.tile([5, 15, 45, 135], 5))
    return pd.DataFrame({"params": n, "tokens": d, "loss": truth.loss(n, d)})


def _three_digits(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.3g}") for value in values])


def _plain(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    return Shape(table)


def _with_flops(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    return Shape(table.assign(train_flops=6 * table["params"] * table["tokens"]))


def _without_tokens(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    return Shape(_with_flops(table, rng).table.drop(columns="tokens"))


def _without_params(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    return Shape(_with_flops(table, rng).table.drop(columns="params"))


def _seeds(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    twice = pd.concat([table.assign(seed=seed) for seed in (0, 1)])
    return Shape(twice)


def _sweep(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    """Of three learning rates the second is the best everywhere."""
    name = str(rng.choice(["lr", "learning_rate", "config.lr", "peak lr", "optimizer.lr"]))
    rates = ((3e-4, 1.03), (1e-3, 1.0), (3e-3, 1.05))
    rows = [table.assign(**{name: rate, "loss": table["loss"] * f}) for rate, f in rates]
    return Shape(pd.concat(rows))


def _two_settings(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    rows = [
        table.assign(batch_size=batch, weight_decay=decay, loss=table["loss"] * factor)
        for batch, decay, factor in ((256, 0.1, 1.0), (512, 0.1, 1.02), (256, 0.0, 1.04))
    ]
    return Shape(pd.concat(rows))


def _history(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    """Four rows a run on the way to its end; its tokens are those planned."""
    table = table.assign(run=[f"run-{i}" for i in range(len(table))])
    rows = [
        table.assign(step=1000 * k, loss=table["loss"] * (1 + 0.2 * (4 - k))) for k in range(1, 5)
    ]
    return Shape(pd.concat(rows))


def _checkpoints(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    names = [f"model-{n / 1e6:.0f}m" for n in table["params"]]
    return Shape(table.assign(model=names, step=(table["tokens"] / 2**21).round()))


def _statuses(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    good = str(rng.choice(["FINISHED", "done", "Completed", "success", "ok"]))
    bad = str(rng.choice(["crashed", "KILLED", "Failed", "diverged", "oom", "running", "TIMEOUT"]))
    name = str(rng.choice(["status", "State", "run_state", "Job State", "run.status"]))
    failed = table.iloc[:3].assign(loss=[9.0, 8.0, 0.4], params=lambda t: t["params"] * 1.5)
    return Shape(pd.concat([table.assign(**{name: good}), failed.assign(**{name: bad})]))


def _flags(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    name, ends_well = (("finished", True), ("diverged", False))[int(rng.integers(2))]
    yes, no = (("True", "False"), ("yes", "no"), ("1", "0"))[int(rng.integers(3))]
    failed = table.iloc[:2].assign(loss=[9.0, 0.4], params=lambda t: t["params"] * 1.5)
    good, bad = (yes, no) if ends_well else (no, yes)
    return Shape(pd.concat([table.assign(**{name: good}), failed.assign(**{name: bad})]))


def _corpora(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    name = str(rng.choice(["dataset", "corpus", "training_data", "data_mix"]))
    other = table.assign(**{name: "web"}, loss=table["loss"] * 1.2)
    rows = pd.concat([table.assign(**{name: "books"}), other])
    return Shape(rows, ("--where", f"{name} == books"), "--where")


def _active(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    total = table.assign(total_params=table["params"] * 8)
    return Shape(
        total.rename(columns={"params": "active_params"}),
        ("--columns", "params=active_params"),
        "--columns params=",
    )


def _several_losses(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    wiki = table["loss"] * 1.1
    rows = table.assign(loss_wiki=wiki).rename(columns={"loss": "loss_c4"})
    return Shape(rows, ("--metric", "loss_c4"), "--columns loss=", loss="loss_c4")


def _training_loss_too(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    return Shape(table.assign(train_loss=table["loss"] * 0.9))


def _perplexity(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    name = str(rng.choice(["ppl", "val_ppl", "perplexity", "eval/perplexity"]))
    return Shape(table.assign(loss=np.exp(table["loss"])).rename(columns={"loss": name}), loss=name)


def _bits(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    name = str(rng.choice(["bpb", "val_bpb", "val bpb"]))
    return Shape(table.rename(columns={"loss": name}), loss=name)


def _millions_left_out(table: pd.DataFrame, rng: np.random.Generator) -> Shape:
    rows = table.assign(params=table["params"] / 1e6)
    return Shape(rows, ("--unit", "params=M"), "--unit params=M")


SHAPES: dict[str, Callable[[pd.DataFrame, np.random.Generator], Shape]] = {
    "a grid": _plain,
    "FLOP too": _with_flops,
    "no tokens": _without_tokens,
    "no params": _without_params,
    "two seeds": _seeds,
    "three learning rates": _sweep,
    "two settings": _two_settings,
    "a history": _history,
    "checkpoints": _checkpoints,
    "statuses": _statuses,
    "yes or no": _flags,
    "two corpora": _corpora,
    "total and active": _active,
    "two losses": _several_losses,
    "training loss too": _training_loss_too,
    "perplexity": _perplexity,
    "bits per byte": _bits,
    "millions left out": _millions_left_out,
}
#: Shapes of which the best of several rows counts.
CHOICES = ("three learning rates", "two settings")
