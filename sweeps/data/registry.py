"""Which source delivers the corpus that a config describes."""

import functools
from collections.abc import Callable
from typing import Any

from scaling.errors import CorpusError
from sweeps.config.data import (
    AnbnData,
    BigramTasksData,
    DataConfig,
    GrammarData,
    MarkovData,
    PairsData,
    ShardsData,
    SparseContextsData,
    TextData,
)
from sweeps.config.images import ImagesData
from sweeps.data.images.source import load_images
from sweeps.data.sources.base import Corpus
from sweeps.data.sources.generated.corpus import load_bigram_tasks, load_markov
from sweeps.data.sources.generated.sentences import load_anbn, load_grammar
from sweeps.data.sources.generated.sparse_contexts import load_sparse_contexts
from sweeps.data.sources.pairs import load_pairs
from sweeps.data.sources.text import load_text
from sweeps.data.sources.token_shards import load_shards


@functools.lru_cache(maxsize=2)
def load_corpus(config: DataConfig, context: int) -> Corpus:
    """The corpus that the config names, for sequences of `context` targets.

    Raises CorpusError where its source has nothing to read, or less than one window on either side.
    """
    if type(config) not in LOADERS:
        raise CorpusError(
            f"data.source {config.source}: no loader; enter one in {__name__}.LOADERS"
        )
    return LOADERS[type(config)](config, context)


#: What loads the corpus of each source. A source from elsewhere enters its own where its config is
#: defined, so that workers, which import that module with the config, know it too.
LOADERS: dict[type[DataConfig], Callable[[Any, int], Corpus]] = {
    TextData: load_text,
    ShardsData: load_shards,
    MarkovData: load_markov,
    BigramTasksData: load_bigram_tasks,
    SparseContextsData: load_sparse_contexts,
    GrammarData: load_grammar,
    AnbnData: load_anbn,
    ImagesData: load_images,
    PairsData: load_pairs,
}
