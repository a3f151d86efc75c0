"""A ladder that a reader can picture, shared by the tests of figures and reports."""

import matplotlib

matplotlib.use("Agg")

import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from analysis.evaluation.sealed import Seal, SealedTarget  # noqa: E402
from analysis.intervals import Interval  # noqa: E402
from scaling.laws.surfaces import Chinchilla  # noqa: E402
from scaling.records import Records, records_from_table  # noqa: E402
from scaling.simulate import isoflop_runs, simulate_records  # noqa: E402

TRUTH = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
BUDGETS = [1e18, 3e18, 1e19, 3e19, 1e20]


@pytest.fixture(scope="session")
def truth() -> Chinchilla:
    """The law that made the ladder."""
    return TRUTH


@pytest.fixture(scope="session")
def ladder() -> Records:
    """Five budgets of four sizes, two seeds, 0.3% noise; one held-out run at 1e21, one diverged."""
    sizes = [0.35, 0.7, 1.4, 2.8]
    fitted = simulate_records(
        TRUTH, isoflop_runs(BUDGETS, sizes, TRUTH), relative_noise=0.003, replicates=2, seed=5
    ).table.assign(held_out=False, status="finished")
    hidden = simulate_records(
        TRUTH, isoflop_runs([1e21], [1.0], TRUTH), relative_noise=0.003, seed=6
    ).table.assign(held_out=True, status="finished", run_id="hidden")
    diverged = fitted.tail(1).assign(status="diverged", loss=float("nan"), run_id="diverged")
    table = pd.concat([fitted, hidden, diverged], ignore_index=True)
    return records_from_table(table, source="ladder.csv")


@pytest.fixture
def seal():
    """A forecast of one run that was sealed before it was trained."""
    target = SealedTarget(
        at={"params": 1e9, "tokens": 2e10},
        asked=("params", "tokens"),
        median=2.5,
        intervals={0.5: Interval(2.45, 2.55), 0.9: Interval(2.4, 2.6)},
        decades_beyond=1.0,
    )
    return Seal(
        name="bet",
        sealed_at="2026-01-02T03:04:05+00:00",
        source="ladder.csv",
        data_hash="0",
        seen_runs=(),
        recipe="",
        code_version="1",
        law="auto",
        targets=(target,),
    )
