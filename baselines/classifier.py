"""A logistic head on the features of prompts: class-weighted, its penalty chosen and its probabilities calibrated on
validation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from graph.platt import MARGIN, Platt

PENALTIES = (0.03, 0.1, 0.3, 1.0)  # scikit-learn's C: lower shrinks more
MIDDLE = 0.1  # without validation rows
STEPS = 200
CUT = 0.5  # probability from which on a prompt counts as one that needs the strong LLM
BINS = 10


class Classifier:
    """The probability of label 1 given features x: `platt` of the score `x @ weights + bias`."""

    def __init__(self, weights: np.ndarray, bias: float, platt: Platt, chosen: float = 0.0) -> None:
        self.weights = weights
        self.bias = bias
        self.platt = platt
        self.chosen = chosen

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> Classifier:
        """Fit on `x` (N, d) and labels `y` (N,) in [0, 1]; choose and calibrate on `held_x` (M, d), `held_y` (M,).

        A graded label counts as that much of a 1 and the rest of a 0. Both classes weigh the same in training; the
        calibration takes that back. Of one class alone nothing is learnt: the probability is the same for all.
        """
        ones, zeros = float(y.sum()), float((1 - y).sum())
        if not len(y) or min(ones, zeros) <= 0:
            return cls.constant(x.shape[1], (ones + 1) / (len(y) + 2))
        # Weighting moved the log-odds of every row by this; from there the calibration starts.
        start = Platt(1.0, float(np.log(ones / zeros)))
        best: tuple[float, Classifier] | None = None
        for penalty in PENALTIES if len(held_y) else (MIDDLE,):
            weights, bias = _logistic(x, y, penalty)
            platt = Platt.fit(held_x @ weights + bias, held_y, start)
            found = cls(weights, bias, platt, penalty)
            loss = _cross_entropy(found.probability(held_x), held_y)
            if best is None or loss < best[0]:
                best = loss, found
        assert best is not None
        return best[1]

    @classmethod
    def constant(cls, width: int, probability: float) -> Classifier:
        """Return the classifier that gives every prompt the same probability, kept off 0 and 1 by `MARGIN`."""
        kept = float(np.clip(probability, MARGIN, 1 - MARGIN))
        return cls(np.zeros(width), 0.0, Platt(1.0, float(np.log(kept / (1 - kept)))))

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Return (N,) calibrated probabilities in (0, 1)."""
        return self.platt.probability(x @ self.weights + self.bias)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays)."""
        settings = {"slope": self.platt.slope, "level": self.platt.level, "bias": self.bias, "chosen": self.chosen}
        return settings, {"weights": self.weights}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Classifier:
        """Build the fitted object back from `state`."""
        platt = Platt(settings["slope"], settings["level"])
        return cls(arrays["weights"], settings["bias"], platt, settings["chosen"])


def quality(probability: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Return how good probabilities (N,) are against labels (N,) of 0 and 1.

    `auroc` 1/2 for chance, NaN with one class; `f1` of label 1 at `CUT`; `best_f1` the highest at any cut, here
    `best_cut`; `brier` mean squared error; `ece` expected calibration error, the mean distance of probability and
    frequency over `BINS` bins of equal count; `positives` the share of label 1.
    """
    hard = np.asarray(label) > 0.5
    both = 0 < hard.sum() < len(hard)
    cuts = np.unique(np.quantile(probability, np.linspace(0, 1, 101), method="higher"))
    f1s = [float(f1_score(hard, probability >= cut, zero_division=0.0)) for cut in cuts]
    mean, share, count = reliability(probability, hard)
    return {
        "auroc": float(roc_auc_score(hard, probability)) if both else float("nan"),
        "f1": float(f1_score(hard, probability >= CUT, zero_division=0.0)),
        "best_f1": max(f1s),
        "best_cut": float(cuts[int(np.argmax(f1s))]),
        "brier": float(((probability - hard) ** 2).mean()),
        "ece": float((np.abs(mean - share) * count).sum() / count.sum()),
        "positives": float(hard.mean()),
    }


def reliability(
    probability: np.ndarray, label: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (K,) mean probability, share of label 1 and count of K <= `bins` bins of about equal count."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    mean = np.array([probability[part].mean() for part in parts])
    share = np.array([np.asarray(label, dtype=float)[part].mean() for part in parts])
    return mean, share, np.array([len(part) for part in parts])


def _logistic(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Return (weights (d,), bias) of class-weighted logistic regression; a graded label is a row of either class."""
    half = len(y) / 2
    weight = np.concatenate([y * half / y.sum(), (1 - y) * half / (1 - y).sum()])
    used = np.flatnonzero(weight > 0)
    label = np.repeat([1, 0], len(y))
    rows = used % len(y)
    with warnings.catch_warnings():
        # The number of steps is a fixed budget: the last digits change no decision.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=penalty, max_iter=STEPS).fit(x[rows], label[used], sample_weight=weight[used])
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])


def _cross_entropy(probability: np.ndarray, label: np.ndarray) -> float:
    return float(-(label * np.log(probability) + (1 - label) * np.log1p(-probability)).sum())
