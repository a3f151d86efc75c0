"""Which source delivers the corpus that a config names, and the one that reads text into memory."""

import functools

from sweeps.config.data import DataConfig
from sweeps.data.sources.base import Corpus, CorpusFacts, WindowOrder
from sweeps.data.sources.known_entropy import load_bigram_tasks, load_markov
from sweeps.data.sources.text import load_text, split_documents
from sweeps.data.sources.token_shards import load_shards

__all__ = ["Corpus", "CorpusFacts", "WindowOrder", "load_corpus", "split_documents"]


@functools.lru_cache(maxsize=2)
def load_corpus(config: DataConfig, context: int) -> Corpus:
    """The corpus that the config names, for sequences of `context` targets.

    Raises CorpusError where its source has nothing to read, or less than one window on either side.
    """
    return _SOURCES[config.source](config, context)


_SOURCES = {
    "text": load_text,
    "shards": load_shards,
    "markov": load_markov,
    "bigram-tasks": load_bigram_tasks,
}
