"""How likely the chosen LLM is to be (tied for) the best for this user and query: a calibrated probability.

Expected utilities rank LLMs but do not say how sure the ranking is, and their scale depends on the user. Two small fits
on validation turn them into a probability. A softmax with one temperature (Guo et al. 2017, arXiv 1706.04599) gives the
log-odds of the top LLM against all others, so that many near rivals count as many. A ridge logistic regression (Platt
scaling) maps these log-odds to a frequency, with level and slope that follow the user's preference: for one who ignores
cost, answers of equal performance tie; for one who minds it a little, the best is the cheapest right answer, which is
far harder to hit. Without the preference, errors in opposite directions cancel in the mean and stay in every user.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logsumexp

KNOTS = np.linspace(0.0, 1.0, 6)  # of the preference; level and slope are linear between them
NUM_SLOPES = 2 + len(KNOTS)
NUM_WEIGHTS = 1 + NUM_SLOPES + 2 + len(KNOTS)
RIDGE = 1.0  # on raw weights: measured flat from 0.3 to 3, from 108 rows (12 queries) to 2,500
LOG_ODDS_LIMIT = 10.0
TEMPERATURES = (1e-3, 1e2)  # searched, as shares of the typical spread of utilities within a row
MAX_ROWS = 100_000  # a dozen weights do not need more
MARGIN = 1e-6  # probabilities keep this distance from 0 and 1 wherever there is a choice


class Confidence:
    """The fitted calibration. `temperature` is None where there was nothing to fit on: every probability is then NaN.

    `weights`: (NUM_WEIGHTS,) level, slopes on the log-odds (none below 0), then what moves the level. Shapes below: N
    rows, one per (user, query); L LLMs.
    """

    def __init__(self, temperature: float | None, weights: np.ndarray) -> None:
        self.temperature = temperature
        self.weights = weights

    @classmethod
    def fit(cls, scores: np.ndarray, best: np.ndarray, preference: np.ndarray | None = None) -> Confidence:
        """Fit on validation rows; on train rows, which the policy has learnt, it would come out too sure.

        `scores` (N, L) are expected utilities, -inf where nothing was observed. `best` (N, L) bool marks the observed
        LLMs of highest true reward, several where tied. `preference` (N,) in [0, 1] is what the router believes of the
        row's user, NaN where it has no meaning (personas); None: of nobody. Rows with fewer than two observed LLMs
        teach nothing and are left out; the order of rows and columns does not matter.

        Raises `ValueError` for arrays that do not fit together, NaN or +inf in `scores`, a preference outside [0, 1],
        and a row without a best LLM or with one that was not observed.
        """
        scores, alpha = _checked(scores, preference)
        best = _checked_best(scores, best)
        useful = np.isfinite(scores).sum(axis=1) >= 2
        if not useful.any():
            return cls(None, np.zeros(NUM_WEIGHTS))
        gaps, best, alpha = _in_order(_gaps(scores[useful]), best[useful], alpha[useful])
        temperature = _temperature(gaps, best)
        # Where several LLMs share the top score, each is as much the chosen one as the others.
        top = gaps == 0
        hit = (top & best).sum(axis=1) / top.sum(axis=1)
        return cls(temperature, _logistic(_features(_log_odds(gaps, temperature), alpha), hit))

    def probability(self, scores: np.ndarray, preference: np.ndarray | None = None) -> np.ndarray:
        """Return (N,) probabilities in (0, 1) that the LLM of highest score is among the best of its row.

        Rises with the lead over every other LLM. Exactly 1 where only one LLM is to be had; NaN where none is, or
        nothing was fitted. Arguments as of `fit`, with which it shares the errors.
        """
        scores, alpha = _checked(scores, preference)
        if self.temperature is None:
            return np.full(len(scores), np.nan)
        offered = np.isfinite(scores).sum(axis=1)
        result = np.where(offered == 1, 1.0, np.nan)
        rows = offered >= 2
        features = _features(_log_odds(_gaps(scores[rows]), self.temperature), alpha[rows])
        result[rows] = expit(features @ self.weights).clip(MARGIN, 1 - MARGIN)
        return result

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays)."""
        return {"temperature": self.temperature}, {"weights": self.weights}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Confidence:
        """Build the fitted object back from `state`."""
        return cls(settings["temperature"], arrays["weights"])


