"""Fits, their predictions and their cross-checks as text and as JSON."""

import json
from collections.abc import Sequence

import numpy as np

from analysis.approaches.envelope import EnvelopeFit
from analysis.approaches.irreducible import IrreducibleLoss
from analysis.approaches.isoflop import IsoflopFit
from analysis.approaches.side_by_side import CrossCheck, power_text
from analysis.display import plain_values
from analysis.fitting.checklist import Card
from analysis.fitting.groups.prediction import GroupedPrediction
from analysis.fitting.groups.result import GroupedFit
from analysis.fitting.prediction import LawPrediction
from analysis.fitting.result import Estimate, Fit
from analysis.intervals import telling_digits
from analysis.text.tables import interval_text, target_label
from scaling.display import Block, Section, Table, as_text
from scaling.limits import texts
from scaling.words import counted

NOT_IDENTIFIED = "not identified by these runs"


def fit_text(
    fit: Fit,
    checks: Sequence[CrossCheck] = (),
    confidence_levels: Sequence[float] = (),
    *,
    floor: IrreducibleLoss | None = None,
    with_card: bool = False,
) -> str:
    """The fit, the irreducible loss by several laws and the cross-checks that were asked for, and
    the checklist card if wanted."""
    blocks = fit_blocks(fit, confidence_levels)
    blocks += ["", *floor_blocks(floor)] if floor is not None else []
    blocks += [""] if checks else []
    for check in checks:
        blocks += cross_check_blocks(check)
    if with_card and fit.card is not None:
        blocks += ["", "checklist", str(Card(fit.card))]
    return as_text(blocks)


def fit_blocks(fit: Fit, confidence_levels: Sequence[float] = ()) -> list[Block]:
    """What the fit may be read for; intervals at these levels, or at the fit's own."""
    levels = (tuple(confidence_levels) or (fit.confidence_level,)) if fit.draws is not None else ()
    header = ["constant", "estimate", *(f"{100 * level:g}% interval" for level in levels)]
    rows = [
        [name, *_constant_cells(fit, name, value, levels)]
        for name, value in (fit.constants | fit.derived).items()
    ]
    return [
        f"{fit.law.name}: {counted(fit.n_runs, 'run')}, {fit.objective}, status: {fit.status}",
        *(choice.line for choice in fit.choices),
        "",
        Table(header, rows),
        *([f"intervals are of {fit.intervals_of}"] if levels else []),
        Section("limits", texts(fit.limits)),
    ]


def grouped_text(grouped: GroupedFit, confidence_levels: Sequence[float] = ()) -> str:
    """The fits of groups as text."""
    return as_text(grouped_blocks(grouped, confidence_levels))


def grouped_blocks(grouped: GroupedFit, confidence_levels: Sequence[float] = ()) -> list[Block]:
    """The constants of every group, those that all share first, and what limits each."""
    fits = grouped.fits
    first = next(iter(fits.values()))
    levels = tuple(confidence_levels) or (first.confidence_level,)
    told = levels if any(fit.draws is not None for fit in fits.values()) else ()
    header = [grouped.by, "constant", "estimate", *(f"{100 * v:g}% interval" for v in told)]
    of_all = [name for name in first.constants if name in grouped.shared]
    rows = _group_rows("all groups", first, of_all, told)
    for label, fit in fits.items():
        own = [name for name in fit.constants | fit.derived if name not in grouped.shared]
        rows += _group_rows(label, fit, own, told)
    alike = [c for c in first.choices if all(c in fit.choices for fit in fits.values())]
    of_each = [
        f"{grouped.by} {label}: {choice.line}"
        for label, fit in fits.items()
        for choice in fit.choices
        if choice not in alike
    ]
    limits = [
        f"{grouped.by} {label}: {text}" for label, fit in fits.items() for text in texts(fit.limits)
    ]
    return [
        f"{grouped.law}: {counted(grouped.n_runs, 'run')} in "
        f"{counted(len(fits), 'group')} by {grouped.by}",
        *(
            f"{grouped.by} {label}: {counted(fit.n_runs, 'run')}, {fit.objective}, "
            f"status: {fit.status}"
            for label, fit in fits.items()
        ),
        *(choice.line for choice in alike),
        *of_each,
        "",
        Table(header, rows),
        *([f"intervals are of {first.intervals_of}"] if told else []),
        Section("limits", [*texts(grouped.limits), *limits]),
    ]


