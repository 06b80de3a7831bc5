"""Which two LLMs, and how much a graph router says the strong one is needed."""

import numpy as np
import pytest

from configs.errors import InputError
from graph.needs import GraphPair, _held_out, choose_pair, needed, observed_means
from tests.graph.routers import QUESTIONS, probes, router_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("performance", "cost", "pair"),
    [
        ([0.5, 0.9], [1.0, 2.0], ("a", "b")),
        ([0.9, 0.5], [1.0, 2.0], ("b", "a")),  # the strong one is the cheaper one, too
        ([0.7, 0.7], [2.0, 1.0], ("b", "a")),  # as good: the dearer one counts as strong
        ([0.2, 0.3, 0.9], [1.0, 1.0, 5.0], ("b", "c")),  # as cheap, but better
        ([0.2, 0.8, 0.9], [1.0, 2.0, 5.0], ("a", "c")),
        ([0.2, 0.8, 0.9], [0.0, 0.0, 0.0], ("b", "c")),  # no costs: the second best
        ([NAN, 0.8, 0.9], [0.0, 2.0, 3.0], ("b", "c")),  # nobody knows the first
        ([0.8], [1.0], ("a", "a")),
        ([NAN, NAN], [NAN, NAN], ("a", "b")),
    ],
)
def test_the_pair(performance: list[float], cost: list[float], pair: tuple[str, str]) -> None:
    ids = list("abc")[: len(cost)]
    assert choose_pair(ids, np.array(performance), np.array(cost)) == pair
    turned = choose_pair(ids[::-1], np.array(performance[::-1]), np.array(cost[::-1]))
    assert turned == pair


def test_need_is_what_the_strong_one_adds() -> None:
    found = needed(np.array([0.0, 1.0, 1.0, 0.0, 0.4]), np.array([1.0, 0.0, 1.0, 0.0, 0.7]))
    np.testing.assert_allclose(found, [1, 0, 0, 0, 0.3])


def test_means_of_what_was_seen() -> None:
    np.testing.assert_array_equal(observed_means(np.array([[1.0, NAN], [0.0, NAN]])), [0.5, NAN])


@pytest.mark.parametrize("world", ["preference", "choice", "persona"])
def test_a_graph_router_is_a_pair(world: str) -> None:
    router = router_of(world)
    pair = GraphPair.of(router)
    need = pair.need(QUESTIONS)
    assert need.shape == (3,)
    assert ((need > 0) & (need < 1)).all()
    np.testing.assert_allclose(need[1:2], pair.need(QUESTIONS[1:2]), atol=1e-5)
    expected = pair.expected(QUESTIONS)
    decision = router.route(QUESTIONS[0], preference=1.0)
    item = next(item for item in decision.alternatives if item.llm_id == pair.strong_id)
    np.testing.assert_allclose(expected[0, 1], [item.expected_performance, item.expected_cost_usd])


def test_the_mean_need_is_how_often_it_was_needed() -> None:
    router = router_of()
    pair = GraphPair.of(router)
    known = router.policy.remembered()
    place = [router.llm_ids.index(name) for name in (pair.weak_id, pair.strong_id)]
    truth = needed(*known.performance[:, place].T)
    seen = np.isfinite(truth)
    gain = np.diff(_held_out(router.policy, known.queries)[:, place], axis=1)[:, 0]
    assert pair.platt.probability(10 * gain)[seen].mean() == pytest.approx(truth[seen].mean(), abs=0.02)


def test_a_known_question_is_judged_without_its_own_outcome() -> None:
    router = router_of()
    known = router.policy.remembered()
    row = 5
    before = _held_out(router.policy, known.queries)[row]
    edges = router.policy.graph["llm", "answered", "query"]
    own = edges.edge_index[1] == row
    kept = edges.edge_attr.clone()
    edges.edge_attr = edges.edge_attr.clone()
    edges.edge_attr[own, 0] = 1 - edges.edge_attr[own, 0]
    after = _held_out(router.policy, known.queries)
    edges.edge_attr = kept
    np.testing.assert_array_equal(after[row], before)
    assert np.ptp(after - _held_out(router.policy, known.queries)) > 0, "others learn from it"


def test_the_pair_that_is_asked_for() -> None:
    router = router_of()
    first, second, *_ = router.llm_ids
    pair = GraphPair.of(router, first, second)
    assert (pair.weak_id, pair.strong_id) == (first, second)
    turned = GraphPair.of(router, second, first)
    np.testing.assert_allclose(turned.expected(QUESTIONS), pair.expected(QUESTIONS)[:, ::-1])
    default = GraphPair.of(router)
    assert GraphPair.of(router, weak_id=default.strong_id).strong_id != default.strong_id
    assert GraphPair.of(router, strong_id=default.weak_id).weak_id != default.weak_id
    with pytest.raises(InputError, match=r"--weak: expected one of .*did you mean"):
        GraphPair.of(router, weak_id=first + "x")
    with pytest.raises(InputError, match="expected two LLMs"):
        GraphPair.of(router, first, first)


def test_an_llm_that_was_added_later() -> None:
    router = router_of()
    router.add_llm({"llm_id": "lake", "description": "A small model."}, probes(router, 20))
    pair = GraphPair.of(router, "lake")
    assert np.isfinite(pair.need(QUESTIONS)).all()
