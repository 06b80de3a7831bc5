"""What the encoder is taught: scores as they are or as rewards, and less noisy ones.

One query's scores are one noisy draw: where an LLM that is right for a task fails on this query, that is mostly chance.
Taken as they are they teach the encoder chance, and a router comes out below plain task means (benchmarks/LOG.md).
"""

from __future__ import annotations

import numpy as np

from configs.errors import InputError
from configs.schema import Contrastive

PRIOR_TEXTS = 5.0  # a group's mean starts as that of all texts, which weighs as much as so many of its own


def targets(performance: np.ndarray, cost: np.ndarray | None, config: Contrastive) -> np.ndarray:
    """Return (N, L) what is taught, by `config.target`; NaN where `performance` (N, L) is.

    `reward` needs `cost` (N, L) in [0, 1]; raises `InputError` without it.
    """
    if config.target == "performance":
        return performance
    if cost is None:
        raise InputError(
            "encoder.contrastive.target: expected costs for reward, got none; "
            "--set encoder.contrastive.target=performance"
        )
    return config.preference * performance - (1 - config.preference) * cost


def smoothed(scores: np.ndarray, groups: np.ndarray, weight: float) -> np.ndarray:
    """Return (1 − weight) · own score + weight · mean score of the LLM in the text's group; NaN stays NaN.

    Shapes: `scores` (N, L) with NaN where unobserved, `groups` (N,) of anything that can be sorted, result (N, L).
    """
    if weight == 0:
        return scores
    known = np.isfinite(scores)
    filled = np.where(known, scores, 0.0)
    overall = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    _, place = np.unique(groups, return_inverse=True)
    total, count = (np.zeros((place.max() + 1, scores.shape[1])) for _ in range(2))
    np.add.at(total, place, filled)
    np.add.at(count, place, known)
    mean = (total + PRIOR_TEXTS * overall) / (count + PRIOR_TEXTS)
    return (1 - weight) * scores + weight * mean[place]
