"""What the encoder is taught: scores as they are, as answers are counted, or as rewards; and less noisy ones.

One query's scores are one noisy draw: where an LLM that is right for a task fails on this query, that is mostly chance.
Taken as they are they teach the encoder chance, and a router comes out below plain task means (benchmarks/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from configs.errors import InputError
from configs.schema import Contrastive

PRIOR_TEXTS = 5.0  # a group's mean starts as that of all texts, which weighs as much as so many of its own


def targets(
    performance: np.ndarray, cost: np.ndarray | None, metrics: Sequence[str] | None, config: Contrastive
) -> np.ndarray:
    """Return (N, L) what is taught, by `config.target`; NaN where `performance` (N, L) is.

    `counted` needs `metrics`, of the task of each row: a `probability` above 0 is a right answer and counts 1, as
    RouterDC counts (arXiv 2409.19886). `reward` needs `cost` (N, L) in [0, 1]. Raises `InputError` without it.
    """
    if config.target == "counted":
        if metrics is None:
            raise InputError("encoder.contrastive.target: expected the metric of each task for counted, got none; "
                             "--set encoder.contrastive.target=performance")  # fmt: skip
        right = np.asarray(metrics, dtype=object) == "probability"
        counted = np.where(np.isfinite(performance), (performance > 0).astype(float), np.nan)
        return np.where(right[:, None], counted, performance)
    if config.target == "reward":
        if cost is None:
            raise InputError("encoder.contrastive.target: expected costs for reward, got none; "
                             "--set encoder.contrastive.target=performance")  # fmt: skip
        return config.preference * performance - (1 - config.preference) * cost
    return performance


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
