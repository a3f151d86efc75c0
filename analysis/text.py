"""Results as text for a terminal. It only arranges what the results hold."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.backtest import Backtest, Score
from analysis.budget_for_loss import BudgetForLoss
from analysis.cross_checks import CrossCheck
from analysis.diagnostics import Card
from analysis.fit_result import Fit
from analysis.forecast_result import Forecast, TargetForecast
from analysis.optimal_split import OptimalSplit
from analysis.rungs import LadderHealth, Rung
from analysis.seal import Seal, SealStanding, Verdict, record_line

#: How a quantity is written in a table of targets.
_SYMBOLS = {"params": "N", "tokens": "D", "train_flops": "C"}
_FARTHEST = "the distance is that of whichever of N, D and C lies farthest outside the runs"
MOST = 12  # targets that get a sentence of their own


def fit_text(fit: Fit, checks: Sequence[CrossCheck] = (), with_card: bool = False) -> str:
    """The fit, the cross-checks that were asked for, and the checklist card if wanted."""
    lines = [str(fit)]
    for check in checks:
        lines.append(f"  {check.line}")
        lines += [f"    {warning}" for warning in check.warnings]
    if with_card and fit.card is not None:
        lines += ["", "checklist", str(Card(fit.card))]
    return "\n".join(lines)


def fit_json(fit: Fit, checks: Sequence[CrossCheck] = ()) -> str:
    """The fit without its bootstrap draws, and the cross-checks, as one JSON document."""
    document = json.loads(fit.to_json(draws=False))
    if checks:
        document["cross_checks"] = [check.to_dict() for check in checks]
    return json.dumps(document, indent=1)


def forecast_text(forecast: Forecast) -> str:
    """The forecast: a row a target, what it rests on, why the laws have their weights, limits."""
    levels = list(forecast.targets[0].intervals)
    header = [
        "target",
        "median",
        *(f"{level:.10g}% interval" for level in (100 * v for v in levels)),
    ]
    rows = [_target_cells(target, levels) for target in forecast.targets]
    surface = "params" in forecast.targets[0].at and "tokens" in forecast.targets[0].at
    furthest = max(forecast.targets, key=lambda target: target.decades_beyond)
    lines = [
        f"forecast from {forecast.runs} runs of {forecast.source}",
        "",
        *table_lines(header, rows),
        "",
        *(f"{target_label(target.at)}: {_standing(target)}" for target in forecast.targets[:MOST]),
        *([f"({_FARTHEST})"] if surface else []),
        "",
        f"weights of the laws at {target_label(furthest.at)}: {furthest.weights_because}",
        *_weight_lines(furthest),
        "",
        f"parts of the width:  {_shares(furthest.shares)}",
        forecast.noise.line,
    ]
    if not forecast.floor_identified and forecast.pinned_floors:
        pinned = "; ".join(
            f"{floor:.2f} -> {', '.join(_loss(median, t.supported) for median, t in pairs)}"
            for floor, medians in forecast.pinned_floors.items()
            for pairs in [list(zip(medians, forecast.targets, strict=True))]
        )
        lines.append(f"medians if the floor were: {pinned}")
    lines += [*_section("evidence", forecast.evidence), *_section("status", forecast.status)]
    return "\n".join(lines)


def _target_cells(target: TargetForecast, levels: Sequence[float]) -> list[str]:
    """A target's row: four decimals where they are supported, else two digits and no median."""
    if target.supported:
        ranges = [
            interval_text(target.intervals[level], _places(target.median)) for level in levels
        ]
        return [target_label(target.at), _loss(target.median, True), *ranges]
    ranges = [
        "[{}, {}]".format(*(_loss(v, False) for v in target.intervals[level])) for level in levels
    ]
    return [target_label(target.at), "unsupported", *ranges]


def _loss(value: float, is_supported: bool) -> str:
    return f"{value:.{_places(value)}f}" if is_supported else f"{value:.2g}"


def _places(loss: float) -> int:
    """Decimals that show a loss to four digits at least, in whatever unit it is."""
    return 4 if loss >= 0.1 else 3 - math.floor(math.log10(loss))


def _standing(target: TargetForecast) -> str:
    if target.supported:
        return target.evidence
    return f"UNSUPPORTED, an order of magnitude only: {target.evidence}"


