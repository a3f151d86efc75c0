"""A ladder of exact losses as a table of somebody's, and what fits and notes make of it."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.fitting.fit import fit_as_asked

CASES = Path(__file__).parents[2] / "data" / "tables"


def law_of(records, law="chinchilla", **how):
    return fit_as_asked(records, law, bootstrap=0, card=False, **how).law


def floor_of(records):
    return law_of(records).E


def said(records):
    return " | ".join(note.text for note in records.told)


def grid(sizes=(2e7, 6e7, 2e8, 6e8), ratios=(10, 30, 90), floor=1.7):
    """A table of exact losses E + A N^-.34 + B D^-.28."""
    n = np.repeat(sizes, len(ratios))
    d = n * np.tile(ratios, len(sizes))
    return pd.DataFrame({"N": n, "D": d, "val_loss": floor + 400 / n**0.34 + 410 / d**0.28})
