"""What published ladders have in common: the constants of a forecast that they can tell.

    python -m benchmarks.forecasts.population --learn [--published FOLDER]

Every split of `benchmarks.forecasts.population` is fitted and backtested once; what follows is
cheap, since fits do not depend on these constants. The constants are those with the lowest score:
the mean over distances of the log of the interval score (90%), and of the continuous ranked
probability score, each averaged over ladders within a study and then over studies. Simulated
ladders (`benchmarks.simulated.ladders`), whose truth has no drift, count beside them as a further
study. So the constants maximise proper scores (Gneiting & Raftery 2007), and every study counts
equally however many ladders it has.

Then every study is forecast with constants learned from the others alone: that table is what to
believe. The file `analysis/forecasting/constants/population.py` gets the constants of all studies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import beta
from scipy.stats import t as student

from analysis.evaluation.scores import interval_score
from analysis.forecasting.constants import population
from analysis.forecasting.constants.calibration import SURFACE, Calibration
from analysis.forecasting.members.candidates import Candidate
from analysis.forecasting.question.options import DEFAULT
from analysis.forecasting.question.setup import pose
from analysis.forecasting.weighing.ensemble import NEAREST, Said, noise_factor, said, spread_of
from analysis.forecasting.weighing.forecaster import Forecaster, log_forecast, prepare
from analysis.forecasting.weighing.rolling_origin import (
    MOST_RATIO,
    OriginErrors,
    likeness,
    scale_squared,
    squared_ratio,
    weigh,
)
from benchmarks.forecasts.forecast_skill import LEVELS, Answer, Split, score, simulated_splits
from scaling.arrays import FloatArray
from scaling.errors import ScalingError

WRITTEN = Path(population.__file__)
SIMULATED = "simulated"
SIMULATED_LADDERS, SIMULATED_SEED = 25, 7001  # of each kind; no seed that skill is reported on
SIMULATED_WORTH = 0.8  # beside the mean over distances of the published studies
#: Where the search starts, and how far from there a constant costs .005 of the mean log score: what
#: few studies cannot tell (whether laws or drifts make the width) stays near what it was.
PULL = 0.005
MOST_STEPS = 250


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What is learned: fields of `Calibration`, under the names that the file has them by."""

    LAWS: float = 1.0
    SPREAD: float = 0.055
    DRIFT: float = 0.01
    STEEPNESS: float = 0.0
    UNSURE: float = 0.05
    DEFAULT_ORIGINS: float = 6.0

    @property
    def calibration(self) -> Calibration:
        """The constants of a surface with these in their places."""
        return replace(
            SURFACE,
            laws=self.LAWS,
            spread=self.SPREAD,
            drift=self.DRIFT,
            steepness=self.STEEPNESS,
            unsure=self.UNSURE,
            default_scale_origins=self.DEFAULT_ORIGINS,
        )

    @property
    def coordinates(self) -> FloatArray:
        """As the search moves them, in steps of which one is much: logs of widths and of origins,
        shares."""
        logs = np.log([self.LAWS, self.SPREAD, self.UNSURE]) / 0.5
        return np.array([*logs, np.log(self.DEFAULT_ORIGINS), 10 * self.DRIFT, 10 * self.STEEPNESS])

    @classmethod
    def at(cls, coordinates: FloatArray) -> "Constants":
        """Those at these coordinates."""
        laws, spread, unsure = np.exp(0.5 * coordinates[:3])
        drift, steepness = coordinates[4:] / 10
        return cls(
            LAWS=float(laws),
            SPREAD=float(spread),
            UNSURE=float(unsure),
            DEFAULT_ORIGINS=float(np.exp(coordinates[3])),
            DRIFT=float(drift),
            STEEPNESS=float(steepness),
        )