def _weight_lines(target: TargetForecast) -> list[str]:
    if len(target.weights) == 1:
        return []
    rows = [
        [
            f"  {name}",
            f"{weight:.0%}",
            f"{target.weight_reasons[name].first_weight:.0%}",
            _share(target.weight_reasons[name].fitted_weight),
            _percent(target.weight_reasons[name].rehearsed_error),
        ]
        for name, weight in sorted(target.weights.items(), key=lambda item: -item[1])
    ]
    return table_lines(["  law", "weight", "before", "after the fit", "error in rehearsal"], rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}%"


def backtest_text(backtest: Backtest) -> str:
    """The backtest: a row a distance, then a row an origin; errors in percent of the loss."""
    levels = list(backtest.overall.coverage)
    scores = ["predictions", "error %", "bias %", *(f"in {level:.0%}" for level in levels)]
    header = ["beyond data", *scores, "width %", "score %"]
    rows = [
        [f"{band.decades_from:g}-{band.decades_to:g} decades", *_score_cells(band.score)]
        for band in backtest.by_distance
    ]
    rows.append(["all", *_score_cells(backtest.overall)])
    hidden = [
        [origin.hides, str(origin.runs_seen), *_score_cells(score)]
        for origin, score in zip(backtest.origins, backtest.by_origin, strict=True)
    ]
    lines = [
        f"backtest of {backtest.source}, law {backtest.law}: {len(backtest.origins)} "
        f"origin{'' if len(backtest.origins) == 1 else 's'}",
        "",
        *table_lines(header, rows),
        "",
        *table_lines(["hidden", "seen", *header[1:]], hidden),
    ]
    return "\n".join([*lines, *_section("status", backtest.status)])


def _score_cells(score: Score) -> list[str]:
    return [
        str(score.predictions),
        f"{score.error:.2f}",
        f"{score.bias:+.2f}",
        *(f"{share:.0%}" for share in score.coverage.values()),
        f"{score.width:.1f}",
        f"{score.interval_score:.1f}",
    ]


def budgets_text(answers: Sequence[BudgetForLoss]) -> str:
    """What each target loss costs: a row a loss, then what limits the answers."""
    levels = list(answers[0].ranges)
    header = ["loss", answers[0].column, *(f"{100 * level:.10g}% interval" for level in levels)]
    rows = [
        [
            f"{answer.loss:g}",
            _budget(answer.median, answer.supported),
            *(
                "[{}, {}]".format(*(_budget(end, answer.supported) for end in answer.ranges[level]))
                for level in levels
            ),
        ]
        for answer in answers
    ]
    said = list(dict.fromkeys(sentence for answer in answers for sentence in answer.status))
    return "\n".join([*table_lines(header, rows), *_section("status", said)])


def _budget(value: float, is_supported: bool) -> str:
    """A budget; 0 and infinity say that no end was found within the range that was searched."""
    if value == 0 or value == float("inf"):
        return "below the data" if value == 0 else "unbounded"
    return f"{value:.3g}" if is_supported else f"{value:.0e}"


def splits_text(splits: Sequence[OptimalSplit]) -> str:
    """The best size and tokens of each budget, and which law says so."""
    levels = list(splits[0].params_range)
    header = ["budget", "params N", "tokens D", "D/N", "training FLOP"]
    header += [f"{name} {100 * level:.10g}%" for level in levels for name in ("N", "D")]
    rows = []
    for split in splits:
        best = (split.params, split.tokens, split.tokens / split.params)
        cells = [f"{split.budget:.3g}", *(f"{split.shown(v):.3g}" for v in best)]
        cells.append(f"{split.train_flops:.3g}")
        for level in levels:
            for span in (split.params_range[level], split.tokens_range[level]):
                cells.append(f"[{split.shown(span.low):.3g}, {split.shown(span.high):.3g}]")
        rows.append(cells)
    against = [
        f"unsupported, an order of magnitude only: {split.budget:.3g} FLOP, "
        f"{split.unsupported_because}"
        for split in splits
        if split.unsupported_because
    ]
    beyond = ", ".join(f"{split.decades_beyond:.2f}" for split in splits)
    return "\n".join(
        [
            *table_lines(header, rows),
            "",
            f"answered by: {splits[0].law}",
            f"decades beyond the data: {beyond} ({_FARTHEST})",
            *against,
            "the loss is flat around an optimum: a run anywhere inside a range costs little",
        ]
    )


