"""The floors against slow, obvious twins."""

import dataclasses
import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.simple import (
    BestSinglePerTaskPolicy,
    BestSinglePerUserPolicy,
    BestSinglePolicy,
    CheapestPolicy,
    EloPolicy,
    RandomPolicy,
    bradley_terry,
    mean_outcomes,
    nan_mean,
)
from graph.choices import shares
from graph.records import RoutingData
from tests.contract import STRANGER, make_world

CELL = st.one_of(st.none(), st.integers(0, 4).map(lambda n: n / 4))
TABLE = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1))


def choices(policy, data: RoutingData) -> dict[tuple[str, str], str]:
    """Return (user, query) -> chosen LLM over the queries of `data`."""
    best = policy.grid(data.queries, data.user_ids).argmax(axis=-1)
    return {
        (user, query): policy.llm_ids[best[u, q]]
        for u, user in enumerate(data.user_ids)
        for q, query in enumerate(data.queries.query_ids)
    }


def slow_best(data: RoutingData, alpha: float, task: str | None = None) -> str:
    """The LLM with the highest α·mean performance − (1−α)·mean cost, counted cell by cell."""
    earned = {}
    for column, llm in enumerate(data.llm_ids):
        rows = [
            row
            for row in range(len(data.queries))
            if math.isfinite(data.performance[row, column]) and task in (None, data.queries.task_ids[row])
        ]
        performance = statistics.fmean(data.performance[row, column] for row in rows)
        cost = statistics.fmean(float(data.cost[row, column]) for row in rows)
        earned[llm] = alpha * performance - (1 - alpha) * cost
    return max(earned, key=earned.__getitem__)


def stated(data: RoutingData, *alphas: float) -> RoutingData:
    """Return `data` in which each user states a preference: what is tested is then not its inference."""
    return dataclasses.replace(data, users=data.users.assign(preference=list(alphas)))


ALPHAS = (0.1, 0.55, 0.95)


@pytest.fixture
def world() -> tuple[RoutingData, RoutingData]:
    train, validation = make_world(queries=60, llms=5, seed=9)
    return stated(train, *ALPHAS), stated(validation, *ALPHAS)


def test_best_single_per_user_is_the_best_train_mean_of_each_user(world) -> None:
    train, validation = world
    wanted = {user: slow_best(train, alpha) for user, alpha in zip(train.user_ids, ALPHAS, strict=True)}
    assert len(set(wanted.values())) > 1, "the world must tell users apart"
    got = choices(BestSinglePerUserPolicy().fit(train, validation), validation)
    assert got == {(user, query): wanted[user] for user, query in got}


def test_best_single_per_user_infers_the_preference_where_it_is_not_stated() -> None:
    train, validation = make_world(queries=60, llms=5, seed=9)
    got = choices(BestSinglePerUserPolicy().fit(train, validation), validation)
    for user, alpha in (("user_1", 0.2), ("user_2", 0.6), ("user_3", 1.0)):
        assert {llm for (who, _), llm in got.items() if who == user} == {slow_best(train, alpha)}


def test_best_single_is_one_answer_for_known_and_unknown_users(world) -> None:
    train, validation = world
    policy = BestSinglePolicy().fit(train, validation)
    wanted = slow_best(train, statistics.fmean(ALPHAS))
    assert wanted != slow_best(train, ALPHAS[0])
    assert set(choices(policy, validation).values()) == {wanted}
    scores = policy.grid(validation.queries, [*train.user_ids, STRANGER])
    assert np.abs(scores - scores[:1]).max() == 0
    cells = mean_outcomes(train)
    alpha = statistics.fmean(ALPHAS)
    np.testing.assert_allclose(scores[0, 0], alpha * cells[:, 0] - (1 - alpha) * cells[:, 1], atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.0125, 0.5, 0.99, 1.0])
def test_best_single_serves_exactly_the_mean_preference(alpha: float) -> None:
    train, validation = (stated(data, alpha, alpha, alpha) for data in make_world())
    policy = BestSinglePolicy().fit(train, validation)
    assert policy.preferences.mean(["user_1", STRANGER]) == pytest.approx([alpha, alpha], abs=1e-12)


