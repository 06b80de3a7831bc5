"""Tastes: the mode of a posterior that is written out as loops here, and what it must mean for those who picked."""

import dataclasses
import json
import math
import time

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from graph.choices import Answers
from graph.records import RoutingData
from graph.taste import MAX_CHOICES, START_VARIANCE, Tastes
from tests.graph.world import ATTRIBUTES, all_but_k, hide, take_llms, take_queries, tiny_judged

NAMES = ("performance", *ATTRIBUTES)
USERS = ["user_1", "user_2", "user_3", "user_4"]  # like: length, brevity, warmth, coldness and some length
SIZE = len(NAMES) + 4


def population(data: RoutingData, seed: int = 0, variance: float = 1.0) -> Tastes:
    """Return tastes of nobody yet, around a population with no symmetry."""
    rng = np.random.default_rng(seed)
    size = len(NAMES) + len(data.llms)
    root = rng.normal(size=(size, size))
    covariance = variance * (root @ root.T / size + 0.2 * np.eye(size))
    return Tastes(NAMES, data.llm_ids, rng.normal(scale=0.3, size=size), covariance, {})


def plain(data: RoutingData, variance: float = 1.0) -> Tastes:
    """Return tastes of nobody yet, around a population that likes nothing in particular."""
    size = len(NAMES) + len(data.llms)
    return Tastes(NAMES, data.llm_ids, np.zeros(size), variance * np.eye(size), {})


def texts(data: RoutingData, row: int) -> dict[int, np.ndarray]:
    """Return number -> features of each distinct text to a query: means over those who gave it, LLM by LLM."""
    found: dict[int, list[np.ndarray]] = {}
    for column in range(len(data.llm_ids)):
        if math.isfinite(data.performance[row, column]):
            hot = [float(column == other) for other in range(len(data.llm_ids))]
            features = np.array([data.performance[row, column], *data.attributes[row, column], *hot])
            found.setdefault(int(data.answers[row, column]), []).append(features)
    return {number: np.mean(members, axis=0) for number, members in found.items()}


def minus_log_posterior(taste: np.ndarray, data: RoutingData, tastes: Tastes, user: str) -> float:
    offset = taste - tastes.mean
    total = 0.5 * offset @ np.linalg.inv(tastes.covariance) @ offset
    for row in data.interactions[data.interactions["user_id"] == user].itertuples():
        place, column = data.queries.query_ids.index(row.query_id), data.llm_ids.index(row.llm_id)
        if not math.isfinite(data.performance[place, column]):
            continue
        worth = {number: features @ taste for number, features in texts(data, place).items()}
        top = max(worth.values())
        total -= worth[int(data.answers[place, column])] - top
        total += math.log(sum(math.exp(value - top) for value in worth.values()))
    return total


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("variance", [0.05, 0.5])
def test_a_taste_is_the_mode_of_its_posterior(sparse: bool, variance: float) -> None:
    data = tiny_judged(counts=(14, 4, 4))[0]
    if sparse:
        data = hide(data, all_but_k(data.performance.shape, 3))
    tastes = population(data, variance=variance)
    tastes.observe(data)
    for user in ("user_1", "user_4"):
        mean, precision = tastes.users[user]
        best = minimize(minus_log_posterior, tastes.mean, (data, tastes, user), options={"gtol": 1e-7})
        np.testing.assert_allclose(mean, best.x, rtol=0, atol=5e-4)
        curvature = numerical_hessian(mean, data, tastes, user)
        np.testing.assert_allclose(precision, curvature, rtol=0, atol=1e-2 * np.abs(curvature).max())
    assert np.abs(tastes.taste(["user_1"]) - tastes.mean).max() > 0.05


