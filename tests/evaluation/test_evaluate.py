"""What is measured on the test split, against a slow double loop; and that nothing else gets to see that split."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pytest

import evaluation.evaluate as module
from configs.errors import InputError
from configs.schema import Config, Encoder, Evaluate, Graph, Train, Users
from data_processing.simulated import build_world
from data_processing.splits import split_queries
from data_processing.users import make_users
from evaluation.evaluate import Fitted, evaluate, fit_policies
from evaluation.results import DECISION_COLUMNS, RepeatResult
from graph.encoder import make_encoder
from graph.policy import Policy
from graph.records import Queries, RoutingData
from graph.routing_data import PreparedData, prepare
from tests.graph.world import judge_of, judged_dataset

POLICIES = ("graph", "oracle", "random", "best_single_per_user", "cheapest", "elo", "knn")


class Spy(Policy):
    """Keeps what it is given; prefers one LLM."""

    name: ClassVar[str] = "random"
    favourite: ClassVar[int] = 1
    seen: ClassVar[list[Any]] = []

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        Spy.seen.append((train, validation))
        return self

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        scores = np.zeros((len(queries), len(self.llm_ids)))
        scores[:, self.favourite] = 1.0
        return scores

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        return cls()


def config(*policies: str) -> Config:
    return Config(
        encoder=Encoder(model="hashing:32", cache=None, style=False),
        graph=Graph(topics=(), neighbours=4),
        train=Train(epochs=1),
        evaluate=Evaluate(policies=policies or POLICIES),
    )


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    """A tiny simulated world in which a fifth of the outcomes was never observed, and one test query has none."""
    world = build_world(40, 4, 0)
    keep = np.random.default_rng(0).random(len(world.outcomes)) > 0.2
    settings = config()
    splits = split_queries(world.queries, settings.data.split, 0)
    tested = splits[splits == "test"].index[0]
    outcomes = world.outcomes[keep & (world.outcomes["query_id"] != tested)]
    dataset = dataclasses.replace(world, outcomes=outcomes, users=make_users(settings.users))
    return prepare(dataset, splits, settings, make_encoder(settings.encoder, "cpu"), 0)


@pytest.fixture(scope="module")
def decisions(prepared: PreparedData) -> pd.DataFrame:
    return evaluate(prepared, fit_policies(prepared, config(), 0), config(), 0).decisions


def cells(prepared: PreparedData) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Return (query, LLM) -> (performance, cost, dollars) of the observed test outcomes."""
    test = prepared.test
    return {
        (query, llm): (float(test.performance[i, j]), float(test.cost[i, j]), float(test.cost_usd[i, j]))
        for i, query in enumerate(test.queries.query_ids)
        for j, llm in enumerate(test.llm_ids)
        if math.isfinite(test.performance[i, j])
    }


def test_every_user_and_answered_test_query_is_decided_once_by_every_policy(prepared, decisions) -> None:
    answered = {query for query, _ in cells(prepared)}
    assert len(answered) == len(prepared.test.queries) - 1
    wanted = {(p, u, q) for p in POLICIES for u in prepared.true_users["user_id"] for q in answered}
    rows = list(zip(decisions["policy"], decisions["user_id"], decisions["query_id"], strict=True))
    assert len(rows) == len(set(rows))
    assert set(rows) == wanted
    assert list(decisions.columns) == DECISION_COLUMNS


def test_numbers_of_a_decision_are_those_of_the_table(prepared, decisions) -> None:
    known = cells(prepared)
    alpha = dict(zip(prepared.true_users["user_id"], prepared.true_users["preference"], strict=True))
    for row in decisions.itertuples():
        assert (row.query_id, row.llm_id) in known, "chosen among the observed LLMs only"
        performance, cost, dollars = known[row.query_id, row.llm_id]
        weight = alpha[row.user_id]
        assert (row.performance, row.cost, row.cost_usd) == (performance, cost, dollars)
        assert row.reward == pytest.approx(weight * performance - (1 - weight) * cost)
        every = [weight * p - (1 - weight) * c for (query, _), (p, c, _) in known.items() if query == row.query_id]
        assert row.best == (row.reward >= max(every) - 1e-9)
        assert row.task_id == prepared.task_of[row.query_id]


