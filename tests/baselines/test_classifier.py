"""The logistic head: class-weighted in training, true to frequencies afterwards, and its numbers against slow twins."""

import numpy as np
import pytest
from scipy.special import expit

from baselines.classifier import PENALTIES, Classifier, quality, reliability


def make(count: int, seed: int, level: float = -2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    truth = expit(x @ np.array([1.0, -1.0, 0.5, 0.0]) + level)
    return x, (rng.random(count) < truth).astype(float), truth


def test_rare_labels_keep_their_frequency() -> None:
    x, y, _ = make(3000, 0)
    held, held_y, _ = make(1000, 1)
    new, _, truth = make(1000, 2)
    found = Classifier.fit(x, y, held, held_y)
    assert found.chosen in PENALTIES
    assert found.probability(new).mean() == pytest.approx(truth.mean(), abs=0.02)
    assert np.abs(found.probability(new) - truth).mean() < 0.03
    alone = Classifier.fit(x, y, held[:0], held_y[:0])
    assert alone.probability(new).mean() == pytest.approx(truth.mean(), abs=0.05), "the weights are taken back"


def test_graded_labels_are_shares_of_both() -> None:
    x, _, truth = make(2000, 0)
    held, _, held_truth = make(500, 1)
    found = Classifier.fit(x, truth, held, held_truth)
    assert np.abs(found.probability(x) - truth).mean() < 0.02


@pytest.mark.parametrize(("label", "low", "high"), [(0.0, 0.0, 0.05), (1.0, 0.95, 1.0)])
def test_one_class_teaches_a_constant(label: float, low: float, high: float) -> None:
    x, _, _ = make(50, 0)
    found = Classifier.fit(x, np.full(50, label), x, np.full(50, label)).probability(x)
    assert low < found[0] < high
    assert np.ptp(found) == 0


def test_without_rows_nothing_is_known() -> None:
    none = np.zeros((0, 4))
    assert Classifier.fit(none, none[:, 0], none, none[:, 0]).probability(np.ones((1, 4)))[0] == pytest.approx(0.5)


def test_the_numbers_by_hand() -> None:
    probability, label = np.array([0.9, 0.8, 0.6, 0.3, 0.2, 0.1]), np.array([1, 0, 1, 0, 1, 0])
    found = quality(probability, label)
    pairs = [(p > q) + 0.5 * (p == q) for p in probability[label == 1] for q in probability[label == 0]]
    assert found["auroc"] == pytest.approx(np.mean(pairs))
    assert found["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["best_f1"] == pytest.approx(0.75)
    assert found["best_cut"] == 0.2
    assert found["brier"] == pytest.approx(np.mean((probability - label) ** 2))
    assert found["ece"] == pytest.approx(np.mean(np.abs(probability - label))), "one row per bin"
    assert found["positives"] == 0.5


def test_one_class_has_no_auroc() -> None:
    assert np.isnan(quality(np.array([0.2, 0.4]), np.zeros(2))["auroc"])


def test_bins_have_about_equal_counts() -> None:
    mean, share, count = reliability(np.linspace(0, 1, 103), (np.linspace(0, 1, 103) > 0.5).astype(float), 10)
    assert count.sum() == 103
    assert np.ptp(count) <= 1
    assert (np.diff(mean) > 0).all()
    assert share[0] == 0
    assert share[-1] == 1


def test_validation_chooses_how_far_to_shrink() -> None:
    rng = np.random.default_rng(0)
    noise, toss = rng.normal(size=(2, 80, 30)), rng.integers(0, 2, (2, 80)).astype(float)
    assert Classifier.fit(noise[0], toss[0], noise[1], toss[1]).chosen == min(PENALTIES)
    x, y, _ = make(2000, 0)
    held, held_y, _ = make(2000, 1)
    assert Classifier.fit(0.03 * x, y, 0.03 * held, held_y).chosen == max(PENALTIES), (
        "small features need large weights"
    )
