"""Routing between a strong and a weak LLM: what is gained for how many strong calls (RouteLLM, arXiv 2406.18665).

A router gives each query a score `need`, higher where the strong LLM is needed; a threshold on it sets the share of
strong calls. Queries of one score go together, so only thresholds between distinct scores exist; what lies between two
of them is reached by tossing a coin for the queries at the threshold, and is therefore a straight line.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from graph.metrics import CHUNK, TOLERANCE, Floats, Ints


@dataclasses.dataclass(frozen=True)
class Pair:
    """What a weak and a strong LLM made of the same N queries: performance in [0, 1] and cost in dollars, each (N,)."""

    weak_performance: Floats
    strong_performance: Floats
    weak_cost_usd: Floats
    strong_cost_usd: Floats

    @property
    def gain(self) -> Floats:
        """What the strong LLM adds on each query, in [−1, 1]."""
        return self.strong_performance - self.weak_performance


@dataclasses.dataclass(frozen=True)
class Curve:
    """The router at every threshold that exists, from always weak to always strong.

    Shapes: all (K + 1,) for K distinct scores. `threshold`: queries with `need` at or above it are sent to the strong
    LLM, infinite at first; `share` of strong calls, rising from 0 to 1; `performance` and `cost_usd` are means over
    the queries.
    """

    threshold: Floats
    share: Floats
    performance: Floats
    cost_usd: Floats

    @property
    def pgr(self) -> Floats:
        """The performance gap recovered, `(router − weak) / (strong − weak)` of mean performances (RouteLLM, §3).

        0 is the weak LLM, 1 the strong one; it can lie outside, for a router may beat both. NaN where the strong LLM
        is not the better one on these queries: there is no gap to recover.
        """
        weak, strong = self.performance[0], self.performance[-1]
        if strong - weak <= TOLERANCE:
            return np.full(len(self.performance), np.nan)
        return (self.performance - weak) / (strong - weak)


@dataclasses.dataclass(frozen=True)
class Saving:
    """The fewest strong calls that reach a wanted performance, and what they save; NaN where nothing can be said.

    `share` of strong calls in [0, 1]; `cost_usd` a query; `saved` is 1 − cost / the cost of always asking the strong
    LLM; `saved_over_random` is 1 − cost / the cost of the random router that performs as well.
    """

    share: float
    cost_usd: float
    saved: float
    saved_over_random: float


def trace(need: ArrayLike, pair: Pair) -> Curve:
    """Return the curve of a router that scores the N queries by `need` (N,).

    Any strictly rising function of `need` gives the same curve but for the thresholds. Raises `ValueError` without
    queries, for a NaN among scores or outcomes, or for shapes that differ.
    """
    scores = np.asarray(need, dtype=np.float64)
    weak_cost, extra_cost = pair.weak_cost_usd, pair.strong_cost_usd - pair.weak_cost_usd
    _check(scores, pair.weak_performance, pair.gain, weak_cost, extra_cost)
    values, group = _groups(scores)
    count, gain, extra = (np.bincount(group, weights) for weights in (None, pair.gain, extra_cost))
    size = len(scores)
    share = np.append(0.0, count.cumsum() / size)
    performance = pair.weak_performance.mean() + np.append(0.0, gain.cumsum() / size)
    cost_usd = weak_cost.mean() + np.append(0.0, extra.cumsum() / size)
    return Curve(np.append(np.inf, values), share, performance, cost_usd)


def trace_random(pair: Pair) -> Curve:
    """Return the curve of tossing a coin for every query, in expectation: the straight line from weak to strong."""
    return trace(np.zeros(len(pair.gain)), pair)


def trace_oracle(pair: Pair) -> Curve:
    """Return the curve of knowing all outcomes: strong first where it gains most, last where it does harm.

    No router has a higher performance at any share of strong calls.
    """
    return trace(pair.gain, pair)


def apgr(curve: Curve, intervals: int | None = None) -> float:
    """Return the average performance gap recovered: the area under PGR over the share of strong calls.

    1/2 for the random router, above 1 possible; NaN where PGR is. The area is exact by default. With `intervals` PGR
    is read at that many equal steps of the share instead, as RouteLLM's 10 percentiles of the scores do; that misses
    bends within a step. On 1,500 queries of MMLU the two differ by up to 0.005, on 130 of GSM8K by up to 0.011, for the
    oracle, whose curve is all bend, by 0.02.
    """
    share, pgr = curve.share, curve.pgr
    if intervals is not None:
        steps = np.linspace(0.0, 1.0, intervals + 1)
        share, pgr = steps, np.interp(steps, share, pgr)
    return float(np.trapezoid(pgr, share))


def cpt(curve: Curve, level: float) -> float:
    """Return the call-performance threshold: the least share of strong calls with PGR >= `level`, in [0, 1].

    `level` is at most 1, which always asking the strong LLM reaches. The random router needs a share of `level`. NaN
    where PGR is.
    """
    return _first_share(curve, curve.pgr, level)


def saving(curve: Curve, quality: float = 0.95) -> Saving:
    """Return the saving at `quality` (at most 1) times the mean performance of the strong LLM.

    All are NaN where the strong LLM is not the better one; shares of cost also where their reference costs nothing.
    Where the weak LLM alone is good enough, so is the random router without strong calls.
    """
    weak, strong = curve.performance[0], curve.performance[-1]
    if strong - weak <= TOLERANCE:
        return Saving(np.nan, np.nan, np.nan, np.nan)
    share = _first_share(curve, curve.performance, quality * strong)
    cost = float(np.interp(share, curve.share, curve.cost_usd))
    random_share = float(np.clip((quality * strong - weak) / (strong - weak), 0.0, 1.0))
    random_cost = float((1 - random_share) * curve.cost_usd[0] + random_share * curve.cost_usd[-1])
    return Saving(share, cost, _saved(cost, float(curve.cost_usd[-1])), _saved(cost, random_cost))


def bootstrap_apgr(
    need: ArrayLike, pair: Pair, clusters: ArrayLike, strata: ArrayLike, resamples: int = 1000, seed: int = 0
) -> Floats:
    """Return (resamples,) the APGR, mean over strata (repeats), each time with other queries, drawn with replacement.

    Its standard deviation is the standard error of APGR, and of APGR minus random's: that one has 1/2 in every draw.
    Draws are the same for the same clusters and seed, so the difference of two routers' draws is a paired one. A
    cluster is a query, whose rows in all strata move together.

    APGR is a ratio, gained area A over gap G. Draws are linear in it, APGR + (A_b − APGR·G_b) / G (the delta method):
    with some hundred queries a few draws have next to no gap, and their ratios would drown all others. Strata without
    a gap to recover are left out; NaN where all are.

    Shapes: `need`, `clusters`, `strata` and the arrays of `pair` (N,).
    """
    scores, gain = np.asarray(need, dtype=np.float64), pair.gain
    _check(scores, gain)
    ids, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    names, stratum = np.unique(np.asarray(strata), return_inverse=True)
    rows = [np.flatnonzero(stratum == place) for place in range(len(names))]
    parts = [own for own in rows if gain[own].mean() > TOLERANCE]
    if not parts:
        return np.full(resamples, np.nan)
    rng = np.random.default_rng(seed)
    drawn = [np.zeros(0)]
    step = max(1, CHUNK // len(scores))
    for start in range(0, resamples, step):
        counts = rng.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=min(step, resamples - start))
        drawn.append(np.mean([_linear_apgr(scores[own], gain[own], counts[:, cluster[own]]) for own in parts], axis=0))
    return np.concatenate(drawn)


def _linear_apgr(need: Floats, gain: Floats, counts: Ints) -> Floats:
    """Return (B,) the APGR to first order where query i occurs `counts[b, i]` times."""
    area, gap = _area_and_gap(need, gain, np.ones((1, len(need)), dtype=np.int64))
    whole = area / gap
    drawn_area, drawn_gap = _area_and_gap(need, gain, counts)
    return whole + (drawn_area - whole * drawn_gap) / gap


def _area_and_gap(need: Floats, gain: Floats, counts: Ints) -> tuple[Floats, Floats]:
    """Return (B,) the area under the performance gained over the share of strong calls, and the gap: both means.

    A query ranked r of n (ties in the middle of their ranks) is strong at all shares above (r − 1/2) / n, so that the
    area is `Σ gain·(1 − (r − 1/2) / n) / n`, and the gap `Σ gain / n`. Both are 0 where no query occurs.
    """
    values, group = _groups(need)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    count = np.add.reduceat(counts[:, order].astype(np.float64), starts, axis=1)
    gained = np.add.reduceat(counts[:, order] * gain[order], starts, axis=1)
    size = np.maximum(count.sum(axis=1), 1.0)
    above = 1 - (count.cumsum(axis=1) - count / 2) / size[:, None]
    return (gained * above).sum(axis=1) / size, gained.sum(axis=1) / size


def _groups(need: Floats) -> tuple[Floats, Ints]:
    """Return the distinct scores, highest first, and each query's place among them."""
    values, group = np.unique(need, return_inverse=True)
    return values[::-1], len(values) - 1 - group


def _check(*arrays: Floats) -> None:
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1 or not arrays[0].size:
        raise ValueError(f"expected arrays (N,) of one length above 0, got {[array.shape for array in arrays]}")
    if any(np.isnan(array).any() for array in arrays):
        raise ValueError("expected a score and outcomes of both LLMs for every query, got NaN; leave such queries out")


def _first_share(curve: Curve, values: Floats, level: float) -> float:
    """Return the least share at which `values` along the curve reach `level`; NaN where they never do."""
    reached = np.flatnonzero(values >= level - TOLERANCE)
    if not len(reached):
        return float("nan")
    end = int(reached[0])
    if end == 0:
        return 0.0
    part = min(1.0, (level - values[end - 1]) / (values[end] - values[end - 1]))
    return float(curve.share[end - 1] + part * (curve.share[end] - curve.share[end - 1]))


def _saved(cost: float, reference: float) -> float:
    return 1 - cost / reference if reference > 0 else float("nan")