@pytest.mark.parametrize("variance", [0.02, 1.0])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_with_wild_answers_and_perfect_picks_a_taste_is_still_far_better_than_none(
    scale: float, variance: float
) -> None:
    """Here a few Newton steps do not reach the mode, which lies far out; they must not shoot past it either."""
    data = tiny_judged(counts=(100, 4, 4))[0]
    wild = scale * np.random.default_rng(0).standard_t(2.5, size=data.attributes.shape)
    data = dataclasses.replace(data, attributes=np.take_along_axis(wild, data.answers[..., None], axis=1))
    data = dataclasses.replace(data, interactions=picks("a", data.queries.query_ids, longest(data)))
    tastes = plain(data, variance)
    before = minus_log_posterior(tastes.mean, data, tastes, "a")
    tastes.observe(data)
    after = minus_log_posterior(tastes.users["a"][0], data, tastes, "a")
    assert after < 0.7 * before
    assert np.linalg.eigvalsh(tastes.users["a"][1]).min() > 0


def numerical_hessian(at: np.ndarray, data: RoutingData, tastes: Tastes, user: str) -> np.ndarray:
    step, size = 1e-3, len(at)
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    move = np.zeros(size)
                    move[i] += a * step
                    move[j] += b * step
                    corners += a * b * minus_log_posterior(at + move, data, tastes, user)
            out[i, j] = out[j, i] = corners / (4 * step**2)
    return out


@pytest.mark.parametrize("sparse", [False, True])
def test_liking_is_the_softmax_over_the_distinct_texts(sparse: bool) -> None:
    train, _, test = tiny_judged()
    if sparse:
        test = hide(test, all_but_k(test.performance.shape, 2))
    tastes = population(train)
    tastes.observe(train)
    liking = tastes.liking(Answers.of(test), USERS)
    assert liking.shape == (14, 4, 4)
    shared = 0
    for row in range(14):
        features = texts(test, row)
        for place, user in enumerate(USERS):
            worth = {number: math.exp(f @ tastes.users[user][0]) for number, f in features.items()}
            assert sum(worth.values()) > 0
            for column in range(4):
                if not math.isfinite(test.performance[row, column]):
                    assert liking[row, column, place] == 0
                    continue
                expected = worth[int(test.answers[row, column])] / sum(worth.values())
                assert liking[row, column, place] == pytest.approx(expected, rel=1e-9)
        for a in range(4):
            for b in range(a):
                seen = np.isfinite(test.performance[row, [a, b]]).all()
                if seen and test.answers[row, a] == test.answers[row, b]:
                    np.testing.assert_array_equal(liking[row, a], liking[row, b])
                    shared += 1
    assert shared > 0, "the world must have equal texts"


def test_equal_texts_are_liked_equally_though_their_llms_differ() -> None:
    """The same text, with other properties as measured: the user reads one text."""
    train, _, test = tiny_judged()
    tastes = Tastes.fit(train)
    answers = Answers.of(test)
    same = dataclasses.replace(answers, classes=np.tile([0, 0, 1, 1], (14, 1)))
    liking = tastes.liking(same, [*USERS, "nobody"])
    np.testing.assert_array_equal(liking[:, 0], liking[:, 1])
    np.testing.assert_array_equal(liking[:, 2], liking[:, 3])
    np.testing.assert_allclose(liking[:, 0] + liking[:, 2], 1.0)


def test_a_query_that_nobody_answered_is_liked_by_nobody() -> None:
    train, _, test = tiny_judged()
    hidden = np.zeros(test.performance.shape, dtype=bool)
    hidden[3] = True
    liking = Tastes.fit(train).liking(Answers.of(hide(test, hidden)), USERS)
    assert (liking[3] == 0).all()
    assert np.isfinite(liking).all()


def longest(data: RoutingData, sign: float = 1.0) -> list[str]:
    """Return the LLM of the longest answer to each query; of the shortest for a negative sign."""
    return [data.llm_ids[column] for column in (sign * data.attributes[..., 0]).argmax(axis=1)]


def picks(user: str, queries: list[str] | tuple[str, ...], llms: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "query_id": list(queries), "llm_id": llms, "reward": np.nan})


