"""Facts about the report as PDF: the page's numbers, its figures with words, nothing of others."""

import io
import re
import sys
from html import unescape

import pytest

from analysis import ForecastOptions, Hardware
from analysis.forecasting.question.targets import Targets
from analysis.report import Asked, gather_findings, write_report
from analysis.report.forms.markdown import report_tables
from analysis.report.forms.pdf import pdf_of, require_pdf
from scaling import Price
from scaling.cli import main
from scaling.errors import ConfigError
from scaling.records import write_records


@pytest.fixture(scope="module")
def reader():
    """A function: what is in a PDF, as pypdf reads it."""
    try:
        require_pdf()
        from pypdf import PdfReader
    except (ConfigError, ImportError) as error:
        pytest.skip(f"PDF is not written here: {error}")
    return lambda content: PdfReader(io.BytesIO(content))


def letters(text):
    """Text without the blanks and breaks that a line's end puts into it."""
    return re.sub(r"\s+", "", unescape(text).replace("\u00a0", " "))


def tagged(node, found):
    """Every (tag, alternative text) of the structure of a PDF."""
    node = node.get_object()
    if "/S" in node:
        found.append((node["/S"], node.get("/Alt")))
    children = node.get("/K", [])
    for child in children if isinstance(children, list) else [children]:
        if hasattr(child.get_object(), "get"):
            tagged(child, found)
    return found


def test_every_cell_and_sentence_of_the_report_stands_in_the_pdf(ladder, reader, tmp_path):
    means = Hardware(price=Price(per_device_hour=2.5, currency="USD"), mfu=0.4)
    asked = Asked(targets=(Targets.flops(3e20, 1e25),), losses=(2.2,), hardware=means)
    found = gather_findings(ladder, bootstrap=50, options=ForecastOptions(draws=400), asked=asked)
    pdf = reader(write_report(found, tmp_path / "r.pdf", title="Q3 & on").read_bytes())
    text = letters("".join(page.extract_text() for page in pdf.pages))
    cells = {
        cell
        for _, table in report_tables(found)
        for row in (table.head, *table.rows)
        for cell in row
        if cell != "Assumption"
    }
    assert len(cells) > 100
    assert [cell for cell in cells if letters(cell).rstrip(".") not in text] == []
    assert pdf.metadata.title == "Q3 & on" and pdf.trailer["/Root"]["/Lang"] == "en"
    figures = [alt for tag, alt in tagged(pdf.trailer["/Root"]["/StructTreeRoot"], []) if alt]
    assert any(alt.startswith("Loss against compute. Points are runs.") for alt in figures)


def test_a_pdf_loads_nothing_and_shows_what_is_hostile_as_text(reader, tmp_path, caplog):
    secret = tmp_path / "secret.txt"
    secret.write_text("not for readers")
    page = (
        '<html lang="en"><title>t</title><body>&lt;script&gt;'
        f'<img src="{secret.as_uri()}" alt="a"><img src="http://127.0.0.1:9/x.png" alt="b">'
        f'<link rel="attachment" href="{secret.as_uri()}">'
    )
    content = pdf_of(page)
    assert "<script>" in reader(content).pages[0].extract_text()
    assert not reader(content).attachments and not caplog.records


def test_without_what_it_needs_one_line_says_what_to_install(ladder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    write_records(ladder, tmp_path / "runs.csv")
    argv = ["report", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "r.pdf")]
    assert main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'scaling-forecast[pdf]'" in line
    assert not (tmp_path / "r.pdf").exists()
