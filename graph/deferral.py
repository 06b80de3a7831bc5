"""Routing among many LLMs: what performance a budget buys, as one curve and three numbers.

A router that weighs performance against cost gives one point (mean cost, mean performance) for each weight. Its
deferral curve says what it reaches within a budget. Sources: deferral curves, their area and the quality-neutral cost
are those of UniRoute (arXiv 2502.08773), AIQ that of RouterBench (arXiv 2403.12031, section 3).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from graph.metrics import TOLERANCE, Floats, Ints, non_decreasing_hull


@dataclasses.dataclass(frozen=True)
class Points:
    """Trade-offs of a router, or single LLMs, in any order; each (K,), K at least 1.

    `cost` is the mean of a query, at or above 0, in any unit, the same wherever two are compared; `performance` is the
    mean, in [0, 1].
    """

    cost: Floats
    performance: Floats

    @classmethod
    def of(cls, cost: ArrayLike, performance: ArrayLike) -> Points:
        """Check and keep; raises `ValueError` for shapes that differ, none at all, NaN or a cost below 0."""
        x, y = np.asarray(cost, dtype=np.float64), np.asarray(performance, dtype=np.float64)
        if x.shape != y.shape or x.ndim != 1 or not x.size:
            raise ValueError(f"expected costs and performances (K,) of one length above 0, got {x.shape} and {y.shape}")
        if not (np.isfinite(x).all() and np.isfinite(y).all() and (x >= 0).all()):
            raise ValueError("expected finite means and costs at or above 0")
        return cls(x, y)


def sweep(expected: ArrayLike, performance: ArrayLike, cost: ArrayLike) -> tuple[Floats, Points]:
    """Return every trade-off of a router that weighs expected performance p against expected cost c, and its rates.

    At rate λ each query goes to the LLM of highest p − λ·c (the cheaper where equal); as λ falls from infinity to 0,
    one after the other changes to a dearer LLM. All changes at one rate happen together, so none is left out and no
    grid of rates is needed. A preference α has the rate (1 − α) / α.

    Shapes: `expected` (N, L, 2), p and c; `performance` and `cost` (N, L), what came of it, the latter in the unit of
    the points; returns rates (K,), falling, the first infinite, and K points: at and below each rate, until the next.
    """
    p, c = np.moveaxis(np.asarray(expected, dtype=np.float64), -1, 0)
    tables = [np.asarray(table, dtype=np.float64) for table in (cost, performance)]
    rows = np.arange(len(p))
    # At an infinite rate cost alone counts; of equally cheap LLMs the best is taken.
    now = np.where(c == c.min(axis=1, keepdims=True), p, -np.inf).argmax(axis=1)
    means = [table[rows, now].mean() for table in tables]
    found, changes = [np.zeros(0)], [np.zeros((0, 2))]
    for _ in range(p.shape[1] - 1):
        rate, then = _next(p, c, now)
        moving = rate > 0
        found.append(rate[moving])
        changes.append(np.stack([table[rows, then] - table[rows, now] for table in tables], axis=-1)[moving])
        now = np.where(moving, then, now)
    rates, step = np.unique(-np.concatenate(found), return_inverse=True)
    reached = []
    for mean, change in zip(means, np.concatenate(changes).T, strict=True):
        reached.append(mean + np.append(0.0, np.bincount(step, change, len(rates)).cumsum()) / len(rows))
    # Sums of changes may end a rounding error below a cost of 0.
    return np.append(np.inf, -rates), Points.of(np.maximum(reached[0], 0.0), reached[1])


def _next(p: Floats, c: Floats, now: Ints) -> tuple[Floats, Ints]:
    """Return (N,) the highest rate at which a dearer LLM is as good as `now`, and which (the dearest of them).

    The rate is 0 or less where no dearer LLM performs better.
    """
    rows = np.arange(len(now))
    gain, price = p - p[rows, now][:, None], c - c[rows, now][:, None]
    rate = np.divide(gain, price, out=np.full(p.shape, -np.inf), where=price > 0)
    best = rate.max(axis=1)
    return best, np.where(rate == best[:, None], c, -np.inf).argmax(axis=1)


def corners(points: Points) -> Ints:
    """Return the indices of the corners of the deferral curve, by rising cost: what beats every cheaper point."""
    order = np.lexsort((-points.performance, points.cost))
    performance = points.performance[order]
    best_before = np.maximum.accumulate(np.append(-np.inf, performance))[:-1]
    return order[performance > best_before]


def deferral_curve(points: Points) -> Points:
    """Return the corners of the deferral curve by rising cost.

    Within a budget the router performs as the last corner that it can pay: a staircase that never falls.
    """
    kept = corners(points)
    return Points(points.cost[kept], points.performance[kept])


def performance_within(points: Points, budget: ArrayLike) -> Floats:
    """Return the height of the deferral curve at mean costs `budget`, any shape; 0 where no point can be paid.

    That is RouterBench's null router: no answer at no cost.
    """
    curve = deferral_curve(points)
    last = np.searchsorted(curve.cost, np.asarray(budget, dtype=np.float64), side="right")
    return np.append(0.0, curve.performance)[last]


def audc(points: Points, singles: Points) -> float:
    """Return the area under the deferral curve between the mean costs of the cheapest and the dearest single LLM.

    It is divided by the width of that range: the expected performance at a budget drawn evenly from it, in [0, 1].
    NaN where all LLMs cost the same.
    """
    low, high = _range(singles)
    if not high > low:
        return float("nan")
    inside = points.cost[(points.cost > low) & (points.cost < high)]
    edges = np.unique(np.concatenate([[low, high], inside]))
    return float((performance_within(points, edges[:-1]) * np.diff(edges)).sum() / (high - low))


def aiq(points: Points, singles: Points) -> float:
    """Return RouterBench's average improvement in quality: the area under the non-decreasing convex hull, as `audc`.

    Tossing a coin between two trade-offs reaches the line between them, so the hull replaces the staircase. It starts
    at the null router (no cost, no performance) and stays level beyond the best point. In [0, 1], never below `audc`;
    NaN where all LLMs cost the same.
    """
    low, high = _range(singles)
    if not high > low:
        return float("nan")
    hull = convex_hull(points)
    edges = np.unique(np.concatenate([[low, high], hull.cost[(hull.cost > low) & (hull.cost < high)]]))
    return float(np.trapezoid(np.interp(edges, hull.cost, hull.performance), edges) / (high - low))


def convex_hull(points: Points) -> Points:
    """Return the corners of the non-decreasing convex hull of the points and the null router, by rising cost."""
    cost, performance = np.append(0.0, points.cost), np.append(0.0, points.performance)
    kept = non_decreasing_hull(cost, performance)
    return Points(cost[kept], performance[kept])


def quality_neutral_cost(points: Points, singles: Points) -> float:
    """Return the least cost at which the router performs as well as the best single LLM, over that LLM's cost.

    Below 1 it saves; 1 is the LLM itself; infinite where the router never performs as well. Of LLMs that perform
    equally well the cheapest counts. NaN where it costs nothing.
    """
    best = singles.performance >= singles.performance.max() - TOLERANCE
    reference = singles.cost[best].min()
    if not reference > 0:
        return float("nan")
    reached = points.cost[points.performance >= singles.performance.max() - TOLERANCE]
    return float(reached.min() / reference) if reached.size else float("inf")


def _range(singles: Points) -> tuple[float, float]:
    return float(singles.cost.min()), float(singles.cost.max())
