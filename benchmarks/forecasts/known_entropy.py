"""How close to the truth: ladders of transformers on sources whose entropy is known exactly.

    python -m benchmarks.forecasts.known_entropy [--table known_entropy.csv] [--score-only]
        [-o FILE]

Small ladders are trained, of Markov chains, bigram tasks, a^n b^n of geometric length and grammars;
each run is written to the table as it ends, and a call after a stop trains what is missing. Then
laws are fitted to each ladder that is whole, as `scaling fit` does it: one of compute, over the
runs that no cheaper one beats, and one of size and tokens, over all. The 90% interval of each
floor, and that of `scaling fit --floor` over laws and ranges of runs, is held against the entropy.

All runs of a ladder are measured on one validation set, whose luck shifts every loss alike, and the
floor with them: what the source's own probabilities cost on those very sequences is the least that
a model can lose there. Coverage is told of it and of the entropy over all sequences, and how near
the best run came, and whether any lies below the entropy by more than three standard errors.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.approaches.irreducible import irreducible_loss
from analysis.fitting.policy import fit_law
from analysis.intervals import Interval
from scaling.errors import FitError
from scaling.records import Records, records_from_table
from scaling.tables.reading import Reading
from sweeps.config.data import AnbnData, BigramTasksData, DataConfig, GrammarData, MarkovData
from sweeps.config.launch import LaunchConfig
from sweeps.config.model import ModelConfig
from sweeps.config.sweep import Grid, RecipeConfig, SweepConfig
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.training.pack import settle_process, train_pack

TABLE = Path(__file__).parents[2] / "examples" / "known_entropy.csv"
CONTEXT, WINDOWS, LEVEL = 16, 8192, 0.9
WIDTHS, TOKENS = (8, 16, 24, 40), (6e4, 1.2e5, 2.4e5, 4.8e5, 9.6e5)
GRID = Grid(width=WIDTHS, depth=(1,), tokens=TOKENS, seed=(1, 2))
#: For sources whose next token depends on two; one seed, since a block more costs as much.
DEEP = Grid(width=WIDTHS, depth=(2,), tokens=TOKENS, seed=(1,))
#: What is fitted, and the interval of `irreducible_loss`: by fits, or no more than an upper end.
LAWS, SEVERAL, BOUND = ("power_law", "chinchilla"), "several laws", "lowest loss alone"
COLUMNS = (
    *("params", "params_embedding", "params_head", "tokens", "train_flops", "width", "depth"),
    *("seed", "loss", "loss_stderr", "loss_kind", "entropy", "run_id"),
)
ARITHMETIC = ("S -> n [0.5]", "S -> + S S [0.25]", "S -> * S S [0.2]", "S -> - S [0.05]")
LISTS = ("S -> a T [0.6]", "S -> b T [0.4]", "T -> c S [0.3]", "T -> d [0.5]", "T -> e T [0.2]")
NESTED = ("S -> a S b [0.4]", "S -> c T [0.5]", "S -> [0.1]", "T -> d T [0.5]", "T -> e [0.5]")


@dataclass(frozen=True)
class Ladder:
    """What is trained on what."""

    data: DataConfig
    grid: Grid = GRID

    @property
    def config(self) -> SweepConfig:
        """Its sweep."""
        return SweepConfig(
            name="known-entropy",
            grid=self.grid,
            model=ModelConfig(head_size=8, context=CONTEXT),
            data=self.data.changed(validation_windows=WINDOWS),
            recipe=RecipeConfig(name="cpt-adamw-tiny/1"),
            launch=LaunchConfig(device="cpu", workers=1),
        )


def ladders() -> dict[str, Ladder]:
    """All of them, by their names."""
    found: dict[str, Ladder] = {}
    for seed in (0, 1):
        for symbols in (8, 16, 32):
            data = MarkovData(order=1, symbols=symbols, seed=seed)
            found[f"markov order 1, {symbols} symbols, {seed}"] = Ladder(data)
        for symbols in (4, 6):
            data = MarkovData(order=2, symbols=symbols, seed=seed)
            found[f"markov order 2, {symbols} symbols, {seed}"] = Ladder(data, DEEP)
        shallow = MarkovData(order=2, symbols=4, seed=seed)
        found[f"markov order 2, one block, {seed}"] = Ladder(shallow)
    for symbols, tasks in ((8, 8), (8, 16), (6, 32), (12, 4)):
        data = BigramTasksData(symbols=symbols, tasks=tasks)
        found[f"bigram tasks, {symbols} symbols, {tasks} tasks"] = Ladder(data)
    for q in (0.5, 0.65, 0.8):
        found[f"a^n b^n, q {q:g}"] = Ladder(AnbnData(q=q))
    for name, rules in (("arithmetic", ARITHMETIC), ("lists", LISTS), ("nested", NESTED)):
        found[f"grammar {name}"] = Ladder(GrammarData(rules=rules))
    return found


def longer_ladders() -> dict[str, Ladder]:
    """One run each of the largest width and four times the most tokens, on the sources whose
    ladders end furthest above their entropy."""
    grids = {
        name: replace(one.grid, width=WIDTHS[-1:], tokens=(4 * TOKENS[-1],), seed=(1,))
        for name, one in ladders().items()
        if isinstance(one.data, MarkovData) and (one.data.order, one.data.symbols) == (2, 4)
    }
    return {name: Ladder(ladders()[name].data, grid) for name, grid in grids.items()}


def held_back_entropy(corpus: Corpus) -> float:
    """Nats a target that the source's own probabilities cost on the validation set: what the
    entropy is over all sequences, this is over those that were measured on."""
    held = corpus.validation
    truth = corpus.truth(held.inputs.numpy())
    chances = np.take_along_axis(truth, held.targets.numpy()[..., None], axis=-1)[..., 0]
    counts = np.ones_like(chances) if held.weights is None else held.weights.numpy()
    nats = -np.log(np.where(counts > 0, chances, 1.0))
    return float((counts * nats).sum() / counts.sum())


def train(table: Path, wanted: Mapping[str, Ladder]) -> None:
    """Train what the table lacks, pack by pack, and append each pack's runs to it."""
    settle_process(threads=1)
    for name, ladder in wanted.items():
        config = ladder.config
        done = set(pd.read_csv(table)["run_id"]) if table.exists() else set()
        missing = [run for run in plan_sweep(config).runs if run.run_id not in done]
        corpus = load_corpus(config.data, CONTEXT)
        held_back = held_back_entropy(corpus) if missing else math.nan
        for pack in pack_runs(missing, config.launch):
            trained = train_pack(pack, corpus, config.launch)
            rows = [
                {"run_id": run.run_id, **run.facts(), **found.record(run)}
                for run, found in trained.items()
            ]
            kept = pd.DataFrame(rows)[list(COLUMNS)]
            kept = kept.assign(held_back_entropy=held_back)
            kept.insert(0, "ladder", name)
            kept.to_csv(table, mode="a", header=not table.exists(), index=False)
        print(f"{name}: trained", flush=True)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one ladder says of the entropy of its source, nats a token."""

    ladder: str
    entropy: float
    held_back_entropy: float
    runs: int
    floors: Mapping[str, Interval]  # law -> the 90% interval of its floor, where it gives one
    of_the_source: Interval  # `irreducible_loss` with the luck of the validation set
    best: float  # the lowest loss over the entropy of the same sequences, less 1
    below: float  # how far the lowest loss lies below the entropy, in its standard errors

    def holds(self, law: str) -> bool:
        """Whether the interval holds the least that a model can lose on these sequences."""
        low, high = self.floors[law]
        return bool(low <= self.held_back_entropy <= high)

    @property
    def line(self) -> str:
        """The ladder in a line, all but the entropy as differences to the least on these
        sequences."""
        least, told = self.held_back_entropy, []
        for law, (low, high) in self.floors.items():
            told.append(f"{law} [{low - least:+.4f}, {high - least:+.4f}]")
            told[-1] += "" if self.holds(law) else " misses"
        shift = least - self.entropy
        return (
            f"{self.ladder:32} entropy {self.entropy:.4f}, here {shift:+.4f}; best run "
            f"{self.best:+.2%}; {', '.join(told)}"
        )


def scored(name: str, runs: pd.DataFrame) -> Scored:
    """The floors of the laws fitted to one ladder, as `scaling fit` fits them, beside the
    entropy."""
    floors = {law: found for law in LAWS if (found := _floor(name, runs, law))}
    whole = irreducible_loss(_records(name, runs), confidence_levels=(LEVEL,))
    kind = BOUND if whole.floor is None else SEVERAL
    floors[kind] = whole.measured[LEVEL]
    entropy, held_back = (float(runs[it].iloc[0]) for it in ("entropy", "held_back_entropy"))
    return Scored(
        ladder=name,
        entropy=entropy,
        held_back_entropy=held_back,
        runs=len(runs),
        floors=floors,
        of_the_source=whole.intervals[LEVEL],
        best=float(runs["loss"].min() / held_back - 1),
        below=float(((entropy - runs["loss"]) / runs["loss_stderr"]).max()),
    )


def _floor(name: str, runs: pd.DataFrame, law: str) -> Interval | None:
    """The interval of a law's floor; None where the fit is refused, or says that it is not told."""
    try:
        fit = fit_law(_records(name, runs), law, confidence_level=LEVEL, card=False)
    except FitError:
        return None
    floor = fit.law.floor
    assert floor is not None, "the laws that are tried here have a floor"
    found = fit.constants[floor]
    if not fit.floor_identified or not math.isfinite(found.low):
        return None
    return Interval(found.low, found.high)


