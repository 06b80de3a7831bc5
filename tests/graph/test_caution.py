"""What an LLM with few outcomes is charged."""

import dataclasses

import numpy as np
import pytest

from graph.build import build_graph
from graph.caution import charges
from graph.records import RoutingData
from tests.graph.routers import WORLDS, probes, router_of
from tests.graph.world import GRAPH, hide, tiny

ALPHAS = (0.0, 0.4, 1.0)


def slow_charge(data: RoutingData, alpha: float, task: str | None) -> list[float]:
    """Return what each LLM is charged on queries of `task` (None: unknown), as the module's text says it."""
    tasks = sorted(set(data.queries.task_ids))
    errors: dict[str, list[float]] = {}
    for name, table in (("performance", data.performance), ("cost", data.cost)):
        rows, llms = table.shape
        seen = [[bool(np.isfinite(table[q, m])) for m in range(llms)] for q in range(rows)]
        mean = [np.mean([table[q, m] for q in range(rows) if seen[q][m]] or [0.0]) for m in range(llms)]
        left = {(q, m): table[q, m] - mean[m] for q in range(rows) for m in range(llms) if seen[q][m]}
        special = {
            (q, m): value - np.mean([left[q, o] for o in range(llms) if (q, o) in left])
            for (q, m), value in left.items()
        }
        spread = sum(value**2 for value in left.values()) / len(left)
        noise = sum(value**2 for value in special.values()) / len(special)
        cells = {
            (t, m): [value for (q, o), value in special.items() if o == m and data.queries.task_ids[q] == t]
            for t in tasks
            for m in range(llms)
        }
        cells = {key: values for key, values in cells.items() if values}
        excess = sum(len(values) * np.mean(values) ** 2 - noise for values in cells.values())
        between = max(excess / sum(map(len, cells.values())), 0.0)
        errors[name] = []
        for m in range(llms):
            count = sum(row[m] for row in seen)
            share = {t: len(cells.get((t, m), [])) for t in tasks}
            variance = spread / (count + 1) + between * sum((n / max(count, 1)) ** 2 for n in share.values())
            if task is not None and share[task]:
                variance = min(variance, spread / (share[task] + 1))
            errors[name].append(variance**0.5)
    beyond = {name: [error - min(own) for error in own] for name, own in errors.items()}
    return [
        (alpha * performance + (1 - alpha) * cost)
        for performance, cost in zip(beyond["performance"], beyond["cost"], strict=True)
    ]


def unequal(seed: int = 0) -> RoutingData:
    """Return train data in which the LLMs answered ever fewer queries, the last none but one."""
    train, _, _ = tiny(seed)
    hidden = np.random.default_rng(seed).random(train.performance.shape) < np.array([0.0, 0.3, 0.6, 1.0])
    hidden[0] = False
    return hide(train, hidden)


@pytest.mark.parametrize("seed", range(3))
def test_a_charge_is_one_standard_error_beyond_the_best_known_llm(seed: int) -> None:
    data = unequal(seed)
    graph = build_graph(data, GRAPH, 0)
    for row, task in [(-1, None), *enumerate(graph.task_ids)]:
        found = charges(graph, np.array(ALPHAS), np.full(3, row))
        assert found.shape == (3, 4)
        wanted = [slow_charge(data, alpha, task) for alpha in ALPHAS]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        assert (found[:, -1] > found[:, 0]).all(), "the fewer the outcomes, the more"


def test_a_row_per_query_or_a_grid_of_users_and_queries() -> None:
    graph = build_graph(unequal(), GRAPH, 0)
    task = np.array([0, 1, -1, 0, 1])
    whole = charges(graph, np.array(ALPHAS)[:, None], task)
    assert whole.shape == (3, 5, 4)
    np.testing.assert_array_equal(whole[1], charges(graph, np.full(5, ALPHAS[1]), task))
    np.testing.assert_array_equal(whole[:, 2], charges(graph, np.array(ALPHAS), np.full(3, -1)))


def test_nobody_is_charged_where_every_llm_answered_everything() -> None:
    train, _, _ = tiny()
    assert not charges(build_graph(train, GRAPH, 0), np.array(ALPHAS), np.array([-1, 0, 1])).any()


def test_outcomes_of_one_task_count_as_few_elsewhere() -> None:
    train, _, _ = tiny()
    task = np.array(train.queries.task_ids)
    # The last LLM is strong on one task and weak on the other, as its known rivals are in turn.
    strong = (task == sorted(set(task))[0]).astype(float)
    performance = np.stack([strong, 1 - strong, strong, 1 - strong], axis=1)
    for_one, spread_out = np.zeros_like(performance, dtype=bool), np.zeros_like(performance, dtype=bool)
    first = np.flatnonzero(strong)[:8]
    mixed = np.concatenate([np.flatnonzero(strong)[:4], np.flatnonzero(strong == 0)[:4]])
    for_one[:, 3], for_one[first, 3] = True, False
    spread_out[:, 3], spread_out[mixed, 3] = True, False
    data = dataclasses.replace(train, performance=performance)
    found = [
        charges(build_graph(hide(data, hidden), GRAPH, 0), np.ones(3), np.array([0, 1, -1]))[:, 3]
        for hidden in (for_one, spread_out)
    ]
    assert found[0][1] > 1.5 * found[1][1], "on the task that it has no outcome of"
    assert min(found[0][1:]) > found[0][0], "less on its own task"


@pytest.mark.parametrize("world", WORLDS)
def test_the_charge_of_a_new_llm_falls_with_its_outcomes(world: str) -> None:
    found = []
    for count in (0, 1, 5, 20, len(router_of(world).queries)):
        router = router_of(world)
        router.add_llm({"llm_id": "new"}, probes(router, count))
        charge = charges(router.policy.graph, np.array([0.5]), np.array([-1]))[0]
        assert not charge[:-1].any()
        found.append(charge[-1])
    # By few outcomes of one task it may be charged more than by none: nothing is known of the others then.
    assert found[-1] < found[3] < found[2] < found[0]
    assert found[-1] == pytest.approx(0, abs=1e-6)


def test_an_llm_without_an_outcome_is_charged_most_of_a_spread_and_nothing_breaks() -> None:
    router = router_of()
    router.add_llm({"llm_id": "new"})
    performance = router.policy.remembered().performance[:, :-1]
    spread = np.sqrt(((performance - performance.mean(axis=0)) ** 2).mean())
    charge = charges(router.policy.graph, np.ones(1), np.array([-1]))[0, -1]
    assert 0.5 * spread < charge < spread
    for llm_id in router.llm_ids[:-1]:
        router.remove_llm(llm_id)
    assert charges(router.policy.graph, np.array(ALPHAS), np.full(3, -1)).tolist() == [[0.0]] * 3


def test_what_is_charged_is_taken_off_the_utility() -> None:
    router = router_of()
    router.add_llm({"llm_id": "new"}, probes(router, 3))
    decision = router.route("Solve an equation.", preference=0.6)
    task = router.policy.graph.task_ids.index(decision.task_id)
    charge = dict(zip(router.llm_ids, charges(router.policy.graph, np.array([0.6]), np.array([task]))[0], strict=True))
    for item in decision.alternatives:
        worth = 0.6 * item.expected_performance - 0.4 * item.expected_cost
        if 0 < item.expected_performance < 1 and 0 < item.expected_cost < 1:  # not clipped
            assert item.utility == pytest.approx(worth - charge[item.llm_id], abs=1e-6)
