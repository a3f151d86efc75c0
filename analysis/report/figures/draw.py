"""The report's figures, drawn by `analysis.plots` and embedded as SVG."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes

from analysis.capabilities.result import MetricForecast
from analysis.decisions.two_recipes.compared import ArmComparison
from analysis.evaluation.backtest import Backtest
from analysis.fitting.groups.split import label_of
from analysis.fitting.result import Fit
from analysis.forecasting.answer.result import TargetForecast
from analysis.plots.backtest import plot_backtest_coverage, plot_backtest_errors
from analysis.plots.compared import plot_comparison
from analysis.plots.discovery import plot_hidden_runs
from analysis.plots.groups import plot_groups
from analysis.plots.isoflop import has_isoflop, plot_isoflop, runs_by_budget
from analysis.plots.loss_against import plot_loss_against
from analysis.plots.loss_curves import plot_loss_curves
from analysis.plots.residuals import can_be_placed, plot_residuals, residuals
from analysis.plots.sizes import plot_sizes, sizes_with_curves
from analysis.report.figures.data import data_behind
from analysis.report.figures.picture import Picture, picture_of, with_data
from analysis.report.findings import Findings
from analysis.report.tables.metrics import metric_sentences
from analysis.report.words.formula import law_name
from analysis.report.words.places import x_noun
from analysis.text.numbers import in_print
from scaling.extra_columns.references import references_of
from scaling.limits import Limit, LimitCode
from scaling.tables.notes import NoteCode, printable
from scaling.words import counted

#: What a figure does not show by itself: which runs it lacks, and what was done to the others.
QUALIFYING = (
    LimitCode.LEFT_OUT,
    LimitCode.EDGE_LEFT_OUT,
    LimitCode.COUNTS_LESS,
    LimitCode.TUNING_TAKEN_OFF,
    LimitCode.FILLED_IN,
    LimitCode.FLOOR_HELD,
    LimitCode.FALLS_FASTER,
    LimitCode.FLOOR_TOO_HIGH,
    LimitCode.FALLBACK,
)


def draw_figures(findings: Findings) -> dict[str, Picture]:
    """Every figure that these findings support, by name."""
    drawn = _loss_picture if findings.of_compute else _groups_picture
    pictures = {"loss": drawn(findings)} if (findings.used.column(findings.x) > 0).all() else {}
    if findings.x == "train_flops" and has_isoflop(findings.used):
        pictures["isoflop"] = _isoflop_picture(findings)
    elif findings.law_of("params", "tokens") and len(sizes_with_curves(findings.used)) > 1:
        pictures["sizes"] = _sizes_picture(findings)
    for i, law in enumerate(findings.laws):
        if picture := _residuals_picture(findings, law):
            pictures[f"residuals {i}"] = picture
    if findings.backtest is not None:
        pictures |= _backtest_pictures(findings, findings.backtest)
    if findings.curves is not None and len(findings.curves):
        curves = findings.curves
        pictures["curves"] = picture_of(
            lambda ax: plot_loss_curves(curves, ax=ax),
            "Training curves",
            "One line is one run, darker where it is longer. A spike or a rise is worth a look.",
            "Not drawn: step 0, and a last step close to the one before it.",
        )
    for i, made in enumerate(findings.answers.metrics if findings.answers else ()):
        pictures[f"metric {i}"] = picture_of(
            partial(_drawn, made),
            f"{printable(made.metric)} against compute",
            "Points are runs. Bars are intervals of a new run by each route, bold of the one that "
            "missed hidden runs by less; a bar without a mark has no median.",
            " ".join(f"{in_print(text)}." for text in metric_sentences(made)),
        )
    if findings.discovery is not None and findings.discovery.claimed:
        found = findings.discovery
        pictures["hidden runs"] = picture_of(
            lambda ax: plot_hidden_runs(found, ax=ax),
            "Hidden runs by these laws",
            "A row is a place where runs were hidden; points are these runs, bars 90% intervals, "
            "right of zero predicted too high. How far the bars are stretched was chosen on the "
            "same runs, so that they hold is no evidence that those of new runs will.",
            _qualified(findings, found.limits),
        )
    if findings.comparison is not None:
        pictures["comparison"] = picture_of(
            partial(_compared, findings.comparison),
            "Multiplier of compute against compute",
            "How much more compute the first recipe needs to do as well as the second: above 1 the "
            "second is better. Points are cells, bars intervals of rungs and of the budgets asked.",
            " ".join(f"{in_print(one.text)}." for one in findings.comparison.limits),
        )
    tables = data_behind(findings)
    return {name: with_data(picture, tables[name]) for name, picture in pictures.items()}


def _drawn(made: MetricForecast, ax: Axes) -> Axes:
    return made.plot(ax)


def _compared(found: ArmComparison, ax: Axes) -> Axes:
    return plot_comparison(found, ax=ax)


def _residuals_picture(findings: Findings, law: Fit) -> Picture | None:
    """The residuals of a law; None where none of its runs has a place on the axis."""
    records = law.records
    assert records is not None  # made here, not read from a file
    placed = can_be_placed(residuals(law, records, x=findings.x)[findings.x])
    if not placed.any():
        return None
    lacking = counted(int((~placed).sum()), "run")
    return picture_of(
        lambda ax: plot_residuals(law, records, x=findings.x, ax=ax),
        f"Residuals of {law_name(law.law.name)}",
        "How far each measured loss lies above the fitted one. A curve, or one size that "
        "stays on one side, would say that the law or the training recipe misses something.",
        f"Not drawn: {lacking} without {findings.x} above zero. " * (not placed.all())
        + _qualified(findings, law.limits),
    )


def _loss_picture(findings: Findings) -> Picture:
    level = f"{100 * findings.confidence_level:g}%"
    made = findings.forecast.limits if findings.forecast else ()
    made = tuple(limit for limit in made if limit.code is not LimitCode.LEFT_OUT)
    return picture_of(
        lambda ax: _loss(findings, ax),
        f"Loss against {x_noun(findings.x)}",
        _what_is_drawn(findings, level),
        _qualified(findings, findings.used.left_out(), made),
    )


def _groups_picture(findings: Findings) -> Picture:
    """The runs by group, or all of them alike where no groups were asked for."""
    groups, level = findings.groups, f"{100 * findings.confidence_level:g}%"
    told, parts = "Points are runs.", {"": findings.used}
    forecasts: dict[str, list[TargetForecast]] = {}
    if groups is not None:
        told = "Points are runs, one colour a group."
        values = findings.used.table[groups.by].map(label_of)
        parts = {
            str(label): replace(findings.used, table=findings.used.table[values == label])
            for label in sorted(values.unique())
        }
        forecasts = {k: [t for one in f for t in one.targets] for k, f in groups.forecasts.items()}
        if any(t.supported for targets in forecasts.values() for t in targets):
            told += f" Diamonds are what each would reach, bars the {level} interval of a new run."
    return picture_of(
        lambda ax: plot_groups(
            parts, forecasts, x=findings.x, confidence_level=findings.confidence_level, ax=ax
        ),
        f"Loss against {x_noun(findings.x)}",
        f"{told} Both axes are logarithmic.",
        _qualified(findings, findings.used.left_out()),
    )


def _isoflop_picture(findings: Findings) -> Picture:
    surface = findings.law_of("params", "tokens")
    drawn = "Lines are the fitted law at that budget. " if surface else ""
    single = len(findings.used) - len(runs_by_budget(findings.used))
    lone = [f"Not drawn: {counted(single, 'run')} of budgets with one model size."] * (single > 0)
    qualified = _qualified(findings, surface.limits if surface else findings.used.left_out())
    return picture_of(
        lambda ax: plot_isoflop(findings.used, fit=surface, ax=ax),
        "Which size at which budget",
        f"One colour is one compute budget, spent on models of different size. {drawn}"
        "The lowest point of a colour is the best size for that budget; where the lowest "
        "point is at an end, the best size may lie outside what was tried.",
        " ".join([*lone, qualified]).strip(),
    )


def _sizes_picture(findings: Findings) -> Picture:
    surface = findings.law_of("params", "tokens")
    return picture_of(
        lambda ax: plot_sizes(findings.used, fit=surface, ax=ax),
        "Loss against tokens, size by size",
        "One colour is one model size, trained on more and more tokens. Lines are the fitted law "
        "of size and tokens: points that leave theirs say that law or recipe misses something.",
        _qualified(findings, surface.limits if surface else ()),
    )


def _backtest_pictures(findings: Findings, scored: Backtest) -> dict[str, Picture]:
    hidden = sum(origin.runs_hidden for origin in scored.origins)
    drawn = len(scored.predictions)
    sampled = [f"Of {counted(hidden, 'hidden run')} {drawn:,}, evenly spaced, are scored."] * (
        drawn < hidden
    )
    notes = " ".join([*sampled, _qualified(findings, scored.limits)])
    return {
        "errors": picture_of(
            lambda ax: plot_backtest_errors(scored, ax=ax),
            "Rolling-origin backtest: error by distance",
            "Each point is a run that was hidden, then predicted from smaller ones. Bars are 90% "
            "intervals; a bar that misses the zero line did not contain the measured loss.",
            notes.strip(),
        ),
        "coverage": picture_of(
            lambda ax: plot_backtest_coverage(scored, ax=ax),
            "Rolling-origin backtest: promised and found coverage",
            "On the dashed line intervals are right as often as they say; below it they promise "
            "too much. Hidden runs share their backtest, so few backtests say little.",
            notes.strip(),
        ),
    }


def _qualified(findings: Findings, *limits: Sequence[Limit]) -> str:
    """What must be known of the runs behind a figure, in sentences: what limits the answer that
    it draws, and what the reader of the table filled in or took for granted."""
    found = [one.text for group in limits for one in group if one.code in QUALIFYING]
    found += [
        note.text
        for note in findings.records.notes
        if note.code in (NoteCode.FILLED_IN, NoteCode.ASSUMED)
    ]
    return " ".join(f"{in_print(text)}." for text in dict.fromkeys(found))


def _what_is_drawn(findings: Findings, level: str) -> str:
    told = ["Points are runs."]
    if findings.law_of(findings.x):
        told.append("The black line is the law fitted to the best of them.")
    supported = [t.supported for t in findings.forecast.targets] if findings.forecast else []
    if any(supported):
        told.append(
            "The dashed line is the forecast; the shaded range around it should hold a new run "
            f"{level} of the time."
        )
    if not all(supported):
        begins = "Where the line ends" if any(supported) else "Beyond the runs"
        told.append(
            f"{begins}, the runs support no number: the hatched range is an order of magnitude."
        )
    if references_of(findings.used).finite:
        told.append("Dotted lines are what losses are held against, as listed with the runs.")
    return " ".join([*told, "Both axes are logarithmic."])


def _loss(findings: Findings, ax: Axes) -> None:
    law = findings.law_of(findings.x)
    plot_loss_against(
        findings.used,
        x=findings.x,
        fit=law,
        forecast=findings.forecast,
        held_out=findings.held_out,
        asked=findings.answers.targets if findings.answers else (),
        confidence_level=findings.confidence_level,
        ax=ax,
    )
