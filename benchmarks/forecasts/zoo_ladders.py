"""The ladders of `benchmarks.forecasts.zoo`: what is trained on what, and how well it is tuned."""

import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.forecasts.known_entropy import ARITHMETIC
from sweeps.config.data import (
    AnbnData,
    BigramTasksData,
    DataConfig,
    GrammarData,
    MarkovData,
    PairsData,
    SparseContextsData,
    TextData,
)
from sweeps.config.launch import LaunchConfig, SpeedConfig
from sweeps.config.model import ModelConfig
from sweeps.config.recipe import RECIPES
from sweeps.config.sweep import Grid, RecipeConfig, SweepConfig

TINY, STABLE, LARGE_MODELS = "cpt-adamw-tiny/1", "cpt-adamw-tiny/2", "cpt-adamw/1"
RATE = RECIPES[TINY].base_learning_rate
#: How far beyond the largest fitted budget the held-out runs lie, and at which widths.
FACTORS = (3, 10, 30)
_SITE = sysconfig.get_paths()["purelib"]
#: Text that every machine with the project's packages has; another build of them is another text.
READMES = TextData(files=(f"{_SITE}/*.dist-info/METADATA",), undecodable="skip")
HEADERS = TextData(
    files=(f"{_SITE}/torch/include/c10/**/*.h", f"{_SITE}/torch/include/ATen/**/*.h")
)
SCRIPTS = TextData(files=(f"{_SITE}/mlflow/server/js/build/static/js/*.js",), undecodable="skip")
CODE = TextData()


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """Fitted budgets in FLOP, ascending, the widths at which each is met, and the widths of the
    runs at 3, 10 and 30 times the largest."""

    budgets: tuple[float, ...]
    widths: tuple[tuple[int, int], ...]  # width, and the first of the budgets that it is trained at
    held_out: tuple[int, ...]

    def cells(self, depth: int, seeds: tuple[int, ...]) -> tuple[Grid, ...]:
        """The fitted runs."""
        return tuple(
            Grid(width=(width,), depth=(depth,), flops=self.budgets[first:], seed=seeds)
            for width, first in self.widths
        )

    def beyond(self, depth: int, furthest: int) -> tuple[Grid, ...]:
        """The held-out runs, out to `furthest` times the largest fitted budget."""
        return tuple(
            Grid(width=(width,), depth=(depth,), flops=(factor * self.budgets[-1],), seed=(1,))
            for factor, width in zip(FACTORS, self.held_out, strict=True)
            if factor <= furthest
        )


RUNGS = Rungs(
    budgets=(4e8, 1.2e9, 4e9, 1.2e10),
    widths=((8, 0), (16, 1), (24, 2)),
    held_out=(32, 40, 56),
)


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One ladder: fitted runs, and held-out ones that nothing but a score may look at."""

    data: DataConfig = CODE
    rungs: Rungs = RUNGS
    furthest: int = 10
    depth: int = 2
    seeds: tuple[int, ...] = (1,)
    vocab: int | None = None  # of a BPE trained on the text; none: the source's own tokens
    model: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "causal"
    recipe: str = TINY
    overrides: Mapping[str, float | str] = field(default_factory=dict)
    schedule: str | None = None

    def config(self, tokenizer: str | None = None) -> SweepConfig:
        """Its sweep; `tokenizer` is the file of its BPE."""
        data = self.data if tokenizer is None else self.data.changed(tokenizer=tokenizer)
        return SweepConfig(
            name="zoo",
            cells=self.rungs.cells(self.depth, self.seeds),
            held_out=self.rungs.beyond(self.depth, self.furthest),
            model=ModelConfig(**{"head_size": 8, "context": 64, "rotary_base": 100} | self.model),
            objective=self.objective,
            data=data,
            recipe=RecipeConfig(name=self.recipe, overrides=dict(self.overrides)),
            schedule=self.schedule,
            launch=LaunchConfig(device="cpu", workers=1, speed=SpeedConfig(inner_steps=5)),
        )


#: In the order in which they are trained. Whether a ladder may choose constants or score them goes
#: by its place: even places choose, odd places score (`benchmarks.forecasts.zoo.half_of`).
LADDERS: Mapping[str, Ladder] = {
    "code, bytes": Ladder(furthest=30, seeds=(1, 2)),
    "headers, bytes": Ladder(data=HEADERS, furthest=30, seeds=(1, 2)),
    "code, rate x 0.3": Ladder(overrides={"base_learning_rate": 0.3 * RATE}, furthest=30),
    "readmes, rate x 3": Ladder(data=READMES, overrides={"base_learning_rate": 3 * RATE}),
    "bigram tasks, 32 symbols": Ladder(data=BigramTasksData(symbols=32, tasks=64), furthest=30),
    "markov order 2, 12 symbols": Ladder(data=MarkovData(order=2, symbols=12), furthest=30),
    "code, BPE 512": Ladder(vocab=512),
    "readmes, BPE 1024": Ladder(data=READMES, vocab=1024),
    "code, warm-up too long": Ladder(overrides={"min_warmup_steps": 40}),
    "headers, no warm-up": Ladder(
        data=HEADERS, overrides={"warmup_share": 0.0, "min_warmup_steps": 1}
    ),
    "code, stable rate": Ladder(recipe=STABLE, schedule="wsd"),
    "scripts, stable rate": Ladder(data=SCRIPTS, recipe=STABLE, schedule="wsd"),
    "code, no decay": Ladder(schedule="wsd", overrides={"decay_share": 0.0}),
    "headers, batch too large": Ladder(data=HEADERS, recipe=LARGE_MODELS),
    "numbers to German": Ladder(
        data=PairsData(largest=9999), objective="conditional", model={"context": 96}
    ),
    "arithmetic": Ladder(data=GrammarData(rules=ARITHMETIC), model={"context": 32}, furthest=30),
    "code, depth 1": Ladder(depth=1),
    "scripts, depth 4": Ladder(data=SCRIPTS, depth=4),
    "readmes, swiglu, tied head": Ladder(data=READMES, model={"mlp": "swiglu", "tied_head": True}),
    "code, ASCII, context 16": Ladder(
        data=TextData(tokenizer="ascii-96", validation_windows=4096),
        model={"context": 16},
        furthest=30,
    ),
    "scripts, rate x 3": Ladder(data=SCRIPTS, overrides={"base_learning_rate": 3 * RATE}),
    "readmes, warm-up too long": Ladder(data=READMES, overrides={"min_warmup_steps": 40}),
    "code, masked": Ladder(objective="masked"),
    "sparse contexts": Ladder(
        data=SparseContextsData(separable=False, validation_windows=16384), model={"context": 2}
    ),
    "bigram tasks, 64 symbols": Ladder(data=BigramTasksData()),
    "a^n b^n": Ladder(data=AnbnData(q=0.9)),
    "code, rate blind to tokens": Ladder(overrides={"learning_rate_rule": "none"}),
    "readmes, ASCII": Ladder(data=READMES.changed(tokenizer="ascii-96")),
}
