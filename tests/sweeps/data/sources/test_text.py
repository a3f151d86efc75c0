"""Facts about text: where it comes from, how it is split, and what is refused."""

import json

import numpy as np
import pytest

from scaling.errors import CorpusError
from sweeps.config.data import BYTE_TOKENIZERS, TextData
from sweeps.data.documents.files import Document, read_documents
from sweeps.data.registry import load_corpus
from sweeps.data.sources.base import WindowOrder
from sweeps.data.sources.text import split_documents
from sweeps.data.tokens.tokenizer import TOKENIZERS


@pytest.fixture(autouse=True)
def _read_anew():
    load_corpus.cache_clear()


def documents(*sizes):
    rng = np.random.default_rng(0)
    return tuple(
        Document(str(number), rng.integers(32, 127, size, dtype=np.uint8).tobytes())
        for number, size in enumerate(sizes)
    )


def test_the_standard_library_gives_source_and_prose():
    found = {document.name for document in read_documents()}
    assert {"json/decoder.py", "argparse.py", "topics/lambda"} <= found
    assert not any(name.startswith(("test/", "idlelib/", "site-packages/")) for name in found)


def test_the_standard_library_corpus_is_about_ten_megabytes():
    facts = load_corpus(TextData(), 64).facts
    assert 7e6 < facts.train_tokens < 20e6  # grows and shrinks with the Python version
    assert facts.validation_sequences == 1024
    assert load_corpus(TextData(), 64).facts == facts


def test_files_are_read_whole_and_jsonl_by_its_text_field(tmp_path):
    (tmp_path / "a.txt").write_text("plain text, caf\u00e9\n", encoding="utf-8")
    rows = [{"text": "one", "id": 1}, {"text": "two\nlines"}]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    found = read_documents([str(tmp_path / "*.txt"), str(tmp_path / "*.jsonl")])
    assert [document.content for document in found] == [
        "plain text, caf\u00e9\n".encode(),
        b"one",
        b"two\nlines",
    ]


def test_a_file_that_two_globs_match_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert len(read_documents([str(tmp_path / "*.txt"), str(tmp_path / "a.*")])) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"fine until \xff here", r"bad.txt: byte 11 \(0xff\) is not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"text": ', "bad.jsonl line 2: not JSON"),
        ("bad.jsonl", b'{"body": "a"}\n', 'bad.jsonl line 1: no "text" string'),
        ("bad.jsonl", b'{"text": 3}\n', 'bad.jsonl line 1: no "text" string'),
        ("bad.jsonl", b'{"text": "\\ud800"}\n', "bad.jsonl line 1: text is not Unicode"),
        ("empty.txt", b" \n", "no text inside"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_its_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_documents([str(tmp_path / name)])


def test_a_glob_without_files_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        read_documents([str(tmp_path / "*.txt")])


def test_text_shorter_than_one_context_is_refused(tmp_path):
    (tmp_path / "short.txt").write_text("twenty bytes of text")
    config = TextData(files=(str(tmp_path / "short.txt"),))
    with pytest.raises(CorpusError, match="less than one context of 64"):
        load_corpus(config, 64)


def test_documents_are_held_back_whole_and_about_the_share_asked_for():
    training, held_back = split_documents(documents(*[1000] * 100), 0.05)
    assert len(held_back) == 5
    assert not {item.content for item in training} & {item.content for item in held_back}


def test_the_split_does_not_depend_on_order_or_names():
    pieces = documents(*[500] * 50)
    renamed = tuple(Document(f"x/{piece.name}", piece.content) for piece in reversed(pieces))
    contents = [
        [[item.content for item in part] for part in split_documents(given, 0.1)]
        for given in (pieces, renamed)
    ]
    assert contents[0] == contents[1]


def test_a_single_large_file_is_cut_so_that_it_can_be_split():
    (document,) = documents(100_000)
    training, held_back = split_documents((document,), 0.05)
    held = sum(len(piece.content) for piece in held_back)
    assert held == 5000
    assert held + sum(len(piece.content) for piece in training) == 100_000


def test_validation_windows_are_evenly_spaced_and_overlap_in_no_target(text_files):
    data = TextData(files=(str(text_files / "*.txt"),), validation_windows=20)
    corpus = load_corpus(data, 32)
    assert corpus.held_back.shape == (20, 33)
    everything = load_corpus(TextData(files=data.files, validation_windows=10**6), 32).held_back
    # All windows in order: the last token of one is the first of the next.
    assert np.array_equal(everything[:-1, -1], everything[1:, 0])
    available = {window.tobytes() for window in everything}
    assert all(window.tobytes() in available for window in corpus.held_back)


def test_hashes_follow_the_data_and_not_the_folder(text_files, tmp_path):
    def facts(folder):
        load_corpus.cache_clear()
        return load_corpus(TextData(files=(str(folder / "*.txt"),)), 32).facts

    before = facts(text_files)
    moved = text_files.rename(tmp_path / "elsewhere")
    assert facts(moved) == before
    with (moved / "00.txt").open("a") as file:
        file.write("!")
    assert facts(moved).data_hash != before.data_hash


def test_bytes_are_their_own_tokens_and_ascii_96_keeps_what_is_printable():
    text = "tab\tA~\u00e9\n"
    assert bytes(TOKENIZERS["bytes"].encode(text.encode())) == text.encode()
    tokens = TOKENIZERS["ascii-96"].encode(text.encode())
    assert tokens.max() == 95
    printable = "".join(chr(token + 32) if token < 95 else "\n" for token in tokens)
    assert printable == "tab\nA~\n\n\n"


def test_an_epoch_reads_every_window_once_and_the_next_in_another_order():
    order = WindowOrder(windows=50, seed=3)
    first, second = order.positions(0, 50), order.positions(50, 100)
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)


def test_the_windows_of_a_step_follow_from_seed_and_step_alone():
    order = WindowOrder(windows=50, seed=3)
    whole = order.positions(0, 120)
    assert np.array_equal(WindowOrder(windows=50, seed=3).positions(40, 70), whole[40:70])
    assert not np.array_equal(WindowOrder(windows=50, seed=4).positions(0, 50), whole[:50])


def test_the_config_offers_the_tokenizers_that_there_are():
    assert tuple(TOKENIZERS) == BYTE_TOKENIZERS
