"""Facts about simulated records."""

import numpy as np
import pytest

from scaling.errors import RecordError
from scaling.laws.curves import PowerLaw
from scaling.laws.surfaces import Chinchilla
from scaling.simulate import grid_of_runs, isoflop_runs, simulate_records

CHINCHILLA = Chinchilla.example()
RUNS = grid_of_runs([1e7, 1e8, 1e9], [5, 20, 80])


def test_without_noise_the_losses_are_the_laws():
    records = simulate_records(CHINCHILLA, RUNS)
    expected = CHINCHILLA.loss(records.column("params"), records.column("tokens"))
    np.testing.assert_allclose(records.column("loss"), expected, rtol=1e-14)  # log and back


def test_noise_has_the_asked_size():
    records = simulate_records(CHINCHILLA, RUNS, relative_noise=0.01, replicates=400, seed=3)
    truth = CHINCHILLA.loss(records.column("params"), records.column("tokens"))
    spread = np.std(np.log(records.column("loss") / truth))
    assert spread == pytest.approx(0.01, rel=0.05)  # 3600 normal draws: 3 sigma is 3.5%


def test_run_noise_is_shared_by_replicates():
    records = simulate_records(CHINCHILLA, RUNS, run_noise=0.01, replicates=2, seed=3)
    losses = records.column("loss").reshape(9, 2)
    np.testing.assert_array_equal(losses[:, 0], losses[:, 1])
    assert list(records.table["seed"][:4]) == [0, 1, 0, 1]


def test_the_same_seed_gives_the_same_records():
    one, two = (simulate_records(CHINCHILLA, RUNS, relative_noise=0.01, seed=7) for _ in range(2))
    assert one.data_hash == two.data_hash


def test_rows_may_be_given_in_the_order_of_the_inputs():
    law = PowerLaw(a=900.0, b=-0.15, c=1.7)
    records = simulate_records(law, [[1e18], [1e19], [1e20]])
    np.testing.assert_allclose(records.column("loss"), law.loss([1e18, 1e19, 1e20]), rtol=1e-14)


def test_isoflop_runs_spend_each_budget():
    runs = isoflop_runs([1e18, 1e19], [0.5, 1, 2], CHINCHILLA)
    np.testing.assert_allclose(6 * runs["params"] * runs["tokens"], runs["train_flops"], rtol=1e-14)
    assert runs["params"][2] == pytest.approx(CHINCHILLA.optimal_params(1e18))


def test_a_missing_input_is_named():
    with pytest.raises(RecordError, match="chinchilla needs the column tokens"):
        simulate_records(CHINCHILLA, {"params": [1e8, 1e9]})
