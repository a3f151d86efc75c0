"""Columns that make groups of runs, which are answered each by itself."""

from dataclasses import replace

from scaling.records import Records
from scaling.tables.rows.configurations import parts_of, repeats_note


def in_groups(records: Records, column: str) -> Records:
    """The same runs, of which the groups by this column are answered each by itself: what is told
    of rows of equal size and tokens is told of those of one group."""
    name = records.name_of(column)
    if name not in records or records.grouped_by == name:
        return records
    notes = [*records.notes]
    pooled = repeats_note(records.table, records.is_finished)
    if pooled in notes:
        notes.remove(pooled)
        index, is_finished = records.table.index, records.is_finished
        own = [
            repeats_note(part, is_finished[index.get_indexer(part.index)])
            for part in parts_of(records.table, name)
        ]
        notes += [note for note in dict.fromkeys(own) if note is not None]
    return replace(records, notes=tuple(notes), grouped_by=name)
