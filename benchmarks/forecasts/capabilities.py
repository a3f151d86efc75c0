"""Forecasts of metrics on published runs, beside the published method and a plain sigmoid.

    SCALING_PUBLISHED_DATA=FOLDER python -m benchmarks.forecasts.capabilities

Part 1, `gadre2024_overtraining.csv` (Gadre et al. 2024, arXiv:2403.08540): their two chained fits
as they made them, which must give the two errors that they print, and ours from all runs of the
small models and the 1.4B model at 20 tokens a parameter. Part 2, `obsscaling` (Ruan et al. 2024,
arXiv:2405.10938): models above 8.4e22 FLOP from those below, beside a sigmoid in log FLOP by least
squares.
"""

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit, least_squares

from analysis.capabilities.capability import forecast_metric
from analysis.forecasting.question.targets import Targets
from scaling.errors import ForecastError
from scaling.records import records_from_table

LARGE = ("open_lm_1b", "open_lm_7b")
SETS = ("c4_original", "rpj", "rw_original")
SPLIT = 8.4e22  # FLOP: Llama-2 7B
BENCHMARKS = [
    "MMLU",
    "ARC-C",
    "HellaSwag",
    "Winograd",
    "TruthfulQA",
    "GSM8K",
    "XWinograd",
    "HumanEval",
]
PRINTED = {("rpj", "open_lm_1b", 640): 3.6365, ("rpj", "open_lm_7b", 20): 0.0464}


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One new run: percent errors of both methods, and whether our interval held."""

    name: str
    published: float
    from_its_loss: float  # by the published second fit, from the loss that was measured
    ours: float
    route: str
    held: bool


def published_errors(runs: pd.DataFrame, metric: str, *, is_loss_known: bool = False) -> pd.Series:
    """The metric of every run by the published chain: loss from five runs, error from six; or by
    its second fit alone, from the loss that was measured."""
    ratio = runs["token_multiplier"].round()
    small = ~runs["architecture"].isin(LARGE)
    narrow = runs["architecture"] == "d=96_l=8_h=4"
    five = runs[small & (ratio == 20) | narrow & (ratio == 320)]
    six = pd.concat([five, runs[(runs["architecture"] == LARGE[0]) & (ratio == 20)]])

    def loss(x, a, b, power, floor):  # type: ignore[no-untyped-def]
        n, m = x
        return a * n**power + b * 6 ** (power / 2) * (m * n) ** power + floor

    def inputs(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return table["n_params"].to_numpy(), table["token_multiplier"].to_numpy()

    best = None
    scales = (1e2, 3e2, 1e3, 3e3)
    for start in product(scales, scales, (-0.1, -0.3), (0, 1, 2, 10)):
        try:
            found, _ = curve_fit(loss, inputs(five), five["loss_c4_val"], p0=start, maxfev=10_000)
        except RuntimeError:
            continue
        missed = float(((loss(inputs(five), *found) - five["loss_c4_val"]) ** 2).sum())
        if best is None or missed < best[0]:
            best = missed, found
    assert best is not None

    def error(x, k, rate, top):  # type: ignore[no-untyped-def]
        return top - k * np.exp(-rate * x)

    chained, _ = curve_fit(error, six["loss_c4_val"].to_numpy(), six[metric].to_numpy())
    losses = runs["loss_c4_val"] if is_loss_known else loss(inputs(runs), *best[1])
    return pd.Series(error(losses, *chained), index=runs.index)


def overtraining(table: pd.DataFrame, metric: str) -> list[Scored]:
    """The large models of each training set, by the published chain and by ours."""
    scored = []
    for name in SETS:
        runs = table[table["train_dataset"] == name]
        theirs = published_errors(runs, metric)
        second = published_errors(runs, metric, is_loss_known=True)
        ratio = runs["token_multiplier"].round()
        is_new = runs["architecture"].isin(LARGE) & ~(
            (runs["architecture"] == LARGE[0]) & (ratio == 20)
        )
        columns = {"loss": "loss_c4_val", "params": "n_params", "train_flops": "flops"}
        records = records_from_table(runs[~is_new], source=name, columns=columns)
        new = runs[is_new]
        targets = Targets.runs(new["n_params"].to_numpy(), new["tokens"].to_numpy())
        made = forecast_metric(records, metric, targets, better="lower")
        for (i, run), target in zip(new.iterrows(), made.targets, strict=True):
            measured, (low, high) = run[metric], target.intervals[0.9]
            median = np.nan if target.median is None else target.median
            scored.append(
                Scored(
                    name=f"{name} {run['architecture']} at {ratio[i]:.0f}",
                    published=100 * abs(theirs[i] / measured - 1),
                    from_its_loss=100 * abs(second[i] / measured - 1),
                    ours=100 * abs(median / measured - 1),
                    route=target.route,
                    held=bool(low <= measured <= high),
                )
            )
            printed = PRINTED.get((name, str(run["architecture"]), int(ratio[i])))
            if metric == "err_avg_17_tasks" and printed:
                assert round(scored[-1].published, 4) == printed, scored[-1]
    return scored


def observed(table: pd.DataFrame, benchmark: str) -> tuple[float, float, float, float]:
    """Mean squared error of ours and of a plain sigmoid above the split; coverage and width of our
    90% intervals there."""
    known = table.dropna(subset=["FLOPs (1E21)", benchmark])
    flops = known["FLOPs (1E21)"].to_numpy() * 1e21
    size = known["Model Size (B)"].to_numpy() * 1e9
    below, measured = flops <= SPLIT * 1.001, known[benchmark].to_numpy()
    x = np.log(flops / 1e22)

    def missed(p):  # type: ignore[no-untyped-def]
        return 1 / (1 + np.exp(-(p[0] + p[1] * x[below]))) - measured[below]

    p = least_squares(missed, [0.0, 0.3]).x
    plain = 1 / (1 + np.exp(-(p[0] + p[1] * x)))
    columns = {"params": "Model Size (B)", "train_flops": "FLOPs (1E21)"}
    records = records_from_table(known[below], source=benchmark, columns=columns)
    targets = Targets.runs(size[~below], flops[~below] / (6 * size[~below]))
    made = forecast_metric(records, benchmark, targets, better="higher")
    answers = [target.routes[target.route] for target in made.targets]
    low, high = np.array([answer.intervals[0.9] for answer in answers]).T
    centre = np.array(
        [(a.median if a.median is not None else np.mean(a.intervals[0.9])) for a in answers]
    )
    held = (low <= measured[~below]) & (measured[~below] <= high)
    return (
        float(np.mean((centre - measured[~below]) ** 2)),
        float(np.mean((plain[~below] - measured[~below]) ** 2)),
        float(held.mean()),
        float((high - low).mean()),
    )


def main() -> None:
    """Print both parts as tables."""
    folder = Path(os.environ["SCALING_PUBLISHED_DATA"])
    gadre = pd.read_csv(folder / "gadre2024_overtraining.csv")
    for metric in ("err_avg_17_tasks", "err_avg_46_tasks"):
        scored = overtraining(gadre, metric)
        print(
            f"{metric}: error in percent, published chain | its second fit from the measured loss "
            "| ours (route) | in our 90% interval"
        )
        for one in scored:
            theirs = f"{one.published:8.4f} | {one.from_its_loss:6.2f}"
            print(f"  {one.name:34s} {theirs} | {one.ours:6.2f} ({one.route}) | {one.held}")
        kinds = ("published", "from_its_loss", "ours", "held")
        means = [np.mean([getattr(one, of) for one in scored]) for of in kinds]
        print("  mean {:.2f} | {:.2f} | {:.2f} | {:.2f}".format(*means))
        apart = np.array([one.ours - one.published for one in scored])
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        print(f"  ours less the chain's {apart.mean():+.2f} +- {error:.2f}", flush=True)
    models = pd.read_csv(folder / "obsscaling" / "base_llm_benchmark_eval.csv")
    print("models above 8.4e22 FLOP: mean squared error, ours | plain sigmoid | coverage | width")
    rows = []
    for benchmark in BENCHMARKS:
        try:
            rows.append(observed(models, benchmark))
        except ForecastError as error:
            print(f"  {benchmark:12s} refused: {error}")
            continue
        print("  {:12s} {:.5f} | {:.5f} | {:.2f} | {:.2f}".format(benchmark, *rows[-1]), flush=True)
    print(
        "  mean of {}   {:.5f} | {:.5f} | {:.3f} | {:.2f}".format(len(rows), *np.mean(rows, axis=0))
    )


if __name__ == "__main__":
    main()
