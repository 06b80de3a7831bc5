"""Preferences are recovered from feedback, whatever its order and number, and fall back to the population."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

from graph.preference import (
    GRID,
    LAPSES,
    MAX_FOR_TEMPERATURE,
    REWARD_STD,
    REWARD_TAIL,
    Preferences,
    interaction_messages,
)
from graph.records import RoutingData
from tests.graph.world import ALPHAS, TASKS, hide, take_llms, tiny, tiny_judged

USERS = ["user_1", "user_2", "user_3", "user_4"]


def world(feedback: str = "reward", alphas: tuple[float, ...] = ALPHAS, queries: int = 60) -> RoutingData:
    return tiny(counts=(queries, 4, 4), feedback=feedback, alphas=alphas)[0]


def with_interactions(data: RoutingData, interactions: pd.DataFrame) -> RoutingData:
    return dataclasses.replace(data, interactions=interactions)


def first_of_each(data: RoutingData, count: int) -> RoutingData:
    return with_interactions(data, data.interactions.groupby("user_id").head(count))


@pytest.mark.parametrize("alphas", [ALPHAS, (0.2, 0.35, 0.55, 0.9)])
def test_rewards_give_the_preference_away(alphas: tuple[float, ...]) -> None:
    # α = 0 is left out: its choices cost nothing and its rewards are near zero whatever α is.
    found = Preferences.fit(world("reward", alphas)).mean(USERS)
    np.testing.assert_allclose(found, alphas, rtol=0, atol=1e-3)


def test_choices_give_the_preference_away_where_performance_is_continuous() -> None:
    found = Preferences.fit(world("choice", queries=300)).mean(USERS)
    np.testing.assert_allclose(found, ALPHAS, rtol=0, atol=0.08)
    assert (np.diff(found) > 0).all()


def test_more_interactions_bring_the_belief_nearer() -> None:
    data = world("choice", queries=300)
    errors = [np.abs(Preferences.fit(first_of_each(data, k)).mean(USERS) - ALPHAS).mean() for k in (1, 10, 300)]
    assert errors[0] > errors[1] > errors[2]


def test_no_interactions_at_all_is_the_flat_population() -> None:
    data = world()
    fit = Preferences.fit(with_interactions(data, data.interactions[:0]))
    np.testing.assert_allclose(fit.prior, 1 / len(GRID))
    np.testing.assert_allclose(fit.mean([*USERS, "nobody"]), 0.5)
    assert fit.source("user_1") == "population"


def test_no_users_at_all() -> None:
    data = world()
    fit = Preferences.fit(dataclasses.replace(data, users=data.users[:0], interactions=data.interactions[:0]))
    np.testing.assert_allclose(fit.mean(["nobody"]), 0.5)


def test_an_unknown_user_is_the_population_and_its_belief_a_distribution() -> None:
    fit = Preferences.fit(world())
    np.testing.assert_array_equal(fit.belief("nobody"), fit.prior)
    for user in [*USERS, "nobody"]:
        assert fit.belief(user).sum() == pytest.approx(1)
        assert (fit.belief(user) >= 0).all()
    assert [fit.source(user) for user in ("user_1", "nobody")] == ["inferred", "population"]


def test_the_population_leans_to_where_its_users_are_but_stays_open() -> None:
    low, high = (Preferences.fit(world(alphas=alphas)).prior for alphas in ((0.1, 0.2), (0.8, 0.9)))
    assert low @ GRID < 0.4 < 0.6 < high @ GRID
    # Half of the prior stays flat: no preference is ruled out.
    assert min(low.min(), high.min()) >= 0.49 / len(GRID)


def test_population_of_forgets_who_chose_what() -> None:
    data = world()
    forgetful = Preferences.population_of(data)
    found = forgetful.mean([*USERS, "nobody"])
    np.testing.assert_array_equal(found, found[0])
    np.testing.assert_array_equal(forgetful.prior, Preferences.fit(data).prior)


@pytest.mark.parametrize("feedback", ["reward", "choice"])
def test_the_order_of_interactions_does_not_matter(feedback: str) -> None:
    data = world(feedback)
    shuffled = with_interactions(data, data.interactions.sample(frac=1, random_state=3))
    before, after = Preferences.fit(data), Preferences.fit(shuffled)
    assert after.temperature == before.temperature
    np.testing.assert_allclose(after.mean(USERS), before.mean(USERS), rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.prior, before.prior, rtol=0, atol=1e-9)


@pytest.mark.parametrize("feedback", ["reward", "choice"])
def test_observing_later_equals_having_seen_from_the_start(feedback: str) -> None:
    data = world(feedback)
    whole = Preferences.fit(data)
    late = Preferences({}, {}, whole.temperature, whole.prior)
    for _, rows in data.interactions.groupby("user_id"):
        for part in (rows[:1], rows[1:20], rows[20:]):
            late.observe(data, part)
    for user in USERS:
        np.testing.assert_allclose(late.belief(user), whole.belief(user), rtol=0, atol=1e-9)
        assert late.source(user) == "inferred"


def test_observing_changes_one_user_only_and_nothing_observed_changes_nothing() -> None:
    data = world()
    fit = Preferences.fit(data)
    before = fit.mean([*USERS, "new"])
    fit.observe(data, data.interactions[:0])
    np.testing.assert_allclose(fit.mean([*USERS, "new"]), before, rtol=0, atol=1e-12)
    original, fit = fit, fit.copy()
    likes_dear = data.interactions[data.interactions["user_id"] == "user_4"]
    fit.observe(data, likes_dear.assign(user_id="new"))
    np.testing.assert_array_equal(original.mean([*USERS, "new"]), before, "the original was changed")
    assert original.source("new") == "population"
    after = fit.mean([*USERS, "new"])
    np.testing.assert_array_equal(after[:4], before[:4])
    assert after[4] == pytest.approx(1.0, abs=1e-3)


def test_a_copy_knows_the_same_and_changes_alone() -> None:
    data = dataclasses.replace(world(), users=world().users.assign(preference=[0.3, np.nan, np.nan, np.nan]))
    fit = Preferences.fit(data)
    other = fit.copy()
    everyone = [*USERS, "nobody"]
    np.testing.assert_array_equal(other.mean(everyone), fit.mean(everyone))
    before = fit.mean(everyone)
    other.stated["user_2"] = 0.9
    del other.stated["user_1"]
    dear = data.interactions[data.interactions["user_id"] == "user_4"]
    other.observe(data, pd.concat([dear] * 3).assign(user_id="user_3"))
    np.testing.assert_array_equal(fit.mean(everyone), before)
    assert (np.abs(other.mean(USERS) - before[:4]) > 1e-6).tolist() == [True, True, True, False]


def test_personas_have_no_preference_to_infer_and_weigh_performance_alone() -> None:
    data = tiny_judged()[0]
    fit = Preferences.fit(data)
    np.testing.assert_array_equal(fit.mean([*USERS, "nobody"]), 1.0)
    assert fit.source("user_1") == "population"
    stated = Preferences.fit(dataclasses.replace(data, users=data.users.assign(preference=[0.2, *[np.nan] * 3])))
    np.testing.assert_array_equal(stated.mean(USERS), [0.2, 1, 1, 1])
    assert stated.source("user_1") == "stated"


def test_the_order_of_many_interactions_does_not_matter() -> None:
    """So many that the choice noise is fitted on a part of them: which part must not depend on the order of rows."""
    data = tiny(counts=(1200, 4, 4), feedback="choice")[0]
    noisy = data.interactions["llm_id"].to_numpy().copy()
    rng = np.random.default_rng(0)
    hit = np.arange(len(noisy)) % 2 == 0
    noisy[hit] = rng.choice(data.llm_ids, hit.sum())  # every other row is chance: a part may be nothing else
    data = with_interactions(data, data.interactions.assign(llm_id=noisy))
    assert len(noisy) > MAX_FOR_TEMPERATURE
    shuffled = with_interactions(data, data.interactions.sample(frac=1, random_state=3))
    by_query = with_interactions(data, data.interactions.sort_values("query_id"))
    before = Preferences.fit(data)
    for other in (shuffled, by_query):
        after = Preferences.fit(other)
        assert after.temperature == before.temperature
        np.testing.assert_allclose(after.prior, before.prior, rtol=0, atol=1e-9)


@pytest.mark.parametrize("feedback", ["reward", "choice", "mixed"])
@pytest.mark.parametrize("temperature", [0.01, 0.3])
def test_messages_equal_a_slow_twin(feedback: str, temperature: float) -> None:
    data = world("choice" if feedback == "choice" else "reward", queries=12)
    data = hide(data, np.random.default_rng(0).random(data.performance.shape) < 0.4)
    chosen = data.interactions.sample(frac=1, random_state=0)
    if feedback == "mixed":
        chosen = chosen.assign(reward=chosen["reward"].where(np.arange(len(chosen)) % 2 == 0))
    strangers = pd.DataFrame(
        [("user_1", "no such query", "ocean", 0.5), ("user_1", data.queries.query_ids[0], "no such LLM", np.nan)],
        columns=chosen.columns,
    )
    chosen = pd.concat([strangers, chosen])
    fast = interaction_messages(data, chosen, temperature)
    slow = slow_messages(data, chosen, temperature)
    assert np.abs(slow).max() > 1
    assert (slow == 0).all(axis=1).sum() >= 3
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9)


def slow_messages(data: RoutingData, chosen: pd.DataFrame, temperature: float) -> np.ndarray:
    out = np.zeros((len(chosen), len(GRID)))
    for i, row in enumerate(chosen.itertuples()):
        if row.query_id not in data.queries.query_ids or row.llm_id not in data.llm_ids:
            continue
        q, picked = data.queries.query_ids.index(row.query_id), data.llm_ids.index(row.llm_id)
        if math.isnan(data.performance[q, picked]):
            continue
        for g, alpha in enumerate(GRID):
            utilities = {}
            for column in range(len(data.llm_ids)):
                if not math.isnan(data.performance[q, column]):
                    gain, price = float(data.performance[q, column]), float(data.cost[q, column])
                    utilities[column] = alpha * gain - (1 - alpha) * price
            highest = max(utilities.values())
            total = sum(math.exp((value - highest) / temperature) for value in utilities.values())
            # Who does not mean it picks any of the observed LLMs.
            meant = math.exp((utilities[picked] - highest) / temperature) / total
            out[i, g] = math.log((1 - LAPSES) * meant + LAPSES / len(utilities))
            if not math.isnan(row.reward):  # Student's t, up to what does not depend on α
                error = (row.reward - utilities[picked]) / REWARD_STD
                out[i, g] += math.log((1 + error**2 / REWARD_TAIL) ** (-(REWARD_TAIL + 1) / 2))
    return out


def test_ids_join_interactions_not_positions() -> None:
    data = world("choice")
    reordered = take_llms(data, [2, 0, 3, 1])
    before, after = (interaction_messages(d, data.interactions, 0.05) for d in (data, reordered))
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


def test_a_stated_preference_wins_over_the_inferred_one() -> None:
    data = world()
    stated = dataclasses.replace(data, users=data.users.assign(preference=[0.83, np.nan, np.nan, 0.0]))
    fit = Preferences.fit(stated)
    np.testing.assert_allclose(fit.mean(USERS), [0.83, 0.4, 0.7, 0.0], rtol=0, atol=1e-3)
    assert [fit.source(user) for user in USERS] == ["stated", "inferred", "inferred", "stated"]
    assert fit.belief("user_1").argmax() == np.abs(GRID - 0.83).argmin()


@pytest.mark.parametrize("stated", [[np.nan] * 4, [0.3, np.nan, 1.0, np.nan]])
def test_state_round_trip(stated: list[float]) -> None:
    data = world("choice")
    fit = Preferences.fit(dataclasses.replace(data, users=data.users.assign(preference=stated)))
    settings, arrays = fit.state()
    back = Preferences.from_state(json.loads(json.dumps(settings)), arrays)
    everyone = [*USERS, "nobody"]
    np.testing.assert_array_equal(back.mean(everyone), fit.mean(everyone))
    assert [back.source(user) for user in everyone] == [fit.source(user) for user in everyone]
    assert back.temperature == fit.temperature


def test_state_round_trip_of_nobody() -> None:
    data = world()
    fit = Preferences.fit(with_interactions(data, data.interactions[:0]))
    settings, arrays = fit.state()
    back = Preferences.from_state(json.loads(json.dumps(settings)), arrays)
    np.testing.assert_array_equal(back.mean(["a"]), fit.mean(["a"]))


def test_the_mean_decides_as_the_whole_belief_does() -> None:
    """Utility is linear in α: the expected utility under the belief is the utility of the expected preference."""
    data = first_of_each(world("choice"), 3)
    fit = Preferences.fit(data)
    for user, row in itertools.product(USERS, range(len(TASKS))):
        performance, cost = data.performance[row], data.cost[row]
        belief, alpha = fit.belief(user), fit.mean([user])[0]
        expected = sum(weight * (a * performance - (1 - a) * cost) for weight, a in zip(belief, GRID, strict=True))
        np.testing.assert_allclose(alpha * performance - (1 - alpha) * cost, expected, rtol=1e-9)
