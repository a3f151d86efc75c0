"""Laws of any columns, and groups of runs, in the sentences of the summary."""

from collections.abc import Iterator, Mapping

from analysis.discovery.result import Discovery, PointPrediction
from analysis.fitting.groups.prediction import GroupPoint
from analysis.intervals import interval_at
from analysis.report.apart import GroupAnswers
from analysis.report.findings import Findings
from analysis.report.words.decision import told_loss
from analysis.report.words.places import target_in_words
from analysis.text.forecasting import forecast_sentence
from analysis.text.numbers import count_in_words, percent_in_words, rough_in_words
from scaling.limits import LimitCode, first_of
from scaling.tables.notes import printable
from scaling.words import counted

MOST_TOLD = 6  # points and groups in sentences; more stand in their table alone
_MOST_COORDINATES = 12  # of the points in sentences
_MOST_NAMES, _LONGEST_EQUATION = 3, 100


def told_apart(findings: Findings) -> Iterator[tuple[str, str]]:
    """Heading and sentences of each."""
    if findings.groups is not None:
        yield f"Groups by {printable(findings.groups.by)}", _of_groups(findings, findings.groups)
    if (found := findings.discovery) is not None:
        yield heading_of_laws(found), _of_laws(found, findings.confidence_level)


def heading_of_laws(found: Discovery) -> str:
    """What the columns of the laws are, where they are few, or how many."""
    if len(found.inputs) > _MOST_NAMES:
        return f"Laws of {len(found.inputs)} columns"
    return f"Laws of {', '.join(map(printable, found.inputs))}"


def _of_groups(findings: Findings, groups: GroupAnswers) -> str:
    """The first answer of each group."""
    level, kind = findings.confidence_level, findings.used.loss_kind
    told = []
    for label, forecasts in groups.forecasts.items():
        target = forecasts[0].targets[0]
        where = f"{printable(label)}: {target_in_words(target.at)}"
        told.append(forecast_sentence(where, target, level, kind))
    more = len(told) - MOST_TOLD
    sentences = told[:MOST_TOLD]
    if more > 0:
        sentences.append(f"{counted(more, 'more group stands', 'more groups stand')} below.")
    if groups.predictions is not None:
        points = groups.predictions.points
        sentences += [_predicted(one, level) for one in points[:MOST_TOLD]]
        if (further := len(points) - MOST_TOLD) > 0:
            told_below = counted(further, "more point stands", "more points stand")
            sentences.append(f"{told_below} below.")
    if findings.discovery is not None:
        sentences.append("What its groups have in common stands with the laws of their columns.")
    return " ".join(sentences) or "No group has a forecast; the reasons stand below."


def _of_laws(found: Discovery, level: float) -> str:
    """The best form, how it did on hidden runs, and the first predictions."""
    if not found.claimed:
        none = first_of(LimitCode.NO_LAW, found.limits)
        return f"{none.text[:1].upper()}{none.text[1:]}." if none else "No law is claimed."
    best = found.forms[0]
    errors = (_error(found, error, place) for place, error in best.errors.items())
    is_short = len(best.equation) <= _LONGEST_EQUATION
    form = best.equation if is_short else "The first form below"
    sentences = [f"{form} missed hidden runs by {', '.join(errors)} (root mean square)."]
    if found.winner is None and len(found.forms) > 1:
        sentences.append(
            "Hidden runs do not set it apart from the other forms, so read the predictions and "
            "not the formula."
        )
    most = min(MOST_TOLD, max(_MOST_COORDINATES // len(found.inputs), 1))
    sentences += [_predicted(one, level) for one in found.predictions[:most]]
    more = len(found.predictions) - most
    if more > 0:
        sentences.append(f"{counted(more, 'more point stands', 'more points stand')} below.")
    return " ".join(sentences)


def _error(found: Discovery, error: float, place: str) -> str:
    where = "inside the data" if place == "inside" else f"at the end of {printable(place)}"
    if found.errors_are == "relative":
        return f"{percent_in_words(100 * error)} {where}"
    return f"{error:.2g} standard deviations {where}"


def _predicted(one: PointPrediction | GroupPoint, level: float) -> str:
    where = f"{printable(one.group)}, " * bool(one.group) + _place(one.at)
    if not one.intervals:
        return f"At {where}: no number, by the few runs of that group or so far beyond them."
    ends = interval_at(one.intervals, level)
    if one.median is None:
        low, high = map(rough_in_words, ends)
        return f"At {where}: too far out for a number ({100 * level:g}% interval {low} to {high})."
    value, low, high = told_loss(one.median, ends)
    return f"At {where} it should be {value}, {100 * level:g}% interval {low} to {high}."


def _place(at: Mapping[str, float]) -> str:
    return ", ".join(f"{printable(name)} {count_in_words(value)}" for name, value in at.items())