def _group_rows(
    label: str, fit: Fit, names: Sequence[str], levels: Sequence[float]
) -> list[list[str]]:
    """A row a constant; the group stands in the first."""
    numbers = fit.constants | fit.derived
    rows: list[list[str]] = []
    own = levels if fit.draws is not None else ()
    for name in names:
        cells = _constant_cells(fit, name, numbers[name], own)
        blank = [""] * (1 + len(levels) - len(cells))
        rows.append(["" if rows else label, name, *cells, *blank])
    return rows


def grouped_prediction_blocks(found: GroupedPrediction) -> list[Block]:
    """One row a point of the groups, and what limits each."""
    levels = list(dict.fromkeys(level for one in found.points for level in one.intervals))
    header = [found.by, "point", "median", *(f"{100 * v:.10g}% interval" for v in levels)]
    rows = [
        [
            one.group,
            target_label(one.at),
            "unsupported" if one.median is None else f"{one.median:.4f}",
            *(interval_text(one.intervals[v]) if v in one.intervals else "" for v in levels),
        ]
        for one in found.points
    ]
    limits = [
        f"point {number}: {text}"
        for number, one in enumerate(found.points, start=1)
        for text in texts(one.limits)
    ]
    return [
        f"{found.law} by {found.by}, shared by all groups: {', '.join(found.shared) or 'nothing'}",
        "",
        Table(header, rows),
        Section("limits", [*texts(found.limits), *limits]),
    ]


def grouped_json(grouped: GroupedFit, confidence_levels: Sequence[float] = ()) -> str:
    """What the fits of groups may be read for, as one JSON document."""
    return json.dumps(plain_values(grouped.to_dict(confidence_levels)), allow_nan=False)


def _constant_cells(fit: Fit, name: str, value: Estimate, levels: Sequence[float]) -> list[str]:
    """An estimate and its intervals, or a word in the place of what there is not."""
    blank = [""] * max(len(levels) - 1, 0)
    if name in fit.untold:
        return [NOT_IDENTIFIED, *([""] if levels else []), *blank]
    word = None
    if value.estimate in fit.bounds.get(name, ()):
        word = "at its bound"
    elif name in fit.fixed:
        word = "held fixed"
    if word is not None:
        shown = f"{value.estimate:.6g}"
        return [shown, word, *blank] if levels else [f"{shown} {word}"]
    ranges = fit.spread(name, levels).values()
    digits = telling_digits(value.estimate, ranges, 5, of_estimate=6)
    shown = f"{value.estimate:.{max(digits, 6)}g}"
    return [shown, *(f"[{low:.{digits}g}, {high:.{digits}g}]" for low, high in ranges)]


def prediction_blocks(prediction: LawPrediction) -> list[Block]:
    """One row per point: the loss that the law gives there, with its interval."""
    level = f"{100 * prediction.confidence_level:g}% interval"
    rows = []
    for i, at in enumerate(prediction.points):
        loss, (low, high) = prediction.losses[i], prediction.ends[i]
        known = np.isfinite(low) and np.isfinite(high)
        digits = telling_digits(loss, [(low, high)], 4, decimals=True)
        rows.append(
            [
                target_label(at),
                "unsupported" if np.isnan(loss) else f"{loss:.{digits}f}",
                interval_text((low, high), digits) if known else "-",
                f"{prediction.decades_beyond[i]:.2f}",
            ]
        )
    limits = [limit for point in prediction.limits for limit in point]
    return [
        f"{prediction.law}: loss by the fitted law",
        "",
        Table(["at", "loss", level, "decades out"], rows),
        f"intervals are of {prediction.intervals_of}",
        Section("limits", texts((*limits, *prediction.fit_limits))),
    ]


