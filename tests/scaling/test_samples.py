"""Facts about files of samples: what was written is read, and what is none is one line."""

import base64
import json
import struct
import zlib

import pytest

from scaling.errors import ConfigError
from scaling.samples import FORMAT, Ending, Sample, read_samples


def png(grey=0):
    """A picture of one pixel."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes([0, grey])))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def run(*continuations, **others):
    about = {"run_id": "a1", "name": "small", "params": 100, "loss": 2.5, "prompt": "def "}
    return {**about, "continuations": [*continuations], **others}


def document(*runs, **others):
    settings = {"format": FORMAT, "rule_in_words": "drawn by temperature 1", "seed": 3}
    return {**settings, "tokens": None, "runs": [*runs], **others}


def written(path, value):
    path.write_text(json.dumps(value))
    return path


def test_a_text_and_a_picture_are_read_as_they_were_written(tmp_path):
    samples = Sample(text="é\x1b", ending=Ending.CONTEXT), Sample(png=png())
    path = written(tmp_path / "some.json", document(run(*(one.to_dict() for one in samples))))
    found = read_samples(path)
    assert found.runs[0].samples == samples
    assert found.line == "drawn by temperature 1, seed 3; to the end of the context"


def test_the_prompt_is_one_only_where_all_runs_read_the_same(tmp_path):
    same = document(run(), run(run_id="b2"))
    assert read_samples(written(tmp_path / "same.json", same)).prompt == "def "
    other = document(run(), run(prompt="d"), tokens=7, seed=None)
    found = read_samples(written(tmp_path / "other.json", other))
    assert found.prompt is None
    assert found.line == "drawn by temperature 1; at most 7 tokens a sample"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "its format is not scaling-samples/1"),
        ({"rule": {}, "runs": []}, "its format is not"),
        (document(), "it holds no run"),
        ({"format": FORMAT, "runs": [run()]}, "it lacks 'rule_in_words'"),
        (document(run(loss="low")), "could not convert string to float"),
        (document(run(params=True)), "a whole number was expected"),
        (document(run({})), "a sample is a text or a picture"),
        (document(run({"text": "a", "png": base64.b64encode(png()).decode()})), "text or a pic"),
        (document(run({"png": "!"})), "a picture that is no base64"),
        (document(run({"png": base64.b64encode(b"<svg/>").decode()})), "no PNG file"),
        (document(run({"text": "a", "ending": "tired"})), "'tired' is not a valid Ending"),
    ],
)
def test_what_is_no_file_of_samples_is_one_line(tmp_path, value, said):
    with pytest.raises(ConfigError, match="not a file of samples") as caught:
        read_samples(written(tmp_path / "none.json", value))
    assert said in str(caught.value) and "scaling sample" in str(caught.value)


def test_a_file_that_is_missing_or_no_json_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.json: cannot be read"):
        read_samples(tmp_path / "nowhere.json")
    (tmp_path / "table.csv").write_text("loss\n1\n")
    with pytest.raises(ConfigError, match="no JSON"):
        read_samples(tmp_path / "table.csv")
