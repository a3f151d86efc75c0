"""`scaling study NAME` for the studies that train no ladder."""

import json

import pytest

from scaling.cli.command import main


def test_implicit_bias_writes_its_numbers_and_its_figure(tmp_path, capsys):
    small = ["contexts=5", "dimensions=6", "vocabulary=4", "support=2", "steps=20"]
    sets = [word for one in small for word in ("--set", one)]
    assert main(["study", "implicit-bias", *sets, "-o", str(tmp_path)]) == 0
    told = capsys.readouterr()
    document = json.loads((tmp_path / "implicit_bias.json").read_text())
    assert document["is_separable"] and document["contexts"] == 5
    assert f"{document['entropy']:.4f}" in told.out
    assert (tmp_path / "implicit_bias.svg").read_text().startswith("<?xml")
    assert str(tmp_path / "implicit_bias.svg") in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "context=5"], "give KEY=VALUE with one of contexts, dimensions"),
        (["--set", "contexts=five"], "--set contexts=five"),
        (["--set", "contexts=1.5"], "a whole number up to 10,000,000"),
        (["--set", "contexts=0"], "0 contexts in 60 dimensions"),
        (["--set", "support=11"], "a support of 11 of 10 tokens"),
        (["--set", "steps=0"], "steps: 0"),
        (["--set", "vocabulary=1000"], "50,000 unknowns"),
        (["--seal", "mine"], "nothing can be sealed"),
    ],
)
def test_what_a_study_cannot_take_is_one_line(words, message, tmp_path, capsys):
    assert main(["study", "implicit-bias", *words, "-o", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_name_of_no_study_lists_the_configs_and_the_studies(capsys):
    assert main(["study", "implcit-bias"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "quickstart" in said and "or a study of theory: implicit-bias" in said