class Scored(Protocol):
    """What the search reads of a split."""

    @property
    def study(self) -> str:
        """Whose it is."""

    @property
    def distance(self) -> str:
        """How far beyond the runs."""

    def scores(self, calibration: Calibration) -> tuple[float, float]:
        """Mean interval score of 90% and mean ranked probability score, in log loss."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One split with its laws fitted and backtested: all that does not depend on `Constants`."""

    study: str
    distance: str
    split: Split
    forecaster: Forecaster
    log_inputs: FloatArray
    log_compute: FloatArray
    measured: FloatArray  # (hidden,) log loss
    said: Said
    noise: FloatArray  # (hidden,) standard deviation of a new run
    alike: tuple[FloatArray, ...]  # of each origin (hidden, runs that it hid)

    @property
    def stated(self) -> "Stated":
        """What its scores are made of."""
        return Stated(
            measured=self.measured,
            said=self.said,
            noise=self.noise,
            alike=self.alike,
            origins=tuple(
                (one.said, one.noise, one.hidden.log_loss) for one in self.forecaster.backtests
            ),
        )

    def scores(self, calibration: Calibration) -> tuple[float, float]:
        """Mean interval score of 90% and mean ranked probability score, in log loss."""
        return scores_of(self.stated, calibration)

    def row(self, calibration: Calibration) -> dict[str, object]:
        """What a forecast with these constants is worth, from its draws."""
        forecaster = recalibrated(self.forecaster, calibration)
        answer = answer_of(forecaster, self.log_inputs, self.log_compute)
        names = {"study": self.study, "distance": self.distance, "split": self.split.name}
        return names | score(self.split, answer)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the laws said of some targets and of the runs that origins hid."""

    measured: FloatArray  # (hidden,) log loss
    said: Said
    noise: FloatArray  # (hidden,) standard deviation of a new run
    alike: tuple[FloatArray, ...]  # of each origin (hidden, runs that it hid)
    origins: tuple[tuple[Said, FloatArray, FloatArray], ...]  # said, noise and measured of each


def scores_of(stated: Stated, calibration: Calibration) -> tuple[float, float]:
    """Mean interval score of 90% and mean ranked probability score, in log loss.

    The centre's t distribution and the noise of a new run are taken for one t distribution.
    """
    measured = stated.measured
    evidence, ratios = np.zeros(len(measured)), np.zeros(len(measured))
    for (of, noise, loss), alike in zip(stated.origins, stated.alike, strict=True):
        worth, share = alike.max(axis=1), alike / alike.sum(axis=1, keepdims=True)
        ratio = share @ squared_ratio(spread_of(of, calibration), noise, loss)
        evidence, ratios = evidence + worth, ratios + worth * np.minimum(ratio, MOST_RATIO)
    scale = scale_squared(ratios, evidence, calibration)
    spread = spread_of(stated.said, calibration)
    sd = np.sqrt(scale * spread.variance + np.maximum(1.0, scale) * stated.noise**2)
    half = sd * student.isf(0.05, calibration.tail)
    low, high = spread.centre - half, spread.centre + half
    ranked = sd * crps_of_t((measured - spread.centre) / sd, calibration.tail)
    return float(np.mean(interval_score(low, high, measured, 0.9))), float(ranked.mean())


def crps_of_t(z: FloatArray, freedom: float) -> FloatArray:
    """Continuous ranked probability score of Student's t at z: the closed form."""
    density, chance = student.pdf(z, freedom), student.cdf(z, freedom)
    ratio = beta(0.5, freedom - 0.5) / beta(0.5, freedom / 2) ** 2
    tail = 2 * density * (freedom + z**2) / (freedom - 1)
    return np.asarray(z * (2 * chance - 1) + tail - 2 * np.sqrt(freedom) / (freedom - 1) * ratio)


def recalibrated(forecaster: Forecaster, calibration: Calibration) -> Forecaster:
    """The same fits with other constants."""

    def origin(one: OriginErrors) -> OriginErrors:
        return replace(one, ensemble=replace(one.ensemble, calibration=calibration))

    return replace(
        forecaster,
        ensemble=replace(forecaster.ensemble, calibration=calibration),
        backtests=tuple(map(origin, forecaster.backtests)),
    )


def answer_of(forecaster: Forecaster, log_inputs: FloatArray, log_compute: FloatArray) -> Answer:
    """The forecast of a forecaster at targets."""
    answer = log_forecast(forecaster, log_inputs, log_compute, DEFAULT)
    tails = (1 - np.array(LEVELS)) / 2
    return Answer(
        centre=np.exp(answer.centre),
        low=np.exp(np.quantile(answer.draws, tails, axis=1)).T,
        high=np.exp(np.quantile(answer.draws, 1 - tails, axis=1)).T,
    )


def case_of(
    study: str,
    distance: str,
    split: Split,
    *,
    under: Callable[[Candidate], Candidate] = lambda candidate: candidate,
) -> Case:
    """The split fitted and backtested; ``under`` may give the laws other priors."""
    posed = pose(split.seen, split.inputs, DEFAULT)
    posed = replace(posed, candidates=tuple(map(under, posed.candidates)))
    forecaster = prepare(posed, DEFAULT)
    ensemble, ladder = forecaster.ensemble, forecaster.ladder
    log_inputs = np.log(split.hidden[list(split.inputs)].to_numpy(float))
    log_compute = ladder.flops.log_compute(*log_inputs.T)
    away = np.maximum(ladder.distance(log_inputs, log_compute), NEAREST)
    weights = weigh(forecaster.backtests, ensemble, away).weights
    noise = SURFACE.noise * noise_factor(ensemble, log_inputs) * ensemble.noise.scale
    return Case(
        study=study,
        distance=distance,
        split=split,
        forecaster=forecaster,
        log_inputs=log_inputs,
        log_compute=log_compute,
        measured=np.log(split.hidden["loss"].to_numpy(float)),
        said=said(ensemble, log_inputs, log_compute, weights),
        noise=noise,
        alike=tuple(likeness(origin.distance, away) for origin in forecaster.backtests),
    )


