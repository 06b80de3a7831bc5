"""Scores to probabilities that keep their word: a temperature and a level, fitted on held-out rows (Platt 1999).

With few rows the map stays near the one it starts from; it never turns an order around.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

RIDGE = np.array([1.0, 0.1])  # on slope and level, in units of rows: some hundred rows decide alone
MARGIN = 1e-6  # probabilities keep this distance from 0 and 1
LEAST_SLOPE = 1e-3  # what tells nothing still keeps its order


@dataclasses.dataclass(frozen=True)
class Platt:
    """The probability expit(`level` + `slope`·score); `slope` above 0 is 1 / temperature."""

    slope: float = 1.0
    level: float = 0.0

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray, start: Platt | None = None) -> Platt:
        """Return the map of highest likelihood, drawn towards `start`.

        Shapes: `scores` (N,) of any scale near that of log-odds, `labels` (N,) in [0, 1], graded ones allowed. Without
        rows it is `start`. The order of rows does not matter.
        """
        first = start or cls()
        if not len(scores):
            return first
        order = np.lexsort((labels, scores))
        x, y = np.asarray(scores, dtype=np.float64)[order], np.asarray(labels, dtype=np.float64)[order]
        origin = np.array([first.slope, first.level])

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            logit = weights[1] + weights[0] * x
            away = weights - origin
            error = expit(logit) - y
            value = (np.logaddexp(0.0, logit) - y * logit).sum() + 0.5 * (RIDGE * away**2).sum()
            return float(value), np.array([error @ x, error.sum()]) + RIDGE * away

        found = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)])
        return cls(float(found.x[0]), float(found.x[1]))

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Return (N,) probabilities, rising with the scores."""
        return expit(self.level + self.slope * np.asarray(scores, dtype=np.float64)).clip(MARGIN, 1 - MARGIN)