def test_who_always_picks_the_long_answer_is_expected_to_on_unseen_queries() -> None:
    train, _, test = tiny_judged()
    people = pd.concat([picks("long", train.queries.query_ids, longest(train)),
                        picks("short", train.queries.query_ids, longest(train, -1.0))])  # fmt: skip
    users = pd.DataFrame({"user_id": ["long", "short"], "kind": "persona", "preference": np.nan})
    tastes = Tastes.fit(dataclasses.replace(train, interactions=people, users=users))
    assert tastes.taste(["long"])[0, 1] > 1 > -1 > tastes.taste(["short"])[0, 1]
    liking = tastes.liking(Answers.of(test), ["long", "short"])
    for row in range(14):
        lengths = test.attributes[row, :, 0]
        assert lengths[liking[row, :, 0].argmax()] == lengths.max()
        assert lengths[liking[row, :, 1].argmax()] == lengths.min()


def test_swapping_two_histories_swaps_the_tastes() -> None:
    train = tiny_judged()[0]
    before = Tastes.fit(train)
    names = train.interactions["user_id"].replace({"user_1": "user_4", "user_4": "user_1"})
    after = Tastes.fit(dataclasses.replace(train, interactions=train.interactions.assign(user_id=names)))
    np.testing.assert_allclose(after.taste(USERS), before.taste(USERS)[[3, 1, 2, 0]], rtol=0, atol=1e-9)
    assert np.abs(after.taste(USERS) - before.taste(USERS)).max() > 0.5


def test_rows_columns_and_interactions_may_come_in_any_order() -> None:
    train = tiny_judged()[0]
    before = Tastes.fit(train)
    columns = [2, 0, 3, 1]
    other = take_llms(take_queries(train, np.random.default_rng(0).permutation(60)), columns)
    other = dataclasses.replace(
        other,
        interactions=other.interactions.sample(frac=1, random_state=1).reset_index(drop=True),
        users=other.users.iloc[::-1].reset_index(drop=True),
    )
    after = Tastes.fit(other)
    order = [0, 1, 2, *(3 + column for column in columns)]
    np.testing.assert_allclose(after.taste(USERS), before.taste(USERS)[:, order], rtol=0, atol=1e-8)
    np.testing.assert_allclose(after.covariance, before.covariance[np.ix_(order, order)], rtol=0, atol=1e-8)


def test_a_query_named_twice_may_come_in_any_order_in_a_long_history() -> None:
    """Of a history longer than `MAX_CHOICES` only some count: which ones must not depend on the order of rows."""
    train = tiny_judged()[0]
    rng = np.random.default_rng(0)
    many = pd.concat([picks("user_1", train.queries.query_ids, [train.llm_ids[i] for i in rng.integers(0, 4, 60)])
                      for _ in range(10)], ignore_index=True)  # fmt: skip
    assert len(many) > MAX_CHOICES
    found = []
    for rows in (many, many.sample(frac=1, random_state=3)):
        tastes = plain(train)
        tastes.observe(dataclasses.replace(train, interactions=rows))
        found.append(tastes.taste(["user_1"]))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-8)


