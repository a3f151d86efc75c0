"""Facts about `scaling sample`: runs are found, continue prompts by their own tokens, or say why
not."""

import io
import json
import sys
from html import escape

import pytest
import torch

from tests.sweeps.generation.test_kept_kinds import untrained


def test_a_run_found_by_the_beginning_of_its_id_streams_its_text(kept_sweeps, told, document):
    run = kept_sweeps["text"][0]
    asked = ["sample", run.run_id[:6], "--prompt", "12 ap", "--tokens", "7", "--greedy"]
    said = told(asked)
    (one,) = document(asked)["runs"]
    assert said.out == one["continuations"][0]["text"] + "\n"
    assert len(one["continuations"][0]["tokens"]) == 7
    assert run.run_id in said.err and str(kept_sweeps["folder"] / "weights") in said.err
    assert "always the likeliest token, on cpu; as many tokens as were asked for" in said.err
    assert told([*asked, "-q"]).err == ""


def test_a_text_goes_to_the_end_of_the_context_which_is_said(kept_sweeps, told, document):
    asked = ["sample", kept_sweeps["text"][0].run_id, "--prompt", "12 ap", "--top-k", "5"]
    assert "top-k 5, seed 0, on cpu; the context is full" in told(asked).err
    (text,) = document([*asked, "--tokens", "999"])["runs"][0]["continuations"]
    assert (len(text["tokens"]), text["ending"]) == (24 + 1 - 5, "context")


def test_the_runs_of_a_sweep_are_shown_side_by_side_smallest_first(kept_sweeps, told, document):
    asked = ["--prompt", "1", "--samples", "2", "--tokens", "4"]
    for name in ("text", "mlflow:text"):
        found = document(["sample", name, *asked])
        assert [one["run_id"] for one in found["runs"]] == [
            run.run_id for run in kept_sweeps["text"]
        ]
    assert all(len(one["continuations"]) == 2 for one in found["runs"])
    shown = told(["sample", "text", *asked]).out
    head = shown.splitlines()[1]
    assert head.index(kept_sweeps["text"][0].run_id) < head.index(kept_sweeps["text"][1].run_id)
    (one,) = document(["sample", "text", *asked, "--where", "width > 16"])["runs"]
    assert one["run_id"] == kept_sweeps["text"][1].run_id


def test_a_seed_gives_its_text_again_and_o_writes_the_document(kept_sweeps, told, document):
    asked = ["sample", kept_sweeps["text"][0].run_id, "--prompt", "1", "--seed"]
    path = kept_sweeps["folder"] / "sampled.json"
    first, other = document([*asked, "1"]), document([*asked, "2"])
    told([*asked, "1", "-o", str(path)])
    assert json.loads(path.read_text()) == first != other


def test_a_sentence_has_a_start_and_ends_by_itself(kept_sweeps, told, document):
    run_id = kept_sweeps["anbn"][0].run_id
    found = document(["sample", run_id, "--prompt", "aa", "--samples", "40"])["runs"][0]
    assert found["prompt_tokens"] == [0, 3, 3]
    assert "end" in {one["ending"] for one in found["continuations"]}
    assert all(1 not in one["tokens"] for one in found["continuations"])
    assert document(["sample", run_id])["runs"][0]["prompt"].strip() == "<start>"


def test_prompts_come_from_files_and_standard_input(kept_sweeps, told, monkeypatch):
    path = kept_sweeps["folder"] / "prompt.txt"
    path.write_bytes("1\t é".encode())
    asked = ["sample", kept_sweeps["text"][0].run_id, "--tokens", "2", "--prompt-file"]
    said = told([*asked, str(path)])
    assert 'the prompt is read as "1\\n \\n\\n"' in said.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert told([*asked, "-"]).out == said.out


def test_a_file_of_weights_is_a_run_too(kept_sweeps, told, document):
    run_id = kept_sweeps["text"][0].run_id
    path = str(kept_sweeps["folder"] / "weights" / f"{run_id}.safetensors")
    asked = ["--prompt", "12", "--seed", "3"]
    alone, found = (document(["sample", one, *asked])["runs"][0] for one in (path, run_id))
    assert alone["continuations"] == found["continuations"]