def results_json(results: Sequence[Any]) -> str:
    """Result dataclasses as one JSON document; an unbounded end is null."""
    return json.dumps([_plain(asdict(result)) for result in results], indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def health_text(health: LadderHealth) -> str:
    """A row a rung, why it counts so much, and what the trend of the learning rates says."""
    header = ["rung", "runs", "check", "ln offset", "predicted gap", "clipped", "spikes"]
    rows = [_rung_cells(rung) for rung in health.rungs]
    why = [f"  {rung.name}: {rung.reason}" for rung in health.rungs]
    return "\n".join(
        [
            f"rungs of {health.source}, smallest first",
            "",
            *table_lines([*header, "curve", "weight"], rows),
            "",
            "what fits make of them (a forecast says in its status what it does with them):",
            *why,
            "",
            *trend_sentences(health),
        ]
    )


def _rung_cells(rung: Rung) -> list[str]:
    curve = "-" if rung.curve_deviation is None else f"{100 * rung.curve_deviation:+.1f}%"
    return [
        rung.name,
        str(rung.runs),
        rung.status.value if rung.status else "none",
        "-" if rung.lr_offset is None else f"{rung.lr_offset:+.2f}",
        gap_text(rung),
        "-" if rung.clipped_share is None else f"{rung.clipped_share:.0%}",
        "-" if rung.spikes is None else str(rung.spikes),
        f"{curve} APART" if rung.stands_apart else curve,
        f"{rung.weight:.2f}" if rung.weight else "left out",
    ]


def gap_text(rung: Rung) -> str:
    """The predicted gap of a rung in percent of its loss, with its standard error."""
    if rung.gap is None:
        return "-"
    error = "" if rung.gap_stderr is None else f" +- {100 * rung.gap_stderr:.2f}"
    return f"{100 * rung.gap:.2f}{error}%"


def trend_sentences(health: LadderHealth) -> list[str]:
    """How the best learning rate goes with size and horizon, and what that puts at stake."""
    trend = health.trend
    if trend is None:
        return [f"no trend of the learning rates: {health.trend_refusal}"]
    said = [
        f"over {trend.rungs} checked rungs, ln(best learning rate / rule) goes with ln width by "
        f"{trend.width_slope:+.3f} +- {trend.width_stderr:.3f} and with ln tokens by "
        f"{trend.tokens_slope:+.3f} +- {trend.tokens_stderr:.3f}: "
        + ("the rule drifts" if trend.is_real else "no drift that can be told from noise")
    ]
    said += [
        f"at the {stake.run} that puts the best learning rate at {math.exp(stake.lr_offset):.2f} "
        f"times the rule's, and the rule's cost at {100 * stake.loss:.2g}% of the loss"
        for stake in health.stakes
    ]
    return said


def health_json(health: LadderHealth) -> str:
    """The health of a ladder as one JSON document; what was not recorded is null."""
    document = asdict(health)
    if health.trend is not None:
        document["trend"]["is_real"] = health.trend.is_real
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def verdicts_text(seal: Seal, verdicts: Sequence[Verdict]) -> str:
    """How a sealed forecast fared, a line a run that has landed."""
    head = f"{seal.name}: sealed {seal.sealed_at} from {seal.source} (digest {seal.digest})"
    waiting = "none of its runs has landed yet"
    return "\n".join([head, *([verdict.line for verdict in verdicts] or [waiting])])


def standings_text(standings: Sequence[SealStanding]) -> str:
    """Every sealed forecast with its verdicts, then the record of all."""
    if not standings:
        return "no forecast is sealed yet; seal one with scaling forecast --seal NAME"
    lines = []
    for standing in standings:
        lines.append(verdicts_text(standing.seal, standing.verdicts))
        if standing.refusal:
            lines.append(f"not scored: {standing.refusal}")
    return "\n".join([*lines, "", record_line(standings)])


def verdicts_json(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as one JSON document."""
    return json.dumps([asdict(verdict) for verdict in verdicts], indent=2)


def target_label(at: Mapping[str, float]) -> str:
    """A target in one phrase: C 1e+21 (N 2.3e+09, D 7.1e+10)."""
    parts = {_SYMBOLS.get(name, name): f"{value:.3g}" for name, value in at.items()}
    if "C" not in parts or len(parts) == 1:
        return ", ".join(f"{symbol} {value}" for symbol, value in parts.items())
    compute = parts.pop("C")
    rest = ", ".join(f"{symbol} {value}" for symbol, value in parts.items())
    return f"C {compute} ({rest})"


def interval_text(interval: Sequence[float], digits: int = 4) -> str:
    """An interval in brackets."""
    low, high = interval
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in columns: the first to the left, the others to the right."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _shares(shares: Mapping[str, float]) -> str:
    largest_first = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in largest_first)


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  - {sentence}" for sentence in sentences)] if sentences else []