def test_of_whom_nothing_is_known_the_population_is_told() -> None:
    train, _, test = tiny_judged()
    tastes = Tastes.fit(train)
    np.testing.assert_array_equal(tastes.taste(["nobody", ""]), np.stack([tastes.mean] * 2))
    liking = tastes.liking(Answers.of(test), [*USERS, "nobody", "user_1", ""])
    # A stranger picks as the mean of those who are known, and no known user is changed by the stranger's presence.
    np.testing.assert_allclose(liking[..., 4], liking[..., :4].mean(axis=2), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(liking[..., 6], liking[..., 4])
    np.testing.assert_array_equal(liking[..., 5], liking[..., 0])
    np.testing.assert_allclose(tastes.liking(Answers.of(test), USERS), liking[..., :4], rtol=0, atol=1e-12)


@pytest.mark.parametrize("known", [0, 1, 64, 65, 200])
def test_strangers_are_served_however_many_are_known(known: int) -> None:
    train, _, test = tiny_judged()
    tastes = population(train)
    rng = np.random.default_rng(1)
    for number in range(known):
        tastes.users[f"u{number:03d}"] = (rng.normal(size=SIZE), np.eye(SIZE))
    liking = tastes.liking(Answers.of(test), ["nobody"])[..., 0]
    answers = Answers.of(test)
    if known in (0, 1):
        taste = tastes.users["u000"][0] if known else tastes.mean
        alone = Tastes(NAMES, train.llm_ids, tastes.mean, tastes.covariance, {"x": (taste, np.eye(SIZE))})
        np.testing.assert_allclose(liking, alone.liking(answers, ["x"])[..., 0], rtol=0, atol=1e-12)
    else:
        everyone = tastes.liking(answers, sorted(tastes.users)).mean(axis=2)
        np.testing.assert_allclose(liking, everyone, rtol=0, atol=0.15)  # of a sample of the known


def test_the_population_alone_knows_nobody() -> None:
    train, _, test = tiny_judged()
    tastes, whole = Tastes.population_of(train), Tastes.fit(train)
    assert not tastes.users
    np.testing.assert_array_equal(tastes.mean, whole.mean)
    np.testing.assert_array_equal(tastes.covariance, whole.covariance)
    liking = tastes.liking(Answers.of(test), USERS)
    np.testing.assert_array_equal(liking, np.repeat(liking[..., :1], 4, axis=2))


def test_no_interaction_at_all_is_a_population_without_a_taste() -> None:
    train, _, test = tiny_judged()
    tastes = Tastes.fit(dataclasses.replace(train, interactions=train.interactions[:0]))
    assert not tastes.users
    assert (tastes.mean == 0).all()
    np.testing.assert_array_equal(tastes.covariance, START_VARIANCE * np.eye(SIZE))
    assert np.isfinite(tastes.liking(Answers.of(test), USERS)).all()
    assert tastes.taste([]).shape == (0, SIZE)


def test_interactions_that_say_nothing_change_nothing() -> None:
    train = tiny_judged()[0]
    tastes = Tastes.fit(train)
    before = tastes.taste([*USERS, "new"])
    unknown = pd.concat([picks("new", ["no query"], ["ocean"]), picks("new", train.queries.query_ids[:1], ["no LLM"])])
    tastes.observe(dataclasses.replace(train, interactions=unknown))
    tastes.observe(dataclasses.replace(train, interactions=unknown[:0]))
    np.testing.assert_array_equal(tastes.taste([*USERS, "new"]), before)
    assert set(tastes.users) == set(USERS)


def test_observing_one_user_leaves_the_others_and_the_original_alone() -> None:
    train = tiny_judged()[0]
    tastes = Tastes.fit(train)
    before, mean = tastes.taste([*USERS, "new"]), tastes.mean.copy()
    other = tastes.copy()
    other.observe(dataclasses.replace(train, interactions=picks("new", train.queries.query_ids, longest(train))))
    np.testing.assert_array_equal(tastes.taste([*USERS, "new"]), before)
    np.testing.assert_array_equal(other.taste(USERS), before[:4])
    np.testing.assert_array_equal(other.mean, mean)
    assert other.taste(["new"])[0, 1] > before[4, 1] + 0.5


def test_a_new_user_with_the_same_history_has_the_same_taste() -> None:
    train = tiny_judged()[0]
    tastes = Tastes.fit(train)
    own = train.interactions[train.interactions["user_id"] == "user_2"].assign(user_id="new")
    tastes.observe(dataclasses.replace(train, interactions=own))
    np.testing.assert_allclose(tastes.taste(["new"]), tastes.taste(["user_2"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("parts", "tolerance"), [(2, 0.25), (6, 0.8)])
def test_observing_in_parts_is_close_to_observing_at_once(parts: int, tolerance: float) -> None:
    """Close, for the Gaussian kept of a part is Laplace's: within `tolerance` times the belief's own width."""
    train = tiny_judged(counts=(120, 4, 4))[0]
    fit = Tastes.population_of(train)
    whole, late = fit.copy(), fit.copy()
    whole.observe(train)
    for part in range(parts):
        rows = train.interactions["query_id"].isin(train.queries.query_ids[part::parts])
        late.observe(dataclasses.replace(train, interactions=train.interactions[rows]))
    for user in USERS:
        width = np.sqrt(np.diag(np.linalg.inv(whole.users[user][1])))
        assert (np.abs(late.users[user][0] - whole.users[user][0]) < tolerance * width).all()
        assert np.abs(whole.users[user][0] - fit.mean).max() > 2 * width.max(), "the history must say something"


def test_opposite_picks_on_one_query_cancel() -> None:
    train = tiny_judged()[0]
    row = int(np.flatnonzero((np.sort(train.answers, axis=1)[:, :2] == [0, 1]).all(axis=1))[0])
    two = np.zeros(train.performance.shape, dtype=bool)
    two[row, 2:] = True  # two texts are left
    data = hide(train, two)
    rows = picks("torn", [train.queries.query_ids[row]] * 40, [train.llm_ids[i % 2] for i in range(40)])
    tastes = plain(data)
    tastes.observe(dataclasses.replace(data, interactions=rows))
    mean, precision = tastes.users["torn"]
    np.testing.assert_allclose(mean, 0.0, atol=1e-9)
    assert np.linalg.eigvalsh(precision).min() > 0


def test_alternating_picks_are_no_taste_for_length() -> None:
    train = tiny_judged(counts=(200, 4, 4))[0]
    llms = [long if row % 2 else short for row, (long, short) in
            enumerate(zip(longest(train), longest(train, -1.0), strict=True))]  # fmt: skip
    steady, torn = plain(train), plain(train)
    ids = train.queries.query_ids
    steady.observe(dataclasses.replace(train, interactions=picks("a", ids, longest(train))))
    torn.observe(dataclasses.replace(train, interactions=picks("a", ids, llms)))
    assert np.isfinite(torn.taste(["a"])).all()
    assert abs(torn.taste(["a"])[0, 1]) < 0.15 * steady.taste(["a"])[0, 1]


@pytest.mark.parametrize("kind", ["random", "long", "one LLM"])
def test_a_hundred_thousand_interactions_are_quick_and_finite(kind: str) -> None:
    train, _, test = tiny_judged(counts=(300, 4, 14))
    tastes = Tastes.fit(train)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 300, 100_000)
    best = {"random": rng.integers(0, 4, 100_000), "one LLM": np.full(100_000, 2),
            "long": train.attributes[..., 0].argmax(axis=1)[rows]}[kind]  # fmt: skip
    ids, llms = np.array(train.queries.query_ids)[rows], np.array(train.llm_ids)[best]
    many = dataclasses.replace(train, interactions=picks("busy", list(ids), list(llms)))
    start = time.perf_counter()
    tastes.observe(many)
    assert time.perf_counter() - start < 5
    mean, precision = tastes.users["busy"]
    assert np.isfinite(mean).all()
    assert np.linalg.eigvalsh(precision).min() > 0
    liking = tastes.liking(Answers.of(test), ["busy"])[..., 0]
    assert np.isfinite(liking).all()
    if kind == "long":
        found = np.take_along_axis(test.attributes[..., 0], liking.argmax(axis=1)[:, None], axis=1)[:, 0]
        assert (found == test.attributes[..., 0].max(axis=1)).mean() > 0.9
    again = Tastes.fit(train)
    again.observe(dataclasses.replace(many, interactions=many.interactions[:50]))  # a short history of the same kind
    assert np.abs(mean).max() < 30 * max(1.0, np.abs(again.taste(["busy"])).max())


def definite(tastes: Tastes) -> None:
    size = len(tastes.names) + len(tastes.llm_ids)
    assert tastes.mean.shape == (size,)
    for matrix in (tastes.covariance, *(precision for _, precision in tastes.users.values())):
        assert matrix.shape == (size, size)
        np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-8 * np.abs(matrix).max())
        assert np.linalg.eigvalsh(matrix).min() > 0


def test_a_new_llm_is_liked_as_the_mean_of_the_others() -> None:
    tastes = Tastes.fit(tiny_judged()[0])
    wide = tastes.with_llm("stream")
    definite(wide)
    assert wide.llm_ids == [*tastes.llm_ids, "stream"]
    everyone = [*USERS, "nobody"]
    np.testing.assert_allclose(wide.taste(everyone)[:, :-1], tastes.taste(everyone), rtol=0, atol=1e-12)
    np.testing.assert_allclose(wide.taste(everyone)[:, -1], tastes.taste(everyone)[:, 3:].mean(axis=1), atol=1e-12)
    # As a Gaussian: the old part has the covariance it had, the new one that of the mean and the start's variance.
    for old, new in [(np.linalg.inv(tastes.users[u][1]), np.linalg.inv(wide.users[u][1])) for u in USERS] + [
        (tastes.covariance, wide.covariance)
    ]:
        np.testing.assert_allclose(new[:-1, :-1], old, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(new[-1, :-1], old[3:].mean(axis=0), rtol=1e-6, atol=1e-9)
        assert new[-1, -1] == pytest.approx(old[3:, 3:].mean() + START_VARIANCE)


def test_an_llm_that_comes_and_goes_leaves_the_tastes_as_they_were() -> None:
    tastes = Tastes.fit(tiny_judged()[0])
    back = tastes.with_llm("stream").without_llm("stream")
    definite(back)
    assert back.llm_ids == tastes.llm_ids
    np.testing.assert_allclose(back.taste([*USERS, "x"]), tastes.taste([*USERS, "x"]), rtol=0, atol=1e-10)
    np.testing.assert_allclose(back.covariance, tastes.covariance, rtol=0, atol=1e-10)
    for user in USERS:
        np.testing.assert_allclose(back.users[user][1], tastes.users[user][1], rtol=1e-6, atol=1e-6)


def test_forgetting_an_llm_is_the_marginal_of_what_was_believed() -> None:
    tastes = Tastes.fit(tiny_judged()[0])
    less = tastes.without_llm("delta")
    definite(less)
    assert less.llm_ids == ["brook", "fjord", "ocean"]
    keep = [0, 1, 2, 3, 5, 6]
    for user in USERS:
        np.testing.assert_array_equal(less.users[user][0], tastes.users[user][0][keep])
        covariance = np.linalg.inv(tastes.users[user][1])[np.ix_(keep, keep)]
        np.testing.assert_allclose(np.linalg.inv(less.users[user][1]), covariance, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(less.covariance, tastes.covariance[np.ix_(keep, keep)])
    assert set(tastes.users) == set(USERS)
    assert len(tastes.mean) == SIZE, "the original was changed"


def test_all_llms_but_one_can_go_and_others_come() -> None:
    tastes = Tastes.fit(tiny_judged()[0])
    for llm in ("delta", "ocean", "brook"):
        tastes = tastes.without_llm(llm)
    for number in range(3):
        tastes = tastes.with_llm(f"stream-{number}")
    definite(tastes)
    assert tastes.llm_ids == ["fjord", "stream-0", "stream-1", "stream-2"]


@pytest.mark.parametrize("known", [True, False])
def test_state_round_trip(known: bool) -> None:
    train, _, test = tiny_judged()
    tastes = Tastes.fit(train) if known else Tastes.population_of(train)
    settings, arrays = tastes.state()
    back = Tastes.from_state(json.loads(json.dumps(settings)), arrays)
    everyone = [*USERS, "nobody"]
    assert back.names == tastes.names == NAMES
    assert back.llm_ids == tastes.llm_ids
    np.testing.assert_array_equal(back.taste(everyone), tastes.taste(everyone))
    answers = Answers.of(test)
    np.testing.assert_array_equal(back.liking(answers, everyone), tastes.liking(answers, everyone))
    for fit in (back, tastes):
        fit.observe(dataclasses.replace(train, interactions=train.interactions.head(90).assign(user_id="nobody")))
    np.testing.assert_allclose(back.taste(["nobody"]), tastes.taste(["nobody"]), rtol=0, atol=1e-12)


def drawn(users: int, picks_each: int, seed: int = 0) -> tuple[RoutingData, np.ndarray, np.ndarray]:
    """Return data drawn from the model itself, the true tastes (U, 3 + 5), and the mean they were drawn around."""
    rng = np.random.default_rng(seed)
    base = tiny_judged(seed, counts=(300, 4, 4), llms=5)[0]
    size = 3 + 5
    middle = np.r_[0.5, 0.8, 0.0, np.zeros(5)]
    spread = np.r_[0.8, 1.0, 0.7, np.full(5, 0.3)]
    taste = middle + spread * rng.normal(size=(users, size))
    attributes = np.take_along_axis(rng.normal(size=base.attributes.shape), base.answers[..., None], axis=1)
    performance = np.take_along_axis(rng.normal(size=base.performance.shape), base.answers, axis=1)
    data = dataclasses.replace(base, performance=performance, attributes=attributes)
    worth = []
    for row in range(300):
        found = texts(data, row)
        worth.append((list(found), np.array(list(found.values()))))
    rows = []
    for user in range(users):
        for row in rng.choice(300, picks_each, replace=False):
            numbers, features = worth[row]
            best = numbers[int((features @ taste[user] + rng.gumbel(size=len(numbers))).argmax())]
            column = int(np.flatnonzero(data.answers[row] == best)[0])
            rows.append((f"u{user:03d}", data.queries.query_ids[row], data.llm_ids[column], np.nan))
    table = pd.DataFrame({"user_id": [f"u{i:03d}" for i in range(users)], "kind": "persona", "preference": np.nan})
    chosen = pd.DataFrame(rows, columns=["user_id", "query_id", "llm_id", "reward"])
    return dataclasses.replace(data, users=table, interactions=chosen), taste, middle


def test_tastes_drawn_from_the_model_are_recovered() -> None:
    data, taste, middle = drawn(users=120, picks_each=100)
    tastes = Tastes.fit(data)
    found = tastes.taste(data.user_ids)
    for column in range(3):
        assert np.corrcoef(found[:, column], taste[:, column])[0, 1] > 0.8
    # Of likings of LLMs only differences can be seen.
    seen, true = (x[:, 3:] - x[:, 3:].mean(axis=1, keepdims=True) for x in (found, taste))
    assert np.corrcoef(seen.ravel(), true.ravel())[0, 1] > 0.4
    np.testing.assert_allclose(tastes.mean[:3], middle[:3], rtol=0, atol=0.25)
    assert (np.sqrt(np.diag(tastes.covariance))[:3] > 0.4).all()


def test_few_picks_stay_near_the_population_and_many_go_their_way() -> None:
    data, taste, _ = drawn(users=60, picks_each=100)
    fit = Tastes.population_of(data)
    errors, moved = [], []
    for count in (0, 5, 100):
        tastes = fit.copy()
        tastes.observe(dataclasses.replace(data, interactions=data.interactions.groupby("user_id").head(count)))
        found = tastes.taste(data.user_ids)[:, :3]
        errors.append(np.abs(found - taste[:, :3]).mean())
        moved.append(np.abs(found - fit.mean[:3]).mean())
    assert errors[0] > errors[1] > errors[2]
    assert 0 == moved[0] < moved[1] < moved[2]
