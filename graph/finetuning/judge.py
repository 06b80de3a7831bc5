"""What an encoder's vectors are worth on validation: which LLM they would choose, and what that one scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PROBE_RIDGES = (0.3, 3.0, 30.0)


def probe(x: np.ndarray, scores: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """Return, for each strength of `PROBE_RIDGES`, the (M, L) scores that a ridge per LLM expects of `other`.

    Shapes: `x` (N, d), `scores` (N, L) with NaN where unobserved, `other` (M, d). An LLM without any score is expected
    to get the mean of all.
    """
    guesses = [np.full((len(other), scores.shape[1]), np.nanmean(scores)) for _ in PROBE_RIDGES]
    for llm in range(scores.shape[1]):
        seen = np.isfinite(scores[:, llm])
        if not seen.any():
            continue
        mean, centre = scores[seen, llm].mean(), x[seen].mean(axis=0, dtype=np.float64)
        away = x[seen] - centre
        values, vectors = np.linalg.eigh(away.T @ away)
        weight = vectors.T @ (away.T @ (scores[seen, llm] - mean))
        for guess, ridge in zip(guesses, PROBE_RIDGES, strict=True):
            guess[:, llm] = mean + ((other - centre) @ vectors) @ (weight / (values.clip(min=0) + ridge))
    return guesses


def earned(guess: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return (M,) the score of the observed LLM of the highest guess; both (M, L), each row with a score."""
    choice = np.where(np.isfinite(scores), guess, -np.inf).argmax(axis=1)
    return scores[np.arange(len(scores)), choice]


def row_weights(groups: Sequence[str] | None, count: int) -> np.ndarray:
    """Return (count,) weights that sum to 1: the same for each group as a whole, or for each row without groups."""
    if groups is None:
        return np.full(count, 1 / max(1, count))
    _, place, size = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True, return_counts=True)
    return 1 / (len(size) * size[place])


def gain_in_errors(new: np.ndarray, old: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted mean of new − old, in standard errors of it; 0 where nothing differs.

    Shapes: all (M,); rows are pairs, so what is hard for both does not count as noise.
    """
    gap = np.asarray(new) - np.asarray(old)
    mean = float(gap @ weight)
    error = float(np.sqrt((weight**2 * (gap - mean) ** 2).sum()))
    return mean / error if error > 0 else float(np.sign(mean) * np.inf if abs(mean) > 1e-12 else 0.0)
