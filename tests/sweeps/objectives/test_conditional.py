"""The conditional objective keeps the contract of objectives, and asks for the target alone."""

import dataclasses

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.batch import Batch
from sweeps.data.sources.base import CorpusFacts
from sweeps.models.encoder_decoder.family import EncoderDecoderFamily
from sweeps.objectives.causal import Causal
from sweeps.objectives.conditional import Conditional
from sweeps.objectives.masked import Masked
from tests.conformance.objective import LENGTH, SEQUENCES, VOCABULARY, ObjectiveContract

#: Of pairs whose targets have three tokens, with room for sources of four.
PAIR_FACTS = CorpusFacts(
    **dict.fromkeys(("data_hash", "eval_hash", "tokenizer", "tokenizer_hash"), "made up"),
    **dict.fromkeys(("vocab_size", "train_tokens", "validation_sequences"), 10),
    bytes_per_token=None,
    sequence_targets=3.0,
    pair_room=4,
)
ENCODED = Conditional().suited_to(EncoderDecoderFamily())


class TestConditional(ObjectiveContract):
    objective = Conditional().configured(TargetsConfig(source_tokens=4), 7)


def test_every_token_behind_the_split_is_asked_for_and_none_before():
    windows = torch.arange(24).view(1, 3, 8)
    for source in range(1, 8):
        objective = Conditional().configured(TargetsConfig(source_tokens=source), 24)
        batch = objective.asked(Batch.of_windows(windows), seed=1, first_step=0)
        counted = batch.targets[batch.weights.bool()].view(3, -1)
        assert torch.equal(counted, windows[0, :, source:])
        assert counted.shape[1] == objective.targets_of(7)


class TestWithAnEncoder(ObjectiveContract):
    objective = ENCODED.configured(TargetsConfig(source_tokens=4), 6)


@pytest.mark.parametrize("source", range(1, 8))
def test_an_encoder_reads_the_source_and_a_decoder_the_target_behind_a_start(source):
    windows = torch.arange(24).view(1, 3, 8)
    objective = ENCODED.configured(TargetsConfig(source_tokens=source), 24)
    batch = objective.asked(Batch.of_windows(windows), seed=1, first_step=0)
    assert batch.weights is None
    assert torch.equal(batch.source, windows[..., :source])
    assert torch.equal(batch.targets, windows[..., source:])
    assert (batch.inputs[..., 0] == 24).all()
    assert torch.equal(batch.inputs[..., 1:], windows[..., source:-1])
    assert batch.targets.shape[-1] == objective.targets_of(7)


#: Of blocks of 8 tokens: source, separator 9, target, end 8, padding 7.
PAIRS = torch.tensor(
    [[[1, 2, 9, 3, 4, 5, 8, 7], [1, 9, 2, 8, 7, 7, 7, 7], [1, 2, 3, 9, 4, 8, 7, 7]]]
)


def pairs():
    """What a corpus of pairs delivers."""
    batch = Batch.of_windows(PAIRS)
    behind = (batch.inputs == 9).cumsum(dim=-1) > 0
    return dataclasses.replace(batch, weights=(behind & (batch.targets != 7)).float())


def of_pairs(objective):
    settings = objective.resolved(TargetsConfig(), 7, PAIR_FACTS)
    assert settings == TargetsConfig(source_tokens=4)
    return objective.configured(settings, 10)


def test_a_decoder_reads_a_pair_as_it_comes_and_its_target_and_end_count():
    batch = of_pairs(Conditional()).asked(pairs(), seed=1, first_step=0)
    counted = [
        row[keep].tolist()
        for row, keep in zip(batch.targets[0], batch.weights[0].bool(), strict=True)
    ]
    assert counted == [[3, 4, 5, 8], [2, 8], [4, 8]]
    assert batch.source is batch.is_source is None


def test_an_encoder_reads_the_source_with_its_separator_and_a_decoder_the_target():
    batch = of_pairs(ENCODED).asked(pairs(), seed=1, first_step=0)
    sources = [
        row[keep].tolist() for row, keep in zip(batch.source[0], batch.is_source[0], strict=True)
    ]
    assert sources == [[1, 2, 9], [1, 9], [1, 2, 3, 9]]
    assert batch.source.shape[-1] == 4 and batch.targets.shape[-1] == 4
    counted = [
        row[keep].tolist()
        for row, keep in zip(batch.targets[0], batch.weights[0].bool(), strict=True)
    ]
    assert counted == [[3, 4, 5, 8], [2, 8], [4, 8]]
    assert (batch.inputs[..., 0] == 10).all()  # the start, and then the target without its end
    assert torch.equal(batch.inputs[..., 1:], batch.targets[..., :-1])


@pytest.mark.parametrize("objective", [Causal(), Masked()])
def test_only_the_conditional_objective_takes_pairs(objective):
    with pytest.raises(ConfigError, match='the sources are given; set "objective: conditional"'):
        objective.resolved(TargetsConfig(), 7, PAIR_FACTS)


def test_a_split_of_blocks_is_refused_where_pairs_have_their_own():
    with pytest.raises(ConfigError, match="targets.source_tokens splits blocks of text, and each"):
        Conditional().resolved(TargetsConfig(source_tokens=3), 7, PAIR_FACTS)


class TestOfPairs(ObjectiveContract):
    objective = of_pairs(Conditional())

    @pytest.fixture
    def corpus_batch(self):
        return blocks_of_pairs()


class TestOfPairsWithAnEncoder(ObjectiveContract):
    objective = dataclasses.replace(of_pairs(ENCODED), start_token=6)

    @pytest.fixture
    def corpus_batch(self):
        return blocks_of_pairs()


def blocks_of_pairs():
    """(steps, sequences, length) in the contract's vocabulary, of which 0 separates and 1 pads."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(2, VOCABULARY - 1, (4, SEQUENCES, LENGTH + 1), generator=generator)
    separator = torch.randint(1, 4, (4, SEQUENCES, 1), generator=generator)
    last = separator + torch.randint(1, 5, separator.shape, generator=generator)
    places = torch.arange(LENGTH + 1)
    rows = rows.masked_fill(places == separator, 0).masked_fill(places > last, 1)
    batch = Batch.of_windows(rows)
    weights = (batch.inputs == 0).cumsum(dim=-1) * (batch.targets != 1)
    return dataclasses.replace(batch, weights=weights.float())
