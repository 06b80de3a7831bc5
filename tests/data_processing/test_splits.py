import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from configs.schema import SplitShares
from data_processing.splits import SPLITS, split_queries

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
SHARES = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8)).map(
    lambda parts: SplitShares(**{n: p / sum(parts) for n, p in zip(SPLITS, parts, strict=True)})
)
SEEDS = st.integers(0, 10**6)


def table(sizes: list[int]) -> pd.DataFrame:
    rows = [(f"task{t}", f"{t}-{n}") for t, size in enumerate(sizes) for n in range(size)]
    return pd.DataFrame(rows, columns=["task_id", "query_id"])


def split(queries: pd.DataFrame, shares: SplitShares, seed: int, test_ids: set[str] | None = None) -> pd.Series:
    """Split, leaving out examples that are too small; that those raise is another test."""
    try:
        return split_queries(queries, shares, seed, test_ids)
    except InputError:
        assume(False)
        raise


@settings(max_examples=80, deadline=None)
@given(SIZES, SHARES, SEEDS)
def test_every_query_is_in_one_split_and_each_task_in_its_share(
    sizes: list[int], shares: SplitShares, seed: int
) -> None:
    queries = table(sizes)
    splits = split(queries, shares, seed)
    assert list(splits.index) == list(queries["query_id"])
    assert set(splits) == set(SPLITS)
    for task, rows in queries.groupby("task_id"):
        for name in SPLITS:
            count = (splits[rows["query_id"]] == name).sum()
            exact = getattr(shares, name) * len(rows)
            assert math.floor(exact - 1e-9) <= count <= math.ceil(exact + 1e-9), (task, name, count, exact)


@settings(max_examples=40, deadline=None)
@given(SIZES, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_other_tasks_change_nothing(sizes, shares, seed, order) -> None:
    queries = table(sizes)
    splits = split(queries, shares, seed)
    rows = order.sample(range(len(queries)), len(queries))
    again = split_queries(queries.iloc[rows].reset_index(drop=True), shares, seed)
    assert again[list(splits.index)].tolist() == splits.tolist()
    more = pd.concat([queries, pd.DataFrame({"task_id": "zzz", "query_id": [f"z{n}" for n in range(9)]})])
    assert split_queries(more, shares, seed)[list(splits.index)].tolist() == splits.tolist()


@settings(max_examples=60, deadline=None)
@given(SIZES, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_separate_test_ids_are_the_test_split(sizes, shares, seed, draw) -> None:
    queries = table(sizes)
    ids = list(queries["query_id"])
    test_ids = set(draw.sample(ids, draw.randint(1, len(ids))))
    splits = split(queries, shares, seed, test_ids)
    assert set(splits[splits == "test"].index) == test_ids
    rest = shares.train + shares.validation
    for _, rows in queries[~queries["query_id"].isin(test_ids)].groupby("task_id"):
        exact = shares.train / rest * len(rows)
        count = (splits[rows["query_id"]] == "train").sum()
        assert math.floor(exact - 1e-9) <= count <= math.ceil(exact + 1e-9)


def test_a_separate_test_set_does_not_move_train_queries_about() -> None:
    # Ids that are not in the table are no reason to fail: the test set may have lost a query.
    queries = table([30])
    shares = SplitShares()
    first = split_queries(queries, shares, 0, {"0-1", "0-2"})
    second = split_queries(queries, shares, 0, {"0-1", "0-2", "gone"})
    assert first.tolist() == second.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), SHARES, SEEDS)
def test_no_split_is_empty_or_it_says_so(sizes: list[int], shares: SplitShares, seed: int) -> None:
    queries = table(sizes)
    refused = False
    splits = pd.Series(dtype=object)
    try:
        splits = split_queries(queries, shares, seed)
    except InputError:
        refused = True
    assert refused or set(splits) == set(SPLITS)
    assert not (refused and len(sizes) == 1 and min(getattr(shares, name) for name in SPLITS) * sizes[0] >= 1)


@pytest.mark.parametrize(
    ("size", "test_ids", "empty"),
    [(1, None, "train|validation|test"), (2, None, "train|validation|test"), (30, set(), "test"),
     (3, {"0-0", "0-1", "0-2"}, "train"), (3, {"0-0", "0-1"}, "train|validation")],
)  # fmt: skip
def test_an_empty_split_is_an_input_error(size: int, test_ids: set[str] | None, empty: str) -> None:
    with pytest.raises(InputError, match=f"at least one ({empty}) query, got none of {size} queries"):
        split_queries(table([size]), SplitShares(), 0, test_ids)


def test_seeds_give_other_splits_and_small_tasks_reach_every_split() -> None:
    queries = table([3] * 30)
    drawn = [split_queries(queries, SplitShares(), seed) for seed in range(20)]
    assert len({tuple(splits) for splits in drawn}) == 20
    share = np.mean([[(splits == name).mean() for name in SPLITS] for splits in drawn], axis=0)
    np.testing.assert_allclose(share, [0.7, 0.1, 0.2], atol=0.04)
