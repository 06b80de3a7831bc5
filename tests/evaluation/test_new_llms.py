"""New LLMs: what is hidden of them, what the router is told afterwards, and that scores join by LLM id."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation.evaluate as evaluate_module
from configs.errors import InputError
from configs.schema import NewLlms
from evaluation.new_llms import chosen_llms, new_llms, with_probes, without_llm
from evaluation.study import Setting, fit_graph, score
from tests.evaluation.study_world import Spy, make_setting, shuffled_rows, spied
from tests.graph.world import LLMS

MANY = 10**6


@pytest.fixture(scope="module")
def setting() -> Setting:
    return make_setting(new_llms=NewLlms(llms=("brook", "ocean"), probes=(0, 5, MANY)))


@pytest.fixture(scope="module")
def table(setting: Setting) -> pd.DataFrame:
    return new_llms(setting)


def test_llms_are_named_or_all() -> None:
    assert chosen_llms(["all"], ["b", "a", "c"]) == ["a", "b", "c"]
    assert chosen_llms(["c", "a", "c"], ["b", "a", "c"]) == ["a", "c"]
    with pytest.raises(
        InputError, match=r"got 'ocan' \(did you mean 'ocean'\?\); known are brook, delta, fjord, ocean"
    ):
        chosen_llms(["ocan"], LLMS)
    with pytest.raises(InputError, match="at least two LLMs, got 1"):
        chosen_llms(["all"], ["a"])


def test_nothing_of_the_llm_is_left_in_training(setting: Setting) -> None:
    before, left = setting.prepared, without_llm(setting.prepared, "delta")
    for old, new in ((before.train, left.train), (before.validation, left.validation)):
        assert new.llm_ids == ["brook", "fjord", "ocean"]
        places = [old.llm_ids.index(name) for name in new.llm_ids]
        for name in ("performance", "cost", "cost_usd"):
            np.testing.assert_array_equal(getattr(new, name), getattr(old, name)[:, places])
        np.testing.assert_array_equal(new.llm_embeddings, old.llm_embeddings[places])
        kept = old.interactions[old.interactions["llm_id"] != "delta"]
        pd.testing.assert_frame_equal(new.interactions, kept.reset_index(drop=True))
    assert len(left.train.interactions) < len(before.train.interactions)
    assert left.test is before.test


def test_equal_answers_stay_equal_when_a_column_goes(setting: Setting) -> None:
    train = setting.prepared.train
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 4, train.performance.shape)
    answers[0] = [0, 1, 2, 3]
    answers[1, 2] = -1
    attributes = rng.normal(size=(*answers.shape, 2))
    data = dataclasses.replace(train, answers=answers, attributes=attributes, attribute_names=("length", "steps"))
    left = without_llm(dataclasses.replace(setting.prepared, train=data), "brook").train
    kept = [1, 2, 3]
    np.testing.assert_array_equal(left.attributes, attributes[:, kept])
    old = answers[:, kept]
    np.testing.assert_array_equal(left.answers < 0, old < 0)
    seen = (old >= 0)[:, :, None] & (old >= 0)[:, None, :]
    same = left.answers[:, :, None] == left.answers[:, None, :]
    np.testing.assert_array_equal(same & seen, (old[:, :, None] == old[:, None, :]) & seen)
    assert left.answers.max() < len(kept), "answers are numbered below the number of LLMs"


def test_the_router_is_told_nested_outcomes_of_the_right_queries(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "GraphPolicy", Spy)
    one = setting.config.evaluate.model_copy(update={"new_llms": NewLlms(llms=("fjord",), probes=(0, 5, 20))})
    config = setting.config.model_copy(update={"evaluate": one})
    new_llms(spied(dataclasses.replace(setting, config=config)))
    assert Spy.last.llm_ids == ["brook", "delta", "ocean"]
    train = setting.prepared.train
    column = train.llm_ids.index("fjord")
    told = Spy.last.told
    assert [len(queries) for _, _, queries, _ in told] == [0, 5, 20]
    assert set(told[1][2]) < set(told[2][2])
    assert told[0][3].shape == (0, 3)
    for llm, embedding, queries, outcomes in told:
        assert llm["llm_id"] == "fjord"
        np.testing.assert_array_equal(embedding, train.llm_embeddings[column])
        for query, values in zip(queries, outcomes, strict=True):
            place = train.queries.query_ids.index(query)
            wanted = [getattr(train, name)[place, column] for name in ("performance", "cost", "cost_usd")]
            assert values.tolist() == wanted


def test_probes_have_an_outcome_carry_attributes_and_do_not_depend_on_order(setting: Setting) -> None:
    train = setting.prepared.train
    performance = train.performance.copy()
    performance[::2, 3] = np.nan
    data = dataclasses.replace(
        train, performance=performance, attributes=np.random.default_rng(0).normal(size=(*performance.shape, 2))
    )

    def told(source: object, count: int) -> tuple[list[str], np.ndarray]:
        spy = Spy().fit(train, train)
        with_probes(spy, source, "ocean", count, 0)
        return spy.told[0][2], spy.told[0][3]

    queries, outcomes = told(data, MANY)
    assert set(queries) == {query for place, query in enumerate(train.queries.query_ids) if place % 2}
    assert outcomes.shape == (len(queries), 5)
    place = train.queries.query_ids.index(queries[0])
    np.testing.assert_array_equal(outcomes[0, 3:], data.attributes[place, 3])
    bare = dataclasses.replace(data, attributes=None)
    first, turned = told(bare, 7), told(shuffled_rows(bare), 7)
    assert first[0] == turned[0]
    np.testing.assert_array_equal(first[1], turned[1])


def test_ignoring_it_is_the_choice_among_the_others_on_the_same_rows(setting: Setting, table: pd.DataFrame) -> None:
    prepared = setting.prepared
    for llm in ("brook", "ocean"):
        graph = fit_graph(setting, without_llm(prepared, llm))
        (row,) = table[(table["series"] == llm) & (table["panel"] == "without it")].to_dict("records")
        test, users = prepared.test, prepared.true_users
        others = [test.llm_ids.index(name) for name in graph.llm_ids]
        rewards = []
        for user, alpha in zip(users["user_id"], users["preference"], strict=True):
            choice = graph.scores(test.queries, [user] * len(test.queries)).argmax(axis=1)
            got = np.arange(len(choice)), np.array(others)[choice]
            rewards.append(alpha * test.performance[got] - (1 - alpha) * test.cost[got])
        assert row["reward"] == pytest.approx(np.mean(rewards))
        assert np.isnan(row["x"])


def test_rows_of_the_study(setting: Setting, table: pd.DataFrame) -> None:
    assert set(table["reference"]) == {score(setting.graph, setting.prepared).reward}
    assert table["series"].value_counts().to_dict() == {"brook": 4, "ocean": 4}
    assert sorted(table.loc[table["panel"] == "with it", "x"].unique()) == [0, 5, MANY]


def test_an_llm_with_all_its_outcomes_is_used(setting: Setting, table: pd.DataFrame) -> None:
    """The cheapest LLM is missed by users who mind what it costs; with its outcomes known it is back."""
    brook = table[table["series"] == "brook"]
    (ignored,) = brook.loc[brook["panel"] == "without it", "reward"]
    (known,) = brook.loc[brook["x"] == MANY, "reward"]
    assert table["reference"].iloc[0] > ignored + 0.02
    assert known > ignored + 0.01
