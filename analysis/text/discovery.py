"""Found laws as text."""

from analysis.discovery.result import Discovery, FoundForm, PointPrediction
from analysis.text.numbers import count_in_words
from scaling.display import Block, Section, Table, answer_alone, as_text
from scaling.limits import LimitCode, texts
from scaling.words import counted

_MOST_GROUPS = 4  # whose constants are printed
_MOST_POINTS = 20


def discovery_text(found: Discovery, *, alone: bool = False) -> str:
    """A search as text; ``alone``: without what it rests on."""
    blocks = discovery_blocks(found)
    return as_text(answer_alone(blocks) if alone else blocks)


def discovery_blocks(found: Discovery, *, constants: bool = True) -> list[Block]:
    """The ranking, the constants of the first form (unless they stand elsewhere), predictions, and
    runs that would separate."""
    by = f", {counted(len(found.groups), 'group')} by {found.by}" if found.by else ""
    title = (
        f"laws of {found.target} in {', '.join(found.inputs)}, from {counted(found.runs, 'run')} "
        f"of {found.source}{by}"
    )
    limits = Section("limits", texts(found.limits))
    if not found.claimed:
        return [title, "", "no law is claimed", limits]
    where = " and ".join(found.directions) or "no direction: the points lie among the runs"
    return [
        title,
        "",
        _forms_table(found),
        "",
        *(f"{n}. {form.equation}" for n, form in enumerate(found.forms, start=1)),
        *(f"held: {name} = {value:g}" for name, value in found.fixed.items()),
        "",
        *(_constants(found) if constants else []),
        *_predictions(found),
        f"{counted(found.forms_fitted, 'form')} fitted; backtests hid the end of {where}"
        if found.directions
        else f"{counted(found.forms_fitted, 'form')} fitted; {where}",
        f"hidden runs inside the data were predicted with {found.skill:.1%} of the squared error "
        "of their mean taken off",
        _separating(found),
        limits,
    ]


def _error(found: Discovery, value: float) -> str:
    return f"{100 * value:.2g}%" if found.errors_are == "relative" else f"{value:.3g} sd"


def _forms_table(found: Discovery) -> Table:
    places = list(found.forms[0].errors)
    header = ["form", "weight", "constants", "groups share", "fit error"]
    header += [f"error, {place} hidden" for place in places]
    if len(found.groups) == 1:
        header.remove("groups share")
    rows = []
    for number, form in enumerate(found.forms, start=1):
        shares = ["exponents" if form.shares_exponents else "nothing"]
        rows.append(
            [
                f"{number}",
                f"{form.weight:.0%}",
                str(form.constants_count),
                *(shares if len(found.groups) > 1 else []),
                _error(found, form.fit_error),
                *(_error(found, form.errors[place]) for place in places),
            ]
        )
    return Table(header, rows)


def _constants(found: Discovery) -> list[Block]:
    form: FoundForm = found.forms[0]
    blocks: list[Block] = []
    for label in list(form.constants)[:_MOST_GROUPS]:
        rows = [
            [name, f"{one.value:.4g}", f"{one.interval.low:.4g} to {one.interval.high:.4g}"]
            for name, one in form.constants[label].items()
        ]
        head = f"form 1, {found.by} {label}" if label else "form 1"
        blocks += [Table([head, "value", "90% interval"], rows), ""]
    if len(form.constants) > _MOST_GROUPS:
        blocks += [f"{len(form.constants) - _MOST_GROUPS} more groups are in the JSON", ""]
    return blocks


def _predictions(found: Discovery) -> list[Block]:
    if not found.predictions:
        return []
    levels = list(found.predictions[0].intervals)
    header = [*([found.by] if found.by else []), *found.inputs, "median"]
    header += [f"{level:.0%} interval" for level in levels]
    rows = [_point(found, one) for one in found.predictions[:_MOST_POINTS]]
    blocks: list[Block] = [Table([str(cell) for cell in header], rows), ""]
    if (more := len(found.predictions) - _MOST_POINTS) > 0:
        blocks += [f"and {counted(more, 'point')} more, in the table of -o FILE.csv", ""]
    return blocks


def _point(found: Discovery, one: PointPrediction) -> list[str]:
    median = "unsupported" if one.median is None else f"{one.median:.4g}"
    ends = [f"{low:.4g} to {high:.4g}" for low, high in one.intervals.values()]
    at = [count_in_words(value) for value in one.at.values()]
    return [*([one.group] if found.by else []), *at, median, *ends]


def _separating(found: Discovery) -> Section:
    told = []
    for run in found.separating:
        at = ", ".join(f"{name} {count_in_words(value)}" for name, value in run.at.items())
        group = f"{found.by} {run.group}: " if found.by else ""
        low, high = min(run.medians), max(run.medians)
        told.append(
            f"{group}{at}: the forms say {low:.4g} to {high:.4g}, {run.apart:.1f} times as far "
            "apart as a run is uncertain"
        )
    return Section("runs that would tell the forms apart", told)


def unsupported_points(found: Discovery) -> list[str]:
    """A sentence for each point that has no median."""
    return [
        f"point {number}: {limit.text}"
        for number, one in enumerate(found.predictions, start=1)
        for limit in one.limits
        if limit.code is LimitCode.UNSUPPORTED
    ]
