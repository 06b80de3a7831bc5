"""The three laws of the graph router: personalised, inductive, no leak. Each test fails where its law is broken."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.simple import BestSinglePerUserPolicy
from configs.schema import Graph, Train, Users
from graph.build import attach, build_graph
from graph.choices import hits, places
from graph.graph_policy import GraphPolicy
from graph.model import GraphModel
from graph.records import Queries, RoutingData
from graph.routing_data import PreparedData
from graph.train import folds
from tests.graph.world import (
    GRAPH,
    RELATIONS,
    TRAIN,
    hide,
    judge_of,
    judged_dataset,
    judged_prepared,
    take_llms,
    take_queries,
    tiny,
    tiny_config,
    tiny_dataset,
    tiny_judged,
    tiny_prepared,
    with_relations,
)

UNTRAINED = Train(epochs=0, device="cpu")


def fitted(train: RoutingData, validation: RoutingData, graph: Graph = GRAPH, config: Train = TRAIN) -> GraphPolicy:
    return GraphPolicy(graph, config, seed=0).fit(train, validation)


def with_interactions(data: RoutingData, interactions: pd.DataFrame) -> RoutingData:
    return dataclasses.replace(data, interactions=interactions)


def swapped(data: RoutingData, first: str, second: str) -> RoutingData:
    users = data.interactions["user_id"].replace({first: second, second: first})
    return with_interactions(data, data.interactions.assign(user_id=users))


# 1. Personalised


def test_users_with_other_feedback_get_other_scores_though_no_preference_is_given() -> None:
    train, validation, test = tiny()
    assert train.users["preference"].isna().all()
    grid = fitted(train, validation).grid(test.queries, train.user_ids)
    for i in range(len(grid)):
        for j in range(i):
            assert not np.allclose(grid[i], grid[j], atol=1e-3)
    assert (grid.argmax(axis=2)[0] != grid.argmax(axis=2)[3]).any(), "no decision depends on the user"


def test_swapping_histories_swaps_predictions() -> None:
    train, validation, test = tiny()
    before = fitted(train, validation).grid(test.queries, train.user_ids)
    after = fitted(swapped(train, "user_1", "user_4"), validation).grid(test.queries, train.user_ids)
    np.testing.assert_allclose(after, before[[3, 1, 2, 0]], rtol=0, atol=1e-12)
    assert not np.allclose(after[0], before[0], atol=1e-3)


def test_what_a_user_is_called_does_not_matter() -> None:
    train, validation, test = tiny()
    names = {"user_1": "zoe", "user_2": "user_1"}
    renamed = dataclasses.replace(
        with_interactions(train, train.interactions.assign(user_id=train.interactions["user_id"].replace(names))),
        users=train.users.assign(user_id=train.users["user_id"].replace(names)),
    )
    before = fitted(train, validation).grid(test.queries, train.user_ids)
    after = fitted(renamed, validation).grid(test.queries, renamed.user_ids)
    np.testing.assert_array_equal(after, before)


def test_personas_with_other_picks_get_other_scores_and_swapped_histories_swap_them() -> None:
    train, validation, test = tiny_judged()
    before = fitted(train, validation, config=UNTRAINED).grid(test.queries, train.user_ids)
    for i in range(4):
        for j in range(i):
            assert not np.allclose(before[i], before[j], atol=1e-2)
    assert (before[0].argmax(axis=1) != before[1].argmax(axis=1)).any(), "no decision depends on the user"
    after = fitted(swapped(train, "user_1", "user_4"), validation, config=UNTRAINED).grid(test.queries, train.user_ids)
    np.testing.assert_allclose(after, before[[3, 1, 2, 0]], rtol=0, atol=1e-5)


def test_what_a_persona_likes_is_predicted_better_than_its_favourite_llm_can_tell() -> None:
    """On test queries nobody picked on: how often the best scored LLM gave the picked text, for every persona."""
    train, validation, test = tiny_judged(counts=(240, 40, 120))
    policy = fitted(train, validation, config=Train(epochs=8, device="cpu"))
    rivals = {}
    for name, rival in {"graph": policy, "single": BestSinglePerUserPolicy().fit(train, validation)}.items():
        choice = rival.grid(test.queries, test.user_ids).argmax(axis=2)
        chosen = places(test, test.interactions, test.user_ids)
        rivals[name] = hits(test, chosen)[np.arange(len(chosen.user)), choice[chosen.user, chosen.query]].mean()
    assert rivals["graph"] > rivals["single"] + 0.05


# 2. Inductive


def test_unseen_query_user_and_llm_get_finite_predictions_in_one_call() -> None:
    train, validation, test = tiny()
    silent = np.zeros(train.performance.shape, dtype=bool)
    silent[:, 2] = True
    policy = fitted(hide(train, silent), hide(validation, silent[: len(validation.queries)]))
    new = Queries(("new",), ("a task nobody saw",), ("a text nobody saw",), test.queries.embeddings[:1] * 0 + 0.1)
    scores = policy.scores(new, ["a user nobody saw"])
    assert scores.shape == (1, 4)
    assert np.isfinite(scores).all()
    values = policy.predictions(new)
    assert (values[..., :2] >= 0).all()
    assert (values[..., :2] <= 1).all()
    assert (values[..., 2] >= 0).all()


def test_an_llm_without_outcomes_is_predicted_like_the_llms_it_is_like() -> None:
    """Two LLMs without outcomes, one described and priced as the weakest, one as the strongest."""
    train, validation, test = tiny()
    order = [0, 1, 2, 3, 0, 3]
    silent = np.zeros((1, 6), dtype=bool)
    silent[:, 4:] = True
    grown = []
    for data in (train, validation):
        wide = take_llms(data, order)
        names = pd.Series([*data.llms["llm_id"], "new_weak", "new_strong"])
        wide = dataclasses.replace(wide, llms=wide.llms.assign(llm_id=names), interactions=data.interactions)
        grown.append(hide(wide, np.broadcast_to(silent, wide.performance.shape)))
    values = fitted(*grown, config=UNTRAINED).outcomes(test.queries).mean(axis=0)
    for channel in (0, 1):
        weak, strong, new_weak, new_strong = values[[0, 3, 4, 5], channel]
        assert weak < new_weak < new_strong < strong


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_order_of_llms_does_not_matter(order: list[int]) -> None:
    train, validation, test = tiny()
    before = fitted(train, validation).grid(test.queries, train.user_ids)
    after = fitted(take_llms(train, order), take_llms(validation, order)).grid(test.queries, train.user_ids)
    np.testing.assert_allclose(after, before[..., order], rtol=0, atol=1e-4)


def test_the_order_of_train_queries_and_users_does_not_matter_to_a_prediction() -> None:
    # Without topics: k-means draws its first centres by row. Untrained: folds are drawn by row too.
    train, validation, test = tiny()
    graph = Graph(topics=(), neighbours=8)
    shuffled = take_queries(train, np.random.default_rng(1).permutation(len(train.queries)))
    shuffled = dataclasses.replace(shuffled, users=train.users.iloc[::-1].reset_index(drop=True))
    before = fitted(train, validation, graph, UNTRAINED).grid(test.queries, train.user_ids)
    after = fitted(shuffled, validation, graph, UNTRAINED).grid(test.queries, train.user_ids)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)


def test_the_order_of_rows_in_the_tables_does_not_matter_at_all() -> None:
    dataset = tiny_dataset()
    shuffled = dataclasses.replace(
        dataset,
        **{
            name: table.sample(frac=1, random_state=1).reset_index(drop=True)
            for name, table in dataset.tables().items()
        },
    )
    users = list(dataset.users["user_id"])
    before, after = (tiny_prepared(data) for data in (dataset, shuffled))
    assert not shuffled.outcomes.equals(dataset.outcomes)
    assert list(shuffled.users["user_id"]) != users
    np.testing.assert_allclose(
        fitted(after.train, after.validation).grid(after.test.queries, users),
        fitted(before.train, before.validation).grid(before.test.queries, users),
        rtol=0,
        atol=1e-12,
    )


def test_a_query_is_predicted_alone_as_in_a_batch() -> None:
    train, validation, test = tiny()
    policy = fitted(train, validation)
    whole = policy.outcomes(test.queries)
    for row in (0, 5):
        np.testing.assert_allclose(policy.outcomes(test.queries.take([row]))[0], whole[row], rtol=0, atol=1e-5)


def test_a_user_without_interactions_gets_the_population() -> None:
    train, validation, test = tiny()
    train = with_interactions(train, train.interactions[train.interactions["user_id"] != "user_2"])
    policy = fitted(train, validation)
    believed = policy.preferences
    grid = policy.grid(test.queries, ["user_2", "nobody", "", "user_1"])
    np.testing.assert_array_equal(grid[0], grid[1])
    np.testing.assert_array_equal(grid[0], grid[2])
    assert not np.allclose(grid[0], grid[3], atol=1e-3)
    # The population's preference lies among those of the known users, and no user is alone in it.
    known = believed.mean(["user_1", "user_3", "user_4"])
    assert known.min() < believed.mean(["user_2"])[0] < known.max()


def test_nothing_is_learned_per_id() -> None:
    """Worlds of other counts of queries, LLMs and users share every weight."""
    train, validation, _ = tiny()
    other_train, other_validation, other_test = tiny(seed=1, counts=(71, 9, 5), llms=7, alphas=(0.2, 0.9))
    policy, other = fitted(train, validation), fitted(other_train, other_validation)
    shapes = {name: value.shape for name, value in policy.model.state_dict().items()}
    assert shapes == {name: value.shape for name, value in other.model.state_dict().items()}
    counts = {60, 71, 7, len(train.user_ids)}
    assert not counts & {size for shape in shapes.values() for size in shape}
    other.model.load_state_dict(policy.model.state_dict())
    assert np.isfinite(other.outcomes(other_test.queries)).all()


def test_unseen_query_persona_and_llm_get_finite_predictions_in_one_call() -> None:
    train, validation, test = tiny_judged()
    silent = np.zeros(train.performance.shape, dtype=bool)
    silent[:, 2] = True
    policy = fitted(hide(train, silent), hide(validation, silent[: len(validation.queries)]))
    new = Queries(("new",), ("a task nobody saw",), ("a text nobody saw",), test.queries.embeddings[:1] * 0 + 0.1)
    assert np.isfinite(policy.scores(new, ["a user nobody saw"])).all()
    assert np.isfinite(policy.scores(new, ["user_1"])).all()
    assert np.isfinite(policy.predictions(new)).all()


def test_a_persona_who_never_picked_gets_the_mean_of_the_others() -> None:
    train, validation, test = tiny_judged()
    train = with_interactions(train, train.interactions[train.interactions["user_id"] != "user_2"])
    policy = fitted(train, validation, config=UNTRAINED)
    grid = policy.grid(test.queries, ["user_2", "nobody", "", "user_1", "user_3", "user_4"])
    np.testing.assert_allclose(grid[0], grid[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(grid[0], grid[2], rtol=0, atol=1e-6)
    assert not np.allclose(grid[0], grid[3], atol=1e-2)
    # All levels are linear in what is liked, so the mean of what users like is predicted as the mean of predictions.
    np.testing.assert_allclose(grid[0], grid[3:].mean(axis=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_order_of_llms_does_not_matter_to_personas(order: list[int]) -> None:
    train, validation, test = tiny_judged()
    before = fitted(train, validation).grid(test.queries, [*train.user_ids, "nobody"])
    after = fitted(take_llms(train, order), take_llms(validation, order)).grid(
        test.queries, [*train.user_ids, "nobody"]
    )
    np.testing.assert_allclose(after, before[..., order], rtol=0, atol=1e-4)


def test_the_order_of_rows_in_the_tables_does_not_matter_to_personas() -> None:
    dataset = judged_dataset()
    shuffled = dataclasses.replace(
        dataset,
        **{name: t.sample(frac=1, random_state=1).reset_index(drop=True) for name, t in dataset.tables().items()},
    )
    users = [*dataset.users["user_id"], "nobody"]
    before, after = (judged_prepared(data) for data in (dataset, shuffled))
    np.testing.assert_allclose(
        fitted(after.train, after.validation).grid(after.test.queries, users),
        fitted(before.train, before.validation).grid(before.test.queries, users),
        rtol=0,
        atol=1e-6,
    )


# 3. No leak


def test_neither_outcomes_nor_picks_of_validation_change_a_prediction_of_fixed_weights_for_personas() -> None:
    # Outcomes and picks both, as other people and other LLMs would have made them.
    train, validation, test = tiny_judged()
    other = dataclasses.replace(
        validation,
        performance=1 - validation.performance,
        attributes=-2 * validation.attributes,
        answers=np.zeros_like(validation.answers),
        interactions=validation.interactions.assign(llm_id="brook"),
    )
    users = [*train.user_ids, "nobody"]
    before, after = (fitted(train, data, config=UNTRAINED) for data in (validation, other))
    np.testing.assert_array_equal(after.tastes.taste(users), before.tastes.taste(users))
    for queries in (validation.queries, test.queries):
        np.testing.assert_array_equal(after.grid(queries, users), before.grid(queries, users))
    worse = fitted(with_interactions(train, train.interactions.assign(llm_id="brook")), validation, config=UNTRAINED)
    assert np.abs(worse.grid(test.queries, users) - before.grid(test.queries, users)).max() > 0.1, "the control"


def test_picks_of_validation_are_not_trained_on() -> None:
    """With the answers as they were, the picks alone may not change even which epoch is kept."""
    train, validation, test = tiny_judged()
    silent = with_interactions(validation, validation.interactions[:0])
    before, after = (fitted(train, data).grid(test.queries, train.user_ids) for data in (validation, silent))
    np.testing.assert_array_equal(after, before)


def test_texts_and_outcomes_of_test_queries_change_no_prediction_for_personas() -> None:
    """The judge stays: it alone may read every answer, for it is the people."""
    dataset = judged_dataset()
    judge = judge_of(dataset)
    before = judged_prepared(dataset, judge)
    hit = dataset.outcomes["query_id"].isin(before.test.queries.query_ids)
    changed = dataset.outcomes.copy()
    changed.loc[hit, "response"] = "Another answer, at great length. " * 20
    changed.loc[hit, "performance"] = 1 - changed.loc[hit, "performance"]
    after = judged_prepared(dataclasses.replace(dataset, outcomes=changed), judge)
    assert not np.allclose(after.test.attributes, before.test.attributes)
    np.testing.assert_array_equal(after.train.attributes, before.train.attributes)
    users = list(dataset.users["user_id"])
    np.testing.assert_array_equal(
        fitted(after.train, after.validation).grid(before.test.queries, users),
        fitted(before.train, before.validation).grid(before.test.queries, users),
    )


@pytest.mark.parametrize("names", [*[(name,) for name in RELATIONS], RELATIONS], ids="+".join)
def test_what_personas_like_of_a_hidden_answer_is_never_seen(names: tuple[str, ...]) -> None:
    """As in training: predict what is liked of a fold, then with other likings there; compare bit for bit."""
    config = with_relations(*names)
    train, _, _ = tiny_judged()
    graph = build_graph(train, config, seed=0)
    itself = attach(graph, train.queries, leave_out=torch.arange(len(train.queries)))
    model = loud(GraphModel(len(graph.blocks), len(graph.topic_sizes), config, 4))
    liked = torch.rand(60, 4, 3, generator=torch.Generator().manual_seed(0))
    for rows, target in folds(itself, 60, 3, torch.Generator().manual_seed(0)):
        visible = torch.ones(60, 4, dtype=torch.bool)
        visible[rows] = False
        other = liked.clone()
        other[rows] = 1 - other[rows]
        before, after = (model(graph, target, visible, values) for values in (liked, other))
        assert torch.equal(after, before)
        assert not torch.allclose(model(graph, target, None, other), model(graph, target, None, liked), atol=1e-3)


def worsened(prepared: PreparedData, part: str) -> tuple[PreparedData, PreparedData]:
    """Return the same preparation before and after all outcomes of one split are turned around and made dearer."""
    dataset = tiny_dataset()
    ids = getattr(prepared, part).queries.query_ids
    hit = dataset.outcomes["query_id"].isin(ids)
    changed = dataset.outcomes.copy()
    changed.loc[hit, "performance"] = 1 - changed.loc[hit, "performance"]
    changed.loc[hit, "cost_usd"] = 7 * changed.loc[hit, "cost_usd"]
    return prepared, tiny_prepared(dataclasses.replace(dataset, outcomes=changed))


def test_test_outcomes_change_no_prediction() -> None:
    before, after = worsened(tiny_prepared(), "test")
    assert not np.allclose(before.test.performance, after.test.performance)
    users = list(before.true_users["user_id"])
    for queries in (before.test.queries, before.validation.queries, before.train.queries):
        np.testing.assert_array_equal(
            fitted(after.train, after.validation).grid(queries, users),
            fitted(before.train, before.validation).grid(queries, users),
        )


def test_validation_outcomes_change_no_prediction_of_fixed_weights() -> None:
    before, after = worsened(tiny_prepared(), "validation")
    users = list(before.true_users["user_id"])
    for queries in (before.validation.queries, before.test.queries):
        np.testing.assert_array_equal(
            fitted(after.train, after.validation, config=UNTRAINED).grid(queries, users),
            fitted(before.train, before.validation, config=UNTRAINED).grid(queries, users),
        )


def test_train_outcomes_do_change_predictions() -> None:
    """The control of the two tests above: the same change to train rows is seen."""
    before, after = worsened(tiny_prepared(), "train")
    first, second = (fitted(p.train, p.validation, config=UNTRAINED).outcomes(p.test.queries) for p in (before, after))
    assert np.abs(first - second).max() > 0.1


def test_validation_and_test_interactions_change_no_prediction() -> None:
    train, validation, test = tiny()
    more = pd.DataFrame({"user_id": "user_1", "query_id": validation.queries.query_ids, "llm_id": "ocean", "reward": 1})
    before = fitted(train, validation).grid(test.queries, train.user_ids)
    after = fitted(train, with_interactions(validation, more)).grid(test.queries, train.user_ids)
    np.testing.assert_array_equal(after, before)


def test_the_preference_of_a_user_is_never_an_input_unless_stated() -> None:
    """Two worlds that differ in nothing but the users' true preferences, with the same interactions."""
    dataset = tiny_dataset()
    chosen = tiny_prepared(dataset).train.interactions
    dataset = dataclasses.replace(dataset, interactions=chosen.assign(judge_reply=""))
    other = dataclasses.replace(dataset, users=dataset.users.assign(preference=[0.9, 0.8, 0.3, 0.0]))
    users = list(dataset.users["user_id"])

    def grid(stated: bool, source: Callable[[], object]) -> np.ndarray:
        prepared = tiny_prepared(source(), tiny_config(users=Users(preference_stated=stated)))  # type: ignore[arg-type]
        return fitted(prepared.train, prepared.validation, config=UNTRAINED).grid(prepared.test.queries, users)

    np.testing.assert_array_equal(grid(False, lambda: dataset), grid(False, lambda: other))
    assert not np.allclose(grid(True, lambda: dataset), grid(True, lambda: other), atol=1e-2)


