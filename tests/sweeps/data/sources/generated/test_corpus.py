"""Generated sources: the tokens are pure functions of numbers, and the entropy is exact."""

import itertools
import math

import numpy as np
import pytest
import torch

from scaling.errors import ConfigError, CorpusError
from sweeps.config.data import SOURCES, BigramTasksData, MarkovData
from sweeps.data.registry import load_corpus
from sweeps.data.sources.generated.corpus import entropy_leak
from sweeps.data.sources.generated.markov_chains import bigram_tasks, markov_chain, whole_weights
from sweeps.data.sources.philox import philox

# Random123's own test vectors: counter, key, words. The third are the digits of pi.
VECTORS = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

CHAINS = {
    "order 1": markov_chain(symbols=3, order=1, concentration=0.5, seed=1),
    "order 2": markov_chain(symbols=2, order=2, concentration=0.5, seed=2),
    "order 3": markov_chain(symbols=2, order=3, concentration=1.0, seed=3),
    "tasks": bigram_tasks(symbols=2, tasks=3, zipf=1.5, concentration=0.5, seed=4),
}


@pytest.fixture(params=CHAINS)
def chain(request):
    return CHAINS[request.param]


def probability(chain, sequence):
    """Of one whole sequence, multiplied out from the weights by the definition of the chain."""
    total = 0.0
    for start, weight in enumerate(chain.starts):
        prefix = [chain.prefix_token(start, place) for place in range(chain.prefix_length)]
        if list(sequence[: chain.prefix_length]) != prefix[: len(sequence)]:
            continue
        chance, state = weight / 2**62, chain.first_state(start)
        for token in sequence[chain.prefix_length :]:
            chance *= chain.rows[state, token] / 2**32
            state = chain.next_state(state, token)
        total += chance
    return total


def all_sequences(chain, length):
    first = range(chain.vocab_size)
    if chain.vocab_size > chain.symbols:
        first = range(chain.symbols, chain.vocab_size)
    return itertools.product(first, *[range(chain.symbols)] * (length - 1))


@pytest.mark.parametrize("array", [np.array, torch.tensor])
@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_the_generator_returns_the_published_words(array, counter, key, words):
    assert tuple(int(word[0]) for word in philox(tuple(array([c]) for c in counter), key)) == words


@pytest.mark.parametrize("context", [3, 5])
def test_the_entropy_is_that_of_all_sequences_enumerated(chain, context):
    chances = {
        sequence: probability(chain, sequence) for sequence in all_sequences(chain, context + 1)
    }
    firsts = {}
    for sequence, chance in chances.items():
        firsts[sequence[0]] = firsts.get(sequence[0], 0.0) + chance
    assert sum(chances.values()) == pytest.approx(1, abs=1e-9)  # 3**6 roundings
    nats = [-sum(p * math.log(p) for p in table.values()) for table in (chances, firsts)]
    # A task's first row is its steady state to 2**-32, hence 1e-8.
    assert chain.entropy(context) == pytest.approx((nats[0] - nats[1]) / context, abs=1e-8)


def test_a_long_sample_costs_the_entropy_on_average(chain):
    context, sequences = 16, 20_000
    sample = chain.sequences(np.arange(sequences), context + 1, seed=7, domain=0)
    table = np.log(chain.rows / 2**32)
    costs = np.zeros(sequences)
    state = chain.first_state(_start(chain, sample))
    for place in range(chain.prefix_length, context + 1):
        costs -= table[state, sample[:, place]]
        state = chain.next_state(state, sample[:, place])
    prefix = chain.entropy(context) * context - _steady_cost(chain, context)
    stderr = costs.std() / math.sqrt(sequences)
    # 4 standard errors: one false alarm in 16,000 seeds, and the seed is fixed.
    assert abs(costs.mean() + prefix - chain.entropy(context) * context) < 4 * stderr


def _start(chain, sample):
    if chain.vocab_size > chain.symbols:
        return sample[:, 0] - chain.symbols
    digits = [chain.symbols ** (chain.order - 1 - place) for place in range(chain.order)]
    return sample[:, : chain.order] @ np.array(digits)


def _steady_cost(chain, context):
    """Nats of the targets behind the prefix."""
    if chain.vocab_size > chain.symbols:
        return chain.entropy(context) * context
    return chain.entropy_rate * (context + 1 - chain.order)


