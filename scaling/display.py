"""How results show themselves: one list of blocks, as text in a terminal and HTML in a notebook."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells in columns: the first column to the left, the others to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A titled list of sentences; nothing where there are none."""

    title: str
    sentences: Sequence[str]


Block = str | Table | Section
"""A sentence (an empty one is a gap), a table or a section."""


def as_text(blocks: Iterable[Block], width: int | None = None) -> str:
    """The blocks as lines; with a ``width`` sentences are wrapped and wide tables cut in parts,
    each with the first column again."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Table):
            lines += table_lines(block, width)
        elif isinstance(block, Section):
            lines += section_lines(block, width)
        else:
            lines += _wrapped(block, width)
    return "\n".join(lines)


#: The section of what limits an answer.
LIMITS = "limits"


def answer_alone(blocks: Iterable[Block]) -> list[Block]:
    """The answer and what limits it, without what explains it: everything up to the first gap that
    follows a table and that no table follows, and the sections of limits."""
    listed = list(blocks)
    kept: list[Block] = []
    has_table = has_ended = False
    for block, following in zip(listed, [*listed[1:], ""], strict=True):
        if isinstance(block, Section):
            kept += [block] if block.title == LIMITS else []
            continue
        has_ended |= has_table and block == "" and not isinstance(following, Table)
        has_table |= isinstance(block, Table)
        kept += [] if has_ended else [block]
    return kept


def table_lines(table: Table, width: int | None = None) -> list[str]:
    """A table as lines."""
    cells = [list(table.header), *(list(row) for row in table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
    lines: list[str] = []
    for part in _parts(widths, width):
        lines += [""] if lines else []
        lines += [
            "  ".join(
                row[i].rjust(widths[i]) if i else row[i].ljust(widths[i]) for i in part
            ).rstrip()
            for row in cells
        ]
    return lines


def section_lines(section: Section, width: int | None = None) -> list[str]:
    """A section as lines, after an empty one."""
    if not section.sentences:
        return []
    items = (line for text in section.sentences for line in _wrapped(f"  - {text}", width, 4))
    return ["", f"{section.title}:", *items]


def _parts(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """The columns of each part of a table, so that none is wider than ``width``."""
    parts = [[0]]
    for column in range(1, len(widths)):
        taken = sum(widths[i] + 2 for i in parts[-1]) + widths[column]
        if width is not None and taken > width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _wrapped(sentence: str, width: int | None, hang: int = 2) -> list[str]:
    if width is None or len(sentence) <= width:
        return [sentence]
    indent = " " * (hang + len(sentence) - len(sentence.lstrip()) if hang == 2 else hang)
    return textwrap.wrap(
        sentence, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


_PAGE = """<div class="scaling-result"><style>
.scaling-result {line-height: 1.45; container-type: inline-size}
.scaling-result p, .scaling-result ul {max-width: 60em}
.scaling-result p {margin: .3em 0} .scaling-result p.head {font-weight: bold}
.scaling-result table {border-collapse: collapse; margin: .5em 0; display: block; overflow-x: auto}
.scaling-result th, .scaling-result td {text-align: right; padding: .15em .7em}
.scaling-result th, .scaling-result td {white-space: nowrap; font-variant-numeric: tabular-nums}
.scaling-result th:first-child, .scaling-result td:first-child {text-align: left}
.scaling-result td:first-child {white-space: normal}
.scaling-result thead th {border-bottom: 1px solid currentColor}
.scaling-result ul {margin: .2em 0; padding-left: 1.5em}
@container (max-width: 46rem) {
.scaling-result th, .scaling-result td {white-space: normal}
.scaling-result table.many tbody {display: block}
.scaling-result table.many thead {display: none}
.scaling-result table.many tr {display: grid; gap: .3em; padding: .4em 0}
.scaling-result table.many tr {grid-template-columns: repeat(auto-fill, minmax(8em, 1fr))}
.scaling-result table.many tr {border-bottom: 1px solid currentColor}
.scaling-result table.many td {display: block; padding: 0; text-align: left; white-space: normal}
.scaling-result table.many td:first-child {grid-column: 1 / -1; font-weight: bold}
.scaling-result table.many td:not(:first-child)::before {content: attr(data-head)}
.scaling-result table.many td::before {display: block; opacity: .7; font-size: .85em}
}
</style>
{%- for block in blocks %}
{%- if block is string %}
{%- if block.strip() %}<p{{ ' class=head' if loop.first }}>{{ block.strip() }}</p>{% endif %}
{%- elif block.header is defined %}<table{{ ' class=many' if block.header|length > 3 }}><thead><tr>
{%- for cell in block.header %}<th>{{ cell.strip() }}</th>{% endfor %}</tr></thead><tbody>
{%- for row in block.rows %}<tr>
{%- for cell in row %}<td data-head="{{ block.header[loop.index0].strip() }}">
{{- cell.strip() }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
{%- elif block.sentences %}<p>{{ block.title }}:</p><ul>
{%- for sentence in block.sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{%- endif %}
{%- endfor %}</div>"""


def as_html(blocks: Iterable[Block]) -> str:
    """The blocks as one HTML element with its own style; every text in it is escaped."""
    import jinja2

    return jinja2.Environment(autoescape=True).from_string(_PAGE).render(blocks=list(blocks))


class Displayed:
    """A result that shows itself in a terminal and in a notebook as the command line prints it."""

    def blocks(self) -> list[Block]:
        """What it says, block by block."""
        raise NotImplementedError

    def to_text(self) -> str:
        """What the command line prints of it."""
        return as_text(self.blocks())

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return as_text(self.blocks(), shutil.get_terminal_size().columns)

    def _repr_html_(self) -> str:
        return as_html(self.blocks())