def floor_blocks(found: IrreducibleLoss) -> list[Block]:
    """The loss that no scale removes, and a row for each fit that was asked."""
    every = [*found.intervals.values()]
    every += [one.interval for one in found.fits if one.interval is not None]
    digits = telling_digits(found.floor, every, 4, decimals=True)
    told = ", ".join(
        f"{100 * level:g}% interval {interval_text(ends, digits)}"
        for level, ends in found.intervals.items()
    )
    said = "not told" if found.floor is None else f"{found.floor:.{digits}f} nats per token"
    luck = "" if found.evaluation_stderr is None else ", with the luck of the validation set"
    rows = []
    for one in found.fits:
        floor = "-" if one.floor is None else f"{one.floor:.{digits}f}"
        ends = "does not count" if one.interval is None else interval_text(one.interval, digits)
        rows.append([one.law, one.runs, str(one.n_runs), floor, ends])
    table: list[Block] = ["", Table(["law", "fitted to", "runs", "floor", "interval"], rows)]
    table = table if rows else []
    left_out = [f"{one.law}, {one.runs}: {one.because}" for one in found.fits if one.because]
    return [
        f"irreducible loss from {counted(found.n_runs, 'run')}: {said}, {told}{luck}",
        f"lowest loss that was measured: {found.lowest_loss:.{digits}f}",
        *table,
        Section("fits that do not count", left_out),
        Section("limits", texts(found.limits)),
    ]


def cross_check_blocks(check: CrossCheck) -> list[Block]:
    """The exponent by one approach, and where it is known to be biased."""
    if check.exponent is None:  # its line says why there is none
        return [check.line]
    return [check.line, *(f"    {sentence}" for sentence in texts(check.limits))]


def envelope_blocks(envelope: EnvelopeFit) -> list[Block]:
    """The exponent, the runs on the envelope, and what limits it."""
    rows = [
        [f"{flops:.3g}", f"{size:.4g}", f"{loss:.4f}"]
        for flops, size, loss in zip(
            envelope.train_flops, envelope.params, envelope.loss, strict=True
        )
    ]
    return [
        f"lower envelope of {counted(len(rows), 'run')}: optimal size ~ "
        f"{power_text(envelope.exponent, envelope.exponent_interval)}",
        "",
        Table(["C", "N", "loss"], rows),
        Section("limits", texts(envelope.limits)),
    ]


def isoflop_blocks(isoflop: IsoflopFit) -> list[Block]:
    """The exponent, one row per budget, and what limits it."""
    rows = []
    for profile in isoflop.profiles:
        cells = [f"{profile.train_flops:.3g}", str(profile.n_runs)]
        if profile.limits:
            rows.append([*cells, "no bracket", "-", "-"])
            continue
        best, (low, high) = profile.optimal_params, profile.optimal_params_interval
        digits = telling_digits(best, [(low, high)], 4)
        ends = f"[{low:.{digits}g}, {high:.{digits}g}]"
        cells += [f"{best:.{digits}g}", ends, f"{profile.optimal_loss:.4f}"]
        rows.append(cells)
    level = f"{100 * isoflop.confidence_level:g}% interval"
    unbracketed = [
        f"C {profile.train_flops:.3g}: {limit.text}"
        for profile in isoflop.profiles
        for limit in profile.limits
    ]
    return [
        "IsoFLOP profiles: optimal size ~ "
        f"{power_text(isoflop.exponent, isoflop.exponent_interval)}",
        "",
        Table(["C", "runs", "best N", level, "loss there"], rows),
        Section("limits", [*texts(isoflop.limits), *unbracketed]),
    ]


def fit_json(
    fit: Fit,
    checks: Sequence[CrossCheck] = (),
    confidence_levels: Sequence[float] = (),
    *,
    floor: IrreducibleLoss | None = None,
) -> str:
    """What the fit may be read for, the irreducible loss by several laws where it was asked for,
    and the cross-checks, as one JSON document."""
    document = fit.to_dict(confidence_levels)
    if floor is not None:
        document["irreducible_loss"] = floor
    if checks:
        document["cross_checks"] = list(checks)
    return json.dumps(plain_values(document), allow_nan=False)
