"""How good are forecasts of one run's curve? By distance, with and without its learning rate.

    python -m benchmarks.forecasts.learning_curves [--published FOLDER] [--half choosing|scoring]
        [-o FILE]
    python -m benchmarks.forecasts.learning_curves --choose

Each curve is cut at a half, .3 and a fifth of its length, and its end (the last 15%) forecast from
what lies below. Curves are those of `benchmarks.forecasts.zoo`, half of them for choosing constants
and half for scoring, each with its learning rate told and withheld; the 47 of Alabdulmohsin et al.
2022 at their own cut; and simulated ones that are noisy, rise before they fall, or fall in steps.
Curves count equally within a ladder, ladders within a distance. `--choose` searches the constants
of `analysis.forecasting.constants.calibration` that curves have of their own, on the choosing half
and every other of the published ones.
"""

import argparse
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.forecasting.answer.support import supported
from analysis.forecasting.constants.calibration import (
    ANNEALED,
    FAR_HISTORY,
    NEAR_CURVE,
    Calibration,
)
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import pose
from analysis.forecasting.weighing.forecaster import Forecaster, log_forecast, prepare
from benchmarks.forecasts.forecast_skill import Split, learning_curves, score
from benchmarks.forecasts.learning.constants import answer_of, recalibrated
from benchmarks.forecasts.zoo import CHOOSING, CURVES, SCORING, TABLE, half_of
from benchmarks.forecasts.zoo_ladders import LADDERS
from scaling.arrays import FloatArray
from scaling.errors import ScalingError
from scaling.records import records_from_table