def test_best_single_per_task_is_the_best_mean_of_each_task(world) -> None:
    train, validation = world
    got = choices(BestSinglePerTaskPolicy().fit(train, validation), validation)
    task_of = dict(zip(validation.queries.query_ids, validation.queries.task_ids, strict=True))
    alpha_of = dict(zip(train.user_ids, ALPHAS, strict=True))
    assert got == {(u, q): slow_best(train, alpha_of[u], task_of[q]) for u, q in got}
    assert any(slow_best(train, a, "code") != slow_best(train, a, "maths") for a in ALPHAS), "tasks must differ"


def test_an_unknown_task_falls_back_to_the_mean_over_all(world) -> None:
    train, validation = world
    unknown = dataclasses.replace(validation.queries, task_ids=("other",) * len(validation.queries))
    per_task = BestSinglePerTaskPolicy().fit(train, validation)
    per_user = BestSinglePerUserPolicy().fit(train, validation)
    np.testing.assert_array_equal(per_task.grid(unknown, train.user_ids), per_user.grid(unknown, train.user_ids))


def test_an_llm_without_outcomes_on_a_task_has_its_overall_mean_there(world) -> None:
    train, validation = world
    code = np.array([task == "code" for task in train.queries.task_ids])
    performance, cost = train.performance.copy(), train.cost.copy()
    performance[code, 2] = cost[code, 2] = np.nan
    policy = BestSinglePerTaskPolicy().fit(dataclasses.replace(train, performance=performance, cost=cost), validation)
    row = policy.tasks.index("code")
    np.testing.assert_allclose(policy.task_means[row, 2], [np.nanmean(performance[:, 2]), np.nanmean(cost[:, 2])], 1e-6)


def test_cheapest_is_the_lowest_mean_in_dollars_for_everyone(world) -> None:
    train, validation = world
    dollars = [statistics.fmean(v for v in column if math.isfinite(v)) for column in train.cost_usd.T]
    policy = CheapestPolicy().fit(train, validation)
    scores = policy.grid(validation.queries, [*train.user_ids, STRANGER])
    assert scores.argsort(axis=-1)[..., ::-1].reshape(-1, 5).tolist() == [np.argsort(dollars).tolist()] * (
        scores.size // 5
    )


def test_equally_cheap_llms_have_equal_scores(world) -> None:
    train, validation = world
    free = dataclasses.replace(train, cost_usd=np.zeros_like(train.cost_usd))
    scores = CheapestPolicy().fit(free, validation).grid(validation.queries, train.user_ids)
    assert (scores == scores[0, 0, 0]).all()


def test_random_is_uniform_repeatable_and_of_its_seed() -> None:
    train, validation = make_world(queries=900, llms=3, users=1)
    first, again, other = (RandomPolicy(seed).fit(train, validation) for seed in (1, 1, 2))
    asked, users = train.queries, ["user_1"] * len(train.queries)
    scores = first.scores(asked, users)
    np.testing.assert_array_equal(scores, again.scores(asked, users))
    assert (scores.argmax(axis=1) != other.scores(asked, users).argmax(axis=1)).mean() > 0.5
    counts = np.bincount(scores.argmax(axis=1), minlength=3)
    assert (np.abs(counts - 300) < 5 * math.sqrt(900 * 2 / 9)).all()
    assert (scores != first.scores(asked, ["user_2"] * len(asked))).all()


def test_elo_orders_by_strength_and_takes_nothing_but_order() -> None:
    rng = np.random.default_rng(0)
    skill = np.array([0.9, 0.1, 0.5, 0.7])
    performance = rng.random((400, 4)) * 0.6 + 0.4 * skill
    strength = bradley_terry(performance)
    assert np.argsort(strength).tolist() == np.argsort(skill).tolist()
    assert strength.mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(bradley_terry(performance**3), strength)


