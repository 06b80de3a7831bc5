"""RouteLLM's metrics against cases worked out by hand, slow twins that try every threshold, and laws."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graph.strong_weak import (
    Pair,
    apgr,
    bootstrap_apgr,
    cpt,
    saving,
    trace,
    trace_oracle,
    trace_random,
)

# Four queries; the strong LLM wins the first two, ties on the third, loses the fourth, and costs ten times as much.
WEAK, STRONG = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.5])
BY_HAND = Pair(WEAK, STRONG, np.full(4, 1.0), np.full(4, 10.0))
PERFECT = np.array([4.0, 3.0, 2.0, 1.0])


@st.composite
def pairs(draw, max_size=12):
    """Draw (need, pair): few distinct scores, so that ties are common; the strong LLM is better on the whole."""
    size = draw(st.integers(2, max_size))

    def column(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), dtype=float)

    pair = Pair(column(0, 4) / 4, column(0, 4) / 4, column(0, 3), column(1, 9))
    assume(pair.gain.sum() > 0)
    return column(-3, 3), pair


def take(pair, rows):
    return Pair(*(getattr(pair, name)[rows] for name in Pair.__dataclass_fields__))


def slow_curve(need, pair):
    """One query at a time is asked of the LLM that the threshold says, at every threshold there is."""
    points = []
    for threshold in [np.inf, *sorted(set(need), reverse=True)]:
        strong = [score >= threshold for score in need]
        performance = cost = 0.0
        for i, sent in enumerate(strong):
            performance += pair.strong_performance[i] if sent else pair.weak_performance[i]
            cost += pair.strong_cost_usd[i] if sent else pair.weak_cost_usd[i]
        points.append((threshold, sum(strong) / len(need), performance / len(need), cost / len(need)))
    return np.array(points)


def slow_pgr_at(need, pair, share):
    """PGR where a coin is tossed between the two thresholds around `share`."""
    points = slow_curve(need, pair)
    weak, strong = pair.weak_performance.mean(), pair.strong_performance.mean()
    for left, right in itertools.pairwise(points):
        if left[1] <= share <= right[1]:
            heads = (share - left[1]) / (right[1] - left[1])
            return ((1 - heads) * left[2] + heads * right[2] - weak) / (strong - weak)
    raise AssertionError("no thresholds around this share")


def slow_apgr(need, pair):
    """Each query's gain counts for the shares of strong calls at which it is sent to the strong LLM."""
    total = 0.0
    for mine, gain in zip(need, pair.gain, strict=True):
        before = sum(other > mine for other in need)
        tied = sum(other == mine for other in need)
        total += gain * (1 - (before + tied / 2) / len(need))
    return total / sum(pair.gain)


def slow_cpt(need, pair, level, steps=1000):
    """The first of many shares, those of the thresholds among them, that is enough."""
    for share in np.union1d(np.linspace(0, 1, steps + 1), slow_curve(need, pair)[:, 1]):
        if slow_pgr_at(need, pair, share) >= level - 1e-9:
            return share
    raise AssertionError("always asking the strong LLM reaches every level up to 1")


def test_a_curve_by_hand():
    curve = trace(PERFECT, BY_HAND)
    assert curve.threshold.tolist() == [np.inf, 4, 3, 2, 1]
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.performance.tolist() == [0.5, 0.75, 1, 1, 0.875]
    assert curve.cost_usd.tolist() == [1, 3.25, 5.5, 7.75, 10]
    assert curve.pgr == pytest.approx([0, 2 / 3, 4 / 3, 4 / 3, 1])
    assert apgr(curve) == pytest.approx((1 / 3 + 1 + 4 / 3 + 7 / 6) / 4)
    assert cpt(curve, 0.5) == pytest.approx(0.25 * 3 / 4)
    assert cpt(curve, 0.8) == pytest.approx(0.25 + 0.25 / 5)
    assert cpt(curve, 1) == pytest.approx(0.375)


