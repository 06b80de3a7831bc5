"""Which query is trained on, chosen on, tested on: decided by query id before anything is fitted."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import SplitShares

SPLITS = ("train", "validation", "test")


def split_queries(
    queries: pd.DataFrame, shares: SplitShares, seed: int, test_ids: Collection[str] | None = None
) -> pd.Series:
    """Return query_id -> 'train' | 'validation' | 'test', the same share of every task as nearly as counts allow.

    With `test_ids` (a separate test set) exactly those are the test split, and the rest is split between train and
    validation in the proportion of their shares. The split depends on seed and ids, not on the order of rows.

    Raises `InputError` where a split would be empty.
    """
    fixed_test = set(test_ids or ())
    names = SPLITS if test_ids is None else SPLITS[:2]
    edges = np.cumsum([getattr(shares, name) for name in names])
    parts: dict[str, str] = {}
    for task, ids in sorted(queries.groupby("task_id")["query_id"]):
        free = sorted(set(ids) - fixed_test)
        rng = np.random.default_rng([seed, *str(task).encode()])
        # A random offset within the rank, so that small tasks reach every split in the right share over seeds.
        position = (rng.permutation(len(free)) + rng.random()) / max(len(free), 1) * edges[-1]
        parts |= {free[i]: names[int(np.searchsorted(edges[:-1], position[i], side="right"))] for i in range(len(free))}
        parts |= dict.fromkeys(set(ids) & fixed_test, "test")
    splits = queries["query_id"].map(parts)
    splits.index = pd.Index(queries["query_id"])
    for name in SPLITS:
        if not (splits == name).any():
            raise InputError(
                f"data.split: expected at least one {name} query, got none of {len(queries)} queries; "
                "give more queries or larger shares"
            )
    return splits
