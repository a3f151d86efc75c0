"""Results as text for a terminal. It only arranges what the results hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from analysis.backtest import Backtest, Score
from analysis.cross_checks import CrossCheck
from analysis.diagnostics import Card
from analysis.fit_result import Fit
from analysis.forecast_result import Forecast
from analysis.seal import Seal, Verdict

#: How a quantity is written in a table of targets.
_SYMBOLS = {"params": "N", "tokens": "D", "train_flops": "C"}


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
    """The forecast: a row a target, then what the width is made of, the evidence, the limits."""
    levels = list(forecast.targets[0].intervals)
    header = ["target", "median", *(f"{level:.0%} interval" for level in levels), "beyond data"]
    rows = [
        [
            target_label(target.at),
            f"{target.median:.4f}",
            *(interval_text(target.intervals[level]) for level in levels),
            f"{target.decades_beyond:.2f} decades",
        ]
        for target in forecast.targets
    ]
    furthest = max(forecast.targets, key=lambda target: target.decades_beyond)
    lines = [
        f"forecast from {forecast.runs} runs of {forecast.source}",
        "",
        *table_lines(header, rows),
        "",
        f"weights of the laws: {_shares(furthest.weights)}",
        f"parts of the width:  {_shares(furthest.shares)}",
    ]
    if not forecast.floor_identified and forecast.pinned_floors:
        pinned = "; ".join(
            f"{floor:.2f} -> {', '.join(f'{median:.4f}' for median in medians)}"
            for floor, medians in forecast.pinned_floors.items()
        )
        lines.append(f"medians if the floor were: {pinned}")
    lines += [*_section("evidence", forecast.evidence), *_section("status", forecast.status)]
    return "\n".join(lines)


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
        f"backtest of {backtest.source}, law {backtest.law}: {len(backtest.origins)} origins",
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


def verdicts_text(seal: Seal, verdicts: Sequence[Verdict]) -> str:
    """How a sealed forecast fared, a line a run that has landed."""
    head = f"{seal.name}: sealed {seal.sealed_at} from {seal.source} (digest {seal.digest})"
    waiting = "none of its runs has landed yet"
    return "\n".join([head, *([verdict.line for verdict in verdicts] or [waiting])])


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
