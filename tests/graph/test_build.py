"""The graph says what the train rows say, no more: nodes, edges, neighbours, topics."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from configs.schema import Graph
from graph.build import add_llm, answers_of, attach, build_graph, observations, remove_llm
from graph.choices import Answers
from graph.records import Queries, RoutingData
from tests.graph.world import BLOCKS, GRAPH, TASKS, all_but_k, hide, take_llms, tiny, tiny_judged, without_tasks


def make(config: Graph = GRAPH, **changes):
    train, _, test = tiny()
    train = dataclasses.replace(train, **changes)
    return build_graph(train, config, seed=0), train, test


def test_nodes_are_those_of_the_train_rows() -> None:
    graph, train, _ = make()
    assert graph["query"].x.shape == (60, sum(BLOCKS))
    assert graph["llm"].x.shape == (4, BLOCKS[0])
    assert graph["task"].x.shape == (3, BLOCKS[0])
    assert graph["topic"].x.shape == (6, sum(BLOCKS))
    assert graph["user"].num_nodes == 4
    assert graph.blocks == list(BLOCKS)
    assert graph.task_ids == list(TASKS)
    np.testing.assert_array_equal(graph["query"].x.numpy(), train.queries.embeddings)
    graph.validate(raise_on_error=True)


@pytest.mark.parametrize("keep", [4, 2, 1])
def test_observations_are_the_outcomes_that_were_seen(keep: int) -> None:
    train, _, _ = tiny()
    train = hide(train, all_but_k(train.performance.shape, keep))
    graph = build_graph(train, GRAPH, seed=0)
    outcome, known = observations(graph)
    seen = np.isfinite(train.performance)
    assert graph["llm", "answered", "query"].edge_index.shape == (2, 60 * keep)
    np.testing.assert_array_equal(known[..., 0].numpy() == 1, seen)
    for channel, values in enumerate((train.performance, train.cost, train.cost_usd / np.nanmax(train.cost_usd))):
        np.testing.assert_allclose(outcome[..., channel].numpy(), np.where(seen, values, 0), rtol=1e-6)


def test_queries_without_any_outcome_and_free_llms() -> None:
    train, _, _ = tiny()
    free = dataclasses.replace(train, cost=0 * train.cost, cost_usd=0 * train.cost_usd)
    hidden = np.zeros(train.performance.shape, dtype=bool)
    hidden[3] = True
    graph = build_graph(hide(free, hidden), GRAPH, seed=0)
    outcome, known = observations(graph)
    assert known[3].sum() == 0
    assert torch.isfinite(outcome).all()
    assert graph.usd_scale == 1.0


def test_task_edges_follow_ids_and_an_unknown_task_has_none() -> None:
    train, _, _ = tiny()
    tasks = ["unheard of", *train.queries.task_ids[1:]]
    train = dataclasses.replace(train, queries=dataclasses.replace(train.queries, task_ids=tuple(tasks)))
    graph = build_graph(train, GRAPH, seed=0)
    query, task = graph["query", "in", "task"].edge_index
    assert dict(zip(query.tolist(), (TASKS[t] for t in task), strict=True)) == dict(enumerate(tasks[1:], start=1))


def test_no_tasks() -> None:
    train, _, _ = tiny()
    graph = build_graph(without_tasks(train), GRAPH, seed=0)
    assert graph["query", "in", "task"].edge_index.shape == (2, 0)
    assert (attach(graph, without_tasks(train).queries).task == -1).all()


def test_choices_are_edges_by_id() -> None:
    graph, train, _ = make()
    edges = graph["user", "chose", "query"]
    assert edges.edge_index.shape == (2, len(train.interactions))
    for column in (0, 99, len(train.interactions) - 1):
        user, query = edges.edge_index[:, column].tolist()
        row = train.interactions.iloc[column]
        found = (train.user_ids[user], train.queries.query_ids[query], train.llm_ids[edges.llm[column]])
        assert found == (row.user_id, row.query_id, row.llm_id)
        assert float(edges.reward[column]) == pytest.approx(row.reward)


def test_llms_are_alike_by_family_price_and_description() -> None:
    graph, train, _ = make()
    edges = graph["llm", "like", "llm"]
    assert edges.edge_index.shape == (2, 4 * 3)
    for (source, target), (same, gap, cosine) in zip(
        edges.edge_index.T.tolist(), edges.edge_attr.tolist(), strict=True
    ):
        assert source != target
        assert same == float(train.llms["family"][source] == train.llms["family"][target])
        prices = train.llms["input_price_usd_per_mtok"][[source, target]] + 0.01
        more = train.llms["output_price_usd_per_mtok"][[source, target]] + 0.01
        assert gap == pytest.approx(-np.abs([np.diff(np.log(prices)), np.diff(np.log(more))]).mean(), rel=1e-4)
        assert cosine == pytest.approx(float(train.llm_embeddings[source] @ train.llm_embeddings[target]), abs=1e-6)


def test_unknown_prices_are_the_middle_and_no_family_is_no_kinship() -> None:
    train, _, _ = tiny()
    llms = train.llms.assign(family="", input_price_usd_per_mtok=[np.nan, 1, 2, 3])
    graph = build_graph(dataclasses.replace(train, llms=llms), GRAPH, seed=0)
    assert torch.isfinite(graph["llm"].log_price).all()
    assert graph["llm"].log_price.min() < graph["llm"].log_price[0, 0] < graph["llm"].log_price.max()
    assert (graph["llm", "like", "llm"].edge_attr[:, 0] == 0).all()
    unpriced = llms.assign(input_price_usd_per_mtok=np.nan, output_price_usd_per_mtok=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = build_graph(dataclasses.replace(train, llms=unpriced), GRAPH, seed=0)
    assert torch.isfinite(graph["llm", "like", "llm"].edge_attr).all()


def test_neighbours_are_the_nearest_train_queries_and_never_the_query_itself() -> None:
    graph, train, _ = make()
    x = train.queries.embeddings.astype(np.float64)
    distance = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    source, target = graph["query", "near", "query"].edge_index.numpy()
    assert (source != target).all()
    for row in range(60):
        near = source[target == row]
        assert len(set(near)) == 8
        np.testing.assert_allclose(distance[row, near], np.sort(distance[row])[:8], rtol=1e-4)


def test_distances_are_squared_per_block_in_units_of_their_mean() -> None:
    graph, train, test = make()
    within = graph["query", "near", "query"].edge_attr
    assert within.shape == (60 * 8, 2)
    torch.testing.assert_close(within.mean(dim=0), torch.ones(2), rtol=1e-4, atol=1e-4)
    target = attach(graph, test.queries)
    for edge in (0, 50, 111):
        source, row = target.near[:, edge].tolist()
        gap = (train.queries.embeddings[source] - test.queries.embeddings[row]) ** 2
        expected = np.array([gap[: BLOCKS[0]].sum(), gap[BLOCKS[0] :].sum()]) / graph.distance_scale.numpy()
        np.testing.assert_allclose(target.distance[edge].numpy(), expected, rtol=1e-4)


def test_neighbours_are_right_across_batches_of_the_distance_matrix() -> None:
    train, _, _ = tiny(counts=(1100, 3, 3), alphas=(0.5,))
    graph = build_graph(train, Graph(topics=(), neighbours=2), seed=0)
    x = torch.from_numpy(train.queries.embeddings)
    for row in (0, 1023, 1024, 1099):
        distance = (x - x[row]).square().sum(dim=1)
        distance[row] = torch.inf
        found = graph["query", "near", "query"].edge_index[0].view(-1, 2)[row]
        torch.testing.assert_close(distance[found], distance.topk(2, largest=False).values, rtol=1e-3, atol=1e-5)


def test_new_queries_attach_without_outcomes_and_leave_the_graph_alone() -> None:
    graph, _, test = make()
    before = {key: value.clone() for key, value in graph["query"].items() if torch.is_tensor(value)}
    strange = dataclasses.replace(test.queries, task_ids=("", "unheard of", *test.queries.task_ids[2:]))
    target = attach(graph, strange)
    assert len(target) == 14
    assert target.task[:2].tolist() == [-1, -1]
    assert [TASKS[t] for t in target.task[2:]] == list(strange.task_ids[2:])
    assert {field.name for field in dataclasses.fields(target)} == {"x", "task", "topic", "near", "distance"}
    assert target.near[0].max() < 60
    assert target.near[1].tolist() == [row for row in range(14) for _ in range(8)]
    for key, value in before.items():
        assert torch.equal(graph["query"][key], value)


def test_topics_are_the_nearest_centroid_of_each_resolution() -> None:
    graph, train, test = make()
    for queries, topic in (
        (train.queries, graph["query", "about", "topic"].edge_index[1].view(60, 2)),
        (test.queries, attach(graph, test.queries).topic),
    ):
        x = queries.embeddings[:, None]
        middle = graph["topic"].x.numpy()[None]
        distance = ((x - middle) ** 2).sum(axis=2)
        np.testing.assert_array_equal(topic[:, 0].numpy(), distance[:, :2].argmin(axis=1))
        np.testing.assert_array_equal(topic[:, 1].numpy(), distance[:, 2:].argmin(axis=1) + 2)


@pytest.mark.parametrize(("sizes", "kept"), [((), []), ((2, 8, 16), [2]), ((7, 8), [7]), ((16, 64), [])])
def test_resolutions_that_would_be_noise_are_left_out(sizes: tuple[int, ...], kept: list[int]) -> None:
    graph, _, test = make(Graph(topics=sizes, neighbours=8))
    assert graph.topic_sizes == kept
    assert graph["topic"].x.shape == (sum(kept), sum(BLOCKS))
    assert attach(graph, test.queries).topic.shape == (14, len(kept))


def test_neighbours_are_at_most_all_other_queries() -> None:
    train, _, test = tiny(counts=(5, 2, 2))
    graph = build_graph(train, Graph(topics=(), neighbours=48), seed=0)
    assert graph.neighbours == 4
    assert graph["query", "near", "query"].edge_index.shape == (2, 20)
    assert attach(graph, test.queries).near.shape == (2, 8)


def test_no_queries_attach_to_nothing() -> None:
    graph, train, _ = make()
    nothing = attach(graph, train.queries.take([]))
    assert len(nothing) == 0
    assert nothing.near.shape == (2, 0)


def test_features_without_blocks_are_one_block() -> None:
    graph, _, _ = make(queries=dataclasses.replace(tiny()[0].queries, blocks=()))
    assert graph.blocks == [sum(BLOCKS)]
    assert graph["query", "near", "query"].edge_attr.shape == (480, 1)


def test_the_same_seed_gives_the_same_graph() -> None:
    first, second, other = (build_graph(tiny()[0], GRAPH, seed) for seed in (0, 0, 9))
    assert torch.equal(first["topic"].x, second["topic"].x)
    assert not torch.equal(first["topic"].x, other["topic"].x)
    assert torch.equal(first["query", "near", "query"].edge_index, other["query", "near", "query"].edge_index)


def test_taking_rows_of_a_batch_keeps_them_together() -> None:
    train, _, _ = tiny()
    taken: Queries = train.queries.take([5, 0, 5])
    assert taken.query_ids == tuple(train.queries.query_ids[i] for i in (5, 0, 5))
    assert taken.task_ids[0] == train.queries.task_ids[5]
    np.testing.assert_array_equal(taken.embeddings, train.queries.embeddings[[5, 0, 5]])
    assert taken.blocks == BLOCKS


@pytest.mark.parametrize("keep", [4, 2])
def test_answers_of_the_graph_are_those_of_the_data(keep: int) -> None:
    train = hide(tiny_judged()[0], all_but_k((60, 4), keep))
    found, wanted = answers_of(build_graph(train, GRAPH, seed=0)), Answers.of(train)
    np.testing.assert_array_equal(found.classes, wanted.classes)
    np.testing.assert_allclose(found.properties, wanted.properties, rtol=1e-6)
    plain = answers_of(build_graph(hide(tiny()[0], all_but_k((60, 4), keep)), GRAPH, seed=0))
    assert plain.properties.shape == (60, 4, 1)


def grown(graph: HeteroData, train: RoutingData, rows: list[int], name: str = "new") -> HeteroData:
    """Return the graph with one more LLM that answered as the first one did, on the given queries."""
    llm = train.llms.iloc[0].replace(train.llms.iloc[0]["llm_id"], name)
    values = np.stack([train.performance, train.cost, train.cost_usd], axis=-1)[rows, 0]
    return add_llm(graph, llm, train.llm_embeddings[0], rows, np.hstack([values, train.attributes[rows, 0]]))


def test_an_added_llm_is_a_node_with_its_outcomes_as_edges_and_the_old_graph_stays() -> None:
    train = tiny_judged()[0]
    graph = build_graph(train, GRAPH, seed=0)
    before = graph.clone()
    rows = [3, 0, 41]
    other = grown(graph, train, rows)
    outcome, known = observations(other)
    assert outcome.shape == (60, 5, 3)
    assert known[:, 4, 0].nonzero()[:, 0].tolist() == sorted(rows)
    torch.testing.assert_close(outcome[rows, 4], outcome[rows, 0])
    torch.testing.assert_close(outcome[:, :4], observations(before)[0])
    answers = answers_of(other)
    for row in range(60):
        assert (answers.classes[row, :4] == train.answers[row]).all()
        if row in rows:
            assert answers.classes[row, 4] not in train.answers[row], "its text is like no other"
        else:
            assert answers.classes[row, 4] == -1
    assert answers.classes.max() <= 4
    np.testing.assert_allclose(answers.properties[rows, 4], answers.properties[rows, 0])
    # Its likeness: the same in all respects to the first as that is to itself.
    like = {tuple(edge): value for edge, value in zip(other["llm", "like", "llm"].edge_index.T.tolist(),
                                                      other["llm", "like", "llm"].edge_attr, strict=True)}  # fmt: skip
    assert len(like) == 20
    torch.testing.assert_close(like[4, 0], torch.tensor([1.0, 0.0, 1.0]), rtol=0, atol=1e-5)
    torch.testing.assert_close(like[4, 2], like[0, 2])
    for kind in ("llm", "query"):
        assert torch.equal(graph[kind].x, before[kind].x)
    for edge in (("llm", "answered", "query"), ("llm", "like", "llm")):
        assert torch.equal(graph[edge].edge_index, before[edge].edge_index)
        assert torch.equal(graph[edge].edge_attr, before[edge].edge_attr)
    assert graph.families == before.families


def test_an_llm_can_be_added_without_outcomes_and_without_attributes() -> None:
    train = tiny_judged()[0]
    graph = build_graph(train, GRAPH, seed=0)
    bare = grown(graph, train, [])
    assert observations(bare)[1][:, 4].sum() == 0
    values = np.array([[0.5, 0.5, 1e-4]])
    other = add_llm(graph, train.llms.iloc[0], train.llm_embeddings[0], [7], values)
    np.testing.assert_array_equal(answers_of(other).properties[7, 4, 1:], [0.0, 0.0])
    assert observations(other)[0][7, 4, 2] == pytest.approx(1e-4 / graph.usd_scale)


@pytest.mark.parametrize("row", [0, 2, 3])
def test_a_removed_llm_takes_its_edges_along_and_the_old_graph_stays(row: int) -> None:
    train = hide(tiny_judged()[0], all_but_k((60, 4), 3))
    graph = build_graph(train, GRAPH, seed=0)
    before = graph.clone()
    less = remove_llm(graph, row)
    kept = [i for i in range(4) if i != row]
    wanted = build_graph(take_llms(train, kept), GRAPH, seed=0)
    for found, other in zip(observations(less), observations(wanted), strict=True):
        assert found.shape == other.shape
    assert torch.equal(observations(less)[1], observations(wanted)[1])
    torch.testing.assert_close(observations(less)[0][..., :2], observations(wanted)[0][..., :2])
    torch.testing.assert_close(less["llm", "like", "llm"].edge_attr, wanted["llm", "like", "llm"].edge_attr)
    answers, classes = answers_of(less), Answers.of(take_llms(train, kept)).classes
    assert answers.classes.max() <= 2, "as many texts as LLMs at most"
    for one in range(3):
        for two in range(3):
            same, also = (c[:, one] == c[:, two] for c in (answers.classes, classes))
            np.testing.assert_array_equal(same, also)
    for edge in (("llm", "answered", "query"), ("llm", "like", "llm")):
        assert torch.equal(graph[edge].edge_index, before[edge].edge_index)
    assert torch.equal(graph["llm"].x, before["llm"].x)


def test_llms_come_and_go_in_any_number() -> None:
    train = tiny_judged()[0]
    graph = build_graph(train, GRAPH, seed=0)
    for number in range(3):
        graph = grown(graph, train, [1, 2, 3 + number], f"new-{number}")
    for _ in range(5):
        graph = remove_llm(graph, 0)
    graph = grown(graph, train, [5], "last")
    answers = answers_of(graph)
    assert answers.classes.shape == (60, 3)
    assert answers.classes.max() <= 2
    seen = {
        row: np.flatnonzero(answers.classes[row] >= 0).tolist() for row in range(60) if answers.classes[row].max() >= 0
    }
    assert seen == {1: [0, 1], 2: [0, 1], 4: [0], 5: [1, 2]}
    assert all(len({answers.classes[row, i] for i in columns}) == len(columns) for row, columns in seen.items())
