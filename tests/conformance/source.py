"""What every source of training data keeps. Subclass SourceContract, and say how to load one."""

import pytest
import torch


class SourceContract:
    """Facts that hold whatever is delivered. A subclass gives `load`."""

    few_sequences = False
    """Whether so few sequences are possible that those held back are read, too."""

    def load(self, place, *, other=False):
        """A corpus whose files lie in a folder; `other`: the same but for some of its content."""
        raise NotImplementedError

    @pytest.fixture
    def corpus(self, tmp_path):
        return self.load(tmp_path / "one")

    @staticmethod
    def assert_equal(one, other):
        pairs = zip((*one.seen, one.targets), (*other.seen, other.targets), strict=True)
        for mine, given in pairs:
            assert torch.equal(mine, given)

    @staticmethod
    def rows(batch):
        """Each sequence's inputs and targets, as bytes."""
        found = zip(batch.inputs.flatten(0, -2), batch.targets.flatten(0, -2), strict=True)
        return {inputs.numpy().tobytes() + targets.numpy().tobytes() for inputs, targets in found}

    def test_a_batch_has_the_sizes_that_were_asked_for(self, corpus):
        batch = corpus.batches(seed=1, first=2, last=5, sequences=4)
        assert batch.inputs.shape == batch.targets.shape == (3, 4, corpus.context)
        assert batch.inputs.dtype == batch.targets.dtype == torch.int64
        assert batch.weights is None or batch.weights.shape == batch.targets.shape
        assert corpus.batch(seed=1, step=2, sequences=4).inputs.shape == (4, corpus.context)

    def test_what_is_read_is_a_function_of_seed_and_step(self, corpus, tmp_path):
        again = self.load(tmp_path / "one")
        first = corpus.batches(seed=1, first=0, last=4, sequences=3)
        self.assert_equal(first, again.batches(seed=1, first=0, last=4, sequences=3))
        other = corpus.batches(seed=2, first=0, last=4, sequences=3)
        assert not torch.equal(first.inputs, other.inputs)

    def test_the_cut_into_calls_and_steps_changes_nothing(self, corpus):
        whole = corpus.batches(seed=1, first=0, last=8, sequences=3)
        part = corpus.batches(seed=1, first=2, last=6, sequences=3)
        self.assert_equal(whole.mapped(lambda tokens: tokens[2:6]), part)
        self.assert_equal(whole.unbind()[7], corpus.batch(seed=1, step=7, sequences=3))
        joined = corpus.batches(seed=1, first=0, last=4, sequences=6)
        self.assert_equal(
            whole.mapped(lambda tokens: tokens.flatten(0, 1)),
            joined.mapped(lambda tokens: tokens.flatten(0, 1)),
        )

    def test_tokens_lie_in_the_vocabulary(self, corpus):
        facts = corpus.facts
        used = facts.used_vocab_size or facts.vocab_size
        for batch in (corpus.batches(seed=1, first=0, last=20, sequences=4), corpus.validation):
            for tokens in (*batch.seen, batch.targets):
                assert 0 <= int(tokens.min()) <= int(tokens.max()) < used <= facts.vocab_size

    def test_the_validation_set_is_fixed_and_nobody_trains_on_it(self, corpus, tmp_path):
        held = corpus.validation
        assert held.inputs.shape == (corpus.facts.validation_sequences, corpus.context)
        self.assert_equal(held, self.load(tmp_path / "one").validation)
        for seed in range(0 if self.few_sequences else 3):
            read = corpus.batches(seed=seed, first=0, last=50, sequences=4)
            assert not self.rows(held) & self.rows(read)

    def test_facts_follow_the_content(self, corpus, tmp_path):
        again, other = self.load(tmp_path / "again"), self.load(tmp_path / "two", other=True)
        assert again.facts == corpus.facts
        assert other.facts.data_hash != corpus.facts.data_hash
