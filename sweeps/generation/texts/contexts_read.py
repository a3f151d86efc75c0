"""The contexts of a text as a trained decoder sees them: states, and what followed them."""

from dataclasses import dataclass

import numpy as np
import torch

from scaling.arrays import FloatArray
from scaling.errors import ConfigError
from scaling.words import counted
from sweeps.generation.kept_runs import KeptRun, check_continues
from sweeps.models.decoder.stack import Transformer

_TOGETHER = 1024  # contexts that are computed at once


@dataclass(frozen=True, kw_only=True)
class ContextsRead:
    """The most frequent contexts of a text, each so many tokens long."""

    states: FloatArray  # (contexts, width) what the head reads after each
    next_token: FloatArray  # (contexts, tokens) how often each token followed, as a share
    frequencies: FloatArray  # (contexts,) how often each occurs among these
    head: FloatArray  # (tokens, width) the model's own weights
    tokens: tuple[int, ...]  # those that occur in the text: the others are no part of it
    share: float  # of the places of the text that have one of these contexts


def contexts_read(run: KeptRun, text: bytes, *, length: int, most: int) -> ContextsRead:
    """The `most` most frequent contexts of `length` tokens in a text, of equally frequent ones
    those that come first in the order of their tokens.

    Raises ConfigError for a run that is no decoder of next tokens, a length beyond its context, no
    contexts, and a text of fewer tokens than one context and what follows it.
    """
    kept = run.read()
    check_continues(kept)
    model = kept.model
    if not isinstance(model, Transformer):
        raise ConfigError(
            f"run {kept.run_id}: a model of family {kept.family} has no states of a decoder"
        )
    if not 1 <= length <= model.context:
        raise ConfigError(
            f"length {length}: a context has 1 to {counted(model.context, 'token')} in run "
            f"{kept.run_id}"
        )
    if most < 1:
        raise ConfigError(f"contexts: {most}; give 1 or more")
    tokens = np.asarray(kept.vocabulary.encode(text), dtype=np.int64)
    if len(tokens) <= length:
        raise ConfigError(
            f"the text has {counted(len(tokens), 'token')}; a context of {length} and the token "
            f"after it take {length + 1}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)
    distinct, which, counts = np.unique(
        windows[:, :-1], axis=0, return_inverse=True, return_counts=True
    )
    chosen = np.sort(np.argsort(-counts, kind="stable")[:most])
    place = np.full(len(counts), -1)
    place[chosen] = np.arange(len(chosen))
    kept_places = place[which.ravel()]
    is_kept = kept_places >= 0
    occurring, numbers = np.unique(tokens, return_inverse=True)
    followed = np.zeros((len(chosen), len(occurring)))
    np.add.at(followed, (kept_places[is_kept], numbers[length:][is_kept]), 1.0)
    seen = followed.sum(axis=1)
    with torch.inference_mode():
        parts = [
            model.states(torch.from_numpy(some)[None])[0].unflatten(0, (len(some), length))[:, -1]
            for some in np.array_split(distinct[chosen], -(-len(chosen) // _TOGETHER))
        ]
        head = model.head[0].T[torch.from_numpy(occurring)].double().numpy()
    return ContextsRead(
        states=torch.cat(parts).double().numpy(),
        next_token=followed / seen[:, None],
        frequencies=seen / seen.sum(),
        head=head,
        tokens=tuple(occurring.tolist()),
        share=float(is_kept.mean()),
    )
