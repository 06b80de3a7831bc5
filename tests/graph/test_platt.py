"""Scores become probabilities: too sure ones are taken back, and no order is turned around."""

import numpy as np
import pytest
from scipy.special import expit

from graph.platt import Platt


def test_the_temperature_that_made_the_labels_is_found() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(size=20_000)
    label = (rng.random(20_000) < expit(logit - 1)).astype(float)
    found = Platt.fit(4 * logit, label)
    assert found.slope == pytest.approx(0.25, abs=0.01)
    assert found.level == pytest.approx(-1, abs=0.05)
    assert found.probability(4 * logit).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_graded_labels_are_shares_of_both() -> None:
    x = np.array([-1.0, 0.0, 1.0] * 50)
    graded = Platt.fit(x, np.array([0.2, 0.5, 0.8] * 50))
    whole = Platt.fit(np.repeat(x, 10), np.concatenate([[0.0] * round(10 - 10 * y) + [1.0] * round(10 * y)
                                                        for y in [0.2, 0.5, 0.8] * 50]))  # fmt: skip
    assert graded.slope == pytest.approx(whole.slope, rel=0.05)
    assert graded.level == pytest.approx(whole.level, abs=0.01)


def test_little_data_moves_little_and_none_nothing() -> None:
    start = Platt(2.0, -1.0)
    assert Platt.fit(np.zeros(0), np.zeros(0), start) == start
    one = Platt.fit(np.array([1.0]), np.array([0.0]), start)
    assert abs(one.slope - 2) < 1
    assert abs(one.level + 1) < 3
    turned = Platt.fit(np.array([-1.0, 1.0] * 500), np.array([1.0, 0.0] * 500))
    assert turned.slope > 0, "what is the wrong way round tells nothing, but keeps its order"
    np.testing.assert_allclose(turned.probability(np.array([-1.0, 1.0])), 0.5, atol=0.01)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=100), rng.integers(0, 2, 100).astype(float)
    rows = rng.permutation(100)
    assert Platt.fit(x, y) == Platt.fit(x[rows], y[rows])
