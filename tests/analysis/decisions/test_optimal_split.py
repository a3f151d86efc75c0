"""Facts about what a split says of itself."""

import numpy as np

from analysis import allocate
from scaling.laws import Chinchilla
from scaling.limits import LimitCode
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.7, A=400.0, B=410.0, alpha=0.34, beta=0.28)


def extrapolated(ratios):
    runs = isoflop_runs(np.geomspace(1e18, 1e20, 5), ratios, LAW)
    records = simulate_records(LAW, runs, relative_noise=0.002, seed=1)
    (split,) = allocate(records, 3e20)
    texts = [limit.text for limit in split.limits if limit.code is LimitCode.EXTRAPOLATED]
    return split, [text for text in texts if "tokens per parameter" in text]


def test_a_split_with_tokens_per_parameter_that_no_run_had_says_so():
    split, said = extrapolated([0.1, 0.15, 0.2, 0.3])  # all far too small for their tokens
    assert len(said) == 1
    assert f"{split.tokens / split.params:.3g} tokens per parameter lie outside" in said[0]


def test_a_split_among_the_tokens_per_parameter_of_the_runs_says_nothing_of_them():
    assert extrapolated([0.25, 0.5, 1.0, 2.0, 4.0])[1] == []