def _checked(scores: np.ndarray, preference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("scores: expected (N, L) numbers or -inf, got another shape, NaN or +inf; mend the policy")
    alpha = np.full(len(scores), np.nan) if preference is None else np.asarray(preference, dtype=np.float64)
    if alpha.shape != (len(scores),) or ((alpha < 0) | (alpha > 1)).any():
        raise ValueError(f"preference: expected ({len(scores)},) in [0, 1] or NaN, got {alpha.shape} or a value beyond")
    return scores, alpha


def _checked_best(scores: np.ndarray, best: np.ndarray) -> np.ndarray:
    best = np.asarray(best, dtype=bool)
    if best.shape != scores.shape:
        raise ValueError(f"best: expected the shape of scores {scores.shape}, got {best.shape}; give one per score")
    observed = np.isfinite(scores)
    if (best & ~observed).any() or (observed.any(axis=1) & ~best.any(axis=1)).any():
        raise ValueError("best: expected one or more of the observed LLMs of every row; mark the highest reward")
    return best


def _gaps(scores: np.ndarray) -> np.ndarray:
    """Return (N, L) scores less the row's highest: 0 for the top, below 0 for others, -inf for the unobserved."""
    with np.errstate(over="ignore"):  # -inf is right for a gap that no float can hold
        return scores - scores.max(axis=1, keepdims=True)


def _in_order(gaps: np.ndarray, best: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort columns, then rows, by what they hold, so that sums come out the same to the last bit; thin evenly."""
    columns = np.lexsort((~best, -gaps), axis=1)
    gaps, best = np.take_along_axis(gaps, columns, axis=1), np.take_along_axis(best, columns, axis=1)
    rows = np.lexsort((*best.T, *gaps.T[::-1], alpha))[:: 1 + (len(gaps) - 1) // MAX_ROWS]
    return gaps[rows], best[rows], alpha[rows]


def _temperature(gaps: np.ndarray, best: np.ndarray) -> float:
    """Return the temperature whose softmax gives the best LLMs of all rows the highest likelihood."""
    spread = float(np.median(-np.where(np.isfinite(gaps), gaps, 0.0).min(axis=1))) or 1.0

    def loss(log_share: float) -> float:
        logits = gaps / spread * np.exp(-log_share)
        # A best LLM that is hopelessly behind costs a bounded amount: one such row must not decide.
        won = np.where(best, np.maximum(logits, -50.0), -np.inf)
        return float((logsumexp(logits, axis=1) - logsumexp(won, axis=1)).mean())

    return spread * float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def _log_odds(gaps: np.ndarray, temperature: float) -> np.ndarray:
    """Return (N,) log-odds of the top LLM against all others together under the softmax, at most LOG_ODDS_LIMIT."""
    rest = np.sort(gaps, axis=1)[:, :-1]
    with np.errstate(over="ignore"):
        return np.minimum(-logsumexp(rest / temperature, axis=1), LOG_ODDS_LIMIT)


def _features(log_odds: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return (N, NUM_WEIGHTS). A preference that is NaN has no share in any knot: the common level and slope hold."""
    known = np.isfinite(alpha)
    hats = np.maximum(0.0, 1.0 - np.abs(np.where(known, alpha, 0.0)[:, None] - KNOTS) / KNOTS[1]) * known[:, None]
    only_performance = (alpha >= 1.0)[:, None]  # a jump, not a bend: the least weight on cost breaks all ties
    slopes = np.column_stack([np.ones(len(alpha)), only_performance, hats]) * log_odds[:, None]
    return np.column_stack([np.ones(len(alpha)), slopes, known, only_performance, hats])


def _logistic(features: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Return the ridge logistic weights; the level is free and no slope may fall below 0.

    Targets are Platt's: not 0 and 1 but what one more row of either kind would make of them, so that a validation
    split without a single miss does not promise certainty.
    """
    hits = hit.sum()
    low, high = 1 / (len(hit) - hits + 2), (hits + 1) / (hits + 2)
    target = low + hit * (high - low)
    ridge = np.full(features.shape[1], RIDGE)
    ridge[0] = 0.0

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = features @ weights
        value = (np.logaddexp(0.0, logit) - target * logit).sum() + 0.5 * (ridge * weights**2).sum()
        return float(value), features.T @ (expit(logit) - target) + ridge * weights

    bounds = [(0.0, None) if 1 <= i <= NUM_SLOPES else (None, None) for i in range(features.shape[1])]
    start = np.zeros(features.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
