"""Corpora of pairs: blocks, sides that share no source, and pairs that are left out and counted."""

import numpy as np
import pytest
import torch

from scaling.errors import ConfigError, CorpusError
from sweeps.config.data import PairsData
from sweeps.data.registry import load_corpus
from sweeps.data.sources.number_words import english, german
from sweeps.data.sources.pairs import roomiest
from sweeps.data.tokens.vocabulary import spelled, vocabulary_from

SMALL = {"largest": 999, "validation_windows": 100}


def loaded(context=60, **settings):
    return load_corpus.__wrapped__(PairsData(**settings), context)


def texts(corpus, rows):
    """Source and target of each block, as text."""
    words = corpus.words
    found = []
    for row in rows.tolist():
        text = spelled(words, row)  # padding is spelled as nothing
        assert text.endswith("\n")
        found.append(tuple(text[:-1].split("\t")))
    return found


@pytest.fixture
def write(tmp_path):
    def write(lines, name="pairs.tsv"):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return (str(tmp_path / name),)

    return write


def test_an_epoch_says_every_number_that_is_not_held_back_once():
    corpus = loaded(**SMALL)
    held = texts(corpus, corpus.held_back)
    for epoch in (0, 1):
        read = texts(corpus, corpus.rows_read(7, 900 * epoch, 900 * (epoch + 1)))
        both = {english(number): german(number) for number in range(1000)}
        assert len(read) == 900 and len(held) == 100
        assert dict(read) | dict(held) == both
        assert not dict(read).keys() & dict(held).keys()
    first = corpus.rows_read(7, 0, 900)
    assert not np.array_equal(first, corpus.rows_read(7, 900, 1800))
    assert corpus.facts.train_tokens == 900 * 60


def test_languages_go_both_ways_and_another_seed_holds_other_numbers_back():
    forth, back = loaded(**SMALL), loaded(**SMALL, languages=("german", "english"))
    turned = [(target, source) for source, target in texts(back, back.held_back)]
    assert turned == texts(forth, forth.held_back)
    other = loaded(**SMALL, seed=1)
    assert set(texts(other, other.held_back)) != set(texts(forth, forth.held_back))
    assert len({one.facts.data_hash for one in (forth, back, other)}) == 3


def test_only_the_target_and_its_end_count():
    corpus = loaded(**SMALL)
    batch = corpus.validation
    for inputs, targets, weights in zip(batch.inputs, batch.targets, batch.weights, strict=True):
        separator = inputs.tolist().index(corpus.words.separator)
        counted = targets[weights.bool()].tolist()
        assert counted[-1] == corpus.words.end
        assert not weights[:separator].any()
        assert (weights[separator:] == (targets[separator:] != corpus.words.padding)).all()
    mean = float(batch.weights.sum(dim=1).mean())
    assert corpus.facts.sequence_targets == pytest.approx(mean)
    counts = corpus.pair_summary
    assert corpus.own_tokens == pytest.approx(counts.mean_source_tokens + mean)


def test_pairs_of_files_are_all_there_and_no_source_is_on_both_sides(write):
    lines = [f"{english(n)}\t{german(n)}" for n in range(300)]
    lines += [f"{english(n)}\tnoch einmal {n}" for n in range(100)]  # another target each
    files = write(lines)
    corpus = loaded(files=files, validation_share=0.2)
    training = texts(corpus, corpus.rows_read(3, 0, corpus.pair_summary.training))
    held = texts(corpus, corpus.held_back)
    assert sorted("\t".join(pair) for pair in training + held) == sorted(lines)
    assert not {source for source, _ in training} & {source for source, _ in held}
    assert len(held) == pytest.approx(80, abs=1)  # one source has up to two pairs
    again = loaded(files=write(lines[::-1], "turned.tsv"), validation_share=0.2)
    assert set(texts(again, again.held_back)) == set(held)  # content decides, not order


def test_at_most_so_many_are_measured_and_those_that_are_not_stay_held_back(write):
    files = write([f"{english(n)}\t{german(n)}" for n in range(300)])
    corpus = loaded(files=files, validation_share=0.5, validation_windows=40)
    assert corpus.pair_summary.validation == len(corpus.held_back) == 40
    assert corpus.pair_summary.training == 150


def test_a_pair_that_is_too_long_is_left_out_counted_and_named(write):
    files = write(["ab\tcd"] * 3 + ["a" * 30 + "\tc", "ef\tgh", "i\t" + "j" * 31] + ["kl\tmn"] * 4)
    corpus = loaded(16, files=files, validation_share=0.3)
    counts = corpus.pair_summary
    assert counts.left_out == 2
    assert counts.training + counts.validation == 8
    assert counts.first_left_out == f"{files[0]}, line 4, 31 and 2 tokens"
    assert counts.source_tokens + counts.target_tokens == 17