def simulated_cases(each: int = SIMULATED_LADDERS, seed: int = SIMULATED_SEED) -> Iterator[Case]:
    """Simulated ladders of twelve runs and more."""
    for split in simulated_splits(each, seed, checked=False):
        if "under" not in split.group:
            try:
                yield case_of(SIMULATED, SIMULATED, split)
            except ScalingError:  # flat within its noise: no forecast to be scored
                continue


def objective(
    constants: Constants, cases: Sequence[Scored], weights: Mapping[str, float] | None = None
) -> float:
    """The mean over distances of the logs of both scores, studies equal within a distance;
    ``weights`` of distances (1 where it has none)."""
    calibration = constants.calibration
    rows = [(case.distance, case.study, *case.scores(calibration)) for case in cases]
    table = pd.DataFrame(rows, columns=["distance", "study", "interval", "ranked"])
    means = table.groupby(["distance", "study"]).mean().groupby("distance").mean()
    logs = np.log(means).mean(axis=1)
    counts = np.array([(weights or {}).get(str(name), 1.0) for name in logs.index])
    return float(np.sum(counts * logs))


def learn(cases: Iterable[Scored], without: str | None = None) -> Constants:
    """The constants that forecast these cases best, none of the study ``without`` among them."""
    kept = [case for case in cases if case.study != without]
    published = len({case.distance for case in kept} - {SIMULATED})
    weights = {SIMULATED: SIMULATED_WORTH * max(published, 1)}
    start = Constants().coordinates
    pull = PULL * (published + weights[SIMULATED])
    found = minimize(
        lambda at: (
            objective(Constants.at(at), kept, weights) + pull * float(np.sum((at - start) ** 2))
        ),
        start,
        method="Nelder-Mead",
        options={
            "initial_simplex": start + 0.5 * np.vstack([np.zeros(len(start)), np.eye(len(start))]),
            "maxfev": MOST_STEPS,
            "xatol": 0.01,
            "fatol": 2e-4,
        },
    )
    return Constants.at(found.x)


def text_of(constants: Constants) -> str:
    """The file of these constants."""
    lines = [f"{name} = {float(f'{value:.2g}')}" for name, value in asdict(constants).items()]
    about = {
        "LAWS": "times the spread between laws",
        "SPREAD": "of the drifts of ladders, as a share of the drop",
        "DRIFT": "mean share of the predicted fall by which ladders end below their laws",
        "STEEPNESS": "what is added to it for each e-fold of slope",
        "UNSURE": "standard deviation of that",
        "DEFAULT_ORIGINS": "what the default width is worth, in backtest origins",
    }
    noted = [f"{line}  # {about[line.split()[0]]}" for line in lines]
    return (
        '"""What ladders of other people have in common, as constants of a forecast.\n\n'
        "Written by ``python -m benchmarks.forecasts.population --learn``, which says how; not to\n"
        'be changed by hand.\n"""\n\n' + "\n".join(noted) + "\n"
    )


def left_out(cases: Sequence[Case]) -> tuple[list[dict[str, object]], dict[str, Constants]]:
    """Every published case forecast with constants learned without its study; and these."""
    rows: list[dict[str, object]] = []
    found: dict[str, Constants] = {}
    for study in dict.fromkeys(case.study for case in cases if case.study != SIMULATED):
        found[study] = learn(cases, without=study)
        calibration = found[study].calibration
        rows += [case.row(calibration) for case in cases if case.study == study]
        print(f"without {study}: {_line(found[study])}", flush=True)
    return rows, found


def _line(constants: Constants) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in asdict(constants).items())


def learn_all(splits: Iterable[tuple[str, str, Split]]) -> list[dict[str, object]]:
    """Learn from all studies, write the file; rows of every study forecast by the others."""
    cases = [case_of(*split) for split in splits]
    print(f"{len(cases)} published splits are fitted", flush=True)
    cases += simulated_cases()
    constants = learn(cases)
    print(f"of all studies: {_line(constants)}", flush=True)
    WRITTEN.write_text(text_of(constants))
    rows, _ = left_out(cases)
    named = "learned without its study"
    simulated = [case.row(constants.calibration) for case in cases if case.study == SIMULATED]
    return [row | {"method": named} for row in rows] + [
        row | {"method": "learned from all"} for row in simulated
    ]
