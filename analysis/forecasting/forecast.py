"""Forecasts of new runs, right as often as they say.

    records + targets
        |  pose            question/setup       which runs, which laws
        |  prepare         weighing/forecaster  fit the laws, backtest on the largest runs
        |  log_forecast    weighing/forecaster  weights, centre, parts of the width, draws
        v
    Forecast               answer/result

The width of an interval has six parts: uncertain parameters, spread between laws, the drift of
ladders and model misspecification, which grow with the predicted fall in loss, what bad tuning was
taken off for, and the noise of one more run. Its scale is what the ladder's own backtests ask for,
shrunk to what published ladders needed where they are few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.forecasting.answer.certificate import certificates
from analysis.forecasting.answer.result import Forecast, NewRunNoise, TargetForecast, WeightReason
from analysis.forecasting.answer.support import (
    evidence,
    floor_identified,
    limits,
    target_limits,
)
from analysis.forecasting.history import check_schedule
from analysis.forecasting.question.options import DEFAULT, ForecastOptions
from analysis.forecasting.question.setup import Question, check_distance, pose
from analysis.forecasting.question.targets import Targets
from analysis.forecasting.weighing.ensemble import fit_members
from analysis.forecasting.weighing.forecaster import (
    Forecaster,
    LogForecast,
    laws_alone,
    log_forecast,
    prepare,
)
from analysis.forecasting.weighing.optimum import best_log_params
from analysis.intervals import Interval, holding, interval_columns
from analysis.tuning.screening import screen
from scaling.arrays import FloatArray, IntArray
from scaling.columns import canonical_name
from scaling.errors import ForecastError
from scaling.limits import Limit
from scaling.points import in_our_units
from scaling.records import Records
from scaling.sources import Source, records_from

PINNED_SHARES = (0.02, 0.4, 0.6, 0.8)  # of the lowest loss seen; the first is "no floor"


@dataclass(frozen=True, kw_only=True)
class Points:
    """Targets in natural logs, and the columns that describe them."""

    log_inputs: FloatArray  # (targets, inputs)
    log_compute: FloatArray  # (targets,)
    described: tuple[dict[str, float], ...]
    asked: tuple[dict[str, float], ...]
    """The same without a split that nobody asked for: what is said of it where unsupported."""


def forecast(
    records: Source, targets: Targets | pd.DataFrame, *, options: ForecastOptions = DEFAULT
) -> Forecast:
    """The loss (nats per token) of new runs at ``targets``, with intervals at every level.

    ``records`` are runs, or a file or DataFrame of them. ``targets`` are `Targets`, or a DataFrame
    with one row per new run, whose columns may be spelt as in the runs' table or in a common way;
    `with_predictions` adds the answers to it. Targets that the runs do not support have an interval
    of an order of magnitude and no median. Raises ForecastError or RecordError where the runs
    cannot answer.
    """
    records = records_from(records)
    if isinstance(targets, pd.DataFrame):
        targets = _targets(targets, records, options)
    elif not isinstance(targets, Targets):
        raise ForecastError(
            f"targets are a {type(targets).__name__}; say what is asked: Targets.flops(1e21), "
            "Targets.runs(params, tokens), Targets.along(column, values), or a DataFrame of runs"
        )
    question = pose(records, tuple(targets.columns), options)
    parts = [
        (places, _forecast(records, one, targets.at(places), options))
        for places, one in _parts(question, targets)
    ]
    return parts[0][1] if len(parts) == 1 else _joined(parts)


def _parts(question: Question, targets: Targets) -> list[tuple[IntArray, Question]]:
    """Which targets (their places) the same laws answer, and the question with these laws."""
    name = question.ladder.inputs[0]
    if question.is_surface:
        return [(np.arange(len(targets)), question)]
    if name not in targets.columns:
        raise ForecastError(f"targets: the forecast runs along {name}; give its values (--values)")
    if others := [other for other in targets.columns if other != name]:
        raise ForecastError(
            f"targets: the forecast runs along {name}, and nothing reads {', '.join(others)}; give "
            f"values of {name} alone (--values)"
        )
    return question.parts(np.log(targets.columns[name]))


def _joined(parts: Sequence[tuple[IntArray, Forecast]]) -> Forecast:
    """One forecast from that of near targets and that of far ones, whose evidence and noise it
    has."""
    _, far = parts[-1]
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    targets = [target for _, part in parts for target in part.targets]
    floors = {
        floor: tuple(m for _, part in parts for m in part.pinned_floors[floor])
        for floor in far.pinned_floors
    }
    return replace(
        far,
        targets=tuple(targets[i] for i in order),
        laws={name: law for _, part in parts for name, law in part.laws.items()},
        references={name: of for _, part in parts for name, of in part.references.items()},
        limits=tuple(dict.fromkeys(limit for _, part in parts for limit in part.limits)),
        pinned_floors={floor: tuple(v[i] for i in order) for floor, v in floors.items()},
        floor_identified=all(part.floor_identified for _, part in parts),
    )


def _forecast(
    records: Records, question: Question, targets: Targets, options: ForecastOptions
) -> Forecast:
    """The forecast of targets that the same laws answer."""
    forecaster, points = _answerable(question, targets, options)
    answer = log_forecast(forecaster, points.log_inputs, points.log_compute, options)
    against = target_limits(forecaster, answer)
    floors = _pinned_floors(question, points, [not found for found in against])
    answers = tuple(
        _target_forecast(i, answer, points, forecaster, options.confidence_levels, against[i])
        for i in range(len(targets))
    )
    if options.certificate:
        answers = _certified(answers, question, forecaster, points, options)
    return Forecast(
        targets=answers,
        source=records.source,
        data_hash=records.data_hash,
        runs=len(question.ladder),
        law=options.law_name,
        laws={c.name: c.law.name for c in question.candidates},
        references={c.name: c.form.reference for c in question.candidates if c.form.reference},
        evidence=evidence(forecaster, answer),
        limits=question.limits + limits(forecaster, answer),
        noise=_noise(question, forecaster),
        pinned_floors=floors,
        floor_identified=floor_identified(forecaster.ensemble),
        seed=options.seed,
        flops_per_param_token=question.ladder.flops if question.is_surface else None,
        records=records,
        notes=records.told,
    )


def _certified(
    answers: Sequence[TargetForecast],
    question: Question,
    forecaster: Forecaster,
    points: Points,
    options: ForecastOptions,
) -> tuple[TargetForecast, ...]:
    """The answers with what the runs alone allow beside each, at the first confidence level."""
    found = certificates(
        question.ladder,
        points.log_inputs,
        forecaster.ensemble.noise.scale,
        options.confidence_levels[0],
    )
    return tuple(replace(one, certificate=c) for one, c in zip(answers, found, strict=True))


def forecast_ahead(
    records: Source, factor: float, *, options: ForecastOptions = DEFAULT
) -> Forecast:
    """The loss at ``factor`` times the largest training compute (or ``options.x``) of the runs
    that fits may use, as `forecast` answers it, with its errors."""
    records, column = records_from(records), options.x or "train_flops"
    used = screen(records).with_values(column)
    if not len(used):
        raise ForecastError(f"{records.source}: no usable run with {column} and a loss")
    at = factor * float(used.column(column).max())
    return forecast(records, Targets.along(column, at), options=options)


def with_predictions(points: pd.DataFrame, answer: Forecast) -> pd.DataFrame:
    """``points`` with the columns ``median``, ``low_90``, ``high_90`` ... of their forecast.

    Every column and the order of rows stay as they are. Rows that the runs cannot support have no
    median, and intervals of the digits that mean something; the forecast says why.
    """
    targets = answer.in_meaningful_digits().targets
    added: dict[str, list[float | None]] = {"median": [t.median for t in targets]}
    columns = [interval_columns(target.intervals) for target in targets]
    added |= {name: [ends[name] for ends in columns] for name in columns[0]}
    if any(target.certificate for target in targets):
        ranges = [(t.certificate and t.certificate.range) or (None, None) for t in targets]
        added["certificate_low"], added["certificate_high"] = map(list, zip(*ranges, strict=True))
    taken = [name for name in added if name in points.columns]
    if taken:
        raise ForecastError(f'points: column "{taken[0]}" exists already; rename it first')
    return points.assign(**added)


def _targets(points: pd.DataFrame, records: Records, options: ForecastOptions) -> Targets:
    """The rows of a table as targets, in their order."""
    if points.empty:
        raise ForecastError("points: no rows; give one row a run to predict")
    points = in_our_units(points, records)
    return Targets.from_table(_our_names(points, options.x, records.names), options.x)


def _our_names(points: pd.DataFrame, x: str | None, names: Mapping[str, str]) -> pd.DataFrame:
    """The points with columns under our names, where they are spelt as in the runs' table
    (``names``: ours -> theirs) or in a common way."""
    present = {str(name) for name in points.columns}
    renamed = {t: ours for ours, t in names.items() if t in present and ours not in present}
    present.update(renamed.values())
    for name in points.columns:
        ours = canonical_name(str(name))
        if ours is not None and ours not in present and str(name) != x and name not in renamed:
            renamed[name] = ours
            present.add(ours)
    return points.rename(columns=renamed)


def _answerable(
    question: Question, targets: Targets, options: ForecastOptions
) -> tuple[Forecaster, Points]:
    """The ladder made ready, and the targets as points of its laws."""
    ladder = question.ladder
    if question.is_surface:
        forecaster = prepare(question, options)
        points = _surface_points(forecaster, targets)
        check_distance(ladder.distance(points.log_inputs, points.log_compute))
        return forecaster, points
    (name,) = ladder.inputs
    log_x = np.log(targets.columns[name])
    described = tuple({name: float(v)} for v in targets.columns[name])
    points = Points(
        log_inputs=log_x[:, None], log_compute=log_x, described=described, asked=described
    )
    distance = ladder.distance(points.log_inputs, log_x)
    check_distance(distance)
    if question.rates is not None:
        check_schedule(question.rates, log_x, name, question.used.source)
    return prepare(question, options), points


def _surface_points(forecaster: Forecaster, targets: Targets) -> Points:
    """Targets on a surface; a budget alone is split as the laws together find best."""
    flops = forecaster.ladder.flops
    if "train_flops" in targets.columns:
        compute = np.log(targets.columns["train_flops"])
        log_n = best_log_params(forecaster, compute)
        log_d = flops.log_tokens(compute, log_n)
    else:
        log_n, log_d = (np.log(targets.columns[name]) for name in ("params", "tokens"))
        compute = flops.log_compute(log_n, log_d)
    inputs = {"params": np.exp(log_n), "tokens": np.exp(log_d), "train_flops": np.exp(compute)}
    inputs |= targets.columns  # as they were asked for, to the last digit
    described = tuple(
        {name: float(values[i]) for name, values in inputs.items()} for i in range(len(targets))
    )
    by_budget = "train_flops" in targets.columns
    asked = tuple({"train_flops": one["train_flops"]} for one in described)
    return Points(
        log_inputs=np.column_stack([log_n, log_d]),
        log_compute=compute,
        described=described,
        asked=asked if by_budget else described,
    )


def _target_forecast(
    i: int,
    answer: LogForecast,
    points: Points,
    forecaster: Forecaster,
    levels: tuple[float, ...],
    against: tuple[Limit, ...],
) -> TargetForecast:
    losses, centre = np.exp(answer.draws[i]), float(np.exp(answer.centre[i]))
    ranges = {}
    for level in levels:
        low, high = np.quantile(losses, [(1 - level) / 2, (1 + level) / 2])
        ranges[level] = holding(Interval(float(low), float(high)), centre)
    weighing, ensemble = answer.weighing, forecaster.ensemble
    names = [m.candidate.name for m in ensemble.members]
    here = (points.log_inputs[i : i + 1], points.log_compute[i : i + 1])
    alone = np.exp(laws_alone(forecaster, *here)[0])
    tuning = ensemble.ladder.tuning
    return TargetForecast(
        at=(points.asked if against else points.described)[i],
        median=None if against else centre,
        intervals=ranges,
        decades_beyond=float(answer.distance[i]),
        limits=against,
        shares={name: float(share[i]) for name, share in answer.shares.items()},
        weights={name: float(w) for name, w in zip(names, weighing.weights[i], strict=True)},
        weight_reasons={
            name: WeightReason(
                first_weight=float(ensemble.given_weights[j]),
                fitted_weight=float(ensemble.first_weights[j]),
                backtest_error=_percent(weighing.rms_error[i, j]),
            )
            for j, name in enumerate(names)
        },
        skill_share=float(weighing.trust[i]),
        scale=float(np.sqrt(weighing.scale_squared[i])),
        backtests=len(forecaster.backtests),
        origins=float(weighing.evidence[i]),
        backtest_error=_percent(weighing.mean_error[i]),
        furthest_backtest=float(weighing.furthest[i]),
        draws=losses,
        centre=centre,
        drift=float(100 * np.expm1(answer.spread.drifted[i])),
        law_losses={} if against else dict(zip(names, map(float, alone), strict=True)),
        tuning=None if tuning is None else float(100 * np.expm1(tuning.trend(here[1])[0])),
        tuning_stderr=None if tuning is None else float(100 * tuning.trend_stderr(here[1])[0]),
    )


def _percent(log_error: float) -> float | None:
    """A log error in percent; None where there was nothing to learn it from."""
    return float(100 * log_error) if np.isfinite(log_error) else None


def _noise(question: Question, forecaster: Forecaster) -> NewRunNoise:
    noise, evaluation = forecaster.ensemble.noise, question.evaluation_noise
    return NewRunNoise(
        percent=100 * noise.scale,
        source=noise.source,
        evaluation_percent=None if evaluation is None else 100 * evaluation,
    )


def _pinned_floors(
    question: Question, points: Points, supported: Sequence[bool]
) -> dict[float, tuple[float | None, ...]]:
    """Median losses at the targets if the floor were known: floor (nats) -> medians, None where
    a target is not supported."""
    floored = [
        c for c in question.candidates if "floor" in c.form.parameters[:1] and not c.holds_floor
    ][:1]
    ladder = question.ladder.thinned()
    lowest = float(np.exp(ladder.log_loss.min()))
    pinned: dict[float, tuple[float | None, ...]] = {}
    for share in PINNED_SHARES:
        for candidate in floored:
            priors = ((float(np.log(share)), 1e-3), *candidate.priors[1:])
            fixed = replace(candidate, priors=priors, first_weight=1.0)
            member = fit_members(ladder, (fixed,), question.calibration).members[0]
            medians = np.exp(member.log_loss(points.log_inputs))
            pinned[share * lowest] = tuple(
                float(m) if is_read else None for m, is_read in zip(medians, supported, strict=True)
            )
    return pinned
