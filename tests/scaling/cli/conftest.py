"""Runs that the tests of the command share."""

import pytest

from tests.grids import grid_of_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A noisy ladder of 25 runs as a CSV, under other people's column names."""
    path = tmp_path_factory.mktemp("cli") / "runs.csv"
    theirs = {"params": "N", "tokens": "D", "loss": "val_loss"}
    grid_of_runs(5).rename(columns=theirs).to_csv(path, index=False)
    return str(path)
