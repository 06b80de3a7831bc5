"""Which texts a step is trained on: decided by the number of the step alone, so that a resumed run draws the same."""

from __future__ import annotations

import numpy as np


def draw_batch(count: int, size: int, groups: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Return rows of at most `size` of `count` texts, none twice; with `groups` (count,) all groups are as likely.

    A group smaller than its share of the batch gives all it has.
    """
    if groups is None:
        return rng.choice(count, size=min(size, count), replace=False)
    names = np.unique(groups)
    share = np.bincount(rng.integers(len(names), size=size), minlength=len(names))
    drawn = []
    for name, number in zip(names, share, strict=True):
        rows = np.flatnonzero(groups == name)
        drawn.append(rng.choice(rows, size=min(int(number), len(rows)), replace=False))
    return rng.permutation(np.concatenate(drawn))
