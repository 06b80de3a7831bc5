"""What an LLM with few outcomes is charged."""

import numpy as np
import pytest

from graph.build import build_graph
from graph.caution import charges
from graph.records import RoutingData
from tests.graph.routers import WORLDS, probes, router_of
from tests.graph.world import GRAPH, hide, tiny

ALPHAS = (0.0, 0.4, 1.0)


def slow_charges(data: RoutingData, alpha: float) -> list[float]:
    """Return what each LLM is charged, as the module's text says it."""
    outcomes = {"performance": data.performance, "cost": data.cost}
    counts = [sum(bool(np.isfinite(value)) for value in own) for own in data.performance.T]
    spread = {}
    for name, table in outcomes.items():
        offsets = []
        for column in table.T:  # of one LLM, over the queries
            seen = [value for value in column if np.isfinite(value)]
            offsets += [value - sum(seen) / len(seen) for value in seen]
        spread[name] = (sum(offset**2 for offset in offsets) / len(offsets)) ** 0.5
    size = alpha * spread["performance"] + (1 - alpha) * spread["cost"]
    errors = [size / (count + 1) ** 0.5 for count in counts]
    return [error - min(errors) for error in errors]


def unequal(seed: int = 0) -> RoutingData:
    """Return train data in which the LLMs answered ever fewer queries, the last none but one."""
    train, _, _ = tiny(seed)
    hidden = np.random.default_rng(seed).random(train.performance.shape) < np.array([0.0, 0.3, 0.6, 1.0])
    hidden[0] = False
    return hide(train, hidden)


@pytest.mark.parametrize("seed", range(3))
def test_a_charge_is_one_standard_error_beyond_the_best_known_llm(seed: int) -> None:
    data = unequal(seed)
    found = charges(build_graph(data, GRAPH, 0), np.array(ALPHAS))
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found, [slow_charges(data, alpha) for alpha in ALPHAS], rtol=1e-4, atol=1e-7)
    assert (found[:, 0] == 0).all()
    assert (np.diff(found, axis=1) > 0).all(), "the fewer the outcomes, the more"


def test_preferences_of_any_shape() -> None:
    graph = build_graph(unequal(), GRAPH, 0)
    whole = charges(graph, np.array([ALPHAS, ALPHAS]))
    assert whole.shape == (2, 3, 4)
    np.testing.assert_array_equal(whole[1, 2], charges(graph, np.asarray(1.0)))


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_nobody_is_charged_where_all_have_equally_many_outcomes(keep: int) -> None:
    train, _, _ = tiny()
    hidden = (np.arange(4)[None] + np.arange(len(train.queries))[:, None]) % 4 >= keep
    graph = build_graph(hide(train, hidden), GRAPH, 0)
    assert len(set((~hidden).sum(axis=0))) == 1
    assert not charges(graph, np.array(ALPHAS)).any()


@pytest.mark.parametrize("world", WORLDS)
def test_the_charge_of_a_new_llm_falls_with_its_outcomes(world: str) -> None:
    found = []
    for count in (0, 1, 5, 20, len(router_of(world).queries)):
        router = router_of(world)
        router.add_llm({"llm_id": "new"}, probes(router, count))
        charge = charges(router.policy.graph, np.asarray(0.5))
        assert not charge[:-1].any()
        found.append(charge[-1])
    assert (np.diff(found) < 0).all()
    assert found[-1] == 0
    assert 4 * found[1] > found[0] > 2 * found[2] > 0


def test_an_llm_without_an_outcome_is_charged_most_of_a_spread_and_nothing_breaks() -> None:
    router = router_of()
    router.add_llm({"llm_id": "new"})
    performance = router.policy.remembered().performance[:, :-1]
    spread = np.sqrt(((performance - performance.mean(axis=0)) ** 2).mean())
    charge = charges(router.policy.graph, np.asarray(1.0))[-1]
    assert charge == pytest.approx(spread * (1 - 1 / np.sqrt(len(performance) + 1)), rel=1e-4)
    for llm_id in router.llm_ids[:-1]:
        router.remove_llm(llm_id)
    assert charges(router.policy.graph, np.array(ALPHAS)).tolist() == [[0.0]] * 3


def test_what_is_charged_is_taken_off_the_utility() -> None:
    router = router_of()
    router.add_llm({"llm_id": "new"}, probes(router, 3))
    charge = dict(zip(router.llm_ids, charges(router.policy.graph, np.asarray(0.6)), strict=True))
    for item in router.route("Solve an equation.", preference=0.6).alternatives:
        worth = 0.6 * item.expected_performance - 0.4 * item.expected_cost
        if 0 < item.expected_performance < 1 and 0 < item.expected_cost < 1:  # not clipped
            assert item.utility == pytest.approx(worth - charge[item.llm_id], abs=1e-6)
