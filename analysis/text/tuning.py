"""How well each model size is tuned, as text."""

import math

from analysis.tuning.rungs import LadderHealth, Rung
from analysis.tuning.tuned_recipe import TunedRecipe
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.extra_columns.recipe_arms import CALLED
from scaling.limits import LimitCode, texts
from scaling.words import counted


def health_text(health: LadderHealth, *, alone: bool = False) -> str:
    """The health of a ladder as text; ``alone``: without why each rung counts as it does."""
    blocks = health_blocks(health)
    return as_text(answer_alone(blocks) if alone else blocks)


def health_blocks(health: LadderHealth) -> list[Block]:
    """One row per rung, why it counts so much, and what the trend of the learning rates says."""
    header = ["rung", "runs", "check", "ln offset", "gap to the best found", "clipped", "spikes"]
    rows = [_rung_cells(rung) for rung in health.rungs]
    why = [f"  {rung.name}: {rung.reason}" for rung in health.rungs]
    return [
        f"rungs of {health.source}, smallest first",
        "",
        Table([*header, "curve", "weight"], rows),
        *([""] if (gaps := gap_sentences(health)) else []),
        *gaps,
        "",
        "what fits make of them (a forecast says in its limits what it does with them):",
        *why,
        *(["", *trend_sentences(health)] if health.trend else []),
        Section(
            "limits",
            [
                *([] if health.trend else trend_sentences(health)),
                *texts(health.limits, without=(LimitCode.NO_TREND,)),
            ],
        ),
    ]


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
    if rung.gap_stderr is None:
        return f"{100 * rung.gap:.2f}%"
    return percent_with_error(rung.gap, rung.gap_stderr)


def gap_sentences(health: LadderHealth) -> list[str]:
    """Each checked rung's gap to the best found, with the best recipe found, and how it goes with
    compute: the words of `scaling health` and `status`, the report and the dashboard."""
    found = [
        f"{rung.name} {gap_text(rung)}{f' ({rung.best})' if rung.best else ''}"
        for rung in health.rungs
        if rung.gap is not None
    ]
    lines = [f"gap to the best found: {'; '.join(found)}"] if found else []
    if (trend := health.gap_trend) is not None:
        at = [
            percent_with_error(gap, error)
            for gap, error in (
                (trend.smallest, trend.smallest_stderr),
                (trend.largest, trend.largest_stderr),
                (trend.beyond, trend.beyond_stderr),
            )
        ]
        change = percent_with_error(abs(trend.change), trend.change_stderr)
        way = "falls" if trend.change < 0 else "grows"
        told = f"it {way} by {change}" if trend.is_told else "no trend that can be told from noise"
        lines.append(
            f"over {counted(trend.rungs, 'checked rung')} the gap is {at[0]} at the smallest run "
            f"and {at[1]} at the largest ({told}), {at[2]} ten times beyond: a forecast by size "
            "takes it off the runs, and adds what is left of it to a target"
        )
    return lines


def percent_with_error(share: float, stderr: float) -> str:
    """A share of the loss with its standard error, in percent."""
    return f"{100 * share:.2f} +- {100 * stderr:.2f}%"


def trend_sentences(health: LadderHealth) -> list[str]:
    """How the best learning rate goes with size and horizon, and what that puts at stake."""
    trend = health.trend
    if trend is None:
        return [
            f"no trend of the learning rates: {reason}"
            for reason in texts(health.limits, of=(LimitCode.NO_TREND,))
        ]
    sentences = [
        f"over {counted(trend.rungs, 'checked rung')}, ln(best learning rate / rule) goes with "
        f"ln width by {trend.width_slope:+.3f} +- {trend.width_stderr:.3f} and with ln tokens by "
        f"{trend.tokens_slope:+.3f} +- {trend.tokens_stderr:.3f}: "
        + ("the rule drifts" if trend.is_real else "no drift that can be told from noise")
    ]
    sentences += [
        f"at the {stake.run} that puts the best learning rate at {math.exp(stake.lr_offset):.2f} "
        f"times the rule's, and the rule's cost at {100 * stake.loss:.2g}% of the loss"
        for stake in health.stakes
    ]
    return sentences


def tuned_blocks(tuned: TunedRecipe) -> list[Block]:
    """The constants that were found, what they are worth, and the judgement of another rung."""
    rows = [
        [
            CALLED[one.name],
            "as it was" if one.is_kept else f"x {one.factor:.3g}",
            f"{one.low:.2g} to {one.high:.2g}",
            f"{one.tried_from:.2g} to {one.tried_to:.2g}",
            percent_with_error(one.worth, one.worth_stderr),
        ]
        for one in tuned.constants
    ]
    kept = any(one.is_kept for one in tuned.constants)
    judged = []
    if (found := tuned.judgement) is not None:
        judged = [
            f"on {found.rung}, which was not used, the recipe as it was lies "
            f"{100 * found.gap:+.2f} +- {100 * found.stderr:.2f}% from the tuned one "
            f"({counted(found.seeds, 'seed')})"
        ]
    return [
        f"{counted(tuned.arms, 'arm')}, {counted(tuned.seeds, 'seed')} each, on "
        f"{' and '.join(tuned.rungs)}",
        "",
        Table(["constant", "best over the recipe's", "90%", "tried", "worth"], rows),
        "",
        f"the tuned recipe is expected {100 * tuned.gain:.2f} +- {100 * tuned.gain_stderr:.2f}% "
        f"below the recipe as it was; a run scatters by {100 * tuned.noise:.2f}%",
        *judged,
        *(["as it was: its worth is less than its standard error"] if kept else []),
        Section("not varied", [*tuned.not_varied]),
        Section("limits", texts(tuned.limits)),
    ]
