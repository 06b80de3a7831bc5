"""What is measured, as pure functions of arrays. Every one has a slow, obvious twin in the tests."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 1e-9  # rewards closer than this are ties: they differ by rounding only
CHUNK = 4_000_000  # bootstrap weights held at once (32 MB as int64)


def reward(performance: ArrayLike, cost: ArrayLike, preference: ArrayLike) -> Floats:
    """Return `α·performance − (1−α)·cost`, broadcast; in [−1, 1] for inputs in [0, 1].

    `cost` is the scaled cost, not dollars. NaN anywhere gives NaN.
    """
    weight = np.asarray(preference, dtype=np.float64)
    return weight * np.asarray(performance, dtype=np.float64) - (1 - weight) * np.asarray(cost, dtype=np.float64)


def headroom(router: float, floor: float, oracle: float) -> float:
    """Return `(router − floor) / (oracle − floor)` of mean rewards: 1 is the oracle, 0 the floor, below 0 is a loss.

    Range (−∞, 1] where the oracle is one. NaN where there is nothing to win (oracle <= floor) or a value is NaN.
    """
    gap = oracle - floor
    return (router - floor) / gap if gap > TOLERANCE else float("nan")


def oracle_ratio(router: float, oracle: float) -> float:
    """Return `router / oracle` of mean rewards, at most 1; NaN where oracle <= 0 (a ratio would mean nothing)."""
    return router / oracle if oracle > TOLERANCE else float("nan")


def is_best(rewards: ArrayLike, chosen: ArrayLike) -> NDArray[np.bool_]:
    """Return, for each row, whether the chosen column attains the row's maximum; every tied column counts as best.

    Shapes: `rewards` (N, L), NaN where unobserved; `chosen` (N,) column numbers; returns (N,). Choosing an unobserved
    column is never best.
    """
    table = np.asarray(rewards, dtype=np.float64)
    filled = np.where(np.isnan(table), -np.inf, table)
    got = filled[np.arange(len(filled)), np.asarray(chosen, dtype=np.int64)]
    return np.isfinite(got) & (got >= filled.max(axis=1) - TOLERANCE)


def accuracy(rewards: ArrayLike, chosen: ArrayLike) -> float:
    """Return the share of rows where the chosen column is (tied for) best, in [0, 1]; NaN without rows."""
    best = is_best(rewards, chosen)
    return float(best.mean()) if len(best) else float("nan")


def mean_of_strata(values: ArrayLike, strata: ArrayLike) -> Floats:
    """Return, per column, the mean over strata (repeats) of each stratum's mean; NaN cells are left out.

    Shapes: `values` (N, K), `strata` (N,); returns (K,).
    """
    sums, counts = _cluster_sums(np.asarray(values, dtype=np.float64), np.zeros(len(np.asarray(strata))), strata)
    return _strata_means(sums[:, 0], counts[:, 0])


def cluster_bootstrap(
    values: ArrayLike, clusters: ArrayLike, strata: ArrayLike, resamples: int = 1000, seed: int = 0
) -> Floats:
    """Return the 95 % percentile interval of `mean_of_strata`, resampling whole clusters with replacement.

    A cluster is a query: its rows over all users and repeats move together, since they share one difficulty. Give
    differences of two policies as `values` for a paired interval; all columns share the same resamples.

    Shapes: `values` (N, K), NaN cells left out; `clusters` (N,); `strata` (N,); returns (K, 2), lower and upper.
    NaN where `resamples` is 0 or a column has no value. The order of rows does not matter.
    """
    table = np.asarray(values, dtype=np.float64)
    sums, counts = _cluster_sums(table, clusters, strata)
    num_strata, num_clusters, num_columns = sums.shape
    if resamples == 0 or num_clusters == 0:
        return np.full((num_columns, 2), np.nan)
    flat = np.concatenate([sums, counts]).transpose(1, 0, 2).reshape(num_clusters, -1)
    rng = np.random.default_rng(seed)
    drawn = []
    step = max(1, CHUNK // num_clusters)
    for start in range(0, resamples, step):
        weights = _resample_weights(min(step, resamples - start), num_clusters, rng)
        totals = (weights @ flat).reshape(len(weights), 2, num_strata, num_columns)
        drawn.append(_strata_means(totals[:, 0].swapaxes(0, 1), totals[:, 1].swapaxes(0, 1)))
    return _interval(np.concatenate(drawn))


def _cluster_sums(values: Floats, clusters: ArrayLike, strata: ArrayLike) -> tuple[Floats, Floats]:
    """Return sums and counts of non-NaN cells, each (num_strata, num_clusters, K)."""
    cluster_ids, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    stratum_ids, stratum = np.unique(np.asarray(strata), return_inverse=True)
    shape = (len(stratum_ids), len(cluster_ids))
    cell = stratum * shape[1] + cluster
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    size = shape[0] * shape[1]

    def totals(table: np.ndarray) -> Floats:
        columns = [np.bincount(cell, column, size) for column in table.T]
        return np.stack(columns, axis=-1).reshape(*shape, -1).astype(np.float64)

    return totals(filled), totals(present)


def _resample_weights(resamples: int, num_clusters: int, rng: np.random.Generator) -> Floats:
    """Return (resamples, num_clusters): how often each cluster is drawn; rows sum to num_clusters."""
    picks = rng.integers(0, num_clusters, (resamples, num_clusters))
    picks += np.arange(resamples)[:, None] * num_clusters
    counts = np.bincount(picks.ravel(), minlength=resamples * num_clusters)
    return counts.reshape(resamples, num_clusters).astype(np.float64)


def _strata_means(sums: Floats, counts: Floats) -> Floats:
    """Return the mean over axis 0 of `sums / counts`, leaving out strata without a value; NaN where all are."""
    present = counts > 0
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=present)
    strata = present.sum(axis=0)
    return np.divide(means.sum(axis=0), strata, out=np.full(strata.shape, np.nan), where=strata > 0)


def _interval(drawn: Floats) -> Floats:
    """Return (K, 2): the 2.5 and 97.5 percentiles of each column of `drawn` (B, K), leaving out NaN."""
    bounds = np.full((drawn.shape[1], 2), np.nan)
    for column, values in enumerate(drawn.T):
        kept = values[~np.isnan(values)]
        if kept.size:
            bounds[column] = np.percentile(kept, [2.5, 97.5])
    return bounds


def non_decreasing_hull(cost: ArrayLike, performance: ArrayLike) -> Ints:
    """Return the indices, by rising cost, of the non-decreasing upper convex hull of points (cost, performance).

    It runs from the cheapest point to the best performing; a coin toss between two neighbours reaches every point of
    the line between them, so only what lies above it is worth having (RouterBench, arXiv 2403.12031, section 3).
    Points on the line, duplicates and points with NaN are left out.
    """
    x, y = np.asarray(cost, dtype=np.float64), np.asarray(performance, dtype=np.float64)
    hull: list[int] = []
    for i in np.lexsort((-y, x)):
        if np.isnan(x[i]) or np.isnan(y[i]) or (hull and y[i] <= y[hull[-1]]):
            continue
        while len(hull) >= 2 and not _above(x, y, hull[-2], hull[-1], int(i)):
            hull.pop()
        hull.append(int(i))
    return np.array(hull, dtype=np.int64)


def _above(x: Floats, y: Floats, left: int, middle: int, right: int) -> bool:
    """Return whether `middle` lies strictly above the line from `left` to `right`."""
    return bool((y[middle] - y[left]) * (x[right] - x[left]) > (y[right] - y[left]) * (x[middle] - x[left]))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Expected against observed values in equal-width bins of the expectation; empty bins are left out.

    Shapes: `count`, `expected`, `observed` (B,), the latter two being means within the bin. `error` is the expected
    calibration error `Σ_b n_b/N · |expected_b − observed_b|`, in [0, 1]; NaN without rows.
    """

    count: Ints
    expected: Floats
    observed: Floats
    error: float


def calibration(expected: ArrayLike, observed: ArrayLike, bins: int = 10) -> Calibration:
    """Bin `expected` (N,) in [0, 1] and compare with `observed` (N,); rows with NaN are left out.

    Bins are [0, 1/bins), …, the last one closed; expectations outside [0, 1] fall into the first or last bin.
    """
    x, y = np.asarray(expected, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    kept = ~(np.isnan(x) | np.isnan(y))
    x, y = x[kept], y[kept]
    if not x.size:
        return Calibration(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), float("nan"))
    place = np.clip(np.floor(x * bins), 0, bins - 1).astype(np.int64)
    count = np.bincount(place, minlength=bins)
    full = count > 0
    count = count[full]
    mean_x = np.bincount(place, x, bins)[full] / count
    mean_y = np.bincount(place, y, bins)[full] / count
    return Calibration(count, mean_x, mean_y, float((count * np.abs(mean_x - mean_y)).sum() / x.size))
