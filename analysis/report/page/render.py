"""The report as one HTML document that needs nothing else: no network, no script, no font."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.evaluation.verdicts import record_line, unproved
from analysis.report.asked import FACTORS
from analysis.report.figures.draw import draw_figures
from analysis.report.findings import Findings
from analysis.report.page.parts import parts_of
from analysis.report.page.references import references_for
from analysis.report.page.sampled import Verbatim, sampled
from analysis.report.tables import decision as decision_tables
from analysis.report.tables import forecasts as tables
from analysis.report.tables import metrics
from analysis.report.tables import state as state_tables
from analysis.report.words.apart import heading_of_laws
from analysis.report.words.formula import formula_in_html, law_title
from analysis.report.words.places import x_noun
from analysis.report.words.summary import summarise
from analysis.text.numbers import TIMES, flops_in_words, in_print
from analysis.text.tuning import gap_sentences, trend_sentences
from scaling.columns import NATS_PER_TOKEN, loss_unit
from scaling.limits import Limit, LimitCode, texts
from scaling.records import Records
from scaling.samples import Samples
from scaling.tables.cells.losses import kind_of
from scaling.tables.notes import printable
from scaling.words import counted

FOLDER = Path(__file__).parent
_RANGE = re.compile(r"[\d.]+[kMBT]? to [\d.]+[kMBT]?")


def render_report(
    findings: Findings, *, title: str | None = None, samples: Sequence[Samples] = ()
) -> str:
    """The report as one HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_unbroken,
    )
    environment.filters["formula"] = formula_in_html
    environment.filters["in_print"] = in_print
    environment.filters["law_title"] = law_title
    environment.filters["counted"] = counted
    return environment.get_template("report.html").render(
        title=title or title_of(findings),
        style=(FOLDER / "report.css").read_text(encoding="utf-8"),
        findings=findings,
        contents=[],
        codes=LimitCode,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        summary=summarise(findings),
        trend=[*gap_sentences(findings.health), *trend_sentences(findings.health)]
        if findings.health
        else [],
        tables=tables,
        state_tables=state_tables,
        decision_tables=decision_tables,
        metrics=metrics,
        parts=parts_of(findings),
        pictures=draw_figures(findings),
        references=references_for(findings),
        factors=[f"{factor:g}\u00d7" for factor in FACTORS],
        noun=x_noun(findings.x),
        loss=what_losses_are(findings.records),
        seal_record=record_line(findings.seals),
        answered_limits=_limits_of_answers(findings),
        seal_doubts=unproved(findings.seals),
        sampled=sampled(samples, findings.records),
        level=f"{100 * findings.confidence_level:g}%",
    )


def title_of(findings: Findings) -> str:
    """What the page is called where nobody says."""
    name = Path(findings.records.source).name.removeprefix("mlflow:")
    if findings.groups is not None:
        return f"Groups by {printable(findings.groups.by)}: each from its own runs, {name}"
    if findings.discovery is not None and not findings.of_compute:
        return f"{heading_of_laws(findings.discovery)}, from {name}"
    return f"What would more {x_noun(findings.x)} reach? A forecast from {name}"


def what_losses_are(records: Records) -> str:
    """What the losses are, and whether that was taken from the name of their column alone."""
    theirs = printable(records.names.get("loss", "loss"))
    if records.loss_kind not in NATS_PER_TOKEN:
        return f"what the table calls {loss_unit(records.loss_kind).strip('()') or theirs}"
    what = "validation cross-entropy in nats per token"
    is_told = records.reading.loss_unit or "loss_kind" in records or "nats" in theirs.lower()
    if is_told or kind_of(theirs) == "perplexity" or records.source.startswith("mlflow:"):
        return what
    return f'{what}, as "{theirs}" was taken to be (--loss-unit says another)'


def _limits_of_answers(findings: Findings) -> list[str]:
    """What limits the answers to the reader's own questions, each sentence once; what was left
    out stands in a table of the report's own."""
    if findings.answers is None:
        return []
    answers = findings.answers
    found = [limit for made in answers.forecasts for limit in made.limits]
    found += [limit for budget in answers.budgets for limit in budget.limits]
    found += [
        Limit(limit.code, f"the split of {flops_in_words(split.budget, 3)} FLOP: {limit.text}")
        for split in answers.splits
        for limit in split.limits
        if limit.code is LimitCode.UNSUPPORTED
    ]
    return texts(found, without=(LimitCode.LEFT_OUT,))


def _unbroken(shown: Any) -> Any:
    """A text whose powers of ten are broken over no two lines, and a cell whose range is not."""
    if not isinstance(shown, str) or isinstance(shown, Verbatim | Markup):  # done, or none of ours
        return shown
    if _RANGE.fullmatch(shown):
        return shown.replace(" ", "\u00a0")
    return shown.replace(f" {TIMES} ", f"\u00a0{TIMES}\u00a0")