@pytest.mark.parametrize(("wins", "losses", "ties"), [(30, 10, 0), (30, 10, 20), (5, 5, 3), (7, 90, 3)])
def test_two_llms_have_the_closed_form(wins: int, losses: int, ties: int) -> None:
    table = np.array([(1.0, 0.0)] * wins + [(0.0, 1.0)] * losses + [(0.5, 0.5)] * ties)
    wanted = math.log((wins + ties / 2) / (losses + ties / 2))
    first, second = bradley_terry(table)
    assert first - second == pytest.approx(wanted, abs=0.02)  # the slight penalty pulls towards 0


def test_bradley_terry_matches_the_minorisation_loop() -> None:
    rng = np.random.default_rng(3)
    table = np.where(rng.random((200, 4)) < 0.3, np.nan, rng.integers(0, 3, (200, 4)) / 2 + 0.2 * np.arange(4) * 0)
    table[:, 3] = np.where(np.isfinite(table[:, 3]), np.minimum(table[:, 3] + 0.5, 1.0), np.nan)
    won = np.zeros((4, 4))
    for row in table:
        for i, j in itertools.permutations(range(4), 2):
            if math.isfinite(row[i]) and math.isfinite(row[j]):
                won[i, j] += 1.0 if row[i] > row[j] else 0.5 if row[i] == row[j] else 0.0
    power = np.ones(4)
    for _ in range(2000):  # Hunter (2004): w_i ← W_i / Σ_j n_ij / (w_i + w_j)
        games = [sum((won[i, j] + won[j, i]) / (power[i] + power[j]) for j in range(4) if j != i) for i in range(4)]
        power = won.sum(axis=1) / games
        power /= np.exp(np.log(power).mean())
    np.testing.assert_allclose(bradley_terry(table), np.log(power), atol=0.02)


def test_elo_wins_are_the_mean_chance_against_the_others() -> None:
    train, validation = make_world(queries=60, hidden=0.0)
    policy = EloPolicy().fit(train, validation)
    strength = bradley_terry(train.performance)
    for i in range(4):
        chances = [1 / (1 + math.exp(strength[j] - strength[i])) for j in range(4) if j != i]
        assert policy.means[i, 0] == pytest.approx(statistics.fmean(chances))


@pytest.mark.parametrize("table", [np.zeros((3, 1)), np.full((3, 2), np.nan), np.array([[0.5, np.nan], [np.nan, 0.1]])])
def test_without_any_comparison_all_are_equal(table: np.ndarray) -> None:
    assert bradley_terry(table).tolist() == [0.0] * table.shape[1]


def test_an_llm_that_always_wins_stays_finite() -> None:
    strength = bradley_terry(np.array([[1.0, 0.0]] * 50))
    assert np.isfinite(strength).all()
    assert strength[0] > strength[1]


@settings(max_examples=100, deadline=None)
@given(TABLE)
def test_the_mean_over_what_was_observed(rows: list[list[float | None]]) -> None:
    table = np.array([[math.nan if cell is None else cell for cell in row] for row in rows])
    every = [cell for row in rows for cell in row if cell is not None]
    for column, found in enumerate(nan_mean(table)):
        seen = [row[column] for row in rows if row[column] is not None]
        assert found == pytest.approx(statistics.fmean(seen or every or [0.0]))


# Personas: what is popular stands for performance


@pytest.fixture
def personas() -> tuple[RoutingData, RoutingData]:
    return make_world(queries=60, llms=5, users=4, seed=9, personas=True)


def slow_share(data: RoutingData, llm: str, users: list[str], task: str | None = None) -> tuple[float, float]:
    """Return (mean over queries of the share of users who picked the LLM's text, mean over users of their picks)."""
    column = data.llm_ids.index(llm)
    shares, picks = [], []
    for row, query in enumerate(data.queries.query_ids):
        if task not in (None, data.queries.task_ids[row]) or not math.isfinite(data.performance[row, column]):
            continue
        hit = []
        for pick in data.interactions[data.interactions["query_id"] == query].itertuples():
            other = data.llm_ids.index(pick.llm_id)
            if pick.user_id in users and math.isfinite(data.performance[row, other]):
                hit.append(data.answers[row, other] == data.answers[row, column])
        if hit:
            shares.append(statistics.fmean(hit))
            picks += hit
    return statistics.fmean(shares), sum(picks)


