"""A choice is a choice of a text: joined by id, shared by all LLMs that gave it, each against a slow twin."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from graph.choices import Answers, answer_classes, hits, places, popularity_view, shares
from graph.records import RoutingData
from tests.graph.world import all_but_k, hide, take_llms, take_queries, tiny, tiny_judged


@pytest.fixture(params=[0, 2], ids=["dense", "sparse"])
def data(request: pytest.FixtureRequest) -> RoutingData:
    """The train split of a world of personas; sparse: two answers per query, one query without any."""
    train = tiny_judged()[0]
    if request.param:
        hidden = all_but_k(train.performance.shape, request.param)
        hidden[5] = True
        train = hide(train, hidden)
    assert (train.answers != np.arange(4)).any(), "the world must have equal texts"
    return train


def seen(data: RoutingData, query: str, llm: str) -> bool:
    if query not in data.queries.query_ids or llm not in data.llm_ids:
        return False
    return math.isfinite(data.performance[data.queries.query_ids.index(query), data.llm_ids.index(llm)])


def usable(data: RoutingData, users: list[str]) -> list[tuple[str, str, str]]:
    """The interactions that say something, row by row."""
    rows = data.interactions[["user_id", "query_id", "llm_id"]].itertuples(index=False)
    return [tuple(row) for row in rows if row[0] in users and seen(data, row[1], row[2])]


def givers(data: RoutingData, query: str, llm: str) -> set[str]:
    """The LLMs seen to give the same text as `llm`."""
    row = data.queries.query_ids.index(query)
    own = data.answers[row, data.llm_ids.index(llm)] if data.answers is not None else llm
    return {
        other
        for column, other in enumerate(data.llm_ids)
        if seen(data, query, other) and (data.answers[row, column] if data.answers is not None else other) == own
    }


def with_strangers(data: RoutingData) -> RoutingData:
    """Return `data` with interactions that nothing can be learnt from: unknown users, queries and LLMs."""
    query = data.queries.query_ids[0]
    rows = [("nobody", query, "ocean"), ("user_1", "no query", "ocean"), ("user_1", query, "no LLM")]
    more = pd.DataFrame([(*row, np.nan) for row in rows], columns=data.interactions.columns)
    return dataclasses.replace(data, interactions=pd.concat([more, data.interactions], ignore_index=True))


def test_places_are_those_of_the_ids_and_what_says_nothing_is_left_out(data: RoutingData) -> None:
    data = with_strangers(data)
    users = ["user_3", "user_1", "silent"]
    chosen = places(data, data.interactions, users)
    found = [
        (users[u], data.queries.query_ids[q], data.llm_ids[i])
        for u, q, i in zip(chosen.user, chosen.query, chosen.llm, strict=True)
    ]
    wanted = usable(data, users)
    assert found == wanted
    assert {user for user, _, _ in wanted} == {"user_1", "user_3"}
    assert len(wanted) < (data.interactions["user_id"].isin(users)).sum(), "something must be left out"


def test_an_unobserved_choice_is_left_out() -> None:
    train = tiny_judged()[0]
    query, llm = train.interactions.loc[0, ["query_id", "llm_id"]]
    hidden = np.zeros(train.performance.shape, dtype=bool)
    hidden[train.queries.query_ids.index(query), train.llm_ids.index(llm)] = True
    before, after = (places(d, d.interactions, d.user_ids) for d in (train, hide(train, hidden)))
    gone = (train.interactions["query_id"] == query) & (train.interactions["llm_id"] == llm)
    assert len(before.user) - len(after.user) == gone.sum() >= 1


def test_no_interactions_are_no_places() -> None:
    train = tiny_judged()[0]
    nothing = places(train, train.interactions[:0], train.user_ids)
    assert len(nothing.user) == len(nothing.query) == len(nothing.llm) == 0
    assert hits(train, nothing).shape == (0, 4)
    assert np.isnan(shares(dataclasses.replace(train, interactions=train.interactions[:0]))).all()


def test_answers_are_equal_as_their_texts_are(data: RoutingData) -> None:
    classes = answer_classes(data)
    for row, query in enumerate(data.queries.query_ids):
        for column, llm in enumerate(data.llm_ids):
            if not seen(data, query, llm):
                assert classes[row, column] == -1
                continue
            same = {other for place, other in enumerate(data.llm_ids) if classes[row, place] == classes[row, column]}
            assert same == givers(data, query, llm)


def test_without_texts_every_answer_is_one_of_its_own() -> None:
    train = hide(tiny()[0], all_but_k((60, 4), 3))
    assert train.answers is None
    observed = np.isfinite(train.performance)
    np.testing.assert_array_equal(answer_classes(train), np.where(observed, np.arange(4), -1))


def test_every_llm_that_gave_the_chosen_text_is_hit(data: RoutingData) -> None:
    found = hits(data, places(data, data.interactions, data.user_ids))
    wanted = usable(data, data.user_ids)
    assert len(found) == len(wanted)
    for line, (_, query, llm) in zip(found, wanted, strict=True):
        assert {data.llm_ids[i] for i in np.flatnonzero(line)} == givers(data, query, llm)
    assert (found.sum(axis=1) > 1).any(), "the world must have choices of equal texts"


def test_shares_equal_their_slow_twin(data: RoutingData) -> None:
    data = with_strangers(data)
    found = shares(data)
    wanted = usable(data, data.user_ids)
    for row, query in enumerate(data.queries.query_ids):
        picks = [llm for _, asked, llm in wanted if asked == query]
        for column, llm in enumerate(data.llm_ids):
            if not picks or not seen(data, query, llm):
                assert math.isnan(found[row, column])
            else:
                share = sum(llm in givers(data, query, pick) for pick in picks) / len(picks)
                assert found[row, column] == pytest.approx(share)


def test_popularity_is_all_that_is_left_of_a_world_of_personas(data: RoutingData) -> None:
    silent = data.queries.query_ids[7]
    data = dataclasses.replace(data, interactions=data.interactions[data.interactions["query_id"] != silent])
    view = popularity_view(data)
    np.testing.assert_array_equal(view.performance, shares(data))
    assert np.isnan(view.performance[7]).all()
    np.testing.assert_array_equal(view.cost == 0, np.isfinite(view.performance))
    np.testing.assert_array_equal(np.isnan(view.cost), np.isnan(view.performance))
    assert view.interactions is data.interactions
    preferring = tiny()[0]
    assert popularity_view(preferring) is preferring


def test_the_order_of_rows_and_columns_changes_no_share(data: RoutingData) -> None:
    rows, columns = np.random.default_rng(0).permutation(60), [2, 0, 3, 1]
    other = take_llms(take_queries(data, rows), columns)
    other = dataclasses.replace(other, interactions=other.interactions.sample(frac=1, random_state=1))
    np.testing.assert_allclose(shares(other), shares(data)[rows][:, columns], rtol=0, atol=1e-12)


def test_properties_are_performance_and_what_is_known_of_the_text(data: RoutingData) -> None:
    answers = Answers.of(data)
    assert answers.properties.shape == (60, 4, 3)
    np.testing.assert_array_equal(answers.properties[..., 0], data.performance)
    np.testing.assert_array_equal(answers.properties[..., 1:], data.attributes)
    plain = Answers.of(tiny()[0])
    assert plain.properties.shape == (60, 4, 1)


def test_distinct_answers_have_the_mean_over_those_who_gave_them(data: RoutingData) -> None:
    answers = Answers.of(data)
    features = np.random.default_rng(3).normal(size=(60, 4, 5))
    found, exists = answers.distinct(features)
    assert found.shape == (60, 4, 5)
    for row, query in enumerate(data.queries.query_ids):
        texts = {frozenset(givers(data, query, llm)) for llm in data.llm_ids if seen(data, query, llm)}
        assert exists[row].sum() == len(texts)
        for column, llm in enumerate(data.llm_ids):
            if seen(data, query, llm):
                number = answers.classes[row, column]
                assert exists[row, number]
                members = [data.llm_ids.index(other) for other in givers(data, query, llm)]
                np.testing.assert_allclose(found[row, number], features[row, members].mean(axis=0), atol=1e-12)
    assert (found[~exists] == 0).all()


def test_a_property_that_is_not_known_counts_as_average() -> None:
    answers = Answers.of(tiny_judged()[0])
    features = np.ones((60, 4, 1))
    features[0] = np.nan
    found, exists = answers.distinct(features)
    assert (found[0] == 0).all()
    assert (found[1:][exists[1:]] == 1).all()
