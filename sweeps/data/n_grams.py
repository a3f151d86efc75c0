"""How often tokens followed their contexts in a text: n-grams, and the empirical distribution.

Each place of a row of tokens has its own token and a context: so many tokens before it, or as many
as the row has there (n-grams), or all that the row has before it (the empirical distribution).
Nothing is smoothed but where it is said.
"""

from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What was counted for every place of rows of tokens: (rows, length) each."""

    contexts: IntArray
    """How often its context came with any token after it."""
    tokens: IntArray
    """How often with its own token after it."""

    @property
    def nats(self) -> FloatArray:
        """-ln of the share with which its token followed its context; infinite where it never did,
        or the context never came."""
        with np.errstate(divide="ignore"):
            found: FloatArray = np.log(np.maximum(self.contexts, 1)) - np.log(self.tokens)
        return found


@dataclass(frozen=True, kw_only=True)
class NGrams(Followed):
    """The same of contexts of so many tokens."""

    kinds: IntArray
    """How many different tokens came after the context."""


def n_grams(seen: IntArray, rows: IntArray, before: int) -> list[NGrams]:
    """What was counted in a text `seen` (tokens,), for contexts of no token, of one, and so on up
    to `before`."""
    size = int(max(seen.max(initial=0), rows.max(initial=0))) + 1
    found: list[NGrams] = []
    for length in range(before + 1):
        asked = _codes(rows, length + 1, size)
        grams, counts = np.unique(_codes(seen, length + 1, size), return_counts=True)
        contexts, firsts = np.unique(grams // size, return_index=True)
        totals = np.add.reduceat(counts, firsts) if len(firsts) else counts
        kinds = np.diff(np.append(firsts, len(grams)))
        found.append(
            NGrams(
                contexts=_at(contexts, totals, asked // size),
                tokens=_at(grams, counts, asked),
                kinds=_at(contexts, kinds, asked // size),
            )
        )
    return _with_beginnings(found)


def interpolated_nats(found: list[NGrams], tokens: int) -> list[FloatArray]:
    """-ln of each probability (rows, length), an entry for each of `n_grams`: the share with
    which its token followed its context, interpolated with the next shorter context's as Witten and
    Bell do (Chen and Goodman 1996, ACL, p. 310): a context of c tokens and k different ones counts
    c / (c + k). The shortest one's is interpolated with 1 / `tokens`, the number that can occur."""
    lower: FloatArray = np.full(found[0].tokens.shape, 1.0 / tokens)
    nats = []
    for before, one in enumerate(found):
        together = np.maximum(one.contexts + one.kinds, 1)
        blended = (one.tokens + one.kinds * lower) / together
        is_longer = np.arange(lower.shape[1]) >= before  # than what `lower` has counted already
        lower = np.where(is_longer & (one.contexts > 0), blended, lower)
        nats.append(-np.log(lower))
    return nats


def whole_prefixes(seen: IntArray, rows: IntArray) -> Followed:
    """What was counted where a place's context is everything before it in its row."""
    size = int(max(seen.max(initial=0), rows.max(initial=0))) + 1
    contexts, tokens = np.zeros_like(rows, dtype=np.int64), np.zeros_like(rows, dtype=np.int64)
    ends = np.arange(len(seen))  # where what follows a prefix that came stands in the text
    which = np.zeros(len(seen), dtype=np.int64)  # number of that prefix, among those of the rows
    own = np.zeros(len(rows), dtype=np.int64)  # of each row; those that never came are left out
    left = np.arange(len(rows))
    for place in range(rows.shape[1]):
        inside = ends < len(seen)
        ends, which = ends[inside], which[inside]
        contexts[left, place] = np.bincount(which, minlength=own.max(initial=0) + 1)[own]
        longer = own * size + rows[left, place]
        prefixes, own = np.unique(longer, return_inverse=True)
        reached = which * size + seen[ends]
        numbers = np.searchsorted(prefixes, reached).clip(max=len(prefixes) - 1)
        goes_on = prefixes[numbers] == reached
        ends, which = ends[goes_on] + 1, numbers[goes_on]
        times = np.bincount(which, minlength=len(prefixes))[own]
        tokens[left, place] = times
        left, own = left[times > 0], own[times > 0]
        if not len(left):
            break
    return Followed(contexts=contexts, tokens=tokens)


def _codes(tokens: IntArray, count: int, size: int) -> IntArray:
    """(..., length - count + 1) A number for each run of so many tokens."""
    room = max(0, tokens.shape[-1] - count + 1)
    codes = np.zeros((*tokens.shape[:-1], room), dtype=np.int64)
    for offset in range(count):
        codes = codes * size + tokens[..., offset : offset + room]
    return codes


def _at(keys: IntArray, values: IntArray, asked: IntArray) -> IntArray:
    """The values of those of the sorted keys that are asked for; 0 of what is none of them."""
    if not len(keys):
        return np.zeros_like(asked)
    places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    found: IntArray = np.where(keys[places] == asked, values[places], 0)
    return found


def _with_beginnings(found: list[NGrams]) -> list[NGrams]:
    """With the places at the beginning of each row, whose contexts are as long as there are
    tokens."""
    whole = found[:1]
    for length, one in enumerate(found[1:], start=1):
        shorter = whole[-1]
        whole.append(
            NGrams(
                **{
                    name: np.concatenate([array[..., :length], getattr(one, name)], axis=-1)
                    for name, array in vars(shorter).items()
                }
            )
        )
    return whole
