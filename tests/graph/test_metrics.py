"""Each metric against a hand-computed case and a slow, obvious twin."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.metrics import (
    accuracy,
    calibration,
    cluster_bootstrap,
    headroom,
    is_best,
    mean_of_strata,
    non_decreasing_hull,
    oracle_ratio,
    reward,
)

UNIT = st.floats(0, 1, allow_nan=False)
GRID = st.tuples(st.integers(0, 6), st.integers(0, 6))  # small integers: collinear and equal points are common


def slow_reward(performance, cost, preference):
    return preference * performance - (1 - preference) * cost


def slow_accuracy(rewards, chosen):
    hits = 0
    for row, pick in zip(rewards, chosen, strict=True):
        best = max(row)
        hits += any(value == best and column == pick for column, value in enumerate(row))
    return hits / len(chosen)


def slow_mean_of_strata(values, strata):
    means = []
    for stratum in sorted(set(strata)):
        rows = [v for v, s in zip(values, strata, strict=True) if s == stratum and not np.isnan(v)]
        if rows:
            means.append(sum(rows) / len(rows))
    return sum(means) / len(means) if means else float("nan")


def slow_bootstrap(values, clusters, strata, resamples, seed):
    """The same draws, but every resample is written out row by row."""
    names = sorted(set(clusters))
    picks = np.random.default_rng(seed).integers(0, len(names), (resamples, len(names)))
    means = []
    for draw in picks:
        rows, labels = [], []
        for i in draw:
            for value, cluster, stratum in zip(values, clusters, strata, strict=True):
                if cluster == names[i]:
                    rows.append(value)
                    labels.append(stratum)
        means.append(slow_mean_of_strata(rows, labels))
    return np.nanpercentile(means, [2.5, 97.5])


def slow_hull(points):
    """A point is a corner if nothing cheaper is as good and no line between two others passes at or above it."""
    corners = []
    for i, (x, y) in enumerate(points):
        dominated = False
        for j, (a, b) in enumerate(points):
            if j != i and a <= x and b >= y and ((a, b) != (x, y) or j < i):
                dominated = True
            for c, d in points:
                if a < x < c and b + (d - b) * (x - a) / (c - a) >= y - 1e-12:
                    dominated = True
        if not dominated:
            corners.append((x, y))
    return sorted(corners)


def slow_calibration_error(expected, observed, bins):
    total = 0.0
    for b in range(bins):
        inside = [
            (e, o)
            for e, o in zip(expected, observed, strict=True)
            if b <= e * bins < b + 1 or (b == bins - 1 and e == 1)
        ]
        if inside:
            gap = abs(sum(e for e, _ in inside) - sum(o for _, o in inside)) / len(inside)
            total += len(inside) / len(expected) * gap
    return total


def test_reward_by_hand():
    assert reward(0.8, 0.5, 0.6) == pytest.approx(0.28)
    assert reward(1, 1, 0) == -1
    assert reward(1, 1, 1) == 1
    assert np.isnan(reward(1, 1, np.nan))


@given(UNIT, UNIT, UNIT)
@settings(max_examples=50)
def test_reward_equals_its_twin_and_stays_in_range(performance, cost, preference):
    value = float(reward(performance, cost, preference))
    assert value == pytest.approx(slow_reward(performance, cost, preference))
    assert -1 <= value <= 1


def test_reward_broadcasts():
    assert reward(np.ones((3, 2)), np.zeros(2), np.array([[0.1], [0.2], [0.3]])).shape == (3, 2)


def test_headroom_and_ratio_by_hand():
    assert headroom(0.45, 0.40, 0.60) == pytest.approx(0.25)
    assert headroom(0.35, 0.40, 0.60) == pytest.approx(-0.25)
    assert headroom(0.6, 0.4, 0.6) == 1
    assert np.isnan(headroom(0.4, 0.4, 0.4))
    assert np.isnan(headroom(0.4, float("nan"), 0.5))
    assert oracle_ratio(0.3, 0.6) == pytest.approx(0.5)
    assert oracle_ratio(-0.3, 0.6) == pytest.approx(-0.5)
    assert np.isnan(oracle_ratio(-0.3, -0.2))
    assert np.isnan(oracle_ratio(0.3, float("nan")))


def test_accuracy_counts_every_tied_choice():
    rewards = [[0.5, 0.5, 0.1], [0.5, 0.5, 0.1], [0.2, 0.9, 0.1], [0.2, 0.9, 0.9]]
    assert is_best(rewards, [0, 1, 0, 2]).tolist() == [True, True, False, True]
    assert accuracy(rewards, [0, 1, 0, 2]) == 0.75
    assert is_best([[0.3, 0.1 + 0.2]], [0]).tolist() == [True]  # 0.1 + 0.2 differs from 0.3 by rounding only
    assert np.isnan(accuracy(np.zeros((0, 3)), []))


def test_an_unobserved_choice_is_never_best():
    assert is_best([[np.nan, 0.2], [np.nan, np.nan], [np.nan, 0.2]], [0, 1, 1]).tolist() == [False, False, True]


@given(st.data(), st.integers(1, 20), st.integers(1, 5))
@settings(max_examples=50)
def test_accuracy_equals_its_twin(data, rows, columns):
    row = st.lists(st.integers(0, 3), min_size=columns, max_size=columns)
    rewards = data.draw(st.lists(row, min_size=rows, max_size=rows))
    chosen = data.draw(st.lists(st.integers(0, columns - 1), min_size=rows, max_size=rows))
    assert accuracy(rewards, chosen) == pytest.approx(slow_accuracy(rewards, chosen))


def test_mean_of_strata_weighs_repeats_alike():
    values = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, np.nan], [0.0, 0.5]])
    assert mean_of_strata(values, [0, 0, 0, 1]).tolist() == [0.5, 0.5]
    assert np.isnan(mean_of_strata([[np.nan]], [0])).all()


def bootstrap_case(seed):
    rng = np.random.default_rng(seed)
    clusters = [f"q{i}" for i in rng.integers(0, 9, 60)]
    strata = rng.integers(0, 3, 60)
    values = rng.normal(size=(60, 2))
    values[rng.random((60, 2)) < 0.2] = np.nan
    return values, clusters, strata


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bootstrap_equals_its_twin(seed):
    values, clusters, strata = bootstrap_case(seed)
    got = cluster_bootstrap(values, clusters, strata, resamples=80, seed=seed)
    for column in (0, 1):
        assert got[column] == pytest.approx(slow_bootstrap(values[:, column], clusters, strata, 80, seed))


def test_bootstrap_is_seeded_and_ignores_row_order():
    values, clusters, strata = bootstrap_case(4)
    first = cluster_bootstrap(values, clusters, strata, 100, seed=1)
    order = np.random.default_rng(0).permutation(60)
    again = cluster_bootstrap(values[order], np.array(clusters)[order], strata[order], 100, seed=1)
    assert again == pytest.approx(first)
    assert not np.allclose(first, cluster_bootstrap(values, clusters, strata, 100, seed=2))


def test_bootstrap_in_chunks_draws_the_same(monkeypatch):
    values, clusters, strata = bootstrap_case(5)
    whole = cluster_bootstrap(values, clusters, strata, 100)
    monkeypatch.setattr("graph.metrics.CHUNK", 50)
    assert cluster_bootstrap(values, clusters, strata, 100) == pytest.approx(whole)


def test_bootstrap_moves_all_rows_of_a_query_together():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=40)
    repeated = np.repeat(difficulty, 50)[:, None]  # 2,000 rows, but only 40 independent queries
    low, high = cluster_bootstrap(repeated, np.repeat(np.arange(40), 50), np.zeros(2000), 2000)[0]
    naive = cluster_bootstrap(repeated, np.arange(2000), np.zeros(2000), 2000)[0]
    assert high - low == pytest.approx(2 * 1.96 * difficulty.std() / np.sqrt(40), rel=0.1)
    assert high - low > 4 * (naive[1] - naive[0])


def test_bootstrap_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        queries = rng.normal(0.1, 1, 120)
        low, high = cluster_bootstrap(queries[:, None], np.arange(120), np.zeros(120), 400, seed)[0]
        hits += low <= 0.1 <= high
    assert 180 <= hits <= 199


def test_bootstrap_without_draws_or_values_is_nan():
    assert np.isnan(cluster_bootstrap([[1.0]], ["a"], [0], resamples=0)).all()
    both = cluster_bootstrap([[np.nan, 2.0], [np.nan, 2.0]], ["a", "b"], [0, 0], 20)
    assert np.isnan(both[0]).all()
    assert both[1].tolist() == [2.0, 2.0]


def test_bootstrap_is_fast():
    users, queries, repeats = 9, 445, 5
    rows = users * queries * repeats
    rng = np.random.default_rng(0)
    clusters = np.tile([f"q{i}" for i in rng.integers(0, 2225, queries * repeats)], users)
    started = time.perf_counter()
    cluster_bootstrap(rng.normal(size=(rows, 11)), clusters, np.tile(np.repeat(np.arange(repeats), queries), users))
    assert time.perf_counter() - started < 3  # 0.2 s on an idle core; room for a busy one


def test_hull_by_hand():
    #        cheapest, below the line, corner, dominated, best, dearer but no better
    cost = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    performance = [0.2, 0.3, 0.6, 0.1, 0.7, 0.7]
    assert non_decreasing_hull(cost, performance).tolist() == [0, 2, 4]
    assert non_decreasing_hull([1, 1], [0.2, 0.4]).tolist() == [1]
    assert non_decreasing_hull([1, 2], [0.9, 0.4]).tolist() == [0]
    assert non_decreasing_hull([1, np.nan, 2], [0.1, 0.9, 0.4]).tolist() == [0, 2]
    assert non_decreasing_hull([], []).size == 0


@given(st.lists(GRID, min_size=1, max_size=12))
@settings(max_examples=150)
def test_hull_equals_its_twin(points):
    x, y = np.array(points, dtype=float).T
    hull = non_decreasing_hull(x, y)
    assert [(x[i], y[i]) for i in hull] == slow_hull(points)


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=25))
@settings(max_examples=50)
def test_hull_rises_from_the_cheapest_to_the_best(points):
    x, y = np.array(points).T
    hull = non_decreasing_hull(x, y)
    assert x[hull[0]] == x.min()
    assert y[hull[-1]] == y.max()
    assert (np.diff(x[hull]) > 0).all()
    assert (np.diff(y[hull]) > 0).all()


def test_calibration_by_hand():
    found = calibration([0.05, 0.15, 0.95, 1.0, np.nan], [0.0, 0.35, 1.0, 1.0, 1.0], bins=10)
    assert found.count.tolist() == [1, 1, 2]
    assert found.expected == pytest.approx([0.05, 0.15, 0.975])
    assert found.observed == pytest.approx([0.0, 0.35, 1.0])
    assert found.error == pytest.approx((0.05 + 0.2 + 2 * 0.025) / 4)
    assert np.isnan(calibration([np.nan], [1.0]).error)


@given(st.lists(st.tuples(st.integers(0, 100), UNIT), min_size=1, max_size=40))
@settings(max_examples=50)
def test_calibration_equals_its_twin(rows):
    expected, observed = [e / 100 for e, _ in rows], [o for _, o in rows]
    found = calibration(expected, observed, bins=8)
    assert found.error == pytest.approx(slow_calibration_error(expected, observed, 8))
    assert 0 <= found.error <= 1
    assert found.count.sum() == len(rows)
