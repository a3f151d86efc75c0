"""From findings to one file, in the form that its ending names."""

from collections.abc import Sequence
from pathlib import Path

from analysis.report.findings import Findings
from analysis.report.forms.document import report_json
from analysis.report.forms.markdown import report_markdown
from analysis.report.forms.pdf import pdf_of
from analysis.report.page.render import render_report, title_of
from scaling.errors import RecordError
from scaling.samples import Samples


def write_report(
    findings: Findings,
    path: str | Path,
    *,
    title: str | None = None,
    samples: Sequence[Samples] = (),
) -> Path:
    """Write the budget-planning report as one file, in the form that its ending names: HTML, or the
    same numbers as PDF (.pdf), Markdown (.md) or JSON (.json); returns its path.

    HTML and PDF show ``samples`` of its models where some are given. Raises RecordError where the
    file cannot be written, and ConfigError where .pdf needs what is not installed.
    """
    target = Path(path)
    ending = target.suffix.lower()
    form = {".md": report_markdown, ".json": report_json}.get(ending)
    if form is not None:
        content = form(findings, title or title_of(findings))
    else:
        content = render_report(findings, title=title, samples=samples)
    written = pdf_of(content) if ending == ".pdf" else content.encode("utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(written)
    except OSError as error:
        raise RecordError(
            f"{target}: the report cannot be written ({error.strerror}); choose another path"
        ) from error
    return target
