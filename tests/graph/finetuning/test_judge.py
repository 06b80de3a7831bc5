"""What vectors are worth: the probe against scikit-learn, gains against a slow loop."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from graph.finetuning.judge import PROBE_RIDGES, earned, gain_in_errors, probe, row_weights


def test_probe_is_a_ridge_on_the_observed() -> None:
    rng = np.random.default_rng(0)
    x, other, scores = rng.normal(size=(30, 4)), rng.normal(size=(7, 4)), rng.random((30, 3))
    scores[:12, 1] = np.nan
    scores[:, 2] = np.nan
    for guess, ridge in zip(probe(x, scores, other), PROBE_RIDGES, strict=True):
        np.testing.assert_allclose(guess[:, 0], Ridge(alpha=ridge).fit(x, scores[:, 0]).predict(other))
        np.testing.assert_allclose(guess[:, 1], Ridge(alpha=ridge).fit(x[12:], scores[12:, 1]).predict(other))
        np.testing.assert_allclose(guess[:, 2], np.nanmean(scores))


def test_earned_counts_the_observed_only() -> None:
    scores = np.array([[0.1, np.nan, 0.4], [0.5, 0.3, np.nan]])
    assert earned(np.array([[0.0, 9.0, 1.0], [0.2, 0.1, 9.0]]), scores).tolist() == [0.4, 0.5]


def test_each_group_weighs_the_same() -> None:
    weight = row_weights(["b", "a", "b", "b"], 4)
    assert weight == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6])
    assert row_weights(None, 4).tolist() == [0.25] * 4


def test_a_gain_is_measured_in_paired_standard_errors() -> None:
    old = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.0])
    new = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    gap = new - old
    assert gain_in_errors(new, old, np.full(6, 1 / 6)) == pytest.approx(gap.mean() / (gap.std() / np.sqrt(6)))
    assert gain_in_errors(old, new, np.full(6, 1 / 6)) < 0
    assert gain_in_errors(old, old, np.full(6, 1 / 6)) == 0
    assert gain_in_errors(old + 0.25, old, np.full(6, 1 / 6)) > 1e6