def test_the_oracle_attains_the_best_reward_everywhere(decisions) -> None:
    assert decisions.loc[decisions["policy"] == "oracle", "best"].all()
    assert not decisions.loc[decisions["policy"] == "random", "best"].all()
    reward = decisions.pivot(index=["user_id", "query_id"], columns="policy", values="reward")
    assert (reward.sub(reward["oracle"], axis=0) <= 1e-9).all().all()


def test_expectations_are_given_where_a_policy_has_them(prepared, decisions) -> None:
    expected = decisions.groupby("policy")["expected_performance"].count()
    count = len(decisions) // len(POLICIES)
    assert expected.to_dict() == {p: (0 if p in ("oracle", "random", "cheapest", "elo") else count) for p in POLICIES}
    assert decisions.loc[decisions["policy"] == "graph", "expected_cost_usd"].between(0, np.inf).all()
    mean = np.nanmean(prepared.train.performance, axis=0)
    single = decisions[decisions["policy"] == "best_single_per_user"]
    np.testing.assert_allclose(
        single["expected_performance"], mean[[prepared.test.llm_ids.index(x) for x in single["llm_id"]]]
    )


def test_singles_are_means_of_each_llm_over_what_was_observed(prepared: PreparedData) -> None:
    test = prepared.test
    only = [matrix.copy() for matrix in (test.performance, test.cost, test.cost_usd)]
    for matrix in only:
        matrix[:, 2] = np.nan  # an LLM without any outcome among the test queries
    performance, cost, dollars = only
    data = dataclasses.replace(
        prepared, test=dataclasses.replace(test, performance=performance, cost=cost, cost_usd=dollars)
    )
    singles = evaluate(data, {}, config("oracle"), 0).singles.set_index("llm_id")
    known = cells(data)
    for llm in test.llm_ids:
        values = [value for (_, name), value in known.items() if name == llm]
        wanted = np.mean(values, axis=0) if values else [np.nan] * 3
        np.testing.assert_allclose(singles.loc[llm].to_numpy(dtype=float), wanted, rtol=1e-6)


def test_a_favourite_without_an_outcome_is_not_chosen(prepared: PreparedData) -> None:
    spy = Spy().fit(prepared.train, prepared.validation)
    chosen = evaluate(prepared, {"random": Fitted(spy, 0.5)}, config("random"), 0)
    favourite = prepared.test.llm_ids[Spy.favourite]
    known = cells(prepared)
    for row in chosen.decisions.itertuples():
        assert (row.llm_id == favourite) == ((row.query_id, favourite) in known)
    assert (chosen.decisions["llm_id"] != favourite).any()
    assert chosen.timings["fit_seconds"].tolist() == [0.5]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_a_failure(prepared: PreparedData, value: float) -> None:
    class Broken(Spy):
        def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
            scores = super().scores(queries, users)
            scores[-1, :] = value
            return scores

    spy = Broken().fit(prepared.train, prepared.validation)
    with pytest.raises(RuntimeError, match="policy 'random' gave a score that is not a finite number"):
        evaluate(prepared, {"random": Fitted(spy, 0.0)}, config("random"), 0)


def test_fitting_never_sees_the_test_split(prepared: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.BASELINES, "random", Spy)
    Spy.seen.clear()

    class Locked:
        """Stands for the test split; whoever reads it fails."""

        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"test.{name} was read before evaluation")

    fitted = fit_policies(dataclasses.replace(prepared, test=Locked()), config(), 0)
    assert set(fitted) == set(POLICIES) - {"oracle"}
    ((train, validation),) = Spy.seen
    assert train is prepared.train
    assert validation is prepared.validation
    tested = set(prepared.test.queries.query_ids)
    for data in (train, validation):
        assert not tested & set(data.queries.query_ids)
        assert not tested & set(data.interactions["query_id"])
        assert data.users["preference"].isna().all(), "what a user weighs is to be inferred"