def test_ties_go_together_and_a_coin_is_tossed_within():
    curve = trace([1, 1, 0, 0], BY_HAND)
    assert curve.threshold.tolist() == [np.inf, 1, 0]
    assert curve.share.tolist() == [0, 0.5, 1]
    assert curve.performance.tolist() == [0.5, 1, 0.875]
    assert apgr(curve) == pytest.approx((2 / 3 + 7 / 6) / 2)
    assert cpt(curve, 0.5) == pytest.approx(0.5 * 3 / 8)


def test_a_saving_by_hand():
    # 95 % of 0.875 is 0.83125: a third of the way from one strong call in four to two.
    found = saving(trace(PERFECT, BY_HAND))
    part = (0.83125 - 0.75) / 0.25
    assert found.share == pytest.approx(0.25 + 0.25 * part)
    assert found.cost_usd == pytest.approx(3.25 + 2.25 * part)
    assert found.saved == pytest.approx(1 - found.cost_usd / 10)
    # The coin needs (0.83125 − 0.5) / 0.375 of the calls.
    random_cost = 1 + 9 * (0.83125 - 0.5) / 0.375
    assert found.saved_over_random == pytest.approx(1 - found.cost_usd / random_cost)
    assert saving(trace_random(BY_HAND)).saved_over_random == pytest.approx(0)


def test_where_the_weak_llm_is_good_enough_no_strong_call_is_needed():
    found = saving(trace(PERFECT, BY_HAND), quality=0.5)
    assert (found.share, found.cost_usd, found.saved, found.saved_over_random) == (0, 1, pytest.approx(0.9), 0)


@pytest.mark.parametrize("strong", [WEAK, WEAK / 2])
def test_without_a_gap_there_is_nothing_to_recover(strong):
    pair = Pair(WEAK, strong, BY_HAND.weak_cost_usd, BY_HAND.strong_cost_usd)
    curve = trace(PERFECT, pair)
    assert np.isnan(curve.pgr).all()
    found = saving(curve)
    numbers = [apgr(curve), apgr(curve, 10), cpt(curve, 0.5), found.share, found.cost_usd, found.saved]
    assert np.isnan([*numbers, found.saved_over_random]).all()
    assert np.isnan(bootstrap_apgr(PERFECT, pair, range(4), np.zeros(4), 3)).all()


def test_what_costs_nothing_saves_no_share():
    free = Pair(WEAK, STRONG, np.zeros(4), np.zeros(4))
    found = saving(trace(PERFECT, free))
    assert found.cost_usd == 0
    assert np.isnan(found.saved)
    assert np.isnan(found.saved_over_random)


@pytest.mark.parametrize("need", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, np.nan], [[1.0, 2.0, 3.0, 4.0]], 1.0])
def test_wrong_scores_are_refused(need):
    with pytest.raises(ValueError, match="expected"):
        trace(need, BY_HAND)


def test_no_queries_and_missing_outcomes_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        trace([], Pair(*[np.zeros(0)] * 4))
    holes = Pair(np.array([0, np.nan, 1, 1]), STRONG, BY_HAND.weak_cost_usd, BY_HAND.strong_cost_usd)
    with pytest.raises(ValueError, match="NaN"):
        trace(PERFECT, holes)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_the_curve_equals_its_twin(drawn):
    need, pair = drawn
    curve = trace(need, pair)
    found = np.column_stack([curve.threshold, curve.share, curve.performance, curve.cost_usd])
    np.testing.assert_allclose(found, slow_curve(need, pair), atol=1e-12)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_apgr_equals_its_twins(drawn):
    need, pair = drawn
    curve = trace(need, pair)
    assert apgr(curve) == pytest.approx(slow_apgr(need, pair), abs=1e-9)
    read = [slow_pgr_at(need, pair, share) for share in np.linspace(0, 1, 11)]
    assert apgr(curve, 10) == pytest.approx((sum(read) - (read[0] + read[-1]) / 2) / 10, abs=1e-9)
    # With as many steps as there are queries all corners are hit.
    assert apgr(curve, len(need)) == pytest.approx(apgr(curve), abs=1e-9)


