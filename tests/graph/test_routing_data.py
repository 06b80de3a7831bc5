"""From tables to matrices: joined by id, thinned where asked, fitted on train rows, preferences kept back."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from configs.schema import Data, Users
from data_processing.tables import Dataset, conform
from graph.records import UNKNOWN_TASK, RoutingData
from tests.graph.world import ALPHAS, LLMS, TASKS, tiny_config, tiny_dataset, tiny_prepared

SPLITS = ("train", "validation", "test")


def parts(prepared) -> dict[str, RoutingData]:
    return {name: getattr(prepared, name) for name in SPLITS}


def outcome_of(dataset: Dataset) -> dict[tuple[str, str], tuple[float, float]]:
    table = dataset.outcomes
    return {
        (q, llm): (p, c)
        for q, llm, p, c in zip(
            table["query_id"], table["llm_id"], table["performance"], table["cost_usd"], strict=True
        )
    }


def test_every_query_is_in_one_split_and_whole() -> None:
    dataset = tiny_dataset()
    prepared = tiny_prepared(dataset)
    ids = [set(part.queries.query_ids) for part in parts(prepared).values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 90
    about = dataset.queries.set_index("query_id")
    for part in parts(prepared).values():
        for query, task, text in zip(part.queries.query_ids, part.queries.task_ids, part.queries.texts, strict=True):
            assert (task, text) == (about["task_id"][query], about["query"][query])
    assert prepared.task_of == dict(zip(dataset.queries["query_id"], dataset.queries["task_id"], strict=True))


@pytest.mark.parametrize("shuffle", [False, True])
def test_matrices_hold_each_outcome_at_its_query_and_llm(shuffle: bool) -> None:
    dataset = tiny_dataset()
    truth = outcome_of(dataset)
    if shuffle:
        tables = {n: t.sample(frac=1, random_state=2).reset_index(drop=True) for n, t in dataset.tables().items()}
        dataset = dataclasses.replace(dataset, **tables)
    prepared = tiny_prepared(dataset)
    for part in parts(prepared).values():
        assert part.llm_ids == sorted(LLMS)
        for row, query in enumerate(part.queries.query_ids):
            for column, llm in enumerate(part.llm_ids):
                assert (part.performance[row, column], part.cost_usd[row, column]) == truth[query, llm]


def test_missing_outcomes_are_nan_and_half_known_ones_are_unknown() -> None:
    dataset = tiny_dataset()
    outcomes = dataset.outcomes.copy()
    no_performance, no_cost, no_row = (tuple(outcomes.loc[i, ["query_id", "llm_id"]]) for i in (3, 50, 101))
    outcomes.loc[3, "performance"] = np.nan
    outcomes.loc[50, "cost_usd"] = np.nan
    outcomes = outcomes.drop(index=101).reset_index(drop=True)
    prepared = tiny_prepared(dataclasses.replace(dataset, outcomes=outcomes))
    missing = set()
    for part in parts(prepared).values():
        blank = np.isnan(part.performance)
        np.testing.assert_array_equal(np.isnan(part.cost), blank)
        np.testing.assert_array_equal(np.isnan(part.cost_usd), blank)
        missing |= {(part.queries.query_ids[row], part.llm_ids[column]) for row, column in np.argwhere(blank)}
    assert missing == {no_performance, no_cost, no_row}


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_thinning_hides_all_but_some_in_train_and_validation_and_none_in_test(keep: int) -> None:
    prepared = tiny_prepared(config=tiny_config(data=Data(observed_llms_per_query=keep)))
    for name, part in parts(prepared).items():
        seen = np.isfinite(part.performance).sum(axis=1)
        assert (seen == (4 if name == "test" else keep)).all()
    shares = np.isfinite(prepared.train.performance).mean(axis=0)
    assert shares.min() > 0.5 * keep / 4, "some LLM is hidden systematically"
    # Users choose among what was seen.
    train = prepared.train
    for row in train.interactions.itertuples():
        place = train.queries.query_ids.index(row.query_id), train.llm_ids.index(row.llm_id)
        assert np.isfinite(train.performance[place])


def test_thinning_counts_observed_llms() -> None:
    dataset = tiny_dataset()
    outcomes = dataset.outcomes[dataset.outcomes["llm_id"] != "brook"].reset_index(drop=True)
    prepared = tiny_prepared(
        dataclasses.replace(dataset, outcomes=outcomes), tiny_config(data=Data(observed_llms_per_query=2))
    )
    assert (np.isfinite(prepared.train.performance).sum(axis=1) == 2).all()
    assert np.isnan(prepared.train.performance[:, 0]).all()


def test_thinning_differs_by_seed_and_repeats_with_it() -> None:
    config = tiny_config(data=Data(observed_llms_per_query=2))
    first, again, other = (tiny_prepared(config=config, seed=seed).train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.performance, again.performance)
    assert first.queries.query_ids != other.queries.query_ids


def test_the_scaler_reads_train_rows_only() -> None:
    dataset = tiny_dataset()
    before = tiny_prepared(dataset)
    dear = dataset.outcomes["query_id"].isin([*before.test.queries.query_ids, *before.validation.queries.query_ids])
    outcomes = dataset.outcomes.assign(cost_usd=dataset.outcomes["cost_usd"].where(~dear, 1000.0))
    after = tiny_prepared(dataclasses.replace(dataset, outcomes=outcomes))
    assert after.scaler == before.scaler
    np.testing.assert_array_equal(after.train.cost, before.train.cost)
    assert (after.test.cost == 1).all(), "clipped into [0, 1]"


def test_cost_is_dollars_scaled_per_task_on_train_rows() -> None:
    prepared = tiny_prepared()
    train, test = prepared.train, prepared.test
    for task in TASKS:
        rows = np.array(train.queries.task_ids) == task
        low, high = train.cost_usd[rows].min(), train.cost_usd[rows].max()
        for part in (train, test):
            inside = np.array(part.queries.task_ids) == task
            expected = np.clip((part.cost_usd[inside] - low) / (high - low), 0, 1)
            np.testing.assert_allclose(part.cost[inside], expected, rtol=0, atol=1e-6)


def test_features_are_fitted_on_train_texts_only() -> None:
    dataset = tiny_dataset()
    before = tiny_prepared(dataset)
    hit = dataset.queries["query_id"].isin([*before.test.queries.query_ids, *before.validation.queries.query_ids])
    texts = dataset.queries["query"].where(~hit, "§§§ something else altogether §§§")
    after = tiny_prepared(dataclasses.replace(dataset, queries=dataset.queries.assign(query=texts)))
    np.testing.assert_array_equal(after.train.queries.embeddings, before.train.queries.embeddings)
    assert not np.allclose(after.test.queries.embeddings, before.test.queries.embeddings)


@pytest.mark.parametrize("stated", [False, True])
def test_preferences_are_seen_only_where_users_stated_them(stated: bool) -> None:
    prepared = tiny_prepared(config=tiny_config(users=Users(preference_stated=stated)))
    for part in parts(prepared).values():
        assert list(part.users.columns) == ["user_id", "kind", "preference"]
        if stated:
            assert part.users["preference"].tolist() == list(ALPHAS)
        else:
            assert part.users["preference"].isna().all()
    assert prepared.true_users["preference"].tolist() == list(ALPHAS)


@pytest.mark.parametrize("per_user", [None, 5])
def test_users_choose_on_train_queries_only(per_user: int | None) -> None:
    prepared = tiny_prepared(config=tiny_config(users=Users(interactions_per_user=per_user)))
    train = prepared.train
    assert set(train.interactions["query_id"]) <= set(train.queries.query_ids)
    assert prepared.validation.interactions.empty
    assert prepared.test.interactions.empty
    counts = train.interactions.groupby("user_id").size()
    assert (counts == (per_user or len(train.queries))).all()
    for row in train.interactions.itertuples():
        alpha = dict(zip(train.users["user_id"], ALPHAS, strict=True))[row.user_id]
        place = train.queries.query_ids.index(row.query_id)
        rewards = alpha * train.performance[place] - (1 - alpha) * train.cost[place]
        assert row.reward == pytest.approx(rewards.max(), abs=1e-5)


def test_interactions_of_the_source_are_divided_by_split() -> None:
    dataset = tiny_dataset()
    ids = list(dataset.queries["query_id"])
    given = conform("interactions", pd.DataFrame({"user_id": "user_2", "query_id": ids, "llm_id": "fjord"}))
    prepared = tiny_prepared(dataclasses.replace(dataset, interactions=given))
    for part in parts(prepared).values():
        assert sorted(part.interactions["query_id"]) == sorted(part.queries.query_ids)
        assert set(part.interactions["user_id"]) == {"user_2"}


def test_without_tasks_the_router_is_told_none_but_evaluation_knows() -> None:
    prepared = tiny_prepared(config=tiny_config(data=Data(use_tasks=False)))
    for part in parts(prepared).values():
        assert set(part.queries.task_ids) == {UNKNOWN_TASK}
        assert part.tasks.empty
        assert len(part.task_embeddings) == 0
    assert set(prepared.task_of.values()) == set(TASKS)


def test_llms_and_tasks_are_embedded_in_the_order_of_their_ids() -> None:
    prepared = tiny_prepared()
    train = prepared.train
    assert list(train.tasks["task_id"]) == sorted(TASKS)
    assert train.llm_embeddings.shape == (4, 24)
    assert train.task_embeddings.shape == (3, 24)
    encoder = prepared.features.encoder
    np.testing.assert_array_equal(train.task_embeddings[1], encoder.encode([f"{sorted(TASKS)[1]}. "])[0])
    np.testing.assert_array_equal(train.llm_embeddings[2], encoder.encode(["fjord. basin"])[0])
