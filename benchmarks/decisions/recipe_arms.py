"""Train one cell of the quick start under several recipes, seed by seed, into a table of arms.

    python -m benchmarks.decisions.recipe_arms --cell 64:8e11 --seeds 201 203 --table arms.csv \\
        --recipe "cpt-adamw-tiny/3" --recipe "cpt-adamw-tiny/3 base_learning_rate=0.008"

A recipe is its name and the constants that replace its own. `--tied` ties the head to the
embedding. Seeds are the outer loop, so that a stop leaves whole seeds; a row is written as its pack
ends, and a call after a stop trains what is missing. `benchmarks.training.recipe_tuning`
reads such tables.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.forecasts.quickstart_ladders import ladder
from sweeps.config.launch import LaunchConfig
from sweeps.config.recipe import Recipe, find_recipe
from sweeps.data.registry import load_corpus
from sweeps.planning.packing import pack_runs
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.pack import settle_process, train_pack

_ALONE = ("held_out=[]", "launch.policy=null")


def recipe_of(text: str) -> Recipe:
    """The recipe that a name and its replaced constants stand for."""
    name, *constants = text.split()
    pairs = [constant.split("=") for constant in constants]
    return find_recipe(name, {key: yaml.safe_load(value) for key, value in pairs})


def cell_run(width: int, flops: float, seed: int, recipe: str, *, tied: bool = False) -> RunPlan:
    """One run of the quick start at this size and budget, under this recipe."""
    cell = f"cells=[{{width: {width}, flops: {flops:g}}}]"
    further = ("model.tied_head=true",) if tied else ()
    (run,) = plan_sweep(ladder([seed], recipe, cell, *_ALONE, *further)).runs
    return run


def arm_row(run: RunPlan, recipe: str, flops: float) -> dict[str, object]:
    """What a table of arms says of a run, but for what training it gives."""
    constants, settings = recipe_of(recipe), run.settings
    return {
        "run_id": run.run_id,
        "recipe": constants.name,
        "width": run.shape.width,
        "flops": flops,
        "seed": run.seed,
        "schedule": settings.schedule,
        "base_learning_rate": constants.base_learning_rate,
        "weight_decay_factor": constants.weight_decay_factor,
        "warmup_steps": settings.warmup_steps,
        "steps": settings.steps,
        "batch_sequences": settings.batch_sequences,
        "beta2": round(settings.beta2, 4),
        "reference_mean_rate": constants.reference_mean_rate,
        "tied_head": run.shape.tied_head,
        "tied_logit_factor": constants.tied_logit_factor,
    }


def train(table: Path, rows: dict[str, dict[str, object]], runs: Sequence[RunPlan]) -> None:
    """Train what the table lacks, pack by pack, and append each pack's rows to it."""
    done = set(pd.read_csv(table)["run_id"]) if table.exists() else set()
    missing = [run for run in runs if run.run_id not in done]
    if not missing:
        return
    config, launch = ladder([1]), LaunchConfig(device="cpu", workers=1)
    corpus = load_corpus(config.data, config.model.context)
    for pack in pack_runs(missing, launch):
        found = [
            rows[run.run_id]
            | {"clipped_share": round(float(outcome.record(run)["clipped_share"]), 4)}
            | {"loss": round(float(outcome.record(run)["loss"]), 6)}
            for run, outcome in train_pack(pack, corpus, launch).items()
        ]
        pd.DataFrame(found).to_csv(table, mode="a", header=not table.exists(), index=False)
        print("; ".join(f"{row['recipe']} {row['loss']}" for row in found), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Train the arms that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--cell", required=True, metavar="WIDTH:FLOPS")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--recipe", action="append", required=True, metavar="NAME [C=V ...]")
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--together", type=int, default=2, help="seeds that share a pack")
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args(argv)
    width, flops = arguments.cell.split(":")
    settle_process(threads=1)
    for place in range(0, len(arguments.seeds), arguments.together):
        runs, rows = [], {}
        for recipe in arguments.recipe:
            for seed in arguments.seeds[place : place + arguments.together]:
                run = cell_run(int(width), float(flops), seed, recipe, tied=arguments.tied)
                rows[run.run_id] = arm_row(run, recipe, float(flops))
                runs.append(run)
        train(arguments.table, rows, runs)


if __name__ == "__main__":
    main()