def test_best_single_is_the_most_popular_llm(personas) -> None:
    train, validation = personas
    popular = {llm: slow_share(train, llm, train.user_ids)[0] for llm in train.llm_ids}
    policy = BestSinglePolicy().fit(train, validation)
    scores = policy.grid(validation.queries, [*train.user_ids, STRANGER])
    for column, llm in enumerate(train.llm_ids):
        np.testing.assert_allclose(scores[..., column], popular[llm])
    assert len(set(popular.values())) > 1


def test_best_single_per_task_is_the_most_popular_llm_of_the_task(personas) -> None:
    train, validation = personas
    scores = BestSinglePerTaskPolicy().fit(train, validation).grid(validation.queries, ["user_1", STRANGER])
    for row, task in enumerate(validation.queries.task_ids):
        for column, llm in enumerate(train.llm_ids):
            np.testing.assert_allclose(scores[:, row, column], slow_share(train, llm, train.user_ids, task)[0])


def test_best_single_per_user_is_the_llm_whose_texts_the_persona_picked_most(personas) -> None:
    train, validation = personas
    policy = BestSinglePerUserPolicy().fit(train, validation)
    favourites = set()
    for user in train.user_ids:
        scores = policy.scores(validation.queries, [user] * len(validation.queries))
        np.testing.assert_array_equal(scores, np.broadcast_to(scores[0], scores.shape))
        usable = [
            pick
            for pick in train.interactions[train.interactions["user_id"] == user].itertuples()
            if math.isfinite(
                train.performance[train.queries.query_ids.index(pick.query_id), train.llm_ids.index(pick.llm_id)]
            )
        ]
        for column, llm in enumerate(train.llm_ids):
            popular = slow_share(train, llm, train.user_ids)[0]
            own = slow_share(train, llm, [user])[1]
            assert scores[0, column] == pytest.approx((own + popular) / (len(usable) + 1))
        favourites.add(train.llm_ids[int(scores[0].argmax())])
    assert len(favourites) > 1, "the world must tell personas apart"
    stranger = policy.scores(validation.queries, [STRANGER] * len(validation.queries))[0]
    np.testing.assert_allclose(stranger, [slow_share(train, llm, train.user_ids)[0] for llm in train.llm_ids])


def test_a_persona_without_picks_gets_what_is_popular(personas) -> None:
    train, validation = personas
    train = dataclasses.replace(train, interactions=train.interactions[train.interactions["user_id"] != "user_2"])
    scores = BestSinglePerUserPolicy().fit(train, validation).grid(validation.queries, ["user_2", STRANGER])
    np.testing.assert_allclose(scores[0], scores[1])


def test_nothing_asked_of_a_policy_for_personas_is_nothing_answered(personas) -> None:
    train, validation = personas
    nothing = validation.queries.take([])
    for policy in (BestSinglePerUserPolicy(), BestSinglePolicy(), BestSinglePerTaskPolicy()):
        assert policy.fit(train, validation).scores(nothing, []).shape == (0, 5)


def test_cheapest_is_cheapest_for_personas_too(personas) -> None:
    train, validation = personas
    dollars = [statistics.fmean(v for v in column if math.isfinite(v)) for column in train.cost_usd.T]
    scores = CheapestPolicy().fit(train, validation).grid(validation.queries, [*train.user_ids, STRANGER])
    assert (scores.argmax(axis=2) == int(np.argmin(dollars))).all()
    np.testing.assert_array_equal(np.argsort(-scores[0, 0]), np.argsort(dollars))


def test_elo_for_personas_rates_what_was_picked_more_often(personas) -> None:
    train, validation = personas
    policy = EloPolicy().fit(train, validation)
    view = shares(train)
    np.testing.assert_allclose(policy.means[:, 0].argsort(), bradley_terry(view).argsort())
    assert (policy.means[:, 1] == 0).all()
