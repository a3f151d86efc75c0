"""How good are the forecasts? Error, coverage, width and interval score against simple baselines.

    python -m benchmarks.forecasts.forecast_skill [--published FOLDER] [--ladders 40] [--quick]
        [-o FILE]
    python -m benchmarks.forecasts.forecast_skill --only auto "constant misspecification"

Four groups: learning curves and model tables that were published, and simulated ladders asked at
(params, tokens) and at a budget alone. Every split counts equally within its row. Baselines are
what is in use elsewhere: one law, and an interval from a bootstrap of its constants alone, or
with the residuals of the fit added.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.evaluation.scores import covered, interval_score
from analysis.fitting.fit import fit_as_asked
from analysis.forecasting.constants.calibration import SURFACE
from analysis.forecasting.forecast import forecast
from analysis.forecasting.members.candidates import surface_candidates
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.forecaster import log_forecast, prepare
from benchmarks.simulated.ladders import KINDS, simulated_ladders
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.records import Records, records_from_table

LEVELS = (0.5, 0.8, 0.9, 0.95)
BOOTSTRAP = 200
GAPS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # decades hidden from the top of a table
FEWEST_SEEN = 8
CONSTANT = "constant misspecification"
CLEAN = 0.05  # roughness below which a ladder counts as clean
MOST_POINTS = 60  # of the hidden part of a learning curve


@dataclass(frozen=True, kw_only=True)
class Split:
    """Runs to fit and runs to predict."""

    group: str
    name: str
    seen: Records
    hidden: pd.DataFrame
    inputs: tuple[str, ...]  # columns that the targets are given in


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Predicted losses and their ranges at LEVELS."""

    centre: FloatArray  # (hidden,)
    low: FloatArray  # (hidden, levels)
    high: FloatArray
    roughness: float | None = None  # residuals over the fall per decade, where known


Method = Callable[[Split], Answer]


def ours(law: str) -> Method:
    """`forecast` with this law."""

    def answer(split: Split) -> Answer:
        x = split.inputs[0] if len(split.inputs) == 1 and split.inputs != ("train_flops",) else None
        columns = {name: split.hidden[name].to_numpy(float) for name in split.inputs}
        result = forecast(
            split.seen,
            Targets(columns=columns),
            options=ForecastOptions(law=law, x=x, confidence_levels=LEVELS),
        )
        ranges = np.array([[t.intervals[v] for v in LEVELS] for t in result.targets])
        return Answer(
            centre=np.array([t.centre for t in result.targets]),
            low=ranges[..., 0],
            high=ranges[..., 1],
        )

    return answer


def bootstrap_of(law: str, *, residuals: bool) -> Method:
    """One law by `fit_as_asked`; its bootstrap as the interval, with or without residuals added."""

    def answer(split: Split) -> Answer:
        curve = len(split.inputs) == 1
        x = split.inputs[0] if curve else None
        with np.errstate(all="ignore"):
            fit = fit_as_asked(split.seen, law, x=x, bootstrap=BOOTSTRAP, card=False)
            inputs = [split.hidden[name].to_numpy(float) for name in split.inputs]
            draws = np.log(fit.draws.loss(*inputs))  # (draws, hidden)
            centre = fit.law.loss(*inputs)
            seen = [split.seen.column(name) for name in split.inputs]
            left = np.log(split.seen.column("loss")) - np.log(fit.law.loss(*seen))
        draws = draws[np.all(np.isfinite(draws), axis=1)]
        rng = np.random.default_rng(0)
        if residuals:
            draws = draws + rng.choice(left, size=draws.shape)
        tails = (1 - np.array(LEVELS)) / 2
        return Answer(
            centre=centre,
            low=np.exp(np.quantile(draws, tails, axis=0)).T,
            high=np.exp(np.quantile(draws, 1 - tails, axis=0)).T,
        )

    return answer


