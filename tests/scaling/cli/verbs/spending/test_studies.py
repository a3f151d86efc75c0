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


def test_the_contexts_of_the_plane_are_drawn_too(tmp_path, capsys):
    words = ["--set", "example=plane", "--set", "steps=20"]
    assert main(["study", "implicit-bias", *words, "-o", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "entropy 0.8811 nats a token: compatible, separable" in told.out
    assert (tmp_path / "plane.svg").read_text().startswith("<?xml")
    assert str(tmp_path / "plane.svg") in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "context=5"], "give KEY=VALUE with one of contexts, dimensions"),
        (["--set", "contexts=five"], "--set contexts=five"),
        (["--set", "contexts=1.5"], "a whole number up to 10,000,000"),
        (["--set", "contexts=0"], "0 contexts in 60 dimensions"),
        (["--set", "support=11"], "a support of 11 of 10 tokens"),
        (["--set", "steps=0"], "steps: 0"),
        (["--set", "sequences=299"], "50 contexts that 6 tokens follow take 300 or more"),
        (["--set", "example=cube"], "--set example=cube: the one example is plane"),
        (["--set", "example=plane", "--set", "support=2"], "KEY=VALUE with one of seed, steps"),
        (["--set", "example=plane", "--set", "run=x"], "give one of them"),
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


def decoder_study(kept_sweeps, tmp_path, *sets):
    text = tmp_path / "text.txt"
    text.write_text("12 apples and 21 pears, 12 pears and 1 apple; " * 20)
    named = [f"run={kept_sweeps['text'][0].run_id}", f"text={text}", "steps=30", *sets]
    words = [word for one in named for word in ("--set", one)]
    return main(["study", "implicit-bias", *words, "-o", str(tmp_path)])


def test_the_contexts_of_a_trained_decoder_are_studied_beside_its_own_head(
    kept_sweeps, tmp_path, capsys
):
    assert decoder_study(kept_sweeps, tmp_path, "contexts=6", "length=3") == 0
    told = capsys.readouterr()
    document = json.loads((tmp_path / "implicit_bias.json").read_text())
    assert document["contexts"] == 6
    own = [one for one in document["waypoints"] if one["optimiser"] == "the decoder's own head"]
    assert len(own) == 1 and own[0]["excess_loss"] > 0 and own[0]["step"] == 0
    assert "the decoder's own head" in told.out and "of the places of" in told.err


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["length=999"], "length 999: a context has 1 to"),
        (["text=nosuch.txt"], "nosuch.txt: cannot be read"),
        (["run=text"], "2 runs; name one by its id"),
        (["contexts=0"], "contexts: 0; give 1 or more"),
        (["support=3"], "give KEY=VALUE with one of contexts, length, steps"),
    ],
)
def test_what_a_decoder_cannot_be_asked_is_one_line(kept_sweeps, tmp_path, capsys, sets, said):
    assert decoder_study(kept_sweeps, tmp_path, *sets) == 2
    assert said in capsys.readouterr().err


def test_a_run_without_a_text_is_asked_for_it(capsys):
    assert main(["study", "implicit-bias", "--set", "run=abcd"]) == 2
    assert "--set text= is missing" in capsys.readouterr().err
