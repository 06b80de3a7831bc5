"""New users: who is held out, what the router may see of them, and what they get with no, few and all interactions."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import evaluation.evaluate as evaluate_module
from configs.errors import InputError
from configs.schema import NewUsers
from evaluation.new_users import few_interactions, held_out, new_users, without_users
from evaluation.study import Setting, fit_graph, score
from tests.evaluation.study_world import Spy, make_setting, shuffled_rows, spied

USERS = ["user_1", "user_2", "user_3", "user_4"]
STUDY = {"new_users": NewUsers(users=("user_4", "user_1"), shots=(0, 1, 5))}


@pytest.fixture(scope="module")
def setting() -> Setting:
    return make_setting(**STUDY)


@pytest.fixture(scope="module")
def table(setting: Setting) -> pd.DataFrame:
    return new_users(setting)


def value(table: pd.DataFrame, series: str, x: float) -> float:
    (found,) = table.loc[(table["series"] == series) & (table["x"] == x), "reward"]
    return found


def test_named_users_are_held_out_whatever_their_order() -> None:
    assert held_out(NewUsers(users=("user_4", "user_1")), USERS, 0) == ["user_1", "user_4"]
    assert held_out(NewUsers(users=("user_4", "user_4")), USERS[::-1], 3) == ["user_4"]


def test_a_share_is_drawn_by_the_seed_and_not_by_the_order() -> None:
    study = NewUsers(fraction=0.5)
    drawn = [held_out(study, USERS, seed) for seed in range(8)]
    assert all(len(users) == 2 and set(users) < set(USERS) for users in drawn)
    assert len({tuple(users) for users in drawn}) > 1
    assert drawn == [held_out(study, USERS[::-1], seed) for seed in range(8)]


@pytest.mark.parametrize(
    ("study", "parts"),
    [
        (NewUsers(users=("user_9",)), ["got 'user_9' (did you mean 'user_", "the 4 users are user_1, user_2"]),
        (
            NewUsers(users=tuple(USERS)),
            ["at least one user to hold out and one to keep, got 4 of 4", "new_users.users"],
        ),
        (NewUsers(fraction=0.1), ["got 0 of 4", "change evaluate.new_users.fraction"]),
        (NewUsers(fraction=0.99), ["got 4 of 4"]),
    ],
)
def test_somebody_goes_and_somebody_stays(study: NewUsers, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        held_out(study, USERS, 0)
    assert all(part in str(error.value) for part in parts)


def test_nothing_of_the_new_users_is_left_in_training(setting: Setting) -> None:
    left = without_users(setting.prepared, ["user_1", "user_4"])
    for data in (left.train, left.validation):
        assert data.user_ids == ["user_2", "user_3"]
        assert not set(data.interactions["user_id"]) & {"user_1", "user_4"}
    before = setting.prepared.train.interactions
    pd.testing.assert_frame_equal(
        left.train.interactions, before[before["user_id"].isin(["user_2", "user_3"])].reset_index(drop=True)
    )
    assert left.test is setting.prepared.test


def test_drawn_interactions_are_nested_and_independent_of_the_order_of_rows(setting: Setting) -> None:
    train = setting.prepared.train

    def keys(count: int, data: pd.DataFrame, users: list[str] = USERS[:2]) -> set[tuple[str, str]]:
        drawn = few_interactions(data, users, count, 0)
        return set(zip(drawn["user_id"], drawn["query_id"], strict=True))

    one, five = keys(1, train.interactions), keys(5, train.interactions)
    assert len(one) == 2
    assert len(five) == 10
    assert one < five
    assert {user for user, _ in five} == set(USERS[:2])
    assert five == keys(5, shuffled_rows(train).interactions, USERS[1::-1])
    assert len(keys(10**6, train.interactions)) == 2 * len(train.queries)
    assert keys(0, train.interactions) == set()


def test_the_router_is_told_only_what_was_drawn(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "GraphPolicy", Spy)
    new_users(spied(setting))
    train, validation = Spy.last.fitted_on
    assert train.user_ids == validation.user_ids == ["user_2", "user_3"]
    assert [len(drawn) for _, drawn in Spy.last.told] == [2, 10]  # nothing is told where the shots are 0
    known = setting.prepared.train.interactions
    for data, drawn in Spy.last.told:
        assert set(drawn["user_id"]) == {"user_1", "user_4"}
        assert len(drawn.merge(known)) == len(drawn)
        assert data.user_ids == ["user_2", "user_3"]
        np.testing.assert_array_equal(data.performance, setting.prepared.train.performance)


def test_without_interactions_new_users_get_the_answer_of_a_stranger(setting: Setting, table: pd.DataFrame) -> None:
    users = ["user_1", "user_4"]
    graph = fit_graph(setting, without_users(setting.prepared, users))
    queries = setting.prepared.test.queries
    for user in users:
        np.testing.assert_array_equal(graph.grid(queries, [user]), graph.grid(queries, ["nobody"]))
    assert value(table, "graph", 0) == score(graph, setting.prepared, users).reward
    assert not np.array_equal(graph.grid(queries, ["user_2"]), graph.grid(queries, ["nobody"]))


def test_interactions_reach_the_new_users(setting: Setting, table: pd.DataFrame) -> None:
    assert value(table, "graph", 5) > value(table, "graph", 0) + 0.005
    assert value(table, "graph", 5) > value(table, "best_single", 5)


def test_the_reference_is_the_router_trained_with_them_on_the_same_users(setting: Setting, table: pd.DataFrame) -> None:
    users = ["user_1", "user_4"]
    assert set(table["reference"]) == {score(setting.graph, setting.prepared, users).reward}
    assert set(table["panel"]) == {"new users"}
    assert len(table) == 6
    assert table.loc[table["series"] == "best_single", "reward"].nunique() == 1


def test_the_order_of_rows_does_not_matter(setting: Setting, table: pd.DataFrame) -> None:
    prepared = setting.prepared
    turned = dataclasses.replace(
        prepared,
        train=shuffled_rows(prepared.train),
        true_users=prepared.true_users.sample(frac=1, random_state=0).reset_index(drop=True),
    )
    drawn = few_interactions(turned.train.interactions, ["user_1"], 5, 0)
    assert set(drawn["query_id"]) == set(few_interactions(prepared.train.interactions, ["user_1"], 5, 0)["query_id"])
    again = new_users(dataclasses.replace(setting, prepared=turned))
    floor = table["series"] == "best_single"
    np.testing.assert_allclose(again["reward"][floor], table["reward"][floor])
    np.testing.assert_allclose(again["reference"], table["reference"])
