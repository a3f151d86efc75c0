"""How likely a text is by counting another: n-grams and the empirical distribution, for reference.

Each scored token has the share with which it followed its context in the text that was counted: no
token before it (unigram), one, two, or all that come before it in the scored text (the empirical
distribution). Nothing is smoothed, so a context that never came, or a token that never followed its
context, makes the loss infinite, and how many did is told.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.generation.kept_runs import KeptRun
from sweeps.generation.scored_texts import ScoredText

N_GRAMS = (0, 1, 2)  # tokens of the context
MOST_COUNTED = 5_000_000  # tokens: more take gigabytes

Tokens = tuple[int, ...]


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
        found = []
        if self.unseen_contexts:
            found.append(f"{self.unseen_contexts:,} of {self.tokens:,} contexts unseen")
        if self.unseen_tokens:
            times = counted(self.unseen_tokens, "token")
            found.append(f"{times} never seen after the context")
        return ", ".join(found)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; an infinite loss is none there."""
        nats = self.nats_per_token
        return {**vars(self), "nats_per_token": nats if math.isfinite(nats) else None}


def counted_scores(run: KeptRun, counted_text: bytes, scored: ScoredText) -> list[CountedScore]:
    """A scored text by counts of another in the run's own tokens, one entry a way.

    Raises ConfigError where the text to count has no two tokens, or too many.
    """
    seen = tuple(run.read().vocabulary.encode(counted_text))
    if not 2 <= len(seen) <= MOST_COUNTED:
        raise ConfigError(
            f"the text to count has {counted(len(seen), 'token')}; give one of 2 to "
            f"{MOST_COUNTED:,}"
        )
    text, given = (*scored.given_tokens, *scored.tokens), len(scored.given_tokens)
    n_grams = zip(N_GRAMS, _of_n_grams(seen, text, given), strict=True)
    ways = [*n_grams, (None, _of_prefixes(seen, text, given))]
    return [_scored(scored.run_id, before, pairs, len(seen)) for before, pairs in ways]


def _scored(
    run_id: str, before: int | None, pairs: Sequence[tuple[int, int]], seen: int
) -> CountedScore:
    """From how often each context came, and how often the token after it."""
    whole = all(token for _, token in pairs)
    nats = math.fsum(math.log(context / token) for context, token in pairs) if whole else math.inf
    return CountedScore(
        run_id=run_id,
        before=before,
        tokens=len(pairs),
        counted_tokens=seen,
        nats_per_token=nats / len(pairs),
        unseen_contexts=sum(not context for context, _ in pairs),
        unseen_tokens=sum(bool(context) and not token for context, token in pairs),
    )


def _of_n_grams(seen: Tokens, text: Tokens, given: int) -> Iterator[list[tuple[int, int]]]:
    """For each of `N_GRAMS`: how often the context of each scored token came with a token after it,
    and with its own. At the beginning of a text contexts are as long as there are tokens."""
    longest = max(N_GRAMS) + 1
    tallies = [
        Counter(zip(*(seen[i:] for i in range(n)), strict=False)) for n in range(1, longest + 1)
    ]

    def times(context: tuple[int, ...]) -> int:
        if not context:
            return len(seen)
        return tallies[len(context) - 1][context] - (tuple(seen[-len(context) :]) == context)

    for before in N_GRAMS:
        windows = (tuple(text[max(0, i - before) : i + 1]) for i in range(given, len(text)))
        yield [(times(one[:-1]), tallies[len(one) - 1][one]) for one in windows]


def _of_prefixes(seen: Tokens, text: Tokens, given: int) -> list[tuple[int, int]]:
    """The same where the context is everything before."""
    after, found = list(range(len(seen))), []  # where what follows the prefix stands
    for token in text:
        follows = [place for place in after if seen[place] == token]
        found.append((len(after), len(follows)))
        after = [place + 1 for place in follows if place + 1 < len(seen)]
    return found[given:]
