"""Policy `graph`: the contract of every policy, each relation switched, thin data, and the way to disk and back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import InputError
from configs.schema import Graph, Train
from graph.graph_policy import GraphPolicy
from graph.records import RoutingData
from tests.graph.world import (
    GRAPH,
    RELATIONS,
    TRAIN,
    all_but_k,
    hide,
    take_llms,
    take_queries,
    tiny,
    with_relations,
    without_tasks,
)

USERS = ["user_1", "user_2", "user_3", "user_4"]


def fitted(train: RoutingData, validation: RoutingData, graph: Graph = GRAPH, config: Train = TRAIN) -> GraphPolicy:
    return GraphPolicy(graph, config, seed=0).fit(train, validation)


@pytest.fixture(scope="module")
def world() -> tuple[RoutingData, RoutingData, RoutingData]:
    return tiny()


@pytest.fixture(scope="module")
def policy(world: tuple[RoutingData, RoutingData, RoutingData]) -> GraphPolicy:
    return fitted(world[0], world[1])


def test_constructing_does_nothing_and_fit_returns_itself(world) -> None:
    fresh = GraphPolicy(GRAPH, TRAIN)
    assert not hasattr(fresh, "model")
    assert not fresh.interrupted
    assert fresh.fit(world[0], world[1]) is fresh


def test_scores_are_the_utility_of_the_outcomes(world, policy) -> None:
    queries = world[2].queries
    users = [USERS[i % 4] for i in range(14)]
    scores, outcomes = policy.scores(queries, users), policy.outcomes(queries)
    assert scores.shape == (14, 4)
    for row, user in enumerate(users):
        alpha = float(policy.preferences.mean([user])[0])
        np.testing.assert_allclose(
            scores[row], alpha * outcomes[row, :, 0] - (1 - alpha) * outcomes[row, :, 1], rtol=0, atol=1e-9
        )


def test_the_grid_is_every_query_for_every_user(world, policy) -> None:
    queries = world[2].queries
    grid = policy.grid(queries, [*USERS, "nobody"])
    for row, user in enumerate([*USERS, "nobody"]):
        np.testing.assert_array_equal(grid[row], policy.scores(queries, [user] * 14))


def test_asking_twice_gives_the_same_answer_and_order_does_not_matter(world, policy) -> None:
    queries, order = world[2].queries, np.array([5, 0, 13, 5])
    first = policy.scores(queries, ["user_2"] * 14)
    np.testing.assert_array_equal(policy.scores(queries, ["user_2"] * 14), first)
    np.testing.assert_allclose(policy.scores(queries.take(order), ["user_2"] * 4), first[order], rtol=0, atol=1e-5)


def test_nothing_asked_nothing_answered(world, policy) -> None:
    nothing = world[2].queries.take([])
    assert policy.scores(nothing, []).shape == (0, 4)
    assert policy.predictions(nothing).shape == (0, 4, 3)
    assert policy.nearest(nothing, 3).shape[0] == 0


def test_predictions_are_in_range_and_dollars_are_dollars(world, policy) -> None:
    train, _, test = world
    values = policy.predictions(test.queries)
    assert values[..., :2].min() >= 0
    assert values[..., :2].max() <= 1
    assert values[..., 2].min() >= 0
    np.testing.assert_allclose(values[..., 2].mean(axis=0), train.cost_usd.mean(axis=0), rtol=0.25)
    inside = (policy.outcomes(test.queries) >= 0) & (policy.outcomes(test.queries) <= 1)
    np.testing.assert_allclose(values[..., :2][inside], policy.outcomes(test.queries)[inside])


def test_predictions_beat_the_llm_means_on_test(world) -> None:
    """The world has structure in task and features; the model has to find some of it."""
    train, validation, test = tiny(counts=(200, 40, 100))
    values = fitted(train, validation, config=Train(epochs=12, device="cpu")).outcomes(test.queries)
    for channel, truth, seen in ((0, test.performance, train.performance), (1, test.cost, train.cost)):
        error = np.square(values[..., channel] - truth).mean()
        plain = np.square(seen.mean(axis=0) - truth).mean()
        assert error < 0.8 * plain


def test_the_nearest_are_nearest(world, policy) -> None:
    train, _, test = world
    rows = policy.nearest(test.queries, 3)
    assert rows.shape == (14, 3)
    distance = np.linalg.norm(test.queries.embeddings[:, None] - train.queries.embeddings[None], axis=2)
    np.testing.assert_allclose(
        np.take_along_axis(distance, rows, axis=1), np.sort(distance, axis=1)[:, :3], rtol=1e-4, atol=1e-4
    )
    again = policy.nearest(train.queries, 1)[:, 0]
    np.testing.assert_array_equal(again, np.arange(60))


@pytest.mark.parametrize("names", [(), *[(name,) for name in RELATIONS]], ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("kind", ["only", "all but"])
def test_each_relation_can_be_switched(world, names: tuple[str, ...], kind: str) -> None:
    train, validation, test = world
    on = names if kind == "only" else tuple(name for name in RELATIONS if name not in names)
    switched = fitted(train, validation, with_relations(*on), Train(epochs=1, device="cpu"))
    grid = switched.grid(test.queries, USERS)
    assert np.isfinite(grid).all()
    # Only what users chose makes them differ.
    assert np.allclose(grid[0], grid[3]) == ("user_query" not in on)
    varies = not np.allclose(grid[:, :1], grid, atol=1e-6)
    assert varies == bool(set(on) - {"llm_llm", "user_query"})
    settings, arrays = switched.state()
    back = GraphPolicy.from_state(json.loads(json.dumps(settings)), arrays)
    np.testing.assert_array_equal(back.grid(test.queries, USERS), grid)


def one_llm(data: RoutingData) -> RoutingData:
    return take_llms(data, [1])


def one_user(data: RoutingData) -> RoutingData:
    return dataclasses.replace(
        data, users=data.users[:1], interactions=data.interactions[data.interactions["user_id"] == "user_1"]
    )


def no_user(data: RoutingData) -> RoutingData:
    return dataclasses.replace(data, users=data.users[:0], interactions=data.interactions[:0])


def one_interaction(data: RoutingData) -> RoutingData:
    return dataclasses.replace(data, interactions=data.interactions[:1])


def no_interaction(data: RoutingData) -> RoutingData:
    return dataclasses.replace(data, interactions=data.interactions[:0])


def silent_llm(data: RoutingData) -> RoutingData:
    return hide(data, np.broadcast_to(np.arange(4) == 2, data.performance.shape))


def sparse(data: RoutingData) -> RoutingData:
    return hide(data, all_but_k(data.performance.shape, 2))


def single(data: RoutingData) -> RoutingData:
    return hide(data, all_but_k(data.performance.shape, 1))


def unanswered(data: RoutingData) -> RoutingData:
    return hide(data, np.broadcast_to(np.arange(len(data.queries))[:, None] % 3 == 0, data.performance.shape))


def free(data: RoutingData) -> RoutingData:
    return dataclasses.replace(data, cost=0 * data.cost, cost_usd=0 * data.cost_usd)


def constant(data: RoutingData) -> RoutingData:
    return dataclasses.replace(data, performance=np.ones_like(data.performance))


def few(data: RoutingData) -> RoutingData:
    return take_queries(data, np.arange(min(3, len(data.queries))))


def duplicated(data: RoutingData) -> RoutingData:
    queries = data.queries
    same = dataclasses.replace(queries, embeddings=np.repeat(queries.embeddings[:1], len(queries), axis=0))
    return dataclasses.replace(data, queries=same)


THIN = [
    without_tasks, one_llm, one_user, no_user, one_interaction, no_interaction, silent_llm, sparse, single, unanswered,
    free, constant, few, duplicated,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("topics", [(), (2, 4), (2,)], ids=["no topics", "topics", "one resolution"])
@pytest.mark.parametrize("thin", THIN, ids=lambda thin: thin.__name__)
def test_thin_data_give_no_nan(world, thin, topics: tuple[int, ...], tmp_path: Path) -> None:
    train, validation, test = (thin(data) for data in world)
    graph = Graph(topics=topics, neighbours=8)
    policy = fitted(train, validation, graph, Train(epochs=2, device="cpu"))
    for name, value in policy.model.state_dict().items():
        assert torch.isfinite(value).all(), name
    scores = policy.scores(test.queries, ["user_1"] * len(test.queries))
    assert scores.shape == (len(test.queries), len(train.llm_ids))
    assert np.isfinite(scores).all()
    assert np.isfinite(policy.predictions(test.queries)).all()
    assert all(np.isfinite(row["validation_loss"]) for row in policy.training.history)
    policy.save(tmp_path)
    np.testing.assert_array_equal(GraphPolicy.load(tmp_path).scores(test.queries, ["user_1"] * len(scores)), scores)


def test_a_single_train_query_is_enough_to_answer(world) -> None:
    train, validation, test = world
    policy = fitted(take_queries(train, np.array([0])), validation, Graph(topics=(), neighbours=8))
    assert np.isfinite(policy.scores(test.queries, ["user_1"] * 14)).all()


def test_default_settings_fit(world) -> None:
    train, validation, test = world
    policy = GraphPolicy(train=Train(epochs=1)).fit(train, validation)
    assert policy.graph.topic_sizes == []  # 60 queries are too few for the default resolutions
    assert np.isfinite(policy.scores(test.queries, ["user_1"] * 14)).all()


@pytest.mark.parametrize("stated", [False, True])
def test_saved_and_loaded_is_the_same_router(world, tmp_path: Path, stated: bool) -> None:
    train, validation, test = world
    if stated:
        train = dataclasses.replace(train, users=train.users.assign(preference=[0.33, np.nan, np.nan, 0.9]))
    policy = fitted(train, validation)
    policy.save(tmp_path)
    back = GraphPolicy.load(tmp_path)
    everyone = [*USERS, "nobody"]
    np.testing.assert_array_equal(back.grid(test.queries, everyone), policy.grid(test.queries, everyone))
    np.testing.assert_array_equal(back.predictions(test.queries), policy.predictions(test.queries))
    np.testing.assert_array_equal(back.nearest(test.queries, 8), policy.nearest(test.queries, 8))
    assert back.llm_ids == policy.llm_ids
    assert back.query_ids == policy.query_ids == train.queries.query_ids
    assert [back.preferences.source(user) for user in everyone] == [
        policy.preferences.source(user) for user in everyone
    ]
    assert not back.interrupted
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_saving_again_writes_the_same_bytes(policy, tmp_path: Path) -> None:
    policy.save(tmp_path / "a")
    GraphPolicy.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("settings.json", "arrays.safetensors", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_artifact_of_another_kind_is_refused(policy, tmp_path: Path) -> None:
    policy.save(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"graph"', '"knn"'))
    with pytest.raises(InputError, match=r"expected a 'graph' artifact, got 'knn'"):
        GraphPolicy.load(tmp_path)
