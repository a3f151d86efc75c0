"""Where a verb's result goes: a file, and standard output as text or as one JSON document."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.display import Section, as_text
from scaling.errors import ConfigError
from scaling.limits import texts
from scaling.tables.notes import notes_beside, plain

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis.decisions.further_runs.provisional import Provisional
    from analysis.display import DrawnResult
    from scaling.extra_columns.references import References
    from scaling.limits import Limit
    from scaling.tables.notes import Note

Arguments = argparse.Namespace


def say(text: str, end: str = "\n") -> None:
    """Print to standard error, whatever the text was made from."""
    print(plain(text), end=end, file=sys.stderr, flush=True)


def put(text: str, end: str = "\n") -> None:
    """Print an answer to standard output, whatever the text was made from."""
    print(plain(text), end=end)


def stream(text: str) -> None:
    """Print a part of an answer to standard output at once, whatever it was made from."""
    print(plain(text), end="", flush=True)


def tell(arguments: Arguments, limits: "Iterable[Limit]" = ()) -> None:
    """Say on standard error how the runs were read, where nothing else of the verb does; what
    ``limits`` have told of rows is not told again."""
    if lines := _notes_text(arguments, limits):
        say(lines.strip())


def _notes_text(arguments: Arguments, limits: "Iterable[Limit]" = ()) -> str:
    told = as_text([notes_beside(getattr(arguments, "notes", ()), limits)])
    return f"\n{told}" if told else ""


def held_against(arguments: Arguments) -> "Section":
    """What the losses of the runs are held against, in sentences; none where nothing is known."""
    found: References | None = getattr(arguments, "references", None)
    lines = [
        f"{line.name}{f' ({line.about})' * bool(line.about)}: {line.in_words}"
        for line in (found.lines if found else ())
    ]
    return Section("losses are held against", [*lines, *(found.told if found else ())])


def _with_notes(document: str, arguments: Arguments) -> str:
    """The document, or each of a list of them, with what was made of the table it rests on; those
    of a verb that reads several keep their own."""
    notes: Sequence[Note] = getattr(arguments, "notes", ())
    references: References | None = getattr(arguments, "references", None)
    found: Provisional | None = getattr(arguments, "provisional", None)
    answered = json.loads(document)
    told = [{"code": note.code.value, "text": note.text} for note in notes]
    for one in answered if isinstance(answered, list) else [answered]:
        one["notes"] = told or one.get("notes", [])
        if references is not None and references.lines:
            one["reference_lines"] = [line.to_dict() for line in references.lines]
        if found is not None:
            one["provisional"] = json.loads(found.to_json())
    return indented(answered)


def _provisional_text(arguments: Arguments) -> str:
    """The cells that would change the answer, after a gap; nothing where all are measured."""
    found: Provisional | None = getattr(arguments, "provisional", None)
    return "" if found is None else f"\n\n{found.to_text()}"


def indented(value: Any, depth: int = 1) -> str:
    """What ``json.dumps(value, indent=1)`` writes, a list of a million numbers many times faster;
    ValueError for a number that is not finite."""
    before, after = "\n" + depth * " ", "\n" + (depth - 1) * " "
    if isinstance(value, dict) and value:
        pairs = (f"{json.dumps(k)}: {indented(v, depth + 1)}" for k, v in value.items())
        return f"{{{before}{f',{before}'.join(pairs)}{after}}}"
    if isinstance(value, list) and value:
        if not {dict, list} & set(map(type, value)):
            inside = json.dumps(value, separators=(f",{before}", ": "), allow_nan=False)[1:-1]
            return f"[{before}{inside}{after}]"
        return f"[{before}{f',{before}'.join(indented(v, depth + 1) for v in value)}{after}]"
    return json.dumps(value, allow_nan=False)


def answer(
    document: str,
    text: Callable[[], str],
    arguments: Arguments,
    limits: "Iterable[Limit]" = (),
    beside: "Section | None" = None,
) -> None:
    """Save the JSON document where -o says, and print it or its text, as `show` does."""
    save(document, arguments)
    show(document, text, arguments, limits, beside)


def save(document: str, arguments: Arguments) -> None:
    """Write the JSON document where -o says, if it does."""
    if arguments.output:
        write(_with_notes(document, arguments) + "\n", arguments.output)


def write(text: str, path: str) -> None:
    """Write a text file, with the folders above it."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def save_table(table: "DataFrame", arguments: Arguments) -> None:
    """Write a table as CSV where -o says, or to standard output."""
    try:
        if arguments.output:
            Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(arguments.output, index=False)
        else:
            put(table.to_csv(index=False), end="")
    except OSError as error:
        raise ConfigError(f"{arguments.output}: cannot be written ({error.strerror})") from error


def draw(found: "DrawnResult", arguments: Arguments) -> None:
    """Draw a result where --figure says, if it does; after its answer, which no mistake of the
    figure's place shall cost."""
    if arguments.figure:
        found.save_figure(arguments.figure)
        say(f"figure: {arguments.figure}")


def say_beside(arguments: Arguments, limits: "Iterable[Limit]") -> None:
    """Say on standard error what stands around an answer that is a table of values alone: what
    limits it, the cells that would change it, and how the runs were read."""
    told = as_text([Section("limits", texts(limits))])
    text = f"{told}{_provisional_text(arguments)}{_notes_text(arguments, limits)}".strip()
    if text:
        say(text)


def show(
    document: str | Callable[[], str],
    text: Callable[[], str],
    arguments: Arguments,
    limits: "Iterable[Limit]" = (),
    beside: "Section | None" = None,
) -> None:
    """Print the JSON document, or what a person reads; one that is long may be made on demand.

    ``limits`` are those in the text: what they tell of the table's rows is not told again below.
    ``beside`` is no part of the answer and stands below it.
    """
    if arguments.json:
        put(_with_notes(document if isinstance(document, str) else document(), arguments))
        return
    open_ones = _provisional_text(arguments)
    if arguments.quiet:
        put(f"{text()}{open_ones}")
        return
    further = f"\n{as_text([beside])}" if beside and beside.sentences else ""
    put(f"{text()}{further}{open_ones}{_notes_text(arguments, limits)}")
