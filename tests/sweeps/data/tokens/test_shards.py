"""Token shards: both layouts, windows as they lie on disk, and damage named by shard and offset."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch

from scaling.errors import CorpusError
from sweeps.config.data import ShardsData
from sweeps.data.registry import load_corpus
from sweeps.data.sources.window_order import LongOrder
from sweeps.data.tokens.shards import fingerprint, open_shard

VOCABULARY, CONTEXT = 1000, 16


def tokens_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count).astype(np.uint16)


def headered(tokens, magic=20240520, version=1):
    header = np.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(tokens)
    return header.tobytes() + tokens.tobytes()


@pytest.fixture
def folder(tmp_path):
    """Three training shards, the second with a header, and one for validation."""
    tokens_of(1000, 1).tofile(tmp_path / "train_0.bin")
    (tmp_path / "train_1.bin").write_bytes(headered(tokens_of(777, 2)))
    tokens_of(17, 3).tofile(tmp_path / "train_2.bin")
    tokens_of(500, 4).tofile(tmp_path / "val_0.bin")
    return tmp_path


def config_of(folder, **changes):
    settings = {
        "files": (str(folder / "train_*.bin"),),
        "validation_files": (str(folder / "val_*.bin"),),
        "vocab_size": VOCABULARY,
    }
    return ShardsData(**{**settings, **changes})


def load(folder, **changes):
    load_corpus.cache_clear()
    return load_corpus(config_of(folder, **changes), CONTEXT)


def all_windows():
    return {
        tokens[start : start + CONTEXT + 1].tobytes()
        for tokens in (tokens_of(1000, 1), tokens_of(777, 2), tokens_of(17, 3))
        for start in range(0, len(tokens) - CONTEXT, CONTEXT)
    }


def test_an_epoch_reads_every_window_of_every_shard_once(folder):
    corpus = load(folder)
    count = 999 // CONTEXT + 776 // CONTEXT + 1
    assert corpus.facts.train_tokens == count * CONTEXT
    read = corpus.windows_read(5, 0, count, "cpu")
    assert read.shape == (count, CONTEXT + 1)
    assert read.dtype == torch.int64
    rows = [row.numpy().astype(np.uint16).tobytes() for row in read]
    assert set(rows) == all_windows()
    assert len(set(rows)) == count
    second = corpus.windows_read(5, count, 2 * count, "cpu")
    assert not torch.equal(read, second)


def test_tokens_kept_on_a_device_are_those_read_from_disk(folder):
    corpus = load(folder)
    numbers = LongOrder(corpus.train.windows, seed=3).positions(0, 60)
    resident = corpus._read_resident(numbers, "cpu")
    np.testing.assert_array_equal(resident.numpy(), corpus.train.read(numbers).view(np.int16))


def test_tokens_beyond_the_signed_range_survive(tmp_path):
    for name in ("train_0.bin", "val_0.bin"):
        np.arange(65_000 - 170, 65_000, dtype=np.uint16).tofile(tmp_path / name)
    corpus = load(tmp_path, vocab_size=65_000)
    assert corpus.batch(seed=0, step=0, sequences=10).targets.max() == 64_999 - 9
    assert corpus.facts.vocab_size == 65_024
    assert corpus.facts.used_vocab_size == 65_000


def test_validation_windows_lie_evenly_and_are_the_same_for_every_run(folder):
    corpus = load(folder, validation_windows=5)
    tokens = tokens_of(500, 4)
    starts = np.arange(5) * 31 // 5 * CONTEXT  # (500 - 1) // 16 windows
    expected = tokens[starts[:, None] + np.arange(CONTEXT + 1)]
    np.testing.assert_array_equal(corpus.held_back, expected)
    assert corpus.facts == load(folder, validation_windows=5).facts
    assert corpus.facts.bytes_per_token is None  # nothing says what the tokens stand for


def test_a_manifest_of_one_line_says_what_the_tokens_are(folder):
    said = {"vocab_size": VOCABULARY, "tokenizer": "mine", "tokenizer_hash": "abc"}
    (folder / "tokens.json").write_text(json.dumps(said))
    facts = load(folder, vocab_size=None).facts
    assert (facts.tokenizer, facts.tokenizer_hash) == ("mine", "abc")
    assert (facts.vocab_size, facts.used_vocab_size) == (1024, 1000)


def test_wide_tokens_are_read_in_both_layouts(tmp_path):
    wide = tokens_of(400).astype(np.uint32) + 100_000
    (tmp_path / "train_0.bin").write_bytes(headered(wide, magic=20240801, version=7))
    (tmp_path / "val_0.bin").write_bytes(headered(wide, magic=20240801, version=7))
    first = load(tmp_path, vocab_size=101_000).windows_read(1, 0, 5, "cpu")
    wide.tofile(tmp_path / "train_0.bin")
    wide.tofile(tmp_path / "val_0.bin")
    raw = load(tmp_path, vocab_size=101_000, token_type="uint32")
    assert torch.equal(raw.windows_read(1, 0, 5, "cpu"), first)
    assert first.min() >= 100_000


def test_a_shard_is_mapped_and_not_read(tmp_path):
    path = tmp_path / "large.bin"
    with open(path, "wb") as file:
        file.truncate(8 << 30)  # 8 GiB of holes
    shard = open_shard(path)
    assert len(shard.tokens) == 4 << 30
    assert isinstance(shard.tokens.base, np.memmap)


@pytest.mark.parametrize("windows", [1, 2, 3, 64, 1000, 4097])
def test_the_long_order_is_a_permutation_in_every_epoch(windows):
    order = LongOrder(windows, seed=9)
    for epoch in (0, 1, 5):
        positions = order.positions(epoch * windows, (epoch + 1) * windows)
        assert sorted(positions) == list(range(windows))


def test_the_long_order_looks_random():
    places = LongOrder(10_000, seed=1).positions(0, 10_000)
    correlation = np.corrcoef(places[:-1], places[1:])[0, 1]
    assert abs(correlation) < 0.04  # four standard deviations of 1 / sqrt(n)
    assert (places == LongOrder(10_000, seed=2).positions(0, 10_000)).mean() < 0.01


class TestDamage:
    def refused(self, folder, message, **changes):
        with pytest.raises(CorpusError, match=message) as caught:
            load(folder, **changes)
        assert "\n" not in str(caught.value)

    def test_a_token_outside_the_vocabulary_is_named_by_shard_and_offset(self, folder):
        tokens = tokens_of(1000, 1)
        tokens[321] = 1000
        tokens.tofile(folder / "train_0.bin")
        self.refused(folder, r"train_0.bin: token 1000 at offset 321 is outside .* of 1000")

    def test_one_that_no_sample_saw_stops_the_batch_that_holds_it(self, tmp_path):
        tokens = np.zeros(9 << 20, dtype=np.uint16)
        tokens[1::2] = 1
        tokens[40_000:41_000] = 60_000  # between the sampled blocks of 64 KiB
        tokens.tofile(tmp_path / "train_0.bin")
        tokens_of(500).tofile(tmp_path / "val_0.bin")
        corpus = load(tmp_path)
        with pytest.raises(CorpusError, match=r"token 60000 at offset 40\d\d\d is outside"):
            corpus.batches(seed=0, first=0, last=4096, sequences=64)

    def test_an_empty_shard(self, folder):
        (folder / "train_1.bin").write_bytes(b"")
        self.refused(folder, "train_1.bin: empty shard")

    def test_a_shard_cut_inside_a_token_or_below_its_header_count(self, folder):
        os.truncate(folder / "train_0.bin", 1999)
        self.refused(folder, "train_0.bin: 1999 bytes are no whole number of uint16")
        os.truncate(folder / "train_0.bin", 1998)
        os.truncate(folder / "train_1.bin", 1024 + 1000)
        self.refused(folder, "train_1.bin: 500 tokens where the header says 777")

    def test_the_wrong_token_type(self, folder):
        tokens_of(1000, 1).astype(np.uint32).tofile(folder / "train_0.bin")
        self.refused(folder, "train_0.bin: every second token is 0; it holds uint32")
        tokens_of(1000, 1).tofile(folder / "train_0.bin")
        headed = (str(folder / "train_1.bin"),)
        said = "the header says uint16, not uint32"
        self.refused(folder, said, token_type="uint32", files=headed)
        self.refused(folder, "not uint32: mend", token_type="uint32", vocab_size=1000)

    def test_a_header_of_another_version(self, folder):
        (folder / "train_1.bin").write_bytes(headered(tokens_of(50), version=2))
        self.refused(folder, "header of version 2, not 1")

    def test_a_shard_that_has_changed_under_its_manifest(self, folder):
        entries = [
            {"name": path.name, "tokens": count, "fingerprint": fingerprint(path)}
            for path, count in ((folder / "train_0.bin", 1000), (folder / "val_0.bin", 500))
        ]
        said = {"vocab_size": VOCABULARY, "shards": entries}
        (folder / "tokens.json").write_text(json.dumps(said))
        load(folder)
        tokens_of(1000, 9).tofile(folder / "train_0.bin")
        self.refused(folder, "train_0.bin: changed since it was written")
        os.truncate(folder / "train_0.bin", 1000)
        self.refused(folder, "train_0.bin: 500 tokens where tokens.json says 1000")

    def test_two_vocabularies(self, folder):
        (folder / "val").mkdir()
        (folder / "val_0.bin").rename(folder / "val" / "val_0.bin")
        (folder / "tokens.json").write_text('{"vocab_size": 1000, "tokenizer_hash": "a"}')
        (folder / "val" / "tokens.json").write_text('{"vocab_size": 2000, "tokenizer_hash": "b"}')
        side = (str(folder / "val" / "*.bin"),)
        self.refused(folder, "vocabularies of 1000 and 2000 tokens", validation_files=side)
        (folder / "val" / "tokens.json").unlink()
        said = "1000 and 1500 tokens are claimed"
        self.refused(folder, said, validation_files=side, vocab_size=1500)

    def test_nothing_says_the_vocabulary(self, folder):
        self.refused(folder, "set data.vocab_size", vocab_size=None)

    def test_a_manifest_that_is_none(self, folder):
        for content in ("[1]", "{}", "no json", '{"vocab_size": "many"}'):
            (folder / "tokens.json").write_text(content)
            self.refused(folder, "tokens.json: ")

    def test_shards_that_are_missing_or_too_short(self, folder):
        self.refused(folder, "no such shard", files=(str(folder / "none*.bin"),))
        self.refused(folder, "data.validation_files is empty", validation_files=())
        tokens_of(16).tofile(folder / "val_0.bin")
        self.refused(folder, "no validation shard holds one context of 16")


def test_changed_shards_are_other_data(folder):
    first = load(folder).facts
    tokens_of(1000, 9).tofile(folder / "train_0.bin")
    second = load(folder).facts
    assert first.data_hash != second.data_hash
    assert dataclasses.replace(second, data_hash=first.data_hash) == first
