"""Policy `graph`: the contract of every policy, each relation switched, thin data, and the way to disk and back."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from configs.errors import InputError
from configs.schema import Graph, Train
from graph.build import attach, build_graph
from graph.graph_policy import TASTES_AT_ONCE, GraphPolicy
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
    tiny_judged,
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


# Learning without training: users


def only(data: RoutingData, *users: str) -> pd.DataFrame:
    return data.interactions[data.interactions["user_id"].isin(users)]


def without_history(policy: GraphPolicy, user: str) -> GraphPolicy:
    """Return a policy of the same graph and model that has never seen the user."""
    other = copy.copy(policy)
    other.preferences = policy.preferences.copy()
    other.preferences.log_likelihood.pop(user, None)
    if policy.tastes is not None:
        other.tastes = policy.tastes.copy()
        other.tastes.users.pop(user)
    return other


@pytest.fixture(scope="module")
def judged() -> tuple[RoutingData, RoutingData, RoutingData]:
    return tiny_judged()


@pytest.fixture(scope="module")
def taster(judged: tuple[RoutingData, RoutingData, RoutingData]) -> GraphPolicy:
    """A policy for personas; shared, so not to be changed."""
    return fitted(judged[0], judged[1])


@pytest.mark.parametrize("parts", [1, 3])
def test_a_user_observed_later_is_as_if_there_from_the_start(world, policy, parts: int) -> None:
    train, _, test = world
    late = without_history(policy, "user_1")
    assert late.preferences.source("user_1") == "population"
    before = late.grid(test.queries, [*USERS, "nobody"])
    known = late
    for part in range(parts):
        known = known.observed(train, only(train, "user_1").iloc[part::parts])
    np.testing.assert_allclose(known.preferences.mean(USERS), policy.preferences.mean(USERS), rtol=0, atol=1e-9)
    np.testing.assert_allclose(known.grid(test.queries, USERS), policy.grid(test.queries, USERS), rtol=0, atol=1e-9)
    assert known.preferences.source("user_1") == "inferred"
    # The policy that was asked is as it was, and shares graph and model.
    np.testing.assert_array_equal(late.grid(test.queries, [*USERS, "nobody"]), before)
    assert known.graph is late.graph
    assert known.model is late.model
    assert not np.allclose(before[0], known.grid(test.queries, ["user_1"])[0], atol=1e-3)


def test_a_persona_observed_later_is_as_if_there_from_the_start(judged, taster) -> None:
    train, _, test = judged
    late = without_history(taster, "user_1")
    before = late.grid(test.queries, [*USERS, "nobody"])
    known = late.observed(train, only(train, "user_1"))
    np.testing.assert_allclose(known.tastes.taste(USERS), taster.tastes.taste(USERS), rtol=0, atol=1e-9)
    np.testing.assert_allclose(known.grid(test.queries, USERS), taster.grid(test.queries, USERS), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(late.grid(test.queries, [*USERS, "nobody"]), before)
    assert not np.allclose(before[0], before[1], atol=1e-2)


def test_a_user_observed_with_nothing_is_the_population(world, judged, policy, taster) -> None:
    for router, (train, _, test) in ((policy, world), (taster, judged)):
        again = router.observed(train, train.interactions[:0])
        everyone = [*USERS, "new", ""]
        grid = again.grid(test.queries, everyone)
        np.testing.assert_array_equal(grid, router.grid(test.queries, everyone))
        np.testing.assert_allclose(grid[4], grid[5], rtol=0, atol=1e-6)


def test_more_interactions_bring_a_new_user_nearer_to_what_it_would_be_if_known(judged, taster) -> None:
    train, _, test = judged
    wanted = taster.grid(test.queries, ["user_2"])
    late = without_history(taster, "user_2")
    gaps = [
        np.abs(late.observed(train, only(train, "user_2").head(k)).grid(test.queries, ["user_2"]) - wanted).mean()
        for k in (0, 3, 20, 60)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert gaps[3] < 1e-5


@pytest.mark.parametrize("kind", ["preferences", "personas"])
def test_what_a_user_states_wins_over_what_was_inferred_and_can_be_taken_back(
    request: pytest.FixtureRequest, world, judged, kind: str
) -> None:
    router = request.getfixturevalue({"preferences": "policy", "personas": "taster"}[kind])
    test = (world if kind == "preferences" else judged)[2]
    everyone = [*USERS, "new"]
    before = router.grid(test.queries, everyone)
    raw = router.raw_predictions(test.queries)
    for user in ("user_1", "new"):
        place = everyone.index(user)
        other = router.with_preference(user, 0.15)
        after = other.grid(test.queries, everyone)
        np.testing.assert_allclose(after[place], 0.15 * raw[..., 0] - 0.85 * raw[..., 1], rtol=0, atol=1e-9)
        same = [i for i in range(5) if i != place]
        np.testing.assert_allclose(after[same], before[same], rtol=0, atol=1e-6)
        assert other.preferences.source(user) == "stated"
        again = other.with_preference(user, 0.9)
        np.testing.assert_allclose(
            again.scores(test.queries, [user] * 14), 0.9 * raw[..., 0] - 0.1 * raw[..., 1], rtol=0, atol=1e-9
        )
        back = again.with_preference(user, None).with_preference("nobody", None)
        np.testing.assert_allclose(back.grid(test.queries, everyone), before, rtol=0, atol=1e-6)
    np.testing.assert_allclose(router.grid(test.queries, everyone), before, rtol=0, atol=1e-6)


def test_a_preference_is_stated_between_points_of_the_grid_exactly(world, policy) -> None:
    assert policy.with_preference("user_1", 0.333).preferences.mean(["user_1"]) == [0.333]


@pytest.mark.parametrize("kind", ["preferences", "personas"])
def test_a_preference_given_with_the_request_wins_over_all(
    request: pytest.FixtureRequest, world, judged, kind: str
) -> None:
    router = request.getfixturevalue({"preferences": "policy", "personas": "taster"}[kind])
    test = (world if kind == "preferences" else judged)[2]
    router = router.with_preference("user_2", 0.8)
    users = ["user_1", "user_2", "user_3", "user_1", "nobody", "user_2", "user_1"]
    given = [0.25, 0.25, None, None, 0.0, None, 1.0]
    asked = test.queries.take(range(7))
    raw = router.raw_predictions(asked)
    found = router.utilities(asked, raw, users, given)
    plain = router.scores(asked, users)
    assert found.shape == (7, 4)
    for row, (user, value) in enumerate(zip(users, given, strict=True)):
        if value is None and user == "user_2":
            value = 0.8
        if value is None:
            np.testing.assert_allclose(found[row], plain[row], rtol=0, atol=1e-6)
        else:
            wanted = value * raw[row, :, 0] - (1 - value) * raw[row, :, 1]
            np.testing.assert_allclose(found[row], wanted, rtol=0, atol=1e-9)
    assert not np.allclose(found[0], plain[0], atol=1e-3)


def test_likings_are_what_the_model_says_of_each_persona_however_many_are_asked(judged, taster) -> None:
    test = judged[2]
    many = [USERS[i % 4] if i % 3 else f"stranger {i}" for i in range(TASTES_AT_ONCE + 5)]
    found = taster.likings(test.queries, many)
    assert found.shape == (len(many), 14, 4)
    for place in (0, 1, 2, TASTES_AT_ONCE - 1, TASTES_AT_ONCE, len(many) - 1):
        alone = taster.likings(test.queries, [many[place]])[0]
        np.testing.assert_allclose(found[place], alone, rtol=0, atol=1e-5)
        np.testing.assert_allclose(taster.scores(test.queries, [many[place]] * 14), alone, rtol=0, atol=1e-5)
    # Chances of picking one of at most four texts, of which equal ones count once each: near 1 in sum, or above.
    assert (found.sum(axis=2) > 0.7).all()


@pytest.mark.parametrize("kind", ["preferences", "personas"])
def test_without_the_relation_user_query_nobody_is_known(world, judged, kind: str) -> None:
    train, validation, test = world if kind == "preferences" else judged
    names = [name for name in RELATIONS if name != "user_query"]
    grid = fitted(train, validation, with_relations(*names)).grid(test.queries, [*USERS, "nobody"])
    assert np.isfinite(grid).all()
    np.testing.assert_allclose(grid, np.repeat(grid[:1], 5, axis=0), rtol=0, atol=1e-6)


# Learning without training: LLMs


def split_off(world, llm: str, config: Train = TRAIN) -> tuple[GraphPolicy, pd.Series, np.ndarray, np.ndarray]:
    """Return a policy trained without the LLM, the LLM's row and embedding, its outcomes on all train queries."""
    train, validation, _ = world
    column = train.llm_ids.index(llm)
    others = [place for place in range(4) if place != column]
    small = fitted(take_llms(train, others), take_llms(validation, others), config=config)
    outcomes = np.stack([train.performance, train.cost, train.cost_usd], axis=-1)[:, column]
    if train.attributes is not None:
        outcomes = np.hstack([outcomes, train.attributes[:, column]])
    return small, train.llms.iloc[column], train.llm_embeddings[column], outcomes


