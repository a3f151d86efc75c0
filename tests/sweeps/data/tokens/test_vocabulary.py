"""Facts about what tokens stand for: text goes to tokens and back, and what has none is refused."""

import json

import pytest

from scaling.errors import ConfigError
from sweeps.data.tokens.bpe import train_bpe
from sweeps.data.tokens.tokenizer import TOKENIZERS
from sweeps.data.tokens.vocabulary import (
    SymbolVocabulary,
    spelled,
    vocabulary_from,
    vocabulary_of,
)

SENTENCES = SymbolVocabulary(("<start>", "<end>", "<pad>", "a", "b", "long"), start=0, end=1)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    (folder / "a.txt").write_text("Grüße, \t and so on, and so on\n" * 20)
    return train_bpe([str(folder / "a.txt")], 300, folder / "tokenizer.json")


def stored(vocabulary):
    """The vocabulary as a file gives it back."""
    return vocabulary_from(json.loads(json.dumps(vocabulary.to_document())))


@pytest.mark.parametrize("name", ["bytes", "bpe"])
def test_any_text_goes_to_tokens_and_back(name, bpe):
    vocabulary = stored(vocabulary_of(TOKENIZERS.get(name, bpe)))
    text = "Grüße, \t日本 and\r\n \x01\x7f so on"
    tokens = vocabulary.encode(text.encode())
    assert spelled(vocabulary, tokens) == text
    assert vocabulary.spell(vocabulary.end) == b"\0"
    assert vocabulary.end not in tokens


def test_tokens_of_a_bpe_have_as_many_bytes_as_it_says(bpe):
    vocabulary = vocabulary_of(bpe)
    sizes = [len(vocabulary.spell(token)) for token in range(bpe.vocab_size)]
    assert sizes == bpe.token_bytes.tolist()
    assert bpe.decode(vocabulary.encode(b"and so on")) == "and so on"


def test_bytes_that_a_tokenizer_merges_are_its_newline():
    vocabulary = stored(vocabulary_of(TOKENIZERS["ascii-96"]))
    assert spelled(vocabulary, vocabulary.encode("a~ Z\né".encode())) == "a~ Z\n\n\n"
    assert vocabulary.end is None  # its byte is a newline, as in texts


def test_bytes_that_make_no_character_are_shown_as_one():
    assert spelled(vocabulary_of(TOKENIZERS["bytes"]), [65, 0xC3]) == "A\N{REPLACEMENT CHARACTER}"


def test_a_sentence_begins_with_its_start_and_blanks_may_be_left_out():
    vocabulary = stored(SENTENCES)
    assert vocabulary == SENTENCES
    for text in (b"a a b", b"aab", b"<start> aa b", b" a\na b"):
        assert vocabulary.encode(text) == [0, 3, 3, 4]
    assert vocabulary.encode(b"long a") == [0, 5, 3]
    assert spelled(vocabulary, [0, 3, 1]).split() == ["<start>", "a", "<end>"]


def test_tokens_without_names_are_numbers():
    vocabulary = SymbolVocabulary.numbers(12)
    assert vocabulary.encode(b"11 0 3") == [11, 0, 3]
    with pytest.raises(ConfigError, match=r'"12" is none of the run\'s 12 tokens; there are: "0"'):
        vocabulary.encode(b"12")


@pytest.mark.parametrize(
    ("content", "said"), [(b"a c", '"c" is none'), (b"\xff", "byte 0 of the text is not UTF-8")]
)
def test_what_has_no_tokens_is_refused(content, said):
    with pytest.raises(ConfigError, match=said):
        SENTENCES.encode(content)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "other"},
        {"kind": "bytes", "name": "other"},
        {"kind": "bpe", "text": "{}"},
        {"kind": "symbols", "names": ["a"], "start": 1, "end": None},
    ],
)
def test_a_document_of_no_vocabulary_is_refused(document):
    with pytest.raises((ValueError, KeyError)):
        vocabulary_from(document)
