"""Masked against causal training: one architecture, one text, equal FLOP.

    python -m benchmarks.training.objectives [--flops 1e10 3e10 1e11 3e11] [-o FILE.json]
        [--figure F.svg]

The losses of the two are of different questions and compare with nothing. What compares is one that
both models answer: a single token of a block, given all the others (a cloze). The masked model is
asked as it was trained. Of the causal model the same probability follows by Bayes' rule: that of
the whole block with each token of the vocabulary in the place, over their sum. The mean over places
is minus the pseudo-log-likelihood a token (Salazar et al. 2020, arXiv:1910.14659), estimated.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sweeps.config.launch import LaunchConfig
from sweeps.config.shipped import config_file
from sweeps.config.sweep import Grid, SweepConfig
from sweeps.config.yaml_file import load_config
from sweeps.data.registry import load_corpus
from sweeps.models.stacked import StackedWeights
from sweeps.objectives.masked import Masked
from sweeps.planning.plan import plan_sweep
from sweeps.planning.run_plan import RunPlan
from sweeps.training.plain_loop import train_plainly
from sweeps.training.stack import build_model

OBJECTIVES = ("causal", "masked")
RECIPE = "recipe={name: cpt-adamw-tiny/1}"  # of what docs/how-to/train_other_families.md shows


def cloze_places(blocks: int, length: int) -> Tensor:
    """(blocks,) One place of each, not its first: a causal model gives that no probability."""
    return torch.randint(1, length, (blocks,), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def masked_cloze(model: StackedWeights, mask: int, blocks: Tensor, places: Tensor) -> Tensor:
    """(blocks, vocabulary) Log-probability of each token in the place of each block, (blocks,
    length), given the rest of it."""
    rows = torch.arange(len(blocks))
    hidden = blocks.clone()
    hidden[rows, places] = mask
    logits = model(hidden[None]).view(*blocks.shape, -1)
    return logits[rows, places].log_softmax(-1)


@torch.no_grad()
def causal_cloze(model: StackedWeights, blocks: Tensor, places: Tensor) -> Tensor:
    """The same of a causal model: a block's log-probability with each token in the place, less the
    logarithm of their sum. What comes before the place is in all of them alike."""
    vocabulary, found = torch.arange(model.used_vocab_size), []
    for block, place in zip(blocks, places.tolist(), strict=True):
        candidates = block.repeat(len(vocabulary), 1)
        candidates[:, place] = vocabulary
        logits = model(candidates[None, :, :-1]).view(len(vocabulary), len(block) - 1, -1)
        after = logits[:, place - 1 :].log_softmax(-1)
        chosen = after.gather(-1, candidates[:, place:, None]).squeeze(-1)
        found.append(chosen.sum(-1).log_softmax(-1))
    return torch.stack(found)


def measured(plan: RunPlan, config: SweepConfig, questions: int) -> dict[str, Any]:
    """One run, trained, and what it answers."""
    corpus = load_corpus(config.data, config.model.context)
    trained = train_plainly([plan], corpus)
    model = build_model(plan)
    model.hold(trained.weights)
    blocks = corpus.validation.inputs[:questions]
    places = cloze_places(*blocks.shape)
    asks = plan.asks
    if isinstance(asks, Masked):
        chances = masked_cloze(model, asks.mask_token, blocks, places)
    else:
        chances = causal_cloze(model, blocks, places)
    truth = blocks.gather(1, places[:, None])
    nats = -chances.gather(1, truth).squeeze(1)
    right = (chances.argmax(1) == truth.squeeze(1)).float()
    return {
        "objective": plan.objective,
        "train_flops": plan.train_flops,
        "params": plan.shape.params,
        "tokens": plan.tokens,
        "loss": float(trained.validation_losses[0]),
        "loss_kind": plan.loss_kind,
        "cloze_nats": float(nats.mean()),
        "cloze_stderr": float(nats.std() / math.sqrt(len(nats))),
        "cloze_accuracy": float(right.mean()),
    }


def runs_of(flops: Sequence[float], width: int, questions: int) -> list[dict[str, Any]]:
    """Both objectives at each budget, on the quick-start text."""
    rows = []
    for objective in OBJECTIVES:
        config = dataclasses.replace(
            load_config(config_file("quickstart"), [RECIPE]),
            objective=objective,
            grid=Grid(width=(width,), flops=tuple(flops), seed=(1,)),
            cells=(),
            held_out=(),
            launch=LaunchConfig(device="cpu"),
        )
        for plan in plan_sweep(config).runs:
            rows.append(measured(plan, config, questions))
            print(line(rows[-1]), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """A run in a line."""
    return (
        f"{row['objective']:7} {row['train_flops']:8.2e} FLOP  loss {row['loss']:.3f} "
        f"{row['loss_kind']:22} cloze {row['cloze_nats']:.3f} +- {row['cloze_stderr']:.3f} nats, "
        f"{row['cloze_accuracy']:.1%} right"
    )


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Losses, which do not compare, beside the cloze, which does."""
    from matplotlib.figure import Figure

    from analysis.plots.style import FORECAST, MEASURED, figure_style, save_figure

    looks = {"causal": ("o-", MEASURED), "masked": ("s-", FORECAST)}
    with figure_style():
        figure = Figure(figsize=(9, 3.8), facecolor="white")
        left, right = figure.subplots(1, 2)
        for objective, (line, colour) in looks.items():
            mine = [row for row in rows if row["objective"] == objective]
            flops, losses, nats, errors = (
                [row[name] for row in mine]
                for name in ("train_flops", "loss", "cloze_nats", "cloze_stderr")
            )
            kind = mine[0]["loss_kind"].replace("_", " ")
            left.plot(flops, losses, line, color=colour, label=f"{objective}: {kind}")
            right.errorbar(flops, nats, errors, fmt=line, color=colour, label=objective)
        left.set(title="Losses of two questions: not comparable", ylabel="Validation loss (nats)")
        right.set(
            title="One question to both: comparable", ylabel="Nats of a token given all others"
        )
        for axes in (left, right):
            axes.set(xscale="log", xlabel="Training compute C (FLOP)")
            axes.legend()
        save_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a run; write JSON and a figure."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--flops", type=float, nargs="+", default=[1e10, 3e10, 1e11, 3e11])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--questions", type=int, default=200, help="blocks, one token hidden each")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = runs_of(arguments.flops, arguments.width, arguments.questions)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
