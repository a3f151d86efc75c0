"""Facts about corpora of sentences and of sparse contexts: what is drawn has the entropy stated."""

import math

import numpy as np
import pytest

from scaling.errors import ConfigError, CorpusError
from sweeps.config.data import AnbnData, GrammarData, SparseContextsData
from sweeps.data.registry import load_corpus
from sweeps.data.sources.generated.grammars import END, PADDING, START

RULES = ("S -> a S b [0.4]", "S -> c T [0.5]", "S -> [0.1]", "T -> d T [0.5]", "T -> e [0.5]")


@pytest.fixture(scope="module")
def grammar():
    return load_corpus(GrammarData(rules=RULES, validation_windows=2000), 24)


def sentences(batch):
    rows = batch.targets.tolist()
    return [row[: row.index(END)] for row in rows]


def test_drawn_sentences_have_the_entropy_and_the_length_that_are_stated(grammar):
    drawn = sentences(grammar.batch(seed=3, step=0, sequences=2000))
    costs = np.array([-grammar.language.log_probability(row) for row in drawn])
    error = costs.std() / math.sqrt(len(costs))
    # four standard errors
    assert abs(costs.mean() - grammar.facts.sequence_entropy) < 4 * error
    targets = np.array([len(row) + 1 for row in drawn])
    error = targets.std() / math.sqrt(len(targets))
    assert abs(targets.mean() - grammar.facts.sequence_targets) < 4 * error
    facts = grammar.facts
    assert facts.entropy * facts.sequence_targets == pytest.approx(facts.sequence_entropy)


def test_padding_counts_nowhere_and_every_sentence_has_its_end(grammar):
    held = grammar.validation
    assert (held.inputs[:, 0] == START).all()
    assert ((held.targets == END).sum(dim=1) == 1).all()
    assert ((held.targets == PADDING) == (held.weights == 0)).all()
    assert (held.weights.sum(dim=1).int().numpy() == [len(s) + 1 for s in sentences(held)]).all()


def test_an_epoch_of_uniform_lengths_is_every_n_once():
    corpus = load_corpus(AnbnData(lengths="uniform", longest=6), 13)
    for step in range(3):
        batch = corpus.batch(seed=1, step=step, sequences=6)
        assert sorted(map(len, sentences(batch))) == [2, 4, 6, 8, 10, 12]
    assert corpus.facts.entropy == pytest.approx(math.log(6) / 8)


def test_sentences_are_drawn_as_often_as_they_are_probable():
    corpus = load_corpus(AnbnData(q=0.6, validation_windows=10), 7)
    drawn = sentences(corpus.batch(seed=5, step=0, sequences=4000))
    counts = np.bincount([len(row) // 2 for row in drawn], minlength=4) / 4000
    expected = 0.6 ** np.arange(4)
    # 4.5 standard errors of a share of 4000
    assert counts == pytest.approx(expected / expected.sum(), abs=4.5 * 0.5 / math.sqrt(4000))


@pytest.mark.parametrize(
    ("config", "context", "said"),
    [
        (AnbnData(lengths="uniform", longest=8), 16, "data.longest 8 makes 17 targets"),
        (GrammarData(rules=("S -> " + "a " * 9 + "[1]",)), 8, "data.rules: 0 of the sentences fit"),
        (SparseContextsData(symbols=8), 3, "model.context is 3; contexts of data.source"),
    ],
)
def test_what_does_not_fit_into_the_context_is_one_line(config, context, said):
    with pytest.raises(CorpusError) as error:
        load_corpus(config, context)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (AnbnData, {"q": 1.0}, "data.q is 1; it lies between 0 and 1"),
        (AnbnData, {"longest": 3}, "data.longest is for data.lengths uniform; drop it"),
        (AnbnData, {"lengths": "uniform", "q": 0.3}, "data.q is for data.lengths geometric"),
        (AnbnData, {"lengths": "uniform", "longest": 5000}, "data.longest is 5000; at most 1,024"),
        (AnbnData, {"lengths": "normal"}, 'data.lengths is "normal"; choose one of geometric'),
        (SparseContextsData, {"contexts": 6, "separable": False}, "data.contexts is 6; contexts"),
        (SparseContextsData, {"symbols": 4, "support": 5}, "data.support is 5; of 4 symbols"),
    ],
)
def test_settings_that_mean_nothing_are_one_line(kind, settings, said):
    with pytest.raises(ConfigError) as error:
        kind(**settings)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("separable", [True, False])
def test_a_linear_program_finds_sparse_contexts_separable_or_not(separable):
    """Def. 2 of Thrampoulidis 2024 on the means of one-hot embeddings."""
    from scipy.optimize import linprog

    config = SparseContextsData(symbols=5, contexts=8, separable=separable, validation_windows=8)
    corpus = load_corpus(config, 2)
    means = np.zeros((8, corpus.facts.vocab_size))
    for row, pair in zip(means, corpus.pairs, strict=True):
        row[pair] = 0.5
    equal, margin = [], []
    for mean, shares in zip(means, corpus.probabilities, strict=True):
        inside, outside = np.flatnonzero(shares > 0), np.flatnonzero(shares == 0)
        for group, others in ((equal, inside[1:]), (margin, outside)):
            for other in others:
                difference = np.zeros((5, len(mean)))
                difference[inside[0]], difference[other] = mean, -mean
                group.append(difference.ravel())
    found = linprog(
        np.zeros(len(equal[0])),
        A_eq=equal,
        b_eq=np.zeros(len(equal)),
        A_ub=-np.array(margin),
        b_ub=-np.ones(len(margin)),
        bounds=(None, None),
    )
    assert (found.status == 0) == separable
    assert corpus.facts.entropy > 0
