"""Deferral curves, their areas and QNC against cases worked out by hand, slow twins and laws."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graph.deferral import (
    Points,
    aiq,
    audc,
    convex_hull,
    deferral_curve,
    performance_within,
    quality_neutral_cost,
    sweep,
)

# A cheap and a dear LLM; the router has a better trade-off in between, a useless one, and nothing as good as the dear.
SINGLES = Points.of([1.0, 5.0], [0.4, 0.8])
ROUTER = Points.of([3.0, 1.0, 2.0, 4.0], [0.7, 0.4, 0.3, 0.7])


@st.composite
def points(draw, max_size=8):
    """Draw points on a coarse grid: equal costs, equal performances and collinear points are common."""
    size = draw(st.integers(1, max_size))
    grid = st.lists(st.integers(0, 8), min_size=size, max_size=size)
    return Points.of(draw(grid), np.array(draw(grid)) / 8)


@st.composite
def ranges(draw):
    """Draw single LLMs of different cost."""
    singles = draw(points(4))
    assume(singles.cost.max() > singles.cost.min())
    return singles


def slow_within(own, budget):
    return max((p for c, p in zip(own.cost, own.performance, strict=True) if c <= budget), default=0.0)


def slow_mix_within(own, budget):
    """The best coin toss between two of the points and the null router that costs at most the budget."""
    pairs = [(0.0, 0.0), *zip(own.cost, own.performance, strict=True)]
    best = 0.0
    for c, p in pairs:
        for d, q in pairs:
            if c <= budget:
                best = max(best, p)
            if c <= budget < d:
                best = max(best, p + (q - p) * (budget - c) / (d - c))
    return best


def slow_area(height, own, singles, steps=4000):
    """The mean height at the middles of many thin strips of the range of costs."""
    low, high = singles.cost.min(), singles.cost.max()
    budgets = low + (np.arange(steps) + 0.5) / steps * (high - low)
    return np.mean([height(own, budget) for budget in budgets])


def test_a_deferral_curve_by_hand():
    curve = deferral_curve(ROUTER)
    assert (curve.cost.tolist(), curve.performance.tolist()) == ([1, 3], [0.4, 0.7])
    assert performance_within(ROUTER, [0.5, 1, 2.9, 3, 9]).tolist() == [0, 0.4, 0.4, 0.7, 0.7]
    assert audc(ROUTER, SINGLES) == pytest.approx((0.4 * 2 + 0.7 * 2) / 4)
    assert audc(SINGLES, SINGLES) == pytest.approx(0.4)


def test_aiq_by_hand():
    assert convex_hull(ROUTER).cost.tolist() == [0, 1, 3]
    # From (1, 0.4) straight to (3, 0.7), level to 5.
    assert aiq(ROUTER, SINGLES) == pytest.approx((0.55 * 2 + 0.7 * 2) / 4)
    assert aiq(SINGLES, SINGLES) == pytest.approx(0.6)  # a coin between the two LLMs


def test_a_router_dearer_than_the_cheapest_llm_pays_for_it():
    late = Points.of([3.0], [0.9])
    assert audc(late, SINGLES) == pytest.approx(0.9 / 2)  # nothing to be had below a cost of 3
    assert aiq(late, SINGLES) == pytest.approx(((0.3 + 0.9) / 2 * 2 + 0.9 * 2) / 4)  # a coin with no answer at all


def test_quality_neutral_cost_by_hand():
    assert quality_neutral_cost(ROUTER, SINGLES) == np.inf
    assert quality_neutral_cost(SINGLES, SINGLES) == 1
    assert quality_neutral_cost(Points.of([4.0, 2.5, 1.0], [0.9, 0.8, 0.7]), SINGLES) == pytest.approx(0.5)
    # Of two equally good LLMs the cheaper is what there is to beat.
    assert quality_neutral_cost(Points.of([2.0], [0.8]), Points.of([4.0, 8.0], [0.8, 0.8])) == pytest.approx(0.5)
    assert np.isnan(quality_neutral_cost(ROUTER, Points.of([0.0, 1.0], [0.5, 0.4])))


def test_equal_costs_leave_no_area():
    same = Points.of([2.0, 2.0], [0.4, 0.8])
    assert np.isnan(audc(ROUTER, same))
    assert np.isnan(aiq(ROUTER, same))


@pytest.mark.parametrize(
    ("cost", "performance"),
    [([], []), ([1.0], [0.5, 0.6]), ([np.nan], [0.5]), ([1.0], [np.nan]), ([-1.0], [0.5]), (1.0, 0.5)],
)
def test_wrong_points_are_refused(cost, performance):
    with pytest.raises(ValueError, match="expected"):
        Points.of(cost, performance)


@given(points(), st.lists(st.integers(-2, 20), min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_the_curve_equals_its_twin(own, halves):
    budgets = np.array(halves) / 2
    assert performance_within(own, budgets).tolist() == [slow_within(own, budget) for budget in budgets]


@given(points(), ranges())
@settings(max_examples=25, deadline=None)
def test_the_areas_equal_their_twins(own, singles):
    assert audc(own, singles) == pytest.approx(slow_area(slow_within, own, singles), abs=1e-3)
    assert aiq(own, singles) == pytest.approx(slow_area(slow_mix_within, own, singles, 500), abs=4e-3)


@given(points(), points())
@settings(max_examples=60, deadline=None)
def test_quality_neutral_cost_equals_its_twin(own, singles):
    goal = max(singles.performance)
    cost = min(c for c, p in zip(singles.cost, singles.performance, strict=True) if p == goal)
    assume(cost > 0)
    enough = [c / cost for c, p in zip(own.cost, own.performance, strict=True) if p >= goal]
    assert quality_neutral_cost(own, singles) == pytest.approx(min(enough, default=np.inf))
    assert quality_neutral_cost(singles, singles) == 1


@given(points(), points(), ranges())
@settings(max_examples=60, deadline=None)
def test_more_trade_offs_never_hurt_and_a_coin_never_either(own, more, singles):
    both = Points.of(np.append(own.cost, more.cost), np.append(own.performance, more.performance))
    assert audc(both, singles) >= audc(own, singles) - 1e-12
    assert aiq(both, singles) >= aiq(own, singles) - 1e-12
    neutral = quality_neutral_cost(both, singles), quality_neutral_cost(own, singles)
    assert neutral[0] <= neutral[1] or np.isnan(neutral).all()
    assert 0 <= audc(own, singles) <= aiq(own, singles) + 1e-12 <= 1 + 2e-12


@given(points(), ranges(), st.randoms(use_true_random=False), st.sampled_from([0.001, 3.0]))
@settings(max_examples=40, deadline=None)
def test_order_and_unit_of_cost_do_not_matter(own, singles, random, unit):
    rows = list(range(len(own.cost)))
    random.shuffle(rows)
    other, scaled = (
        Points.of(own.cost[rows] * unit, own.performance[rows]),
        Points.of(singles.cost * unit, singles.performance),
    )
    assert audc(other, scaled) == pytest.approx(audc(own, singles))
    assert aiq(other, scaled) == pytest.approx(aiq(own, singles))
    found = quality_neutral_cost(own, singles)
    assert quality_neutral_cost(other, scaled) == pytest.approx(found, nan_ok=True)


def test_a_sweep_by_hand():
    """Two queries, three LLMs; the middle one of the first query lies under the line and is never taken."""
    expected = np.array([[[0.2, 0.0], [0.3, 0.5], [0.8, 1.0]], [[0.5, 0.0], [0.7, 0.1], [0.6, 1.0]]])
    performance = np.array([[0.0, 0.0, 1.0], [1.0, 0.5, 0.0]])
    cost = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    rates, points = sweep(expected, performance, cost)
    assert rates == pytest.approx([np.inf, 2.0, 0.6])
    assert points.cost == pytest.approx([1, 1.5, 3])
    assert points.performance == pytest.approx([0.5, 0.25, 0.75])


def test_a_single_llm_and_equal_expectations_leave_nothing_to_weigh():
    rates, points = sweep(np.ones((3, 1, 2)), np.ones((3, 1)), np.full((3, 1), 2.0))
    assert (rates.tolist(), points.cost.tolist(), points.performance.tolist()) == ([np.inf], [2], [1])
    rates, points = sweep(np.ones((3, 2, 2)), np.ones((3, 2)), np.ones((3, 2)))
    assert rates.tolist() == [np.inf]


@given(st.data(), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_a_sweep_equals_its_twin(data, queries, llms):
    """Between any two rates at which something changes each query is routed by itself, one LLM after the other."""
    cells = st.lists(st.integers(0, 8), min_size=queries * llms, max_size=queries * llms)
    p, c, performance, cost = (np.array(data.draw(cells)).reshape(queries, llms) / 8 for _ in range(4))
    rates, points = sweep(np.stack([p, c], axis=-1), performance, cost)
    assert (np.diff(rates) < 0).all()
    # Of two LLMs expected to be the same in both, either may be taken: what came of it may differ.
    assume(all(len({(p[i, j], c[i, j]) for j in range(llms)}) == llms for i in range(queries)))
    for place, (high, low) in enumerate(zip([1e3, *rates[1:]], [*rates[1:], 0.0], strict=True)):
        if high - low < 1e-9:  # the same rate but for rounding
            continue
        rate = (high + low) / 2
        chosen = [max(range(llms), key=lambda j, i=i: (p[i, j] - rate * c[i, j], -c[i, j])) for i in range(queries)]
        rows = np.arange(queries)
        assert points.cost[place] == pytest.approx(cost[rows, chosen].mean())
        assert points.performance[place] == pytest.approx(performance[rows, chosen].mean())
