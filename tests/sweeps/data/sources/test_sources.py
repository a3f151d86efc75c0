"""Every source of training data keeps the contract of sources."""

import numpy as np
import pytest
from PIL import Image

from sweeps.config.data import (
    AnbnData,
    BigramTasksData,
    GrammarData,
    MarkovData,
    PairsData,
    ShardsData,
    SparseContextsData,
    TextData,
)
from sweeps.config.images import ImagesData
from sweeps.data.registry import LOADERS, load_corpus
from tests.conformance.source import SourceContract

CONTEXT = 16


def load(config, context=CONTEXT):
    return load_corpus.__wrapped__(config, context)  # as another process would


class TestText(SourceContract):
    config = TextData

    def load(self, place, *, other=False):
        place.mkdir(exist_ok=True)
        for number in range(40):
            letters = np.random.default_rng(number).integers(97, 123, 1000).astype(np.uint8)
            text = letters.tobytes() + b"!" * (other and number == 3)
            (place / f"{number:02}.txt").write_bytes(text)
        return load(TextData(files=(f"{place}/*.txt",), validation_windows=16))


class TestImages(SourceContract):
    config = ImagesData

    def load(self, place, *, other=False):
        for number in range(40):
            (folder := place / f"label {number % 2}").mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (4, 4)).astype(np.uint8)
            pixels[0, 0] = 7 if other and number == 3 else pixels[0, 0]
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
        return load(ImagesData(folder=str(place), tokens="grey"))


class TestShards(SourceContract):
    config = ShardsData

    def load(self, place, *, other=False):
        place.mkdir(exist_ok=True)
        for seed, (name, count) in enumerate({"train_0": 1000, "train_1": 777, "val": 500}.items()):
            tokens = np.random.default_rng(seed).integers(0, 100, count).astype(np.uint16)
            tokens[5] = 7 if other and seed == 1 else tokens[5]
            tokens.tofile(place / f"{name}.bin")
        return load(
            ShardsData(
                files=(f"{place}/train_*.bin",),
                validation_files=(f"{place}/val.bin",),
                vocab_size=100,
            )
        )


class TestMarkov(SourceContract):
    config = MarkovData

    def load(self, place, *, other=False):
        return load(MarkovData(symbols=8, seed=int(other), validation_windows=200))


class TestGrammar(SourceContract):
    config = GrammarData
    few_sequences = True

    def load(self, place, *, other=False):
        rules = ("S -> a S b [0.4]", "S -> c T [0.5]", "S -> [0.1]")
        last = ("T -> d T [0.5]", "T -> e [0.5]") if other else ("T -> d T [0.6]", "T -> e [0.4]")
        return load(GrammarData(rules=(*rules, *last), validation_windows=200))


class TestGeometricAnbn(SourceContract):
    config = AnbnData
    few_sequences = True

    def load(self, place, *, other=False):
        return load(AnbnData(q=0.7 if other else 0.6, validation_windows=200))


class TestUniformAnbn(SourceContract):
    config = AnbnData
    few_sequences = True

    def load(self, place, *, other=False):
        return load(AnbnData(lengths="uniform", longest=6 if other else 7))


class TestSparseContexts(SourceContract):
    config = SparseContextsData
    few_sequences = True

    def load(self, place, *, other=False):
        return load(SparseContextsData(symbols=8, separable=other, validation_windows=200), 2)


class TestBigramTasks(SourceContract):
    config = BigramTasksData

    def load(self, place, *, other=False):
        return load(BigramTasksData(symbols=8, tasks=5, seed=int(other), validation_windows=200))


class TestNumberPairs(SourceContract):
    config = PairsData

    def load(self, place, *, other=False):
        data = PairsData(largest=4000, seed=int(other), validation_windows=200)
        return load(data, 90)


class TestFilePairs(SourceContract):
    config = PairsData

    def load(self, place, *, other=False):
        place.mkdir(exist_ok=True)
        lines = [f"{number}\t{number * number}" for number in range(1000 + other)]
        (place / "pairs.tsv").write_text("\n".join(lines))
        return load(PairsData(files=(f"{place}/*.tsv",)))


def test_every_source_is_held_to_the_contract():
    tested = {contract.config for contract in SourceContract.__subclasses__()}
    assert tested >= LOADERS.keys()


def test_the_contract_notices_training_on_the_validation_set(tmp_path):
    corpus = TestMarkov().load(tmp_path)
    train = corpus.windows_read(0, 0, 3, "cpu").numpy()
    object.__setattr__(corpus, "held_back", train)
    with pytest.raises(AssertionError):
        TestMarkov().test_the_validation_set_is_fixed_and_nobody_trains_on_it(corpus, tmp_path)
