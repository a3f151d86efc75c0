"""Greedy answers to many prompts or sources of different lengths, for shares of what is right."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from scaling.errors import ConfigError
from sweeps.generation.decoding.sampling import GREEDY, next_tokens
from sweeps.models.stacked import StackModel

_TOGETHER = 256  # sequences that are computed at once

Tokens = tuple[int, ...]


def greedy_answers(
    model: StackModel,
    prompts: Tensor,
    lengths: Tensor | None = None,
    *,
    tokens: int,
    end: int | None = None,
) -> list[Tokens]:
    """What a stack of one finds likeliest after each of prompts (prompts, length), of which the
    first `lengths`, (prompts,), tokens count (None: all): at most so many tokens, to where no place
    is left, or to the token `end`, which is then the last.

    A model that reads its prompt with what follows takes those of each length together, so that no
    padding comes between; one with an encoder takes them as sources, and attends to no padding.
    Texts are those of `next_tokens` at these shapes of a batch: another batch rounds otherwise.

    Raises ConfigError as that does, and for no tokens.
    """
    if tokens < 1:
        raise ConfigError(f"{tokens} tokens to sample: it is a number from 1")
    if lengths is None:
        lengths = torch.full((len(prompts),), prompts.shape[-1])
    found: dict[int, Tokens] = {}
    if not len(prompts):
        return []
    for rows in _batches(model, lengths):
        some = lengths[rows]
        longest = int(some.max())
        given = prompts[rows, :longest]
        if model.source_tokens:  # of what is no source, whatever the padding is
            given = torch.where(torch.arange(longest) < some[:, None], given, given[:, :1])
        answers = _answers(model, given, some, tokens, end)
        found |= zip(rows.tolist(), answers, strict=True)
    return [found[row] for row in range(len(prompts))]


def _batches(model: StackModel, lengths: Tensor) -> Iterator[Tensor]:
    """The numbers of prompts that are computed together, by their lengths."""
    order = lengths.argsort(stable=True)
    if model.source_tokens:
        yield from order.split(_TOGETHER)
        return
    for length in lengths.unique():
        yield from order[lengths[order] == length].split(_TOGETHER)


def _answers(
    model: StackModel, prompts: Tensor, lengths: Tensor, tokens: int, end: int | None
) -> list[Tokens]:
    steps: list[Tensor] = []
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    for step in next_tokens(model, prompts, tokens=tokens, lengths=lengths, rule=GREEDY):
        steps.append(step[0].cpu())
        ended |= steps[-1] == end if end is not None else False
        if ended.all():
            break
    rows: Sequence[list[int]] = torch.stack(steps, dim=1).tolist()
    return [tuple(row[: row.index(end) + 1] if end in row else row) for row in rows]
