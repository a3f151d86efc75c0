"""Continued prompts and scored texts, as a terminal shows them."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scaling.display import Table as Lines
from scaling.display import as_text
from scaling.samples import Ending
from scaling.words import counted
from sweeps.generation.texts.continuations import ContinuedPrompt
from sweeps.generation.texts.counts import CountedScore
from sweeps.generation.texts.scored_texts import ScoredText

_NARROWEST = 24  # columns of a terminal that text is read in


def side_by_side(found: Sequence[ContinuedPrompt], width: int) -> str:
    """What several runs make of a prompt, a column each, as many beside each other as are read."""
    at_once = max(1, width // _NARROWEST)
    parts = [found[first : first + at_once] for first in range(0, len(found), at_once)]
    return "\n\n".join(_columns(part, width) for part in parts)


def scores_text(found: Sequence[ScoredText]) -> str:
    """What several runs say of a text, a row each."""
    header = (
        *("run", "parameters", "tokens", "log-likelihood", "nats a token"),
        *("perplexity", "bits per byte", "what"),
    )
    rows = [
        (
            f"{one.name} ({one.run_id})",
            "-" if one.run.params is None else f"{one.run.params:,}",
            f"{len(one.tokens):,}",
            f"{one.score.total:.6g}",
            f"{-one.score.total / len(one.tokens):.4f}",
            f"{one.score.perplexity:.4g}",
            "-" if one.score.bits_per_byte is None else f"{one.score.bits_per_byte:.4f}",
            one.kind,
        )
        for one in found
    ]
    return as_text([Lines(header, rows)])


def counts_text(found: Sequence[CountedScore]) -> str:
    """What counts of another text say of a text, a row a way."""
    header = ("counted", "tokens before", "nats a token", "unseen")
    rows = [
        (
            f"{counted(one.counted_tokens, 'token')} of {one.run_id}",
            "all" if one.before is None else str(one.before),
            f"{one.nats_per_token:.4f}" if math.isfinite(one.nats_per_token) else "infinite",
            one.lacking or "-",
        )
        for one in found
    ]
    return as_text([Lines(header, rows)])


def _columns(found: Sequence[ContinuedPrompt], width: int) -> str:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for one in found:
        size = "" if one.run.params is None else f"{one.run.params:,} parameters"
        loss = "" if one.run.loss is None else f"loss {one.run.loss:.4g}"
        head = [line for line in (one.name, one.run_id, size, loss) if line]
        grid.add_column(Text("\n".join(head)), ratio=1, overflow="fold")
    for row in zip(*(one.continuations for one in found), strict=True):
        grid.add_row(*("" for _ in found))
        grid.add_row(*(Text(f"{part.text.rstrip()}{_mark(part.ending)}") for part in row))
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(grid, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _mark(ending: Ending) -> str:
    """What is seen of how a text ended."""
    return "" if ending is Ending.TOKENS else f" [{ending.words}]"