def test_changing_test_outcomes_changes_no_choice(prepared: PreparedData) -> None:
    fitted = fit_policies(prepared, config(), 0)
    test = prepared.test
    turned = dataclasses.replace(test, performance=1 - test.performance, cost=1 - test.cost)
    policies = [p for p in POLICIES if p != "oracle"]
    first, second = (
        evaluate(data, fitted, config(*policies), 0).decisions["llm_id"]
        for data in (prepared, dataclasses.replace(prepared, test=turned))
    )
    assert first.tolist() == second.tolist()


def test_a_test_split_without_outcomes_is_an_input_error(prepared: PreparedData) -> None:
    nothing = np.full_like(prepared.test.performance, np.nan)
    test = dataclasses.replace(prepared.test, performance=nothing)
    with pytest.raises(InputError, match="test split: expected at least one query with an outcome"):
        evaluate(dataclasses.replace(prepared, test=test), {}, config("oracle"), 0)


# Personas

RIVALS = ("graph", "oracle", "random", "best_single_per_user", "knn", "cheapest", "elo")


@pytest.fixture(scope="module")
def judged() -> PreparedData:
    """Personas who pick among answers of which a fifth is missing and some are equal; one test query has none."""
    world = judged_dataset()
    judge = judge_of(world)  # the people, who know no more of the world than this
    rng = np.random.default_rng(0)
    texts = world.outcomes["response"].where(rng.random(len(world.outcomes)) > 0.5, "I do not know.")
    settings = Config(
        encoder=Encoder(model="hashing:32", cache=None, style=False),
        users=Users(strategy="llm_as_judge", personas=len(world.users)),
    )
    splits = split_queries(world.queries, settings.data.split, 0)
    tested = splits[splits == "test"].index[0]
    kept = (rng.random(len(world.outcomes)) > 0.2) & (world.outcomes["query_id"] != tested)
    dataset = dataclasses.replace(world, outcomes=world.outcomes.assign(response=texts)[kept])
    return prepare(dataset, splits, settings, make_encoder(settings.encoder, "cpu"), 0, judge=judge)


@pytest.fixture(scope="module")
def picked(judged: PreparedData) -> RepeatResult:
    return evaluate(judged, fit_policies(judged, config(*RIVALS), 0), config(*RIVALS), 0)


def right(judged: PreparedData) -> dict[tuple[str, str], set[str]]:
    """Return (user, query) -> the LLMs that gave the text the user picked, cell by cell."""
    test, found = judged.test, {}
    for row in judged.test.interactions.itertuples():
        place = test.queries.query_ids.index(row.query_id)
        text = test.answers[place, test.llm_ids.index(row.llm_id)]
        found[row.user_id, row.query_id] = {
            llm
            for column, llm in enumerate(test.llm_ids)
            if math.isfinite(test.performance[place, column]) and test.answers[place, column] == text
        }
    return found


def test_a_choice_for_a_persona_is_right_where_the_llm_gave_the_picked_text(judged, picked) -> None:
    wanted, decisions = right(judged), picked.decisions
    assert any(len(llms) > 1 for llms in wanted.values()), "the world must have equal texts"
    assert len(wanted) == 5 * (len(judged.test.queries) - 1)
    for name in RIVALS:
        own = decisions[decisions["policy"] == name]
        assert {(row.user_id, row.query_id) for row in own.itertuples()} == set(wanted)
        assert len(own) == len(wanted)
        for row in own.itertuples():
            assert row.best == (row.llm_id in wanted[row.user_id, row.query_id]), name
            assert (row.query_id, row.llm_id) in cells(judged), "chosen among the observed LLMs only"
    assert decisions["reward"].isna().all()