def constant_misfit(split: Split) -> Answer:
    """The method before its misspecification was learned from the ladder: always 8% of the drop.

    Four members with looser priors, wider shares of parameters and laws, t with 5 degrees of
    freedom: what `analysis.forecasting.constants.calibration` replaced. Kept to show what the
    replacement is worth.
    """
    calibration = replace(
        SURFACE,
        parameters=0.8,
        laws=0.8,
        spread=0.08,
        roughness=0.0,
        tail=5.0,
        drift=0.025,
        steepness=0.0,
        unsure=0.0,
        default_scale_origins=6.0,
        cap=0.20,
        evidence=0.0,
        default_noise_runs=0.0,
    )
    exponents, coupling = ((float(np.log(0.3)), 0.3), (0.0, 0.3)), (-0.3, 0.5)
    by_name = {candidate.name: candidate for candidate in surface_candidates()}
    coupled, additive = by_name["coupled"], by_name["additive"]
    coupled = replace(coupled, priors=(*coupled.priors[:3], *exponents, coupling))
    members = (
        replace(coupled, first_weight=0.30),
        replace(coupled, eta=0.6, first_weight=0.35),
        replace(coupled, eta=0.0, first_weight=0.15),
        replace(additive, priors=(*additive.priors[:3], *exponents), first_weight=0.20),
    )
    posed = pose(split.seen, split.inputs, DEFAULT)
    forecaster = prepare(replace(posed, candidates=members, calibration=calibration), DEFAULT)
    log_inputs = np.log(split.hidden[list(split.inputs)].to_numpy(float))
    compute = posed.ladder.flops.log_compute(*log_inputs.T)
    answer = log_forecast(forecaster, log_inputs, compute, DEFAULT)
    tails = (1 - np.array(LEVELS)) / 2
    return Answer(
        centre=np.exp(answer.centre),
        low=np.exp(np.quantile(answer.draws, tails, axis=1)).T,
        high=np.exp(np.quantile(answer.draws, 1 - tails, axis=1)).T,
        roughness=forecaster.ensemble.roughness,
    )


SURFACE_METHODS: dict[str, Method] = {
    "auto": ours("auto"),
    CONSTANT: constant_misfit,
    "chinchilla, parameter bootstrap": bootstrap_of("chinchilla", residuals=False),
    "chinchilla, bootstrap + residuals": bootstrap_of("chinchilla", residuals=True),
    "overtraining, bootstrap + residuals": bootstrap_of("overtraining", residuals=True),
    "single coupled law": ours("skaling"),
    "single additive law": ours("chinchilla"),
    "single shared exponent": ours("overtraining"),
}
CURVE_METHODS: dict[str, Method] = {
    "auto": ours("auto"),
    "a x^b + c, parameter bootstrap": bootstrap_of("power_law", residuals=False),
    "a x^b + c, bootstrap + residuals": bootstrap_of("power_law", residuals=True),
    "single power law with floor": ours("power_law"),
}


def learning_curves(folder: Path) -> Iterator[Split]:
    """Each curve of revisiting2022: the source's own split."""
    table = pd.read_csv(folder / "revisiting2022_dev.csv")
    for name, curve in table.groupby("curve_id"):
        seen, hidden = curve[curve.is_train == 1], curve[curve.is_train == 0]
        rows = np.linspace(0, len(hidden) - 1, min(MOST_POINTS, len(hidden))).round().astype(int)
        columns = ["seen_examples", "loss"]
        yield Split(
            group="learning curves",
            name=str(name),
            seen=records_from_table(seen[columns], source=str(name)),
            hidden=hidden[columns].iloc[rows],
            inputs=("seen_examples",),
        )