def _records(name: str, runs: pd.DataFrame) -> Records:
    return records_from_table(runs, source=name, reading=Reading(units={"params": "1"}))


def whole_ladders(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The ladders of which no run is missing, in the order of `ladders`."""
    groups = {str(name): runs for name, runs in table.groupby("ladder")}
    return [
        (name, groups[name])
        for name, ladder in ladders().items()
        if len(groups.get(name, ())) == ladder.grid.runs
    ]


def summary(rows: Sequence[Scored]) -> dict[str, Any]:
    """How often the intervals held the least that a model can lose, over the sequences that were
    measured on and over all; and what no run may be."""
    found: dict[str, Any] = {
        "ladders": len(rows),
        "within_a_hundredth": sum(row.best < 0.01 for row in rows),
        "below_by_three_standard_errors": sum(row.below > 3 for row in rows),
    }
    for law in (*LAWS, SEVERAL, BOUND):
        told = [row for row in rows if law in row.floors]
        found[law] = {
            "told": len(told),
            "covered": sum(row.holds(law) for row in told),
            "covered_over_all_sequences": sum(
                row.of_the_source.low <= row.entropy <= row.of_the_source.high
                if law in (SEVERAL, BOUND)
                else row.floors[law].low <= row.entropy <= row.floors[law].high
                for row in told
            ),
        }
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, score every ladder that is whole, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", type=Path, default=TABLE, help="of runs; what it lacks is added")
    parser.add_argument("--score-only", action="store_true", help="train nothing")
    parser.add_argument("--longer", type=Path, help="a table of four longer runs: train them alone")
    parser.add_argument("--every", type=int, default=1, help="score every so many ladders alone")
    parser.add_argument("--first", type=int, default=0, help="of them, from this one on")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(argv)
    if arguments.longer:
        train(arguments.longer, longer_ladders())
        for run in pd.read_csv(arguments.longer).itertuples():
            print(f"{run.ladder:32} {run.loss / run.held_back_entropy - 1:+.2%}")
        return
    if not arguments.score_only:
        train(arguments.table, ladders())
    whole = whole_ladders(pd.read_csv(arguments.table))[arguments.first :: arguments.every]
    rows = [scored(name, runs) for name, runs in whole]
    for row in rows:
        print(row.line)
    found = summary(rows)
    for name, count in found.items():
        print(f"{name.replace('_', ' ')}: {count}")
    if arguments.output:
        document = {"summary": found, "ladders": [vars(row) for row in rows]}
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