def test_one_of_the_first_three_is_right_where_the_scores_say_so(judged) -> None:
    names = ("graph", "knn", "random")
    fitted = fit_policies(judged, config(*names), 0)
    wanted, test = right(judged), judged.test
    decisions = evaluate(judged, fitted, config(*names), 0).decisions
    for name, item in fitted.items():
        grid = item.policy.grid(test.queries, test.user_ids)
        own = decisions[decisions["policy"] == name].set_index(["user_id", "query_id"])
        for u, user in enumerate(test.user_ids):
            for q, query in enumerate(test.queries.query_ids):
                if (user, query) not in wanted:
                    continue
                seen = [i for i in range(4) if math.isfinite(test.performance[q, i])]
                first = sorted(seen, key=lambda i: (-grid[u, q, i], i))[:3]
                row = own.loc[(user, query)]
                assert row["llm_id"] == test.llm_ids[first[0]]
                assert row["best_in_top3"] == any(test.llm_ids[i] in wanted[user, query] for i in first)
        assert (own["best_in_top3"] >= own["best"]).all()
    assert not decisions["best_in_top3"].all()


def test_of_rewards_too_one_of_the_first_three_is_best(prepared, decisions) -> None:
    known = cells(prepared)
    alpha = dict(zip(prepared.true_users["user_id"], prepared.true_users["preference"], strict=True))
    for row in decisions[decisions["policy"].isin(["oracle", "best_single_per_user"])].itertuples():
        assert row.best_in_top3 >= row.best
        weight = alpha[row.user_id]
        every = [weight * p - (1 - weight) * c for (query, _), (p, c, _) in known.items() if query == row.query_id]
        assert row.best_in_top3 or len(every) > 3


def test_the_oracle_of_personas_is_always_right(picked) -> None:
    accuracy = picked.decisions.groupby("policy", observed=True)["best"].mean()
    assert accuracy["oracle"] == 1
    assert accuracy.drop("oracle").max() < 1
    assert picked.decisions.loc[picked.decisions["policy"] == "oracle", "best_in_top3"].all()


def test_the_ceiling_is_the_mean_over_what_was_decided(judged, picked) -> None:
    wanted = right(judged)
    ceiling = [
        judged.ceiling[u, q]
        for u, user in enumerate(judged.true_users["user_id"])
        for q, query in enumerate(judged.test.queries.query_ids)
        if (user, query) in wanted
    ]
    assert picked.judge_ceiling == pytest.approx(np.mean(ceiling))
    assert 0.3 < picked.judge_ceiling < 1
    assert math.isnan(evaluate(dataclasses.replace(judged, ceiling=None), {}, config("oracle"), 0).judge_ceiling)


def test_a_query_on_which_a_persona_picked_nothing_is_not_scored_for_it(judged) -> None:
    first = judged.test.interactions.iloc[0]
    test = dataclasses.replace(judged.test, interactions=judged.test.interactions.iloc[1:])
    found = evaluate(dataclasses.replace(judged, test=test), {}, config("oracle"), 0).decisions
    rows = set(zip(found["user_id"], found["query_id"], strict=True))
    assert (first.user_id, first.query_id) not in rows
    assert len(rows) == len(judged.test.interactions) - 1


def test_expectations_are_not_given_by_who_predicts_popularity(picked) -> None:
    expected = picked.decisions.groupby("policy", observed=True)["expected_performance"].count()
    assert {name for name, count in expected.items() if count} == {"graph"}


def test_changing_the_picks_on_test_queries_changes_no_choice(judged) -> None:
    fitted = fit_policies(judged, config(*RIVALS), 0)
    chosen = judged.test.interactions
    others = chosen.assign(user_id=np.roll(chosen["user_id"].to_numpy(), 7))
    turned = dataclasses.replace(judged, test=dataclasses.replace(judged.test, interactions=others))
    policies = [name for name in RIVALS if name != "oracle"]
    first, second = (
        evaluate(data, fitted, config(*policies), 0).decisions.set_index(["policy", "user_id", "query_id"])["llm_id"]
        for data in (judged, turned)
    )
    both = first.index.intersection(second.index)
    assert len(both) > 0.5 * len(first)
    assert (first[both].astype(str) == second[both].astype(str)).all()
