"""Byte-level BPE loses nothing, is the same whenever it is trained, and knows its bytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.errors import CorpusError
from sweeps.config.data import TextData
from sweeps.data.registry import load_corpus
from sweeps.data.tokens.bpe import END_OF_DOCUMENT, read_bpe, train_bpe
from sweeps.data.tokens.tokenizer import DOCUMENT_END

ROOT = Path(__file__).parents[4]
HARD_TEXTS = [
    "",
    " ",
    "two  blanks\n\n\n",
    "\u00e9t\u00e9 \u6570\u5b57 \U0001f600",
    f"a {END_OF_DOCUMENT} b",
    "\0\x7f",
]


@pytest.fixture
def tokenizer(text_files, tmp_path):
    return train_bpe([str(text_files / "*.txt")], 300, tmp_path / "tokenizer.json")


def test_every_text_comes_back_and_every_byte_is_counted(tokenizer):
    documents = [text.encode() for text in HARD_TEXTS]
    for text, document, tokens in zip(
        HARD_TEXTS, documents, tokenizer.encode_documents(documents), strict=True
    ):
        assert tokens[-1] == tokenizer.end_token
        assert (tokens[:-1] != tokenizer.end_token).all()  # spelt in a text, it stays text
        assert tokenizer.decode(tokens) == text
        assert tokenizer.token_bytes[tokens].sum() == len(document + DOCUMENT_END)


def test_training_again_in_another_process_gives_the_same_file(tokenizer, text_files, tmp_path):
    code = (
        "import sys; from sweeps.data.tokens.bpe import train_bpe;"
        "print(train_bpe([sys.argv[1]], 300, sys.argv[2]).hash)"
    )
    command = [sys.executable, "-c", code, str(text_files / "*.txt"), str(tmp_path / "b.json")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == tokenizer.hash
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


def test_a_larger_vocabulary_needs_fewer_tokens(tokenizer, text_files, tmp_path):
    larger = train_bpe([str(text_files / "*.txt")], 400, tmp_path / "larger.json")
    assert (tokenizer.vocab_size, tokenizer.logits) == (300, 320)
    assert (larger.vocab_size, larger.logits) == (400, 448)
    assert larger.hash != tokenizer.hash
    text = [path.read_bytes() for path in sorted(text_files.iterdir())]
    lengths = [sum(map(len, one.encode_documents(text))) for one in (tokenizer, larger)]
    assert lengths[1] < lengths[0]


def test_a_text_corpus_takes_a_tokenizer_file_and_its_bits_per_byte_are_exact(
    tokenizer, text_files, tmp_path
):
    data = TextData(files=(str(text_files / "*.txt"),), tokenizer=str(tmp_path / "tokenizer.json"))
    corpus = load_corpus(data, 32)
    assert corpus.facts.tokenizer_hash == tokenizer.hash
    assert (corpus.facts.vocab_size, corpus.facts.used_vocab_size) == (320, 300)
    targets = corpus.held_back[:, 1:]
    decoded = "".join(tokenizer.decode(row) for row in targets)
    ends = int((targets == tokenizer.end_token).sum())
    # The text is ASCII, so no token ends inside a character and decoding shows each byte.
    assert corpus.facts.bytes_per_token * targets.size == pytest.approx(len(decoded) + ends)
    windows = corpus.windows_read(1, 0, 4, "cpu")
    assert windows.shape == (4, 33)
    stream = corpus.train.tobytes()
    assert all(row.numpy().astype(np.uint16).tobytes() in stream for row in windows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "not a tokenizer.json"),
        ("no json", "not a tokenizer.json"),
        ('{"model": {"type": "WordPiece"}, "pre_tokenizer": null}', "not byte-level"),
        ('{"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}}', "not byte-level"),
    ],
)
def test_a_file_that_is_no_byte_level_bpe_is_refused(tmp_path, content, message):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_bpe(tmp_path / "t.json")


def test_a_missing_tokenizer_and_a_vocabulary_smaller_than_the_bytes_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="No such file"):
        load_corpus(TextData(tokenizer=str(tmp_path / "none.json")), 32)
    with pytest.raises(CorpusError, match="give 257 or more"):
        train_bpe([], 256, tmp_path / "t.json")