def test_the_frequencies_of_a_sample_are_the_probabilities(chain):
    sequences, length = 60_000, chain.prefix_length + 1
    sample = chain.sequences(np.arange(sequences), length, seed=1, domain=0)
    found, counts = np.unique(sample, axis=0, return_counts=True)
    chances = np.array([probability(chain, tuple(map(int, row))) for row in found])
    spread = np.sqrt(sequences * chances * (1 - chances))
    # 4.5 standard deviations of a binomial; at most 16 rows are looked at.
    assert np.all(np.abs(counts - sequences * chances) < 4.5 * spread + 1)


def test_a_known_table_has_the_entropy_computed_by_hand():
    chain = markov_chain(symbols=2, order=1, concentration=1.0, seed=0)
    stay, leave = chain.rows[0, 0] / 2**32, chain.rows[1, 0] / 2**32
    share = leave / (1 - stay + leave)  # of symbol 0 in the steady state

    def nats(p):
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    by_hand = share * nats(stay) + (1 - share) * nats(leave)
    assert chain.entropy_rate == pytest.approx(by_hand, abs=1e-12)  # rounding
    assert chain.entropy(50) == pytest.approx(chain.entropy_rate, abs=1e-12)  # order 1 sees a state


def test_a_concentrated_table_is_harder_to_predict():
    rates = [
        markov_chain(symbols=16, order=1, concentration=value, seed=0).entropy_rate
        for value in (0.05, 0.5, 5.0, 500.0)
    ]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(math.log(16), abs=0.01)  # 500: within 5% of uniform


def test_whole_weights_add_up_and_none_is_zero():
    weights = whole_weights(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]), 2**32)
    assert weights.sum(axis=1).tolist() == [2**32, 2**32]
    assert weights.min() == 1


@pytest.mark.parametrize("source", ["markov", "bigram-tasks"])
class TestCorpus:
    @staticmethod
    def config(source, **changes):
        own = {"tasks": 5} if source == "bigram-tasks" else {}
        return SOURCES[source](symbols=8, validation_windows=200, **own, **changes)

    def test_torch_computes_what_numpy_computes(self, source):
        corpus = load_corpus(self.config(source), 12)
        ours = corpus.windows_read(9, 700, 721, "cpu")
        reference = corpus.chain.sequences(np.arange(700, 721), 13, seed=9, domain=0)
        assert ours.dtype == torch.int64
        np.testing.assert_array_equal(ours.numpy(), reference)

    def test_numbers_beyond_32_bits_are_other_sequences(self, source):
        corpus = load_corpus(self.config(source), 12)
        far = corpus.windows_read(1, 2**34, 2**34 + 4, "cpu")
        assert not torch.equal(far, corpus.windows_read(1, 0, 4, "cpu"))

    def test_another_language_has_another_entropy(self, source):
        facts = [load_corpus(self.config(source, seed=seed), 12).facts for seed in (0, 1)]
        assert facts[0].entropy != facts[1].entropy
        assert facts[0].bytes_per_token is None


def test_a_sequence_of_the_tasks_begins_with_its_task_and_has_no_other():
    config = BigramTasksData(symbols=8, tasks=5)
    sample = load_corpus(config, 12).windows_read(0, 0, 2000, "cpu").numpy()
    assert set(sample[:, 0]) == set(range(8, 13))
    assert sample[:, 1:].max() < 8
    counts = np.bincount(sample[:, 0] - 8)
    odds = np.arange(1, 6) ** -1.5
    expected = 2000 * odds / odds.sum()
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected))  # 4 Poisson deviations


def test_a_loss_below_the_entropy_is_a_leak_and_one_within_the_error_is_luck():
    assert entropy_leak(1.000, 0.01, None) is None
    assert entropy_leak(0.971, 0.01, 1.0) is None
    assert "something leaks" in entropy_leak(0.969, 0.01, 1.0)
    assert entropy_leak(1.2, 0.01, 1.0) is None
    assert "something leaks" in entropy_leak(0.999, math.nan, 1.0)


def test_tables_that_do_not_fit_and_values_that_mean_nothing_are_refused():
    with pytest.raises(CorpusError, match="64 symbols at order 4 need 1,073,741,824"):
        load_corpus(MarkovData(order=4), 64)
    with pytest.raises(CorpusError, match="shorter than the 3 tokens"):
        load_corpus(MarkovData(symbols=2, order=3), 2)
    with pytest.raises(ConfigError, match="data.concentration is 0"):
        MarkovData(concentration=0)
