"""A line that shows how far a tokenization is."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scaling.words import counted
from sweeps.data.tokens.tokenize import TokenizeProgress


class TokenizeDisplay:
    """Use it as a context around `tokenize_corpus` and pass `show` as its ``on_progress``."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._line = self._progress.add_task("reading", total=None)

    def __enter__(self) -> "TokenizeDisplay":
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing; the last line stays."""
        self._progress.stop()

    def show(self, progress: TokenizeProgress) -> None:
        """Take one report into the line."""
        self._progress.update(
            self._line,
            completed=progress.text_bytes,
            total=progress.input_bytes,
            description=(
                f"{counted(progress.documents, 'document')}, {progress.tokens:,} tokens, "
                f"{counted(progress.shards, 'shard')}"
            ),
        )
