"""Backtests and verdicts on sealed forecasts as text."""

from collections.abc import Sequence

from analysis.evaluation.backtest import Backtest, Score
from analysis.evaluation.sealed import SealStanding, record_line
from analysis.text.tables import section, table_lines
from scaling.limits import texts


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
    return "\n".join([*lines, *section("limits", texts(backtest.limits))])


def _score_cells(score: Score) -> list[str]:
    return [
        str(score.predictions),
        f"{score.error:.2f}",
        f"{score.bias:+.2f}",
        *(f"{share:.0%}" for share in score.coverage.values()),
        f"{score.width:.1f}",
        f"{score.interval_score:.1f}",
    ]


def standing_text(standing: SealStanding) -> str:
    """How a sealed forecast fared: a line per run that has landed, and what limits that."""
    seal = standing.seal
    head = f"{seal.name}: sealed {seal.sealed_at} from {seal.source} (digest {seal.digest})"
    return "\n".join([head, *(v.line for v in standing.verdicts), *texts(standing.limits)])


def standings_text(standings: Sequence[SealStanding]) -> str:
    """Every sealed forecast with its verdicts, then the record of all."""
    if not standings:
        return "no forecast is sealed yet; seal one with scaling forecast --seal NAME"
    return "\n".join([*map(standing_text, standings), "", record_line(standings)])
