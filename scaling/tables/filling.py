"""Columns that a table lacks and others tell: sizes by names, tokens by steps, C = 6 N D."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.tables.cells.numbers import read_numbers, size_in_name
from scaling.tables.heading_words import any_of
from scaling.tables.notes import Note, NoteCode, printable

if TYPE_CHECKING:
    import pandas as pd

SIX_N_D = "C = 6 N D"
_THREE = ("params", "tokens", "train_flops")
_STEPS = any_of(
    "steps nsteps numsteps totalsteps trainsteps trainingsteps maxsteps optimizersteps iterations "
    "numiterations niterations totaliterations maxiterations trainiters"
)
_TOKENS_A_STEP = any_of(
    "batchtokens tokensperstep tokensperbatch tokensperiteration batchsizetokens tokenbatchsize "
    "globalbatchtokens globalbatchsizetokens batchsizeintokens"
)
_TOKENS_A_PARAM = any_of(
    "tokensperparam tokensperparameter tokensparam tokensparams tokensparameter tokensparameters "
    "tokenparamratio tokenparameterratio tokenstoparams tokensperparams tokensperparameters"
)
_EPOCHS = any_of("epochs numepochs nepochs totalepochs")
_NAMED = any_of("model modelname modelsize size name arch architecture modelid")
_ALMOST_ALL = 0.9  # of the rows, whose names tell a size


@dataclass(frozen=True)
class Filled:
    """A table with what follows from its other columns."""

    table: "pd.DataFrame"
    filled_in: Mapping[str, str]  # our name -> what it follows from
    unclear: Mapping[str, str]  # our name -> why the table has none
    notes: tuple[Note, ...]


def fill_in(table: "pd.DataFrame", unclear: Mapping[str, str]) -> Filled:
    """The sizes that follow from other columns; what is ``unclear`` follows from none.

    Tokens are steps times tokens a step, tokens a parameter times parameters, epochs times distinct
    tokens; params stand in the names of models where no column tells them; and C = 6 N D gives
    the third where two are there (Kaplan et al. 2020, arXiv:2001.08361).
    """
    filled: dict[str, str] = {}
    notes: list[Note] = []
    if "tokens" not in table and "tokens" not in unclear:
        for values, rule in _tokens(table):
            if values.notna().any():
                table, filled["tokens"] = table.assign(tokens=values), rule
                break
    if "params" not in {*table, *unclear}:
        for column in map(str, table.columns):
            sizes = sizes_by_name(column, table[column])
            if sizes is not None:
                cell = printable(table[column][sizes.first_valid_index()])
                told = f'"{cell}" is {sizes.dropna().iloc[0]:.10g}'
                table = table.assign(params=sizes)
                filled["params"] = f'the names in "{column}" ({told}), which are rounded'
                break
    missing = [name for name in _THREE if name not in table]
    if len(missing) == 1 and missing[0] not in unclear:
        (name,) = missing
        with np.errstate(all="ignore"):
            if name == "train_flops":
                values = 6 * table["params"] * table["tokens"]
            else:
                other = "params" if name == "tokens" else "tokens"
                values = table["train_flops"] / (6 * table[other])
        table, filled[name] = table.assign(**{name: values}), SIX_N_D
    elif untold := [unclear[name] for name in missing if name in unclear]:
        # whoever asks for what would follow from it is told the same
        unclear = dict.fromkeys(missing, untold[0]) | dict(unclear)
    notes = [
        Note(NoteCode.FILLED_IN, f"{name} computed from {how}") for name, how in filled.items()
    ]
    return Filled(table, filled, unclear, tuple(notes))


def _tokens(table: "pd.DataFrame") -> "Iterator[tuple[pd.Series, str]]":
    """Training tokens by each rule that the table has the columns for, and the rule."""
    by_flat = {re.sub(r"[^a-z0-9]", "", str(c).lower()): str(c) for c in reversed(table.columns)}
    by_flat |= {"tokensperparam": "D/N"} if "D/N" in table else {}

    def numbers(names: frozenset[str]) -> "tuple[str, pd.Series] | None":
        column = next((by_flat[name] for name in sorted(names) if name in by_flat), None)
        return None if column is None else (column, read_numbers(table[column])[0])

    steps, batch, ratio = numbers(_STEPS), numbers(_TOKENS_A_STEP), numbers(_TOKENS_A_PARAM)
    if steps and batch:
        yield steps[1] * batch[1], f'"{steps[0]}" x "{batch[0]}"'
    if ratio and "params" in table:
        yield ratio[1] * table["params"], f'"{ratio[0]}" x params'
    if "unique_tokens" in table:
        if epochs := numbers(_EPOCHS):
            yield epochs[1] * table["unique_tokens"], f'"{epochs[0]}" x unique_tokens'
        else:
            yield table["unique_tokens"], "unique_tokens, as if of one epoch"


def sizes_by_name(column: str, values: "pd.Series") -> "pd.Series | None":
    """The sizes that a column of names of models tells ("pythia-70m"); None where it does not."""
    if re.sub(r"[^a-z0-9]", "", column.lower()) not in _NAMED or values.dtype.kind in "fiubM":
        return None
    return sizes_in(values)


def sizes_in(values: "pd.Series") -> "pd.Series | None":
    """The one size that almost every cell of a column of text names; None where they do not."""
    known = {cell: size_in_name(cell) for cell in values.dropna().unique() if isinstance(cell, str)}
    sizes = values.map(known).astype("float64")
    return sizes if sizes.notna().mean() >= _ALMOST_ALL else None
