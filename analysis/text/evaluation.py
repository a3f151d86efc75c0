"""Backtests and verdicts on sealed forecasts as text."""

from collections.abc import Mapping, Sequence

from analysis.evaluation.backtest import Backtest
from analysis.evaluation.by_groups import GroupedBacktest
from analysis.evaluation.held_out import HeldOutCheck
from analysis.evaluation.scored import Score
from analysis.evaluation.verdicts import SealStanding, record_line
from analysis.text.tables import target_label
from scaling.display import Block, Section, Table, as_text
from scaling.limits import LimitCode, texts
from scaling.words import counted


def backtest_text(backtest: Backtest) -> str:
    """The backtest as text."""
    return as_text(backtest_blocks(backtest))


def backtest_blocks(backtest: Backtest) -> list[Block]:
    """The backtest: one row per distance, then per origin; errors in percent of the loss."""
    levels = list(backtest.overall.coverage)
    scores = ["predictions", "error %", "bias %", *(f"in {level:.0%}" for level in levels)]
    header = ["beyond data", *scores, "width %", "score %"]
    rows = [[band.words, *_score_cells(band.score)] for band in backtest.by_distance]
    rows.append(["all", *_score_cells(backtest.overall)])
    hidden = [
        [origin.hides, str(origin.runs_seen), *_score_cells(score)]
        for origin, score in zip(backtest.origins, backtest.by_origin, strict=True)
    ]
    held = "".join(f", {name} held at {value:g}" for name, value in backtest.fixed.items())
    return [
        f"backtest of {backtest.source}, law {backtest.law}{held}: "
        f"{counted(len(backtest.origins), 'origin')}",
        "",
        Table(header, rows),
        "",
        Table(["hidden", "seen", *header[1:]], hidden),
        f"{counted(backtest.overall.predictions, 'prediction')}; each origin counts alike, "
        "however many runs it hides; bias is predicted above measured",
        Section("limits", texts(backtest.limits)),
    ]


def grouped_backtest_text(found: GroupedBacktest) -> str:
    """The backtests of groups as text."""
    return as_text(grouped_backtest_blocks(found))


def grouped_backtest_blocks(found: GroupedBacktest) -> list[Block]:
    """The overall score of each group beside those of the others, then each group's backtest."""
    blocks = groups_scored_blocks(found)
    for label, one in found.groups.items():
        blocks += ["", f"{found.by} {label}", *backtest_blocks(one)]
    return blocks


def groups_scored_blocks(found: GroupedBacktest) -> list[Block]:
    """The overall score of each group beside those of the others."""
    first = next(iter(found.groups.values())).overall
    scores = ["predictions", "error %", "bias %", *(f"in {level:.0%}" for level in first.coverage)]
    rows = [[label, *_score_cells(one.overall)] for label, one in found.groups.items()]
    return [
        f"backtests of {found.source} by {found.by}, law {found.law}: each group from its own runs",
        "",
        Table([found.by, *scores, "width %", "score %"], rows),
        Section("limits", texts(found.limits)),
    ]


def _score_cells(score: Score) -> list[str]:
    return [
        str(score.predictions),
        f"{score.error:.2f}",
        f"{score.bias:+.2f}",
        *(f"{share:.0%}" for share in score.coverage.values()),
        f"{score.width:.1f}",
        f"{score.interval_score:.1f}",
    ]


def held_out_blocks(check: HeldOutCheck) -> list[Block]:
    """Every held-out run beside its prediction, and what that says of larger forecasts."""
    level = f"{100 * check.confidence_level:g}% interval"
    rows = [
        [
            target_label(_size_and_tokens(run.at)),
            run.predicted_text,
            run.range_text,
            f"{run.measured:.4f}",
            "-" if run.error_percent is None else f"{run.error_percent:+.2f}%",
            "yes" if run.is_inside else "NO",
        ]
        for run in check.runs
    ]
    count = len(check.runs)
    return [
        f"{count} held-out run{'' if count == 1 else 's'} of {check.forecast.source}",
        "",
        Table(["run", "predicted", level, "measured", "error", "inside"], rows),
        Section("limits", texts(check.limits)),
    ]


def _size_and_tokens(at: Mapping[str, float]) -> dict[str, float]:
    """Where a run is, without the compute that follows from size and tokens."""
    follows = "params" in at and "tokens" in at
    return {name: value for name, value in at.items() if not (follows and name == "train_flops")}


def standing_blocks(standing: SealStanding) -> list[Block]:
    """How a sealed forecast fared, block by block."""
    return [*standing_text(standing).splitlines()]


def standing_text(standing: SealStanding) -> str:
    """How a sealed forecast fared: a line per run that has landed, and what limits that."""
    return "\n".join([*_standing_lines(standing), *texts(standing.limits)])


def _standing_lines(standing: SealStanding) -> list[str]:
    """The seal, its verdicts, and what speaks against each of these."""
    seal = standing.seal
    place = f"seal {seal.number} of {standing.count}, " if standing.count else ""
    head = (
        f"{seal.name}: {place}sealed {seal.sealed_at[:19].replace('T', ' ')} UTC from {seal.source}"
        f"{''.join(f', where {condition}' for condition in seal.where)} (digest {seal.digest})"
    )
    if (published := standing.published) and published.at:
        head += f", published by {published.where} of {published.at[:19].replace('T', ' ')} UTC"
    lines = [head]
    for verdict in standing.verdicts:
        lines += [verdict.line, *texts(verdict.limits)]
    return lines


def standings_text(standings: Sequence[SealStanding]) -> str:
    """Every sealed forecast with its verdicts, then what limits them all, and the record."""
    if not standings:
        return "no forecast is sealed yet; seal one with scaling forecast --seal NAME"
    shared = set.intersection(*(set(standing.limits) for standing in standings))
    lines = []
    for standing in standings:
        own = [limit for limit in standing.limits if limit not in shared]
        lines += [*_standing_lines(standing), *texts(own)]
    said = [limit for limit in standings[0].limits if limit in shared]
    last = texts(said, without=(LimitCode.SEAL_MISSING,))  # the record has these
    return "\n".join([*lines, "", *last, record_line(standings)])