def published_tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Hoffmann et al. without the five outliers, and Gadre et al. by training set (C4 loss)."""
    hoffmann = pd.read_csv(folder / "hoffmann2022_epoch.csv")
    hoffmann = hoffmann[hoffmann.excluded_in_published_fit == 0]
    yield "hoffmann", hoffmann[["n_params", "tokens", "flops", "loss"]]
    gadre = pd.read_csv(folder / "gadre2024_overtraining.csv")
    for name, runs in gadre.groupby("train_dataset"):
        small = runs["width"].notna()
        runs = runs[["n_params", "tokens", "flops", "loss_c4_val"]].assign(small=small)
        yield f"gadre {name}", runs.rename(columns={"loss_c4_val": "loss"})


def published_splits(folder: Path) -> Iterator[Split]:
    """The back-tests that the tables' README suggests, and cuts half a decade apart."""
    for name, table in published_tables(folder):
        table = table.rename(columns={"n_params": "params", "flops": "train_flops"})
        compute = np.log10(table["train_flops"])
        if name == "hoffmann":
            suggested = (compute <= 20, compute > 21)
        else:
            suggested = (
                (table["train_flops"] <= 2.1e19) & table["small"],
                compute > np.log10(2e20),
            )
        yield _split(f"{name.split()[0]}, README", name, table, *suggested)
        for gap in GAPS:
            seen = compute <= compute.max() - gap + 1e-9
            if FEWEST_SEEN <= seen.sum() < len(table):
                group = f"{name.split()[0]}, by cut"
                yield _split(group, f"{name} -{gap:g}", table, seen, ~seen)


def _split(group: str, name: str, table: pd.DataFrame, seen: pd.Series, hidden: pd.Series) -> Split:
    columns = ["params", "tokens", "train_flops", "loss"]
    return Split(
        group=group,
        name=name,
        seen=records_from_table(table.loc[seen, columns], source=name),
        hidden=table.loc[hidden, columns],
        inputs=("params", "tokens"),
    )


def simulated_splits(each: int, seed: int, *, checked: bool) -> Iterator[Split]:
    """Simulated ladders, asked at (params, tokens); small ladders are a group of their own.

    ``checked`` ladders carry what learning-rate checks of their shapes found.
    """
    with_checks = ", checked" if checked else ""
    for i, ladder in enumerate(simulated_ladders(KINDS, each, seed)):
        few = " (under 12 runs)" if len(ladder.seen) < 12 else ""
        yield Split(
            group=f"simulated {ladder.kind}{with_checks}{few}",
            name=f"{ladder.kind} {i}",
            seen=records_from_table(
                ladder.checked if checked else ladder.seen, source=f"simulated {i}"
            ),
            hidden=ladder.hidden,
            inputs=("params", "tokens"),
        )


def budget_splits(each: int, seed: int) -> Iterator[Split]:
    """The same ladders asked at budgets, with the sizes hidden: the best runs as a curve L(C)."""
    for i, ladder in enumerate(simulated_ladders(KINDS, each, seed)):
        seen = ladder.seen[["train_flops", "loss"]]
        if seen["train_flops"].round(-12).nunique() >= 5 and len(seen) >= 16:
            yield Split(
                group=f"L(C), simulated {ladder.kind}",
                name=f"{ladder.kind} {i}",
                seen=records_from_table(seen, source=f"simulated {i}"),
                hidden=ladder.hidden.iloc[::2],  # every other one is optimally split
                inputs=("train_flops",),
            )


def score(split: Split, answer: Answer) -> dict[str, float]:
    """One split's mean scores, in percent of the loss where a loss."""
    measured = split.hidden["loss"].to_numpy(float)
    log_error = np.log(answer.centre / measured)
    inside = covered(answer.low, answer.high, measured[:, None])
    low, high = answer.low[:, LEVELS.index(0.9)], answer.high[:, LEVELS.index(0.9)]
    return {
        "error": float(100 * np.mean(np.abs(np.expm1(log_error)))),
        "bias": float(100 * np.mean(np.expm1(log_error))),
        "rms_log": float(np.sqrt(np.mean(log_error**2))),
        **{f"in{round(100 * v)}": float(inside[:, i].mean()) for i, v in enumerate(LEVELS)},
        "width90": float(100 * np.mean((high - low) / measured)),
        "score90": float(100 * np.mean(interval_score(low, high, measured, 0.9) / measured)),
    }


