"""Walks along the rows of a chain: token after token, or in blocks that are walked at once.

On a GPU a step along the rows is three kernels, each of which costs more than the tokens that it
computes. A walk in blocks takes all blocks of a sequence at once, from every state in which each
may begin, finds in which it does, and takes them again from there: steps in vain, for a tenth of
the launches. Both give the same tokens, as everything is whole numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

#: What a row of weights adds up to.
ROW_TOTAL = 1 << 32
#: Steps that a walk in blocks may take: by arithmetic about as long as the launches that it saves.
_MOST_STEPS = 1 << 27
#: Launches of a walk in blocks for each place of a block: three of a step, on both ways.
_LAUNCHES = 6


class Tables(NamedTuple):
    """A chain, as numpy or torch looks it up."""

    starts: Any
    """Running sums of the weights of its starts."""
    rows: Any
    """(states * symbols,) Running sums of all rows in one ascending array: row s is raised by
    s * ROW_TOTAL, so that one binary search finds a symbol in its own row."""
    after: Any
    """(states * symbols,) By what the row is raised of the state that follows each entry."""


def walk(uniforms: Iterable[Any], raised: Any, tables: Tables, search: Any) -> Iterator[Any]:
    """The entry of the rows that each place picks, place after place, from a row that is raised by
    so much; uniforms: random numbers below ROW_TOTAL."""
    for uniform in uniforms:
        entry = search(tables.rows, raised + uniform)
        yield entry
        raised = tables.after[entry]


def pays_in_blocks(uniforms: torch.Tensor, ways: int) -> bool:
    """Whether launches cost more than the steps in vain from so many states."""
    return uniforms.device.type != "cpu" and ways * uniforms.numel() <= _MOST_STEPS


def walk_in_blocks(
    uniforms: torch.Tensor,
    state: torch.Tensor,
    first: torch.Tensor,
    ways: int,
    tables: Tables,
    search: Any,
) -> torch.Tensor:
    """(places, sequences) The entries that `walk` gives for uniforms of that size.

    state: (sequences,) in which each begins; it and all that follow are among the `ways` states
    from `first` on, (sequences,).
    """
    import torch

    places, count = uniforms.shape
    length = max(1, round((places / _LAUNCHES) ** 0.5))
    blocks = -(-places // length)
    rest = uniforms.new_zeros(blocks * length - places, count)
    parts = torch.cat((uniforms, rest)).view(blocks, length, count).transpose(0, 1)
    states = first + torch.arange(ways, device=first.device)[:, None]  # (ways, sequences)
    last = deque(walk(parts[:, :-1, None], states * ROW_TOTAL, tables, search), maxlen=1)[0]
    ends = tables.after[last] // ROW_TOTAL - first
    begins = [(state - first)[None]]
    for end in ends:  # (ways, sequences), block after block
        begins.append(end.gather(0, begins[-1]))
    raised = (torch.cat(begins) + first) * ROW_TOTAL  # (blocks, sequences)
    found = torch.stack(list(walk(parts, raised, tables, search)), dim=1)
    return found.flatten(0, 1)[:places]
