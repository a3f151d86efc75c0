"""What all forms together said of runs while these were hidden from them."""

from collections.abc import Sequence

import numpy as np

from analysis.discovery.blocks import Block
from analysis.discovery.ensemble import Ensemble
from analysis.discovery.reading import SearchedRuns
from analysis.discovery.result import HiddenRuns
from analysis.intervals import LEVEL
from scaling.arrays import FloatArray

MOST_TOLD = 500  # runs of a block; of more, as many of them, evenly in the order of the table


def hidden_runs(
    ensemble: Ensemble, blocks: Sequence[Block], read: SearchedRuns
) -> tuple[HiddenRuns, ...]:
    """The hidden runs of every block, with median and 90% interval of a new run there."""
    names = read.records.row_names
    return tuple(
        _of_block(ensemble, number, block, read, names) for number, block in enumerate(blocks)
    )


def _of_block(
    ensemble: Ensemble, number: int, block: Block, read: SearchedRuns, names: Sequence[str]
) -> HiddenRuns:
    own = np.flatnonzero(block.hidden)
    told = np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST_TOLD)).round().astype(int))
    rows, table = own[told], read.table
    found = ensemble.predict_hidden(number, rows)
    low, middle, high = (found.quantile((1 + side * LEVEL) / 2) for side in (-1, 0, 1))
    return HiddenRuns(
        along=block.along,
        count=len(own),
        rows=tuple(names[row] for row in rows),
        groups=() if read.by is None else tuple(read.groups[g] for g in table.group[rows]),
        at={name: _plain(x[rows]) for name, x in zip(table.names, table.inputs.T, strict=True)},
        beyond=() if block.beyond is None else _plain(block.beyond[told]),
        measured=_plain(table.y[rows]),
        median=_plain(middle),
        low_90=_plain(low),
        high_90=_plain(high),
    )


def _plain(values: FloatArray) -> tuple[float, ...]:
    return tuple(values.tolist())
