"""From tables to matrices: joined by id, thinned where asked, fitted on train rows, preferences kept back."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from configs.schema import Data, Users
from data_processing.tables import Dataset, conform
from graph.records import UNKNOWN_TASK, RoutingData
from graph.routing_data import TEXT_FEATURES
from tests.graph.world import (
    ALPHAS,
    LLMS,
    TASKS,
    judge_of,
    judged_dataset,
    judged_prepared,
    tiny_config,
    tiny_dataset,
    tiny_prepared,
)

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


# Personas


def test_personas_pick_among_observed_answers_on_queries_of_every_split() -> None:
    prepared = judged_prepared(data=Data(observed_llms_per_query=2))
    for name, part in parts(prepared).items():
        assert part.judged
        assert (np.isfinite(part.performance).sum(axis=1) == (4 if name == "test" else 2)).all()
        assert len(part.interactions) == 5 * len(part.queries)
        assert set(part.interactions["user_id"]) == set(part.user_ids)
        assert part.interactions["reward"].isna().all()
        for row in part.interactions.itertuples():
            place = part.queries.query_ids.index(row.query_id), part.llm_ids.index(row.llm_id)
            assert np.isfinite(part.performance[place])


def test_what_personas_pick_is_what_the_judge_picks() -> None:
    dataset = judged_dataset()
    judge = judge_of(dataset)
    prepared = judged_prepared(dataset, judge)
    table = judge.interactions()
    wanted = set(zip(table["user_id"], table["query_id"], table["llm_id"], strict=True))
    found = pd.concat([part.interactions for part in parts(prepared).values()])
    assert set(zip(found["user_id"], found["query_id"], found["llm_id"], strict=True)) == wanted
    assert len(found) == len(wanted) == 5 * 60


@pytest.mark.parametrize("most", [1, 6, 1000])
def test_logs_of_personas_are_thinned_in_train_and_in_proportion_in_validation(most: int) -> None:
    prepared = judged_prepared(users=Users(interactions_per_user=most))
    train, validation, test = (len(part.queries) for part in parts(prepared).values())
    limits = {
        "train": min(most, train),
        "validation": min(math.ceil(most * validation / train), validation),
        "test": test,
    }
    for name, part in parts(prepared).items():
        assert part.interactions.groupby("user_id").size().to_dict() == dict.fromkeys(part.user_ids, limits[name])
        assert set(part.interactions["query_id"]) <= set(part.queries.query_ids)


def test_thinner_logs_leave_the_test_split_alone() -> None:
    whole = judged_prepared().test.interactions
    for users in (Users(interactions_per_user=2), Users(shuffled=True)):
        pd.testing.assert_frame_equal(judged_prepared(users=users).test.interactions, whole)


def test_shuffled_personas_have_the_picks_of_others() -> None:
    def picks(part: RoutingData) -> set[tuple[str, str, str]]:
        rows = part.interactions
        return set(zip(rows["user_id"], rows["query_id"], rows["llm_id"], strict=True))

    plain, dealt = judged_prepared(), judged_prepared(users=Users(shuffled=True))
    for name in ("train", "validation"):
        own, others = picks(getattr(plain, name)), picks(getattr(dealt, name))
        assert {pick[1:] for pick in others} <= {pick[1:] for pick in own}
        assert len(others & own) < 0.95 * len(others)
        assert not getattr(dealt, name).interactions.duplicated(["user_id", "query_id"]).any()


def test_equal_answers_are_numbered_by_their_texts() -> None:
    dataset = judged_dataset()
    copied = dataset.outcomes.copy()
    hit = copied["llm_id"] == sorted(set(copied["llm_id"]))[1]
    first = copied[copied["llm_id"] == sorted(set(copied["llm_id"]))[0]].set_index("query_id")["response"]
    copied.loc[hit, "response"] = copied.loc[hit, "query_id"].map(first).str.upper() + "  "
    dataset = dataclasses.replace(dataset, outcomes=copied)
    text_of = {(row.query_id, row.llm_id): " ".join(row.response.split()).casefold() for row in copied.itertuples()}
    for part in parts(judged_prepared(dataset)).values():
        for row, query in enumerate(part.queries.query_ids):
            for one in range(4):
                for two in range(one):
                    texts = (text_of[query, part.llm_ids[one]], text_of[query, part.llm_ids[two]])
                    assert (part.answers[row, one] == part.answers[row, two]) == (texts[0] == texts[1] != "")
        assert (part.answers[:, 0] == part.answers[:, 1]).all()


def test_attributes_are_measures_of_the_text_in_units_of_the_train_answers() -> None:
    dataset = judged_dataset()
    prepared = judged_prepared(dataset, data=Data(observed_llms_per_query=3))
    raw = {(row.query_id, row.llm_id): len(row.response.strip()) for row in dataset.outcomes.itertuples()}
    assert prepared.train.attribute_names == TEXT_FEATURES
    assert "correctness" not in TEXT_FEATURES
    column = TEXT_FEATURES.index("length")
    for part in parts(prepared).values():
        assert part.attributes.shape == (*part.performance.shape, len(TEXT_FEATURES))
        np.testing.assert_array_equal(np.isnan(part.attributes).any(axis=2), np.isnan(part.performance))
        # Longer texts have the larger number: by rank within the split, over all that were seen.
        pairs = [
            (raw[query, llm], part.attributes[row, place, column])
            for row, query in enumerate(part.queries.query_ids)
            for place, llm in enumerate(part.llm_ids)
            if np.isfinite(part.performance[row, place])
        ]
        ranks = pd.DataFrame(pairs).rank()
        assert ranks.corr().iloc[0, 1] > 0.9
    values = prepared.train.attributes
    spread = np.nanstd(values - np.nanmean(values, axis=1, keepdims=True), axis=(0, 1))
    moving = spread > 1e-9
    assert moving.any()
    np.testing.assert_allclose(spread[moving], 1.0)
    np.testing.assert_allclose(np.nanmean(values, axis=(0, 1)), 0.0, atol=1e-9)


def test_the_ceiling_is_the_judges_for_each_persona_and_test_query() -> None:
    dataset = judged_dataset()
    judge = judge_of(dataset)
    prepared = judged_prepared(dataset, judge)
    whole = judge.ceiling()
    for row, user in enumerate(judge.user_ids):
        for column, query in enumerate(prepared.test.queries.query_ids):
            expected = whole[row, judge.query_ids.index(query)]
            assert prepared.ceiling[list(prepared.true_users["user_id"]).index(user), column] == expected
    assert tiny_prepared().ceiling is None


def test_users_with_preferences_know_no_texts() -> None:
    for part in parts(tiny_prepared()).values():
        assert not part.judged
        assert part.answers is None
        assert part.attributes is None
        assert part.attribute_names == ()
