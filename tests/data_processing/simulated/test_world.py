"""The world as tables: labelled, repeatable, and no number that its own text does not bear out."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.cost import count_tokens
from data_processing.scoring import score
from data_processing.simulated.llm import SimulatedLLM, recognised
from data_processing.simulated.profiles import profiles
from data_processing.simulated.topics import TOPICS
from data_processing.simulated.world import build_world
from data_processing.tables import Dataset, query_id, validate

DIGEST = "4db01a12625e3c15"  # of the default world; a change of any word, price or skill changes it


@pytest.fixture(scope="module")
def world() -> Dataset:
    return build_world(240, 10, seed=0)


def test_labels_and_shapes(world: Dataset) -> None:
    validate(world)
    assert (world.name, world.simulated, world.cost_kind) == ("simulated", True, "computed")
    assert "made up" in world.notes[0]
    assert (len(world.llms), len(world.tasks), len(world.queries), len(world.outcomes)) == (10, 4, 240, 2400)
    assert world.users.empty
    assert world.interactions.empty
    assert world.queries["task_id"].value_counts().to_dict() == dict.fromkeys(world.tasks["task_id"], 60)


def test_queries_are_distinct_and_varied(world: Dataset) -> None:
    assert world.queries["query"].is_unique
    assert (
        world.queries["query_id"] == [query_id(*row) for row in world.queries[["task_id", "query"]].to_numpy()]
    ).all()
    words = {word for query in world.queries["query"] for word in query.lower().split()}
    assert len(words) > 1500
    topics = [question.topic for query in world.queries["query"] if (question := recognised(query)[1])]
    assert pd.Series(topics).value_counts().to_dict() == dict.fromkeys(TOPICS, 40)


def test_the_tables_are_the_same_bytes_everywhere(world: Dataset) -> None:
    again = build_world(240, 10, seed=0)
    for name, table in world.tables().items():
        pd.testing.assert_frame_equal(table, again.tables()[name], check_exact=True)
    text = repr([table.to_numpy().tolist() for table in world.tables().values()])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGEST


def test_another_seed_is_another_world(world: Dataset) -> None:
    other = build_world(240, 10, seed=1)
    assert not set(other.queries["query"]) & set(world.queries["query"])


def test_a_smaller_world_is_a_part_of_a_larger_one(world: Dataset) -> None:
    small = build_world(42, 4, seed=0)
    assert len(small.queries) == 42
    both = small.outcomes.merge(world.outcomes, on=["query_id", "llm_id"], suffixes=("", "_large"))
    assert len(both) == 42 * 4
    assert (both["response"] == both["response_large"]).all()


def test_performance_is_the_metric_of_the_text(world: Dataset) -> None:
    metric = world.tasks.set_index("task_id")["metric"]
    rows = world.outcomes.merge(world.queries, on="query_id").iloc[::3]
    again = [
        score(metric[task], said, truth)
        for task, said, truth in rows[["task_id", "response", "ground_truth"]].to_numpy()
    ]
    np.testing.assert_array_equal(rows["performance"], again)


def test_cost_is_price_times_tokens(world: Dataset) -> None:
    rows = world.outcomes.merge(world.queries, on="query_id").merge(world.llms, on="llm_id")
    np.testing.assert_array_equal(rows["input_tokens"], count_tokens(rows["query"].tolist()))
    np.testing.assert_array_equal(rows["output_tokens"], count_tokens(rows["response"].tolist()))
    million = 1e6
    expected = rows["input_tokens"] / million * rows["input_price_usd_per_mtok"]
    expected += rows["output_tokens"] / million * rows["output_price_usd_per_mtok"]
    np.testing.assert_allclose(rows["cost_usd"], expected, rtol=1e-12)


def test_the_prompt_alone_gives_the_row(world: Dataset) -> None:
    rows = world.outcomes.merge(world.queries[["query_id", "query"]], on="query_id").sample(40, random_state=0)
    model = SimulatedLLM(profiles(10, seed=0))
    for row in rows.itertuples():
        done = model.complete(str(row.llm_id), str(row.query), seed=0)
        assert (done.text, done.latency_s) == (row.response, row.latency_s)


def test_routing_is_worth_while(world: Dataset) -> None:
    performance = world.outcomes.pivot(index="query_id", columns="llm_id", values="performance")
    assert 0.3 < performance.mean().min() < performance.mean().max() < 0.85
    assert performance.max(axis=1).mean() - performance.mean().max() > 0.15
    task = world.queries.set_index("query_id")["task_id"].loc[performance.index]
    best = performance.groupby(task.to_numpy()).mean().idxmax(axis=1)
    assert best.nunique() >= 3
    dearest = world.llms.set_index("llm_id")["output_price_usd_per_mtok"].idxmax()
    assert (best == dearest).sum() <= 2


def test_more_llms_than_profiles() -> None:
    large = build_world(20, 23, seed=0)
    assert len(large.llms) == 23
    assert large.llms["description"].is_unique


@pytest.mark.parametrize(("queries", "llms", "name"), [(0, 10, "queries"), (10, 0, "llms")])
def test_nothing_asked_is_an_error(queries: int, llms: int, name: str) -> None:
    with pytest.raises(InputError, match=f"expected {name} >= 1, got 0"):
        build_world(queries, llms, seed=0)