@pytest.fixture(scope="module", params=["preferences", "personas"])
def added(request: pytest.FixtureRequest, world, judged):
    """A world, and what `split_off` returns of it for an LLM that is neither the first nor the last nor the dearest."""
    data = world if request.param == "preferences" else judged
    return data, *split_off(data, "delta")


@pytest.mark.parametrize("probes", [0, 1, 7, 60])
def test_an_added_llm_is_scored_beside_the_others(added, tmp_path: Path, probes: int) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    everyone = [*USERS, "nobody"]
    before = small.grid(test.queries, everyone)
    grown = small.with_llm(row, embedding, train.queries.query_ids[:probes], outcomes[:probes])
    assert grown.llm_ids == ["brook", "fjord", "ocean", "delta"]
    grid = grown.grid(test.queries, everyone)
    assert grid.shape == (5, 14, 4)
    assert np.isfinite(grid).all()
    values = grown.predictions(test.queries)
    assert values.shape == (14, 4, 3)
    assert np.isfinite(values).all()
    # The policy that was asked is as it was.
    assert small.llm_ids == ["brook", "fjord", "ocean"]
    np.testing.assert_array_equal(small.grid(test.queries, everyone), before)
    grown.save(tmp_path)
    back = GraphPolicy.load(tmp_path)
    assert back.llm_ids == grown.llm_ids
    np.testing.assert_array_equal(back.grid(test.queries, everyone), grid)
    np.testing.assert_array_equal(back.predictions(test.queries), values)


