"""Findings of the literature, checked on one's own runs, as text."""

from analysis.intervals import in_decimals
from analysis.studies.published.finding import Finding, PublishedFindings
from scaling.display import Block, Section, Table
from scaling.limits import texts

AGREES = {True: "lies in the interval", False: "does not lie in the interval", None: ""}


def published_blocks(found: PublishedFindings) -> list[Block]:
    """A row a quantity with what papers say of it, then where, and what each rests on."""
    level = f"{100 * found.confidence_level:g}%"
    rows = [
        [one.quantity, *_estimated(one), ", ".join(v.text for v in one.published) or "-"]
        for one in found.findings
    ]
    rests = dict.fromkeys(f"{one.name}: {one.about}" for one in found.findings if one.about)
    open_ones = [f"{one.quantity}: {text}" for one in found.findings for text in texts(one.limits)]
    return [
        "findings that the field quotes, on these runs",
        "",
        Table(["quantity", "here", level, "published"], rows),
        "",
        Section("published", [line for one in found.findings for line in published_lines(one)]),
        Section("rests on", [*rests, noise_in_words(found)]),
        Section("limits", [*open_ones, *texts(found.limits)]),
    ]


def noise_in_words(found: PublishedFindings) -> str:
    """The scatter of one run."""
    return f"scatter of a run: {100 * found.noise:.2g}% of the loss ({found.noise_from})"


def published_lines(one: Finding) -> list[str]:
    """What each paper says, and whether the interval here holds it."""
    return [
        f"{one.quantity}: {value.text} in {value.source}"
        + (f", which {said} here" if (said := AGREES[one.agrees(value)]) else "")
        for value in one.published
    ]


def _estimated(one: Finding) -> list[str]:
    if one.estimate is None:
        return ["not told", "-"]
    if one.interval is None:
        return [f"{one.estimate:.2f}", "no interval"]
    told, low, high = in_decimals(one.estimate, one.interval, 2)
    return [told, f"[{low}, {high}]"]