def run(splits: Iterator[Split], methods: dict[str, Method]) -> list[dict[str, object]]:
    """A row for every split and method; a method that refuses a split leaves only its name."""
    rows: list[dict[str, object]] = []
    for split in splits:
        for name, method in methods.items():
            start = time.perf_counter()
            row: dict[str, object] = {"group": split.group, "split": split.name, "method": name}
            try:
                answer = method(split)
                row |= score(split, answer)
                if answer.roughness is not None:
                    row["roughness"] = answer.roughness
            except ScalingError as error:
                row["refused"] = str(error)
            row["seconds"] = time.perf_counter() - start
            rows.append(row)
    return rows


def summary(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Means over splits for every group and method, and how many splits were refused."""
    table = pd.DataFrame(rows)
    if "refused" not in table:
        table["refused"] = None
    by = table.groupby(["group", "method"], sort=False)
    numbers = [c for c in table.select_dtypes("number").columns]
    means = by[numbers].mean()
    means.insert(0, "splits", by.size())
    means.insert(1, "refused", by["refused"].count())
    return means


def narrowing(rows: list[dict[str, object]]) -> str:
    """How wide and how good our intervals are beside those of a constant misspecification."""
    table = pd.DataFrame(rows)
    if "roughness" not in table:
        return "no comparison with a constant misspecification (--quick)"
    wide = table.pivot(index=["group", "split"], columns="method")
    clean = (wide["roughness"][CONSTANT] < CLEAN) & wide["width90"]["auto"].notna()
    lines = [f"auto over {CONSTANT}, clean ladders (roughness below {CLEAN:g}):"]
    for group in [None, *dict.fromkeys(name for name, _ in wide.index[clean])]:
        own = clean if group is None else clean & (wide.index.get_level_values(0) == group)
        means = {v: wide.loc[own, v][["auto", CONSTANT]].mean() for v in ("width90", "score90")}
        ratios = [f"{v} ratio {m['auto'] / m[CONSTANT]:.2f}" for v, m in means.items()]
        covered90 = wide.loc[own, "in90"][["auto", CONSTANT]].mean()
        lines.append(
            f"  {group or 'all'}: {own.sum()} ladders, {', '.join(ratios)}, "
            f"in 90% {covered90['auto']:.3f} and {covered90[CONSTANT]:.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run all groups, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("SCALING_PUBLISHED_DATA", "../shared/data/published")
    parser.add_argument("--published", type=Path, default=Path(default))
    parser.add_argument("--ladders", type=int, default=40, help="simulated ladders of each kind")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--quick", action="store_true", help="our forecast only, no baselines")
    parser.add_argument("--only", nargs="+", metavar="METHOD", choices=list(SURFACE_METHODS))
    parser.add_argument("-o", "--output", type=Path, default=Path("results/forecast_skill.json"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    surface, curve = SURFACE_METHODS, CURVE_METHODS
    wanted = ["auto"] if arguments.quick else arguments.only
    if wanted:
        surface = {name: method for name, method in surface.items() if name in wanted}
        curve = {name: method for name, method in curve.items() if name in wanted}
    rows: list[dict[str, object]] = []
    if arguments.published.is_dir():
        rows += run(learning_curves(arguments.published), curve)
        rows += run(published_splits(arguments.published), surface)
    else:
        print(f"published tables are absent: {arguments.published} (set SCALING_PUBLISHED_DATA)")
    rows += run(simulated_splits(arguments.ladders, arguments.seed, checked=False), surface)
    checked = simulated_splits(arguments.ladders, arguments.seed, checked=True)
    rows += run(checked, {"auto": ours("auto")})
    rows += run(budget_splits(arguments.ladders, arguments.seed), {"auto": ours("auto")})
    table = summary(rows)
    with pd.option_context("display.width", 200, "display.max_columns", 20, "display.max_rows", 99):
        print(table.round(3).to_string())
    print(narrowing(rows))
    published = table.reset_index()
    published = published[
        published["group"].str.contains("README|by cut") & (published["method"] == "auto")
    ]
    if len(published):
        inside = float(np.average(published["in90"], weights=published["splits"]))
        print(f"90% intervals over {published['splits'].sum():.0f} published splits: {inside:.3f}")
    arguments.output.write_text(
        json.dumps(
            {"summary": json.loads(table.reset_index().to_json(orient="records")), "splits": rows},
            indent=1,
        )
    )
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