FACTORS = (2.0, 3.33, 5.0)
LAST = 0.85  # of the run: from here on it is hidden and scored
FEWEST_SEEN = 6
PUBLISHED = "published"
KNOWN, UNKNOWN = "rate known", "rate unknown"
NOISES, SIMULATED = (0.01, 0.08, 0.15), 12  # of ln loss; curves of each kind
SPREADS, TAILS = (0.25, 0.4, 0.6, 0.8, 1.0, 1.3), (3.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve cut at one place."""

    group: str  # whose it is: published, rate known, rate unknown, a simulated kind
    half: str
    ladder: str
    distance: str
    split: Split


def zoo_curves(table: Path = TABLE, curves: Path = CURVES) -> Iterator[Curve]:
    """Those of the zoo, each cut at every factor, with and without its rate."""
    places = {name: place for place, name in enumerate(LADDERS)}
    runs = pd.read_csv(table).set_index("run_id")
    points = pd.read_csv(curves).rename(columns={"train_loss": "loss"})
    for run_id, curve in points.groupby("run_id", sort=False):
        ladder = str(runs.loc[run_id, "ladder"])
        end = float(curve["step"].max())
        hidden = curve[curve["step"] > LAST * end]
        for factor in FACTORS:
            is_seen = curve["step"] <= end / factor + 1e-9
            if is_seen.sum() < FEWEST_SEEN:
                continue
            told = curve.assign(loss=curve["loss"].where(is_seen))
            bare = curve.loc[is_seen, ["step", "loss"]]
            columns = ["step", "learning_rate", "loss"]
            for group, seen in ((KNOWN, told[columns]), (UNKNOWN, bare)):
                yield Curve(
                    group=group,
                    half=half_of(places[ladder]),
                    ladder=ladder,
                    distance=f"{factor:g}x",
                    split=_split(group, f"{run_id} {factor:g}x", seen, hidden),
                )


def _split(group: str, name: str, seen: pd.DataFrame, hidden: pd.DataFrame) -> Split:
    return Split(
        group=group,
        name=name,
        seen=records_from_table(seen, source=name),
        hidden=hidden[["step", "loss"]],
        inputs=("step",),
    )


def published_curves(folder: Path) -> Iterator[Curve]:
    """Those of Alabdulmohsin et al. 2022 at their own cut, every other for choosing."""
    for place, split in enumerate(learning_curves(folder)):
        yield Curve(
            group=PUBLISHED,
            half=half_of(place),
            ladder=split.name,
            distance="2x",
            split=split,
        )


def simulated_curves(seed: int = 7) -> Iterator[Curve]:
    """Made-up curves of 60 points that are noisy, rise first, or fall in steps."""
    rng = np.random.default_rng(seed)
    step = np.arange(1, 61) * 100.0
    for kind, noise in (*(("noisy", v) for v in NOISES), ("rising", 0.01), ("steps", 0.01)):
        for i in range(SIMULATED):
            floor, exponent = rng.uniform(1.0, 2.5), rng.uniform(0.25, 0.6)
            loss = floor + rng.uniform(1, 4) * (step / 100) ** -exponent
            if kind == "rising":
                top = rng.uniform(2, 5) * 100
                loss = loss * np.exp(-0.3 * np.maximum(1 - step / top, 0) * 2)
            if kind == "steps":
                at = np.sort(rng.uniform(3, 55, 4)) * 100
                loss = floor + 1.5 * np.exp(-0.5 * (step[:, None] > at).sum(axis=1))
            curve = pd.DataFrame(
                {"step": step, "loss": loss * np.exp(noise * rng.standard_normal(len(step)))}
            )
            hidden = curve[curve["step"] > LAST * step[-1]]
            for factor in FACTORS:
                group = f"{kind}, {noise:.0%}"
                yield Curve(
                    group=group,
                    half=SCORING,
                    ladder=str(i),
                    distance=f"{factor:g}x",
                    split=_split(
                        group,
                        f"{group} {i} {factor:g}x",
                        curve[curve["step"] <= step[-1] / factor + 1e-9],
                        hidden,
                    ),
                )


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A curve with its laws fitted and backtested."""

    curve: Curve
    forecaster: Forecaster
    log_x: FloatArray  # (hidden,)
    no_median: float  # share of the hidden points of which a forecast shows none

    @classmethod
    def of(cls, curve: Curve) -> "Fitted":
        """As a forecast of the hidden points fits it."""
        split = curve.split
        (x,) = split.inputs
        log_x = np.log(split.hidden[x].to_numpy(float))
        question = pose(split.seen, split.inputs, ForecastOptions(x=x)).answering(log_x)
        forecaster = prepare(question, DEFAULT)
        answer = log_forecast(forecaster, log_x[:, None], log_x, DEFAULT)
        return cls(
            curve=curve,
            forecaster=forecaster,
            log_x=log_x,
            no_median=float(np.mean(~supported(forecaster, answer))),
        )

    @property
    def kind(self) -> str:
        """Which of the constants answer it."""
        if self.curve.group == KNOWN:
            return "ANNEALED"
        return "NEAR_CURVE" if self.forecaster.nearby is None else "FAR_HISTORY"

    def row(self, calibration: Calibration | None = None) -> dict[str, object]:
        """What its forecast is worth, with the constants that it has or with these."""
        forecaster = self.forecaster
        if calibration is not None:
            forecaster = recalibrated(forecaster, calibration)
        answer = answer_of(forecaster, self.log_x[:, None], self.log_x)
        curve = self.curve
        names = {"group": curve.group, "half": curve.half, "distance": curve.distance}
        found: dict[str, object] = {"ladder": curve.ladder, "no median": self.no_median}
        return names | found | score(curve.split, answer)


def fitted(curves: Iterator[Curve]) -> tuple[list[Fitted], list[str]]:
    """The curves that have an answer; and the groups of those that were refused."""
    found, refused = [], []
    for curve in curves:
        try:
            found.append(Fitted.of(curve))
        except ScalingError as error:
            refused.append(f"{curve.group}, {curve.distance}: {error}")
    return found, refused


def summary(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Means by group, half and distance: curves within a ladder first, then ladders."""
    table = pd.DataFrame(rows)
    by = ["group", "half", "distance"]
    numbers = list(table.select_dtypes("number").columns)
    means = table.groupby([*by, "ladder"], sort=False)[numbers].mean()
    means = means.groupby(by, sort=False).mean()
    means.insert(0, "curves", table.groupby(by, sort=False).size())
    return means


def choose(cases: Sequence[Fitted]) -> None:
    """Print, for each set of constants, what spreads and tails make of the choosing half: the
    interval score in percent and the share inside 90%, distances equal."""
    for kind in ("NEAR_CURVE", "FAR_HISTORY", "ANNEALED"):
        own = [case for case in cases if case.kind == kind and case.curve.half == CHOOSING]
        for spread, tail in itertools.product(SPREADS, TAILS):
            constants = replace(BY_KIND[kind], spread=spread, tail=tail)
            means = summary([case.row(constants) for case in own])
            inside = ", ".join(f"{v:.2f}" for v in means["in90"])
            total = float(means["score90"].mean())
            print(f"{kind} spread {spread:g} tail {tail:g}: score {total:.1f}, inside {inside}")


BY_KIND = {"NEAR_CURVE": NEAR_CURVE, "FAR_HISTORY": FAR_HISTORY, "ANNEALED": ANNEALED}


def main(argv: Sequence[str] | None = None) -> None:
    """Score, print means, write rows; or choose constants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    default = os.environ.get("SCALING_PUBLISHED_DATA", "../shared/data/published")
    parser.add_argument("--published", type=Path, default=Path(default))
    parser.add_argument("--choose", action="store_true", help="search the constants of curves")
    parser.add_argument("--half", choices=[CHOOSING, SCORING], help="of the curves, else both")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/learning_curves.json"))
    arguments = parser.parse_args(argv)
    half = CHOOSING if arguments.choose else arguments.half
    published = published_curves(arguments.published) if arguments.published.is_dir() else []
    curves = itertools.chain(published, zoo_curves(), simulated_curves())
    cases, refused = fitted(one for one in curves if half in (None, one.half))
    if arguments.choose:
        choose(cases)
        return
    rows = [case.row() for case in cases]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"curves": rows, "refused": refused}, indent=1))
    with pd.option_context("display.width", 200, "display.max_columns", 20, "display.max_rows", 99):
        print(summary(rows).round(3).to_string())
    print(f"refused: {len(refused)}", *refused[:5], sep="\n")


if __name__ == "__main__":
    main()
