"""Facts about samples in the report: shown to the letter, harmless, each model by its size."""

import base64
from dataclasses import replace

import pytest

from analysis.report import render_report
from scaling.samples import Ending, RunSamples, Sample, Samples
from tests.analysis.report.page.read import Page
from tests.scaling.test_samples import png

MEAN = '</div><script>alert(1)</script> 3 × 4\t\x1b[31m\u202e & "q"\''


def samples(*runs):
    return Samples(source="s.json", rule="drawn by top-k 5", seed=1, tokens=8, runs=runs)


def one(*found, **others):
    about = {"run_id": "a1", "name": "small", "params": 1234, "loss": 2.5, "prompt": "def "}
    return RunSamples(**{**about, "samples": found, **others})


@pytest.fixture
def page_of(findings, undrawn):
    return lambda *runs: render_report(findings, samples=[samples(*runs)])


def test_a_report_without_samples_has_no_such_section(html):
    assert 'id="samples"' not in html and '<div class="samples">' not in html


def test_every_character_is_shown_and_none_is_obeyed(page_of):
    html = page_of(one(Sample(text=MEAN), prompt=f"{MEAN}\n"))
    page = Page(html)
    assert not {"script", "iframe"} & {tag for tag, _ in page.tags}
    shown = MEAN.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert page.text.count(shown) == 2
    assert not {"\x1b", "\u202e"} & set(html)


def test_models_stand_side_by_side_with_size_loss_rule_seed_and_ending(page_of):
    ended = one(Sample(text="a", ending=Ending.END), Sample(text="b", ending=Ending.TOKENS))
    text = " ".join(Page(page_of(ended, one(params=None, loss=None, name="file"))).text.split())
    assert "Drawn by top-k 5, seed 1; at most 8 tokens a sample." in text
    assert "1,234 parameters loss 2.500, small (a1)" in text
    assert text.count("ended by the model") == 1 and "as many tokens as" not in text
    assert "file file (a1)" in text


def test_a_prompt_that_models_read_differently_stands_with_each(page_of):
    text = Page(page_of(one(), one(prompt="de"))).text
    assert text.count("Its tokens read the prompt as:") == 2 and "Prompt:" not in text
    assert "Its tokens" not in Page(page_of(one(), one())).text


def test_a_picture_is_shown_from_the_page_itself_with_words_for_it(page_of):
    html = page_of(one(Sample(png=png())))
    (image,) = [a for tag, a in Page(html).tags if tag == "img" and a.get("class") == "sample"]
    encoded = base64.b64encode(png()).decode()
    assert image["src"] == f"data:image/png;base64,{encoded}" and image["alt"]


def test_pictures_of_several_prompts_are_one_table_with_a_row_each_and_a_column_a_model(page_of):
    picture = Sample(png=png(), ending=Ending.TOKENS)
    runs = [
        one(picture, picture, run_id=name, params=size, prompt=f"{label} ")
        for label in ("a <b>", "c")
        for name, size in (("a1", 1234), ("b2", 5678))
    ]
    html = page_of(*runs)
    page = Page(html)
    pictures = [a for tag, a in page.tags if tag == "img" and a.get("class") == "sample"]
    assert [a["alt"] for a in pictures] == ["A picture of a <b>"] * 4 + ["A picture of c"] * 4
    table = html[html.index('<table class="drawn">') :]
    table = table[: table.index("</table>")]
    assert table.count("<tr>") == 3 and table.count("<td>") == 4
    assert table.index("1,234 parameters") < table.index("5,678 parameters")
    assert "a &lt;b&gt;" in table
    uneven = page_of(*runs[:3])
    assert '<table class="drawn">' not in uneven and "Its tokens read the prompt as:" in uneven


def test_models_that_are_no_run_of_the_report_are_counted(findings, page_of):
    records = findings.records
    other = one(run_id="elsewhere")
    html = page_of(one(run_id=records.table["run_id"].iloc[0]), other)
    assert "1 of 2 models is none of the runs of this report." in html
    nameless = replace(records, table=records.table.drop(columns="run_id"))
    html = render_report(replace(findings, records=nameless), samples=[samples(other)])
    assert "The table of runs names none of them" in html