def test_the_room_for_a_source_is_the_one_with_which_most_pairs_fit():
    draw = np.random.default_rng(0)
    for _ in range(50):
        sizes = draw.integers(2, 16, (20, 2))
        kept = [((sizes[:, 0] <= room) & (sizes[:, 1] <= 18 - room)).sum() for room in range(2, 17)]
        found = roomiest(sizes, 17)
        assert ((sizes[:, 0] <= found) & (sizes[:, 1] <= 18 - found)).sum() == max(kept)
        assert found == 2 + int(np.argmax(kept))


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "bpe"])
def test_every_tokenizer_reads_pairs_without_loss(write, tmp_path, tokenizer):
    lines = [f"{english(n)}\t{german(n)}" for n in range(200)]
    if tokenizer == "bpe":
        from sweeps.data.tokens.bpe import train_bpe

        tokenizer = str(tmp_path / "tokenizer.json")
        train_bpe(write([line.replace("\t", " ") for line in lines], "text.txt"), 300, tokenizer)
    corpus = loaded(80, files=write(lines), tokenizer=tokenizer)
    assert {"\t".join(pair) for pair in texts(corpus, corpus.held_back)} <= set(lines)
    words = vocabulary_from(corpus.words.to_document())
    for n in (7, 121):
        source, target = english(n).encode(), german(n).encode()
        tokens = [*words.encode(source), *words.encode(target, begins=False), words.end]
        assert spelled(words, tokens) == f"{english(n)}\t{german(n)}\n"
    with pytest.raises(ConfigError, match="a tab parts a source and its target"):
        words.encode(b"one\teins")
    used = corpus.facts.used_vocab_size or corpus.facts.vocab_size
    assert used == words.padding + 1
    if tokenizer.endswith(".json"):
        assert corpus.facts.vocab_size % 64 == 0


def test_a_character_that_no_pair_has_is_refused_by_name():
    words = loaded(**SMALL).words
    with pytest.raises(ConfigError, match='"%" is none of the run\'s characters; there are:  -'):
        words.encode("five% ß".encode())


@pytest.mark.parametrize(
    ("context", "settings", "said"),
    [
        (
            50,
            SMALL,
            "source of data.largest 999 and its separator have 28 .* give model.context 57,",
        ),
        (60, {"largest": 99, "validation_windows": 100}, "makes 100 numbers, and .* hold back all"),
    ],
)
def test_numbers_that_do_not_fit_are_one_line(context, settings, said):
    with pytest.raises(CorpusError, match=said):
        loaded(context, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "no pair fits into model.context 9, of whose block 2 tokens .* shortest has 14"),
        ({"source_tokens": 9}, "data.source_tokens is 9, and a block has model.context 9"),
    ],
)
def test_files_of_which_nothing_fits_are_one_line(write, settings, said):
    with pytest.raises(CorpusError, match=said):
        loaded(9, files=write(["abcdef\tghijkl"] * 5), **settings)


def test_pairs_of_one_source_make_no_two_sides(write):
    with pytest.raises(
        CorpusError, match="5 pairs make no two sides by data.validation_share 0.05"
    ):
        loaded(20, files=write(["abc\tdef"] * 5))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_files": ("a",)}, "data.target_files is for data.files, and there are none"),
        ({"tokenizer": "bytes"}, "data.tokenizer is for data.files"),
        ({"files": ("a",), "largest": 9}, "data.largest is for numbers in words, and data.files"),
        ({"files": ("a",), "tokenizer": "words"}, 'data.tokenizer is "words"; choose one of char'),
        ({"languages": ("german", "german")}, "data.languages is .*; give two"),
        ({"languages": ("english", "dutch")}, "data.languages is .*; give two"),
        ({"largest": 10**10}, "data.largest is 10000000000; at most 1,000,000,000"),
        ({"files": ("a",), "validation_share": 1.0}, "data.validation_share is 1; it lies"),
    ],
)
def test_settings_that_mean_nothing_are_one_line(settings, said):
    with pytest.raises(ConfigError, match=said):
        PairsData(**settings)


def test_what_a_run_reads_of_the_largest_range_is_computed_when_it_is_read():
    corpus = loaded(206, validation_windows=16)
    assert corpus.pair_summary.training == 10**9 + 1 - 16
    far = corpus.rows_read(1, 9 * 10**8, 9 * 10**8 + 3)
    assert [german(0) != target for _, target in texts(corpus, far)] == [True] * 3
    assert torch.equal(
        corpus.batch(1, 5, 3).inputs[0], torch.from_numpy(corpus.rows_read(1, 15, 16)[0, :-1])
    )
