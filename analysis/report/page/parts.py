"""Sections of the report that show a result as its own verb prints it: the same blocks, with the
same numbers, in every form of the report."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.report.findings import Findings
from analysis.report.tables.cells import Table
from analysis.report.tables.groups import group_forecasts_table
from analysis.report.words.apart import heading_of_laws
from analysis.text import compared, discovery, evaluation, fitting, next_runs, published
from analysis.text.numbers import in_print
from scaling.display import Block, Section
from scaling.display import Table as Cells
from scaling.tables.notes import printable
from scaling.version import installed_version

#: Facts by which runs are known, and what each is called.
_SAME_IN_ALL = {
    "recipe": "Recipe",
    "family": "Family of models",
    "data": "Training data",
    "tokenizer_hash": "Tokenizer",
    "eval_hash": "Evaluation set",
}
_EQUATION = re.compile(r"\d+\. \S.* = ")  # a form with its number, as it is typed
_MOST = 4  # values of each that are listed


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section: its place in the page, its heading, and what it says, piece by piece."""

    id: str
    heading: str
    pieces: tuple[str | Table | Section, ...]
    picture: str = ""
    """The figure that belongs to it, by name."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Its tables alone."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Table))


def parts_of(findings: Findings) -> tuple[Part, ...]:
    """Every such section that these findings have, in the order of the page."""
    return tuple(_parts(findings))


def _parts(findings: Findings) -> Iterator[Part]:
    if still_open := findings.provisional:
        blocks = next_runs.provisional_blocks(still_open)
        yield Part(id="open", heading="What is still open", pieces=_pieces(blocks))
    if (groups := findings.groups) is not None:
        blocks = [block for fit in groups.fits for block in fitting.grouped_blocks(fit)]
        if groups.predictions is not None:
            blocks = [*fitting.grouped_prediction_blocks(groups.predictions), *blocks]
        if groups.backtests is not None:
            blocks += evaluation.groups_scored_blocks(groups.backtests)
        told = group_forecasts_table(findings, groups)
        pieces = (*((told,) if told.rows else ()), *_pieces(blocks))
        if pieces:
            yield Part(id="groups", heading=f"Groups by {printable(groups.by)}", pieces=pieces)
    if (found := findings.discovery) is not None:
        heading = heading_of_laws(found)
        fitted = any(set(law.columns) == set(found.inputs) for law in findings.laws)
        blocks = discovery.discovery_blocks(found, constants=not fitted)[1:]
        pieces = _pieces(blocks)
        yield Part(id="discovery", heading=heading, pieces=pieces, picture="hidden runs")
    if findings.comparison is not None:
        other = findings.comparison
        blocks = compared.comparison_blocks(other)
        blocks.insert(1, compared.verdict_line(other.verdict()))
        heading = f"Compared with {printable(other.b, most=60)}"
        yield Part(id="compared", heading=heading, pieces=_pieces(blocks), picture="comparison")
    if findings.proposal is not None:
        blocks = next_runs.next_runs_blocks(findings.proposal)
        yield Part(id="next", heading="What to run next", pieces=_pieces(blocks))
    if findings.published is not None:
        blocks = published.published_blocks(findings.published)[1:]
        heading = "Findings that the field quotes, on these runs"
        yield Part(id="quoted", heading=heading, pieces=_pieces(blocks))
    yield Part(id="identity", heading="What this page is of", pieces=(_identity(findings),))


def _identity(findings: Findings) -> Table:
    """By what a reader finds the runs again, and tells whether they are the same ones."""
    records = findings.records
    rows = [
        ("Source", printable(records.source, most=400)),
        ("Data hash of the runs", records.data_hash),
        ("Version of the toolkit", installed_version()),
    ]
    for name, what in _SAME_IN_ALL.items():
        if name in records:
            values = sorted(map(str, records.table[name].dropna().unique()))
            if values:
                more = f" and {len(values) - _MOST} more" * (len(values) > _MOST)
                listed = ", ".join(printable(value) for value in values[:_MOST])
                rows.append((what, f"{listed}{more}"))
    rows += [(f"Digest of the seal {one.seal.name}", one.seal.digest) for one in findings.seals]
    rows += [(f"Runs of {name}", address) for name, address in findings.links.items()]
    return Table(head=("What", "Is"), rows=tuple(rows))


def _pieces(blocks: Sequence[Block]) -> tuple[str | Table | Section, ...]:
    """Blocks of a terminal as pieces of a page: sentences with a capital and a stop, no gaps."""
    pieces: list[str | Table | Section] = []
    for block in blocks:
        if isinstance(block, Cells):
            head = tuple(f"{cell[:1].upper()}{cell[1:]}" for cell in block.header)
            pieces.append(Table(head=head, rows=tuple(map(tuple, block.rows))))
        elif isinstance(block, Section):
            if block.sentences:
                told = [in_print(text) for text in block.sentences]
                pieces.append(Section(f"{block.title[:1].upper()}{block.title[1:]}", told))
        elif _EQUATION.match(block):
            pieces.append(block.strip())
        elif block.strip():
            pieces.append(f"{in_print(block.strip())}.")
    return tuple(pieces)