@pytest.mark.parametrize("names", [*[(name,) for name in RELATIONS], RELATIONS], ids="+".join)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_hidden_query_never_sees_its_own_outcomes(names: tuple[str, ...], sparse: bool) -> None:
    """As in training: predict a fold with its outcomes hidden, then with other outcomes there; compare bit for bit."""
    config = with_relations(*names)
    train, _, _ = tiny()
    if sparse:
        train = hide(train, np.random.default_rng(0).random(train.performance.shape) < 0.5)
    graph = build_graph(train, config, seed=0)
    itself = attach(graph, train.queries, leave_out=torch.arange(len(train.queries)))
    model = loud(GraphModel(len(graph.blocks), len(graph.topic_sizes), config))
    edges = graph["llm", "answered", "query"]
    original = edges.edge_attr
    for rows, target in folds(itself, len(train.queries), 3, torch.Generator().manual_seed(0)):
        visible = torch.ones(len(train.queries), dtype=torch.bool)
        visible[rows] = False
        edges.edge_attr = original
        before, seen = model(graph, target, visible), model(graph, target)
        hit = torch.isin(edges.edge_index[1], rows)
        edges.edge_attr = torch.where(hit[:, None], 1 - original, original)
        after = model(graph, target, visible)
        assert torch.equal(after, before)
        assert torch.isfinite(before).all()
        assert not torch.allclose(model(graph, target), seen, atol=1e-3), "the change would never be seen: no test"


@pytest.mark.parametrize("names", [*[(name,) for name in RELATIONS], RELATIONS], ids="+".join)
def test_a_hidden_query_does_not_teach_its_neighbours_either(names: tuple[str, ...]) -> None:
    """One query hidden, all others predicted: the hidden outcomes are nowhere in the graph."""
    config = with_relations(*names)
    train, validation, _ = tiny()
    changed = hide(train, np.arange(len(train.queries))[:, None] == 7)
    policies = [fitted(data, validation, config, UNTRAINED) for data in (train, changed)]
    visible = torch.arange(len(train.queries)) != 7
    with torch.no_grad():
        hidden, removed = (
            loud(policy.model)(policy.graph, attach(policy.graph, validation.queries), visible) for policy in policies
        )
    scale = policies[1].graph.usd_scale / policies[0].graph.usd_scale
    torch.testing.assert_close(hidden, removed * torch.tensor([1.0, 1.0, scale]), rtol=0, atol=1e-6)


def loud(model: GraphModel) -> GraphModel:
    """Return the model with little shrinkage, so that every level has a say that can be seen."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("log_kappa"):
                value.fill_(-1.0)
            elif name.endswith("log_gain"):
                value.fill_(-3.0)
    return model.eval()
