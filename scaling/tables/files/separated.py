"""Values between separators as a table: rows that do not fit the header are left out, with why."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.columns import canonical_name
from scaling.tables.cells.numbers import decimal_commas, has_thousands_by_points
from scaling.tables.files.headers import BLANKS, find_header
from scaling.tables.files.raw import BY_SEPARATOR, RawTable, decoded
from scaling.tables.notes import DroppedRow, Note, NoteCode, quoted
from scaling.words import counted

if TYPE_CHECKING:
    import pandas as pd


def separated(text: str, notes: tuple[Note, ...]) -> RawTable:
    """Values between separators, which the header tells; rows that do not fit it are left out."""
    import pandas as pd

    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = find_header(lines)
    above, separator, header = found.line, found.separator, found.names
    body = "\n".join(lines[above:])
    ids = {name: str for name in header if canonical_name(name) == "run_id"}
    dropped: tuple[DroppedRow, ...] = ()
    try:
        if "\x00" in body:
            raise pd.errors.ParserError("NUL")
        frame = pd.read_csv(
            io.StringIO(body),
            sep=separator,
            names=header,
            header=0,
            engine="c",
            low_memory=False,
            dtype=ids,
            skipinitialspace=True,
            index_col=None,
        )
        if not isinstance(frame.index, pd.RangeIndex):
            raise pd.errors.ParserError("longer")
        if separator != ",":
            frame = _with_thousands_by_points(frame, body, separator, header)
    except (pd.errors.ParserError, OverflowError):
        frame, dropped = _row_by_row(body, separator, header)
    if above or any(not line.strip() for line in lines[above : above + len(frame)]):
        frame.index = _line_numbers(lines, above, frame)
    return RawTable(frame, separator, dropped, notes + _titles_told(lines[:above], separator))


def read_text(path: str | Path) -> "pd.DataFrame":
    """A file of separated values with every cell as it is written. In its ``attrs``, under
    `BY_SEPARATOR`: whether no comma separates its columns. Raises ValueError or OSError."""
    import pandas as pd

    text, _ = decoded(Path(path).read_bytes())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = find_header(lines)
    frame = pd.read_csv(
        io.StringIO("\n".join(lines[found.line + 1 :])),
        sep=found.separator,
        names=found.names,
        header=None,
        index_col=None,
        dtype=str,
        keep_default_na=False,
    )
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more fields than the header")
    frame.attrs[BY_SEPARATOR] = found.separator not in ",|"
    return frame


def _with_thousands_by_points(
    frame: "pd.DataFrame", body: str, separator: str, header: list[str]
) -> "pd.DataFrame":
    """The table with columns as they are written, for who reads numbers, where 1.000 may be a
    thousand: other columns have decimal commas."""
    import pandas as pd

    if not any(decimal_commas(frame[c]) for c in frame if frame[c].dtype.kind not in "fiub"):
        return frame
    decimals = [name for name in frame if frame[name].dtype.kind == "f"]
    if not decimals:
        return frame
    written = pd.read_csv(
        io.StringIO(body),
        sep=separator,
        names=header,
        header=0,
        dtype=str,
        usecols=decimals,
        skipinitialspace=True,
        index_col=None,
    )
    found = [name for name in decimals if has_thousands_by_points(written[name])]
    return frame.assign(**{str(name): written[name].astype(object) for name in found})


def _titles_told(above: list[str], separator: str) -> tuple[Note, ...]:
    """What stands above a header and is neither a comment nor Excel's, if anything does."""
    titles = [line.strip(f'{separator}" \t') for line in above if not line.startswith("#")]
    titles = [title for title in titles if title and not title.lower().startswith("sep=")]
    if not titles:
        return ()
    text = f"the header is line {len(above) + 1}, below {quoted(titles, 1)}"
    return (Note(NoteCode.UNDERSTOOD, text),)


def _row_by_row(
    body: str, separator: str, header: list[str]
) -> "tuple[pd.DataFrame, tuple[DroppedRow, ...]]":
    """The rows that fit the header; those that do not are left out, each with its line."""
    import pandas as pd

    if separator == BLANKS:
        raise ValueError("rows have more fields than the header; name every column")
    rows, lines, dropped, too_long = [], [], [], 0
    reader = csv.reader(io.StringIO(body), delimiter=separator, skipinitialspace=True)
    next(reader)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            dropped.append(DroppedRow(f"row {reader.line_num}", f"unreadable ({error})"))
            continue
        while len(cells) > len(header) and not cells[-1].strip():
            cells = cells[:-1]
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header) or any("\x00" in cell for cell in cells):
            too_long += len(cells) > len(header)
            why = "has more fields than the header" if len(cells) > len(header) else "is damaged"
            dropped.append(DroppedRow(f"row {reader.line_num}", why))
            continue
        rows.append(cells + [""] * (len(header) - len(cells)))
        lines.append(reader.line_num - 2)
    if not rows:
        if too_long:
            raise ValueError("rows have more fields than the header; name every column")
        raise ValueError(f"no row can be read ({counted(len(dropped), 'row')} left out)")
    text = pd.DataFrame(rows, columns=header, index=lines, dtype=object)
    return text.replace("", None), tuple(dropped)


def _line_numbers(lines: list[str], above: int, frame: "pd.DataFrame") -> "pd.Index":
    """The index that counts lines of the file, where some above or between rows hold no row."""
    import pandas as pd

    at = [i - 1 for i, line in enumerate(lines) if i > above and line.strip()]
    return pd.Index(at) if len(at) == len(frame) else frame.index