@given(pairs(max_size=6), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
@settings(max_examples=25, deadline=None)
def test_cpt_equals_its_twin(drawn, level):
    need, pair = drawn
    assert cpt(trace(need, pair), level) == pytest.approx(slow_cpt(need, pair, level), abs=1.1e-3)


@given(pairs(), st.sampled_from([0.5, 0.95, 1.0]))
@settings(max_examples=60, deadline=None)
def test_a_saving_keeps_its_promise(drawn, quality):
    """The share that is named is the least of many at which the router is good enough, and costs what it says."""
    need, pair = drawn
    curve = trace(need, pair)
    found = saving(curve, quality)
    wanted = quality * pair.strong_performance.mean()
    shares = np.union1d(np.linspace(0, 1, 10_001), curve.share)
    good = np.interp(shares, curve.share, curve.performance) >= wanted - 1e-9
    assert found.share == pytest.approx(shares[good.argmax()], abs=1.1e-4)
    assert np.interp(found.share, curve.share, curve.cost_usd) == pytest.approx(found.cost_usd)


@given(pairs(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_queries_does_not_matter(drawn, random):
    need, pair = drawn
    rows = list(range(len(need)))
    random.shuffle(rows)
    one, other = trace(need, pair), trace(need[rows], take(pair, rows))
    for name in ("threshold", "share", "performance", "cost_usd"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)


@given(pairs())
@settings(max_examples=40, deadline=None)
def test_only_the_order_of_scores_matters(drawn):
    need, pair = drawn
    one, other = trace(need, pair), trace(np.exp(need / 2) - 7, pair)
    np.testing.assert_array_equal(one.share, other.share)
    np.testing.assert_array_equal(one.performance, other.performance)
    assert apgr(one) == apgr(other)


@given(pairs())
@settings(max_examples=40, deadline=None)
def test_opposite_scores_mirror_the_curve(drawn):
    need, pair = drawn
    one, other = trace(need, pair), trace(-need, pair)
    np.testing.assert_allclose(other.share, 1 - one.share[::-1], atol=1e-12)
    np.testing.assert_allclose(other.pgr, 1 - one.pgr[::-1], atol=1e-9)
    assert apgr(one) + apgr(other) == pytest.approx(1)


@given(pairs())
@settings(max_examples=40, deadline=None)
def test_equal_scores_are_the_random_router_on_the_diagonal(drawn):
    _, pair = drawn
    curve = trace_random(pair)
    assert curve.share.tolist() == [0, 1]
    assert curve.pgr == pytest.approx([0, 1])
    assert apgr(curve) == pytest.approx(0.5)
    assert apgr(curve, 10) == pytest.approx(0.5)
    assert [cpt(curve, level) for level in (0.2, 0.5, 0.8)] == pytest.approx([0.2, 0.5, 0.8])


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_no_router_is_above_the_oracle(drawn):
    need, pair = drawn
    mine, oracle = trace(need, pair), trace_oracle(pair)
    shares = np.union1d(mine.share, oracle.share)
    reached = [np.interp(shares, curve.share, curve.performance) for curve in (mine, oracle)]
    assert (reached[0] <= reached[1] + 1e-12).all()
    assert apgr(mine) <= apgr(oracle) + 1e-9
    assert cpt(mine, 0.5) >= cpt(oracle, 0.5) - 1e-9
    best = np.maximum(pair.weak_performance, pair.strong_performance).mean()
    assert oracle.performance.max() == pytest.approx(best)


def slow_bootstrap(need, pair, clusters, strata, resamples, seed):
    """The same draws, but every resample is written out query by query, and its area taken from its curve."""
    ids = sorted(set(clusters))
    draws = np.random.default_rng(seed).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=resamples)
    found = []
    for counts in draws:
        parts = []
        for name in sorted(set(strata)):
            own = [i for i in range(len(need)) if strata[i] == name]
            whole = take(pair, own)
            if whole.gain.mean() <= 1e-9:
                continue
            rows = [i for i in own for _ in range(counts[ids.index(clusters[i])])]
            area = gap = 0.0
            if rows:
                curve = trace(need[rows], take(pair, rows))
                area = np.trapezoid(curve.performance - curve.performance[0], curve.share)
                gap = curve.performance[-1] - curve.performance[0]
            ratio = slow_apgr(need[own], whole)
            parts.append(ratio + (area - ratio * gap) / whole.gain.mean())
        found.append(np.mean(parts))
    return found


@given(pairs(), st.data())
@settings(max_examples=25, deadline=None)
def test_the_bootstrap_equals_its_twin(drawn, data):
    need, pair = drawn
    labels = st.lists(st.integers(0, 4), min_size=len(need), max_size=len(need))
    clusters, strata = data.draw(labels), [label % 2 for label in data.draw(labels)]
    gains = [pair.gain[[i for i, label in enumerate(strata) if label == name]].mean() for name in set(strata)]
    assume(max(gains) > 1e-6)
    found = bootstrap_apgr(need, pair, clusters, strata, 5, seed=3)
    assert found == pytest.approx(slow_bootstrap(need, pair, clusters, strata, 5, 3), abs=1e-9)


def world(size, seed, signal=1.0):
    rng = np.random.default_rng(seed)
    hard = rng.random(size)
    weak, strong = (rng.random(size) < 0.8 - 0.6 * hard), (rng.random(size) < 0.85 - 0.1 * hard)
    pair = Pair(weak.astype(float), strong.astype(float), np.full(size, 1.0), np.full(size, 25.0))
    return signal * hard + rng.normal(0, 0.3, size), pair


def test_the_bootstrap_has_the_spread_of_new_samples():
    need, pair = world(400, 0)
    draws = bootstrap_apgr(need, pair, np.arange(400), np.zeros(400), 400)
    fresh = [apgr(trace(*world(400, seed))) for seed in range(1, 401)]
    assert draws.std() == pytest.approx(np.std(fresh), rel=0.25)
    assert draws.mean() == pytest.approx(apgr(trace(need, pair)), abs=0.02)


def test_the_bootstrap_tells_a_router_that_knows_from_one_that_guesses():
    for signal, knows in ((1.0, True), (0.0, False)):
        need, pair = world(1500, 7, signal)
        error = bootstrap_apgr(need, pair, np.arange(1500), np.zeros(1500), 200).std()
        assert (apgr(trace(need, pair)) - 0.5 > 2 * error) == knows
    constant = bootstrap_apgr(np.zeros(1500), pair, np.arange(1500), np.zeros(1500), 5)
    assert constant == pytest.approx(0.5)


def test_the_bootstrap_is_the_same_with_the_same_seed_and_in_chunks(monkeypatch):
    need, pair = world(50, 1)
    whole = bootstrap_apgr(need, pair, np.arange(50), np.zeros(50), 7, seed=2)
    assert bootstrap_apgr(need, pair, np.arange(50), np.zeros(50), 7, seed=2) == pytest.approx(whole, abs=0)
    assert not np.allclose(whole, bootstrap_apgr(need, pair, np.arange(50), np.zeros(50), 7, seed=3))
    monkeypatch.setattr("graph.strong_weak.CHUNK", 100)
    assert bootstrap_apgr(need, pair, np.arange(50), np.zeros(50), 7, seed=2) == pytest.approx(whole, abs=0)
    assert bootstrap_apgr(need, pair, np.arange(50), np.zeros(50), 0).shape == (0,)


def test_repeats_of_the_same_queries_say_no_more_than_one():
    need, pair = world(300, 4)
    twice = np.tile(np.arange(300), 2)
    once = bootstrap_apgr(need, pair, np.arange(300), np.zeros(300), 200)
    both = bootstrap_apgr(need[twice], take(pair, twice), twice, np.repeat([0, 1], 300), 200)
    assert both == pytest.approx(once)
