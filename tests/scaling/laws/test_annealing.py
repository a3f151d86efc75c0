"""Facts about the areas of a learning-rate schedule, which the law of annealing reads."""

import numpy as np
import pytest

from scaling.laws.annealing import annealing_areas


def test_a_constant_rate_anneals_nothing_and_spends_itself_each_step():
    spent, annealed = annealing_areas(np.full(10, 0.3))
    np.testing.assert_allclose(spent, 0.3 * np.arange(1, 11), rtol=1e-12)  # rounding
    assert not annealed.any()


def test_a_warm_up_takes_nothing_off():
    assert not annealing_areas(np.linspace(0.1, 1.0, 10))[1].any()


def test_the_annealing_area_is_the_double_sum_of_the_paper():
    rates, memory = np.array([1.0, 1.0, 0.7, 0.4, 0.4, 0.1]), 0.9
    area = sum(
        (rates[k - 1] - rates[k]) * memory ** (i - k) for i in range(1, 6) for k in range(1, i + 1)
    )
    assert annealing_areas(rates, memory)[1][-1] == pytest.approx(area, rel=1e-12)


def test_without_memory_the_area_is_what_the_rate_has_fallen():
    rates = np.array([1.0, 0.8, 0.5, 0.5, 0.0])
    np.testing.assert_allclose(annealing_areas(rates, 0.0)[1], 1 - rates, atol=1e-15)
