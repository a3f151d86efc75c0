"""Our quick-start recipe beside nanoGPT's own settings, at equal FLOP on the same text.

    python -m benchmarks.training.beside_nanogpt [--flops 1.2e11 8e11 3e12]
        [--rates 2e-3 4e-3 8e-3 1.6e-2] [--seed 1] [--table CSV]

Theirs (karpathy/nanoGPT, model.py and config/train_shakespeare_char.py): LayerNorm, GELU, learned
positions, a tied head, weights of standard deviation .02, 12 sequences of 64 a step, AdamW with
betas .9 and .99, weight decay .1 on matrices, clipping at 1, 100 steps of warm-up, a cosine to a
tenth of the peak, no dropout; the peak is the best of ``--rates``. What differs from there: width
and depth are those of our run, so that both spend the same FLOP a token, and windows come in our
order. Each run is a row of the table as it ends, and a call after a stop trains what is missing.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.speed.steps.plain_gpt import PlainGPT
from sweeps.config.launch import LaunchConfig
from sweeps.config.yaml_file import load_config
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import Corpus
from sweeps.planning.packing import Pack
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.pack import settle_process, train_pack

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "examples" / "beside_nanogpt.csv"
WIDTHS = {1.2e11: 48, 8e11: 64, 3e12: 96}
SEQUENCES, WARMUP, FLOOR = 12, 100, 0.1
_ALONE = ("held_out=[]", "launch.policy=null")
RATES = (2e-3, 4e-3, 8e-3, 1.6e-2)
COLUMNS = ("recipe", "width", "flops", "seed", "learning_rate", "tokens", "loss", "data")


def our_run(flops: float, width: int, seed: int) -> RunPlan:
    """The quick start's rule at this size and budget."""
    config = load_config(
        ROOT / "configs" / "quickstart.yaml",
        [f"grid.seed=[{seed}]", f"cells=[{{width: {width}, flops: {flops:g}}}]", *_ALONE],
    )
    (run,) = plan_sweep(config).runs
    return run


def initialised(run: RunPlan, seed: int) -> PlainGPT:
    """Their model of our shape, with their first weights."""
    torch.manual_seed(seed)
    model = PlainGPT(run.shape)
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            continue
        residual = name.endswith(("projection.weight", "contract.weight"))
        nn.init.normal_(weight, std=0.02 / (math.sqrt(2 * run.shape.depth) if residual else 1))
    return model


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Theirs at a step, from 0 on."""
    if step < WARMUP:
        return peak * step / WARMUP
    share = (step - WARMUP) / max(steps - WARMUP, 1)
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))


def train_theirs(run: RunPlan, corpus: Corpus, peak: float, seed: int) -> float:
    """The validation loss, nats per token, of their settings at our run's tokens."""
    model = initialised(run, seed)
    matrices = [w for w in model.parameters() if w.dim() >= 2]
    others = [w for w in model.parameters() if w.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.99), fused=True)
    steps = round(run.tokens / (SEQUENCES * run.shape.context))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        batch = corpus.batch(seed, step, SEQUENCES)
        loss = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    held_back = corpus.validation
    with torch.no_grad():
        parts = zip(held_back.inputs.split(64), held_back.targets.split(64), strict=True)
        losses = [F.cross_entropy(model(x).flatten(0, 1), y.flatten()) for x, y in parts]
    return float(torch.stack(losses).mean())


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row a budget: our loss, the best of theirs, and by how many percent ours is lower; the best
    peak should not be the first or the last that was tried."""
    rows = []
    for (flops, seed), runs in table.groupby(["flops", "seed"]):
        theirs, ours = runs[runs.recipe == "nanoGPT"], runs[runs.recipe != "nanoGPT"]
        if theirs.empty or ours.empty:
            continue
        best = theirs.loc[theirs.loss.idxmin()]
        at_end = best.learning_rate in (theirs.learning_rate.min(), theirs.learning_rate.max())
        row: dict[str, Any] = {"flops": flops, "seed": seed, "recipe": ours.recipe.iloc[0]}
        row |= {"rates tried": len(theirs)}
        row |= {"ours": ours.loss.mean(), "theirs": best.loss, "best rate": best.learning_rate}
        row |= {"lower by %": 100 * (1 - ours.loss.mean() / best.loss), "rate at an end": at_end}
        rows.append(row)
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Train what the table lacks, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flops", type=float, nargs="*", default=[*WIDTHS], choices=[*WIDTHS])
    parser.add_argument("--rates", type=float, nargs="+", default=[*RATES])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, default=TABLE)
    arguments = parser.parse_args(argv)
    settle_process(threads=1)
    launch = LaunchConfig(device="cpu", workers=1)
    config = load_config(ROOT / "configs" / "quickstart.yaml")
    corpus = load_corpus(config.data, config.model.context)
    for flops in arguments.flops:
        run = our_run(flops, WIDTHS[flops], arguments.seed)
        asked = [(run.recipe, float("nan")), *(("nanoGPT", rate) for rate in arguments.rates)]
        for recipe, rate in asked:
            if _is_there(arguments.table, recipe, flops, arguments.seed, rate):
                continue
            if recipe == run.recipe:
                (found,) = train_pack(Pack(replicas=((run,),)), corpus, launch).values()
                loss = float(found.record(run)["loss"])
            else:
                loss = train_theirs(run, corpus, rate, arguments.seed)
            values = (recipe, WIDTHS[flops], flops, arguments.seed, rate, run.tokens)
            row = dict(zip(COLUMNS, (*values, round(loss, 5), run.data.data_hash), strict=True))
            exists = arguments.table.exists()
            pd.DataFrame([row]).to_csv(arguments.table, mode="a", header=not exists, index=False)
            print(row, flush=True)
    print(summary(pd.read_csv(arguments.table)).to_string(index=False))


def _is_there(table: Path, recipe: str, flops: float, seed: int, rate: float) -> bool:
    if not table.exists():
        return False
    known = pd.read_csv(table)
    same = known[(known.recipe == recipe) & (known.flops == flops) & (known.seed == seed)]
    return bool(len(same) if math.isnan(rate) else (same.learning_rate == rate).any())


if __name__ == "__main__":
    main()