@pytest.mark.parametrize(
    ("run", "flags", "said"),
    [
        ("text", [], "the prompt is empty"),
        ("text", ["--prompt", "x" * 25], "the prompt has 25 tokens, and the model's context is 24"),
        ("text", ["--prompt-file", "nowhere.txt"], "nowhere.txt: cannot be read"),
        ("text", ["--prompt", "1", "--temperature", "-1"], "temperature -1"),
        ("text", ["--prompt", "1", "--top-k", "97"], "top-k 97: the model knows 96 tokens"),
        ("text", ["--prompt", "1", "--top-p", "0"], "top-p 0: it is a mass above 0"),
        ("text", ["--prompt", "1", "--tokens", "0"], "0 tokens to sample"),
        ("text", ["--prompt", "1", "--samples", "0"], "0 samples"),
        ("text", ["--prompt", "1", "--seed", str(10**30)], "below 2**63"),
        ("text", ["--prompt", "1", "--greedy", "--top-k", "3"], "drop --top-k"),
        ("text", ["--prompt", "1", "--where", "seed = 1"], "--where seed = 1: it chooses among"),
        ("anbn", ["--prompt", "abc"], '"abc" is none of the run\'s 5 tokens'),
        ("markov", ["--prompt", "1"], "has kept no weights; train with launch.keep_weights: true"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(kept_sweeps, refusal, run, flags, said):
    assert said in refusal(["sample", kept_sweeps[run][0].run_id, *flags])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0123456789abcdef", "no run id of the run store begins with"),
        ("mlflow:markov", "1 finished run and none with weights"),
        ("nowhere", 'no experiment "nowhere"'),
        ("nowhere.safetensors", "there is no such file"),
        ("mlflow:nowhere", 'no experiment "nowhere"'),
    ],
)
def test_runs_that_are_not_there_are_one_line(refusal, name, said):
    assert said in refusal(["sample", name, "--prompt", "1"])


def test_weights_cut_short_or_of_another_run_are_one_line(kept_sweeps, refusal):
    small, large = (
        kept_sweeps["folder"] / "weights" / f"{run.run_id}.safetensors"
        for run in kept_sweeps["text"]
    )
    whole = small.read_bytes()
    asked = ["sample", kept_sweeps["text"][0].run_id, "--prompt", "1"]
    try:
        small.write_bytes(whole[:1000])
        assert "cut short, or no file of weights" in refusal(asked)
        small.write_bytes(large.read_bytes())
        assert f"the weights of run {kept_sweeps['text'][1].run_id}" in refusal(asked)
        small.unlink()
        assert "No such file" in refusal(asked)
    finally:
        small.write_bytes(whole)


def test_the_prompt_of_an_encoder_decoder_is_its_source(told, document, refusal, tmp_path):
    path = untrained(tmp_path, "encoder_decoder/1", "conditional").path
    asked = ["sample", path, "--greedy", "--prompt"]
    (one,) = document([*asked, "1 2 3 4 5 6"])["runs"]
    assert (one["source_tokens"], one["source_length"]) == (6, 6)
    assert len(one["continuations"][0]["tokens"]) == 7
    said = told([*asked, "1 2 3 4 5 6"])
    assert said.out.split() == one["continuations"][0]["text"].split()
    assert "in training each had" not in said.err
    assert (
        "a source of 2 tokens; in training each had 6, so this is none" in told([*asked, "1 2"]).err
    )
    assert "the source is empty; give it one token at least" in refusal([*asked, ""])
    assert "the source has 7 tokens, and the model's sources have 6 tokens at most" in refusal(
        [*asked, "1 2 3 4 5 6 0"]
    )
    assert '"9" is none of the run\'s 7 tokens' in refusal([*asked, "9"])
    score = ["score", path, "--text", "1 2"]
    (found,) = document([*score, "--prompt", "1 2 3 4 5 6"])["runs"]
    assert (len(found["given_tokens"]), len(found["log_likelihoods"])) == (6, 2)
    assert "scores a text given its source; give that with --prompt" in refusal(score)


def test_what_it_was_computed_on_is_said(kept_sweeps, told, document, refusal, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = ["sample", kept_sweeps["text"][0].run_id, "--prompt", "1", "--tokens", "5"]
    plain, exact = document(asked)["runs"][0], document([*asked, "--deterministic"])["runs"][0]
    assert (plain["device"], plain["deterministic"]) == ("cpu", False)
    assert (exact["device"], exact["deterministic"]) == ("cpu", True)
    assert plain["continuations"] == exact["continuations"]
    assert "seed 0, on cpu;" in told(asked).err
    said = told([*asked, "--deterministic", "--device", "cpu"]).err
    assert "seed 0, on cpu by deterministic algorithms;" in said
    score = ["score", kept_sweeps["text"][0].run_id, "--text", "12"]
    assert "computed on cpu\n" in told(score).err
    for one in (asked, score):
        assert "device cuda: PyTorch sees no CUDA device here" in refusal(
            [*one, "--device", "cuda"]
        )


def test_a_report_shows_what_sample_wrote(kept_sweeps, told, refusal):
    folder = kept_sweeps["folder"]
    sampled, page = folder / "ladder.json", folder / "report.html"
    told(["sample", "text", "--prompt", "12 ap", "--tokens", "4", "-o", str(sampled)])
    texts = [one["continuations"] for one in json.loads(sampled.read_text())["runs"]]
    asked = ["report", "mlflow:text", "-o", str(page), "--samples"]
    told([*asked, str(sampled)])
    shown = page.read_text().split('id="samples"')[1]
    assert len(texts) == 2
    for (one,) in texts:
        assert escape(one["text"]) in shown
    assert "of the runs of this report" not in shown
    assert "not a file of samples" in refusal([*asked, str(page)])
