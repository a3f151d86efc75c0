"""Facts about batches that are made before they are asked for."""

import hashlib
import threading

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sweeps.data.registry import load_corpus
from sweeps.data.sources.generated.corpus import GeneratedCorpus
from sweeps.data.sources.generated.markov_chains import bigram_tasks, markov_chain
from sweeps.data.sources.generated.walks import Tables, pays_in_blocks
from sweeps.planning.plan import plan_sweep
from sweeps.training.ahead import Ahead
from sweeps.training.batches import batches_of
from sweeps.training.stack import Stack


@pytest.fixture
def setting(tiny_config):
    load_corpus.cache_clear()
    plan = plan_sweep(tiny_config).runs[0]
    return plan, load_corpus(tiny_config.data, plan.shape.context), tiny_config.launch


def test_what_was_made_ahead_is_what_would_have_been_made(setting):
    plan, corpus, _ = setting
    expected = batches_of([plan], corpus, 3, 7)
    ahead = Ahead(corpus)
    ahead.begin([plan], 3, 7)
    ahead.wait()
    (key,) = corpus._prepared
    assert key[1:] == (3 * plan.settings.batch_sequences, 7 * plan.settings.batch_sequences)
    assert torch.equal(batches_of([plan], corpus, 3, 7).inputs, expected.inputs)
    assert not corpus._prepared  # it was used, and is not kept
    ahead.close()


def test_what_nobody_has_read_is_not_kept(setting):
    plan, corpus, _ = setting
    ahead = Ahead(corpus)
    for first in (0, 4, 8):
        ahead.begin([plan], first, first + 4)
        ahead.wait()
    assert len(corpus._prepared) == 1
    ahead.begin([plan], 12, 12)
    ahead.wait()  # nothing to make
    ahead.close()


def test_what_a_source_raises_in_its_thread_is_raised_where_it_is_read(setting, monkeypatch):
    plan, corpus, _ = setting
    monkeypatch.setattr(type(corpus), "host_part", lambda *_: 1 / 0)
    ahead = Ahead(corpus)
    ahead.begin([plan], 0, 1)
    with pytest.raises(ZeroDivisionError):
        ahead.wait()
    ahead.close()


def test_a_stack_that_reads_ahead_trains_as_one_that_does_not(setting, monkeypatch):
    """On a CPU none does, so one is made to."""
    plan, corpus, launch = setting
    sides, threads = [], set()
    original = type(corpus).host_part

    def noted(self, *arguments):
        threads.add(threading.current_thread() is threading.main_thread())
        return original(self, *arguments)

    monkeypatch.setattr(type(corpus), "host_part", noted)
    for reads_ahead in (False, True):
        stack = Stack([plan], corpus, launch.changed(speed={"inner_steps": 7}))
        assert stack._ahead is None
        stack._ahead = Ahead(corpus) if reads_ahead else None
        threads.clear()
        stack.advance(20)
        sides.append(stack.losses.clone())
        assert threads == ({True, False} if reads_ahead else {True})  # the first chunk is not ahead
        stack.close()
    assert torch.equal(*sides)


CHAINS = {
    "Markov": markov_chain(symbols=3, order=2, concentration=0.5, seed=2),
    "tasks": bigram_tasks(symbols=2, tasks=3, zipf=1.5, concentration=0.5, seed=4),
}


class Counted(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def walked(name, seeds, context=33, **options):
    """(seeds, sequences, context + 1) Tokens of a chain, and the operations that made them."""
    chain = CHAINS[name]
    tables = Tables(*map(torch.from_numpy, chain.tables))
    numbers = torch.arange(18, 30)
    with Counted() as counted:
        tokens = chain.sequences_on(numbers, context + 1, seeds, 0, tables, **options)
    return tokens, counted.count


SEEDS = [1, 5, 2**40 + 3, 0]


@pytest.mark.parametrize("name", CHAINS)
def test_a_generated_source_makes_all_replicas_tokens_in_one_walk(name):
    chain = CHAINS[name]
    corpus = GeneratedCorpus(facts=None, held_back=np.empty((0, 0)), context=33, chain=chain)
    alone = [corpus.batches(seed, 3, 5, 6) for seed in SEEDS]
    with Counted() as of_one:
        corpus.batches_of_seeds(SEEDS[:1], 3, 5, 6)
    with Counted() as of_all:
        together = corpus.batches_of_seeds(SEEDS, 3, 5, 6)
    for one, other, seed in zip(alone, together, SEEDS, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        by_numpy = chain.sequences(np.arange(18, 30), 34, seed, 0).reshape(2, 6, 34)
        np.testing.assert_array_equal(other.inputs.numpy(), by_numpy[..., :-1])
    assert of_all.count <= of_one.count + 2 * len(SEEDS)  # views of each replica's part


@pytest.mark.parametrize("context", [3, 4, 5, 33, 150])
@pytest.mark.parametrize("name", CHAINS)
def test_walked_in_blocks_all_tokens_are_the_same(name, context):
    in_turn, _ = walked(name, SEEDS, context, in_blocks=False)
    in_blocks, _ = walked(name, SEEDS, context, in_blocks=True)
    assert torch.equal(in_turn, in_blocks)


@pytest.mark.parametrize("name", CHAINS)
def test_a_walk_in_blocks_launches_less_often_than_it_has_places(name):
    """Of 512 tokens, with the random numbers; eight or nine a token, 4,800 in all, came before."""
    _, in_turn = walked(name, SEEDS, 512, in_blocks=False)
    _, in_blocks = walked(name, SEEDS, 512, in_blocks=True)
    assert in_turn < 3 * 512 + 300
    assert in_blocks < 400


def test_a_walk_is_in_blocks_where_launches_cost_more_than_steps_in_vain():
    here, there = torch.empty(512, 1000), torch.empty(512, 1000, device="meta")
    assert [pays_in_blocks(there, ways) for ways in (16, 1000)] == [True, False]
    assert not pays_in_blocks(here, 16)


#: SHA-256 of the tokens of four seeds, as they were before there were walks in blocks.
STORED = {
    "Markov": "045b1b41aaa84f1ae044fad50b531d397b18e5be55b39374e38d80c84cd87dda",
    "tasks": "4748bd0d0d11b0b036df43eeba54f7345c483655ca7f7b7a7adf48c1822aadbe",
}


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_tokens_are_what_they_were(name, in_blocks):
    tokens, _ = walked(name, SEEDS, 150, in_blocks=in_blocks)
    assert hashlib.sha256(tokens.numpy().astype("<i8").tobytes()).hexdigest() == STORED[name]