def test_an_llm_added_with_all_its_outcomes_is_as_if_in_the_graph_from_the_start(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    grown = small.with_llm(row, embedding, train.queries.query_ids, outcomes)
    whole = build_graph(train, GRAPH, seed=0)
    assert whole.usd_scale == small.graph.usd_scale, "the LLM must not be the dearest"
    order = [train.llm_ids.index(name) for name in grown.llm_ids]
    with torch.no_grad():
        wanted = small.model(whole, attach(whole, test.queries)).numpy()[:, order]
    np.testing.assert_allclose(grown.raw_predictions(test.queries), wanted, rtol=0, atol=1e-4)


def test_more_probes_bring_the_prediction_nearer_to_the_truth(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    truth = np.stack([test.performance, test.cost], axis=-1)[:, train.llm_ids.index("delta")]
    rows = np.random.default_rng(0).permutation(60)
    errors = []
    for probes in (0, 10, 60):
        some = rows[:probes]
        grown = small.with_llm(row, embedding, [train.queries.query_ids[i] for i in some], outcomes[some])
        errors.append(np.abs(grown.outcomes(test.queries)[:, -1] - truth).mean())
    assert errors[2] < errors[1] < errors[0] or errors[2] < 0.8 * errors[0]


def test_the_order_of_probes_does_not_matter(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    order = np.random.default_rng(1).permutation(20)
    ids = train.queries.query_ids
    first = small.with_llm(row, embedding, ids[:20], outcomes[:20])
    second = small.with_llm(row, embedding, [ids[i] for i in order], outcomes[order])
    np.testing.assert_allclose(second.grid(test.queries, USERS), first.grid(test.queries, USERS), rtol=0, atol=1e-5)


def test_probes_of_one_task_tell_of_the_others_too(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    rows = [i for i, task in enumerate(train.queries.task_ids) if task == "poetry"]
    grown = small.with_llm(row, embedding, [train.queries.query_ids[i] for i in rows], outcomes[rows])
    bare = small.with_llm(row, embedding, [], outcomes[:0])
    assert np.isfinite(grown.grid(test.queries, USERS)).all()
    change = np.abs(grown.raw_predictions(test.queries) - bare.raw_predictions(test.queries))[:, -1]
    assert (change.max(axis=1) > 1e-4).all()


def test_two_llms_that_look_the_same_are_told_apart_by_their_outcomes_alone(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    twins = small
    for name, shift in (("twin-1", 0.0), ("twin-2", 0.0), ("twin-3", 0.4)):
        worse = outcomes - shift * np.eye(outcomes.shape[1])[0]
        twins = twins.with_llm(row.replace(row["llm_id"], name), embedding, train.queries.query_ids[:40], worse[:40])
    assert twins.llm_ids[3:] == ["twin-1", "twin-2", "twin-3"]
    values = twins.raw_predictions(test.queries)
    np.testing.assert_allclose(values[:, 3], values[:, 4], rtol=0, atol=1e-5)
    assert (values[:, 3, 0] - values[:, 5, 0]).mean() > 0.1
    grid = twins.grid(test.queries, USERS)
    assert np.isfinite(grid).all()
    np.testing.assert_allclose(grid[..., 3], grid[..., 4], rtol=0, atol=1e-4)


def test_an_llm_without_prices_or_attributes_can_be_added(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    bare = row.copy()
    bare["input_price_usd_per_mtok"] = bare["output_price_usd_per_mtok"] = np.nan
    bare["family"] = ""
    grown = small.with_llm(bare, embedding, train.queries.query_ids[:5], outcomes[:5, :3])
    assert np.isfinite(grown.grid(test.queries, [*USERS, "nobody"])).all()


@pytest.mark.parametrize("name", ["brook", "ocean"])
def test_an_id_that_is_taken_is_refused(added, name: str) -> None:
    (train, _, _), small, row, embedding, outcomes = added
    taken = row.replace(row["llm_id"], name)
    with pytest.raises(InputError, match=f"expected an id that is not taken, got '{name}'"):
        small.with_llm(taken, embedding, train.queries.query_ids[:5], outcomes[:5])


def test_a_probe_on_an_unknown_query_is_refused(added) -> None:
    (train, validation, _), small, row, embedding, outcomes = added
    strange = [train.queries.query_ids[0], validation.queries.query_ids[0]]
    with pytest.raises(InputError, match=f"probes on train queries, got '{strange[1]}'"):
        small.with_llm(row, embedding, strange, outcomes[:2])


def test_an_llm_that_comes_and_goes_leaves_everything_as_it_was(added) -> None:
    (train, _, test), small, row, embedding, outcomes = added
    everyone = [*USERS, "nobody"]
    back = small.with_llm(row, embedding, train.queries.query_ids[:30], outcomes[:30]).without_llm("delta")
    assert back.llm_ids == small.llm_ids
    np.testing.assert_allclose(back.grid(test.queries, everyone), small.grid(test.queries, everyone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["preferences", "personas"])
@pytest.mark.parametrize("gone", ["brook", "fjord", "ocean"])
def test_a_removed_llm_is_gone_and_what_it_told_of_users_stays(
    request: pytest.FixtureRequest, world, judged, tmp_path: Path, kind: str, gone: str
) -> None:
    router = request.getfixturevalue({"preferences": "policy", "personas": "taster"}[kind])
    train, _, test = world if kind == "preferences" else judged
    assert (train.interactions["llm_id"] == gone).any(), "some user must have chosen it"
    everyone = [*USERS, "nobody"]
    before = router.grid(test.queries, everyone)
    less = router.without_llm(gone)
    assert less.llm_ids == [name for name in router.llm_ids if name != gone]
    grid = less.grid(test.queries, everyone)
    assert grid.shape == (5, 14, 3)
    assert np.isfinite(grid).all()
    np.testing.assert_array_equal(less.preferences.mean(everyone), router.preferences.mean(everyone))
    if router.tastes is not None:
        keep = [i for i in range(7) if i != 3 + router.llm_ids.index(gone)]
        np.testing.assert_array_equal(less.tastes.taste(everyone), router.tastes.taste(everyone)[:, keep])
        assert not np.allclose(grid[0], grid[1], atol=1e-2)
    np.testing.assert_array_equal(router.grid(test.queries, everyone), before)
    less.save(tmp_path)
    back = GraphPolicy.load(tmp_path)
    assert back.llm_ids == less.llm_ids
    np.testing.assert_array_equal(back.grid(test.queries, everyone), grid)


@pytest.mark.parametrize("gone", ["brook", "delta", "ocean"])
def test_a_graph_without_an_llm_is_that_built_without_it(world, judged, policy, taster, gone: str) -> None:
    for router, (train, _, test) in ((policy, world), (taster, judged)):
        others = [i for i, name in enumerate(train.llm_ids) if name != gone]
        graph = build_graph(take_llms(train, others), GRAPH, seed=0)
        with torch.no_grad():
            wanted = router.model(graph, attach(graph, test.queries)).numpy()
        found = router.without_llm(gone).raw_predictions(test.queries)
        np.testing.assert_allclose(found[..., :2], wanted[..., :2], rtol=0, atol=1e-5)
        scale = graph.usd_scale / router.graph.usd_scale
        np.testing.assert_allclose(found[..., 2], wanted[..., 2] * scale, rtol=0, atol=1e-5)


def test_the_last_llm_stays_and_an_unknown_one_cannot_go(world, policy, taster) -> None:
    for router in (policy, taster):
        alone = router.without_llm("brook").without_llm("delta").without_llm("ocean")
        assert alone.llm_ids == ["fjord"]
        assert np.isfinite(alone.grid(world[2].queries, [*USERS, "nobody"])).all()
        with pytest.raises(InputError, match="expected another LLM to remain, got the only one, 'fjord'"):
            alone.without_llm("fjord")
        with pytest.raises(InputError, match=r"got 'oceans', did you mean 'ocean'|got 'oceans'.*ocean"):
            router.without_llm("oceans")


def test_users_are_still_learnt_after_llms_came_and_went(added) -> None:
    """What the graph remembers of its train queries has the LLMs that it has now."""
    (train, _, test), small, row, embedding, outcomes = added
    ids = train.queries.query_ids
    grown = small.with_llm(row, embedding, ids[:30], outcomes[:30]).without_llm("brook")
    data = grown.remembered()
    assert data.llm_ids == grown.llm_ids == ["fjord", "ocean", "delta"]
    chosen = only(train, "user_1").assign(user_id="new")
    known = grown.observed(data, chosen)
    grid = known.grid(test.queries, ["new", "nobody"])
    assert np.isfinite(grid).all()
    assert not np.allclose(grid[0], grid[1], atol=1e-3)


def test_what_is_remembered_is_what_was_learnt_from(world, judged, policy, taster) -> None:
    for router, (train, _, _) in ((policy, world), (taster, judged)):
        data = router.remembered()
        assert data.queries.query_ids == train.queries.query_ids
        assert data.queries.task_ids == train.queries.task_ids
        assert data.llm_ids == train.llm_ids
        for name in ("performance", "cost", "cost_usd"):
            np.testing.assert_allclose(getattr(data, name), getattr(train, name), rtol=1e-5, atol=1e-8)
        if train.attributes is not None:
            np.testing.assert_allclose(data.attributes, train.attributes, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(data.answers, train.answers)
        own = only(train, "user_2").assign(user_id="new")
        first, second = (router.observed(source, own) for source in (train, data))
        np.testing.assert_allclose(second.preferences.mean(["new"]), first.preferences.mean(["new"]), atol=1e-6)
        if router.tastes is not None:
            np.testing.assert_allclose(second.tastes.taste(["new"]), first.tastes.taste(["new"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("change", ["user", "preference"])
def test_a_changed_policy_is_kept_on_disk(judged, taster, tmp_path: Path, change: str) -> None:
    train, _, test = judged
    if change == "user":
        other = taster.observed(train, only(train, "user_1").assign(user_id="new"))
    else:
        other = taster.with_preference("new", 0.4)
    other.save(tmp_path)
    back = GraphPolicy.load(tmp_path)
    everyone = [*USERS, "new", "nobody"]
    np.testing.assert_array_equal(back.grid(test.queries, everyone), other.grid(test.queries, everyone))
    assert not np.allclose(other.grid(test.queries, ["new"]), taster.grid(test.queries, ["new"]), atol=1e-3)
