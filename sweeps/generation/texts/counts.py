"""How likely a text is by counting another: n-grams and the empirical distribution, for reference.

Each scored token has the share with which it followed its context in the text that was counted: no
token before it (unigram), one, two, or all that come before it in the scored text (the empirical
distribution). Nothing is smoothed, so a context that never came, or a token that never followed its
context, makes the loss infinite, and how many did is told.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.arrays import IntArray
from scaling.errors import ConfigError
from scaling.extra_columns.references import lacking
from scaling.words import counted
from sweeps.data.n_grams import Followed, n_grams, whole_prefixes
from sweeps.generation.kept_runs import KeptRun
from sweeps.generation.texts.scored_texts import ScoredText

MOST_BEFORE = 2  # tokens of an n-gram's context
MOST_COUNTED = 5_000_000  # tokens: more take gigabytes


@dataclass(frozen=True, kw_only=True)
class CountedScore:
    """What one way of counting says of a text."""

    run_id: str  # whose tokens were counted
    before: int | None  # tokens of each context; None: all that come before
    tokens: int  # that are scored
    counted_tokens: int
    nats_per_token: float  # infinite where a context or a token after it never came
    unseen_contexts: int  # scored tokens whose context never came
    unseen_tokens: int  # scored tokens that never followed a context that came

    @property
    def lacking(self) -> str:
        """What never came, in words; "" where all did."""
        return lacking(self.unseen_contexts, self.tokens, self.unseen_tokens)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; an infinite loss is none there."""
        nats = self.nats_per_token
        return {**vars(self), "nats_per_token": nats if math.isfinite(nats) else None}


def counted_scores(run: KeptRun, counted_text: bytes, scored: ScoredText) -> list[CountedScore]:
    """A scored text by counts of another in the run's own tokens, one entry a way.

    Raises ConfigError where the text to count has no two tokens, or too many.
    """
    seen = np.asarray(run.read().vocabulary.encode(counted_text), dtype=np.int64)
    if not 2 <= len(seen) <= MOST_COUNTED:
        raise ConfigError(
            f"the text to count has {counted(len(seen), 'token')}; give one of 2 to "
            f"{MOST_COUNTED:,}"
        )
    text = np.array([(*scored.given_tokens, *scored.tokens)], dtype=np.int64)
    return scores_of(seen, text, len(scored.given_tokens), scored.run_id)


def scores_of(seen: IntArray, text: IntArray, given: int, run_id: str) -> list[CountedScore]:
    """The tokens of a text, (1, length), behind the first `given`, by counts of `seen` (tokens,),
    one entry a way."""
    ways: list[tuple[int | None, Followed]] = [*enumerate(n_grams(seen, text, MOST_BEFORE))]
    ways.append((None, whole_prefixes(seen, text)))
    found = []
    for before, counts in ways:
        contexts, tokens = counts.contexts[0, given:], counts.tokens[0, given:]
        found.append(
            CountedScore(
                run_id=run_id,
                before=before,
                tokens=len(tokens),
                counted_tokens=len(seen),
                nats_per_token=float(counts.nats[0, given:].mean()),
                unseen_contexts=int((contexts == 0).sum()),
                unseen_tokens=int(((contexts > 0) & (tokens == 0)).sum()),
            )
        )
    return found
