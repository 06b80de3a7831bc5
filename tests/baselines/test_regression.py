"""Learned baselines against loops and closed forms."""

import dataclasses
import math
import statistics

import numpy as np
import pytest

from baselines.regression import FactorizationPolicy, KnnPolicy, LinearPolicy, MlpPolicy, RegressionPolicy, same_rows
from graph.choices import shares
from graph.records import Queries
from tests.contract import make_world


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def gaps(rng: np.random.Generator, table: np.ndarray, share: float) -> np.ndarray:
    return np.where(rng.random(table.shape) < share, np.nan, table)


def test_knn_is_the_shrunk_mean_of_the_nearest(rng: np.random.Generator) -> None:
    x, asked = rng.normal(size=(50, 5)), rng.normal(size=(7, 5))
    y = gaps(rng, rng.random((50, 6)), 0.4)
    policy = KnnPolicy()
    found = policy.predict(policy.learn(x, y, 8), asked)
    for i, point in enumerate(asked):
        near = sorted(range(50), key=lambda row: math.dist(point, x[row]))[:8]
        for column in range(6):
            overall = statistics.fmean(v for v in y[:, column] if math.isfinite(v))
            seen = [y[row, column] for row in near if math.isfinite(y[row, column])]
            assert found[i, column] == pytest.approx((sum(seen) + overall) / (len(seen) + 1))


def test_knn_with_fewer_queries_than_neighbours_takes_all(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(5, 5)), rng.random((5, 2))
    policy = KnnPolicy()
    found = policy.predict(policy.learn(x, y, 60), rng.normal(size=(3, 5)))
    np.testing.assert_allclose(found, np.tile((y.sum(axis=0) + y.mean(axis=0)) / 6, (3, 1)))


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_linear_is_the_closed_form_of_ridge_on_what_was_observed(
    rng: np.random.Generator, hidden: float, penalty: float
) -> None:
    x, asked = rng.normal(size=(40, 5)), rng.normal(size=(6, 5))
    y = gaps(rng, rng.random((40, 4)), hidden)
    policy = LinearPolicy()
    found = policy.predict(policy.learn(x, y, penalty), asked)
    for column in range(4):
        rows = np.isfinite(y[:, column])
        a, b = x[rows], y[rows, column]
        middle, mean = a.mean(axis=0), b.mean()
        weights = np.linalg.solve((a - middle).T @ (a - middle) + penalty * np.eye(5), (a - middle).T @ (b - mean))
        np.testing.assert_allclose(found[:, column], mean + (asked - middle) @ weights, atol=1e-8)


def test_linear_of_an_llm_seen_once_is_its_mean(rng: np.random.Generator) -> None:
    y = np.full((10, 2), np.nan)
    y[:, 0], y[3, 1] = rng.random(10), 0.75
    policy = LinearPolicy()
    found = policy.predict(policy.learn(rng.normal(size=(10, 5)), y, 1.0), rng.normal(size=(4, 5)))
    np.testing.assert_allclose(found[:, 1], 0.75)


def test_columns_observed_together_are_fitted_together() -> None:
    y = np.array([[1.0, np.nan, 2.0, 3.0], [1.0, 1.0, np.nan, 5.0], [np.nan, 1.0, 2.0, np.nan]])
    assert sorted(same_rows(y)) == [[0, 3], [1], [2]]


def test_factorization_recovers_a_low_rank_matrix_from_part_of_it(rng: np.random.Generator) -> None:
    x, new = rng.normal(size=(300, 3)), rng.normal(size=(50, 3))
    weights = 4.0 * rng.normal(size=(2, 16))  # far from zero, so that the penalty is small beside it
    truth, wanted = 5.0 + x[:, :2] @ weights, 5.0 + new[:, :2] @ weights
    policy = FactorizationPolicy()
    errors = {}
    for rank in (1, 2):
        found = policy.predict(policy.learn(x, gaps(rng, truth, 0.3), rank), new)
        errors[rank] = np.abs(found - wanted).mean() / np.abs(wanted - 5.0).mean()
    assert errors[2] < 0.15  # what the penalties and the sample mean leave
    assert errors[1] > 0.4  # one factor too few


def test_factorization_of_no_deviation_is_the_mean(rng: np.random.Generator) -> None:
    y = np.tile([0.2, 0.8, 0.5], (20, 1))
    policy = FactorizationPolicy()
    np.testing.assert_allclose(
        policy.predict(policy.learn(rng.normal(size=(20, 5)), y, 2), rng.normal(size=(5, 5))), y[:5], atol=1e-6
    )


def test_mlp_learns_what_a_line_cannot(rng: np.random.Generator) -> None:
    x, new = rng.normal(size=(1500, 2)), rng.normal(size=(300, 2))
    y, wanted = (np.abs(points).sum(axis=1, keepdims=True) * [1.0, 0.5] for points in (x, new))
    mlp, linear = MlpPolicy(seed=0), LinearPolicy()
    error = np.abs(mlp.predict(mlp.learn(x, y, 0.1), new) - wanted).mean()
    plain = np.abs(linear.predict(linear.learn(x, y, 1.0), new) - wanted).mean()
    assert error < 0.35 * plain


def test_mlp_predicts_as_the_library_it_was_trained_with(rng: np.random.Generator) -> None:
    # `predict` is written out, so that no pickle is needed: it must be the same network.
    from sklearn.neural_network import MLPRegressor

    x, y = rng.normal(size=(60, 5)), rng.random((60, 3))
    policy = MlpPolicy(seed=3)
    arrays = policy.learn(x, y, 0.1)
    model = MLPRegressor(hidden_layer_sizes=(64,), max_iter=1, random_state=0)
    with pytest.warns(match="converge"):
        model.fit(x, y)
    model.coefs_ = [arrays["weights0"], arrays["weights1"]]
    model.intercepts_ = [arrays["bias0"], arrays["bias1"]]
    np.testing.assert_allclose(policy.predict(arrays, x), model.predict(x), atol=1e-10)


class Offset(RegressionPolicy):
    """Predicts 1 for the LLM whose number is the grid value, 0 for the others: validation must find the best LLM."""

    name = "offset"
    grid_values = (0.0, 1.0, 2.0)

    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        hot = np.zeros(y.shape[1])
        hot[int(value)] = 1.0
        return {"hot": hot}

    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        return np.tile(arrays["hot"], (len(x), 1))


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_grid_is_chosen_by_the_reward_on_validation(best: int) -> None:
    train, validation = make_world(llms=3, hidden=0.0)
    performance = np.full_like(validation.performance, 0.2)
    performance[:, best] = 0.9
    validation = dataclasses.replace(validation, performance=performance, cost=np.zeros_like(validation.cost))
    assert Offset().fit(train, validation).chosen == best


def test_features_are_the_embedding_beside_a_one_hot_task() -> None:
    policy = LinearPolicy()
    policy.tasks = ["a", "b"]
    asked = Queries(("1", "2", "3"), ("b", "a", "other"), ("", "", ""), np.array([[5.0], [6.0], [7.0]]))
    assert policy.features(asked).tolist() == [[5, 0, 1], [6, 1, 0], [7, 0, 0]]


def test_validation_without_any_outcome_still_leaves_a_fitted_policy() -> None:
    train, _ = make_world(hidden=0.0)
    empty = dataclasses.replace(train, performance=train.performance * np.nan, cost=train.cost * np.nan)
    policy = LinearPolicy().fit(train, empty)
    assert np.isfinite(policy.scores(train.queries, [train.user_ids[0]] * len(train.queries))).all()


def test_with_personas_the_shares_of_picks_are_regressed_and_chosen_by_on_validation() -> None:
    train, validation = make_world(queries=60, llms=3, hidden=0.2, personas=True)
    seen: list[np.ndarray] = []

    class Spy(Offset):
        def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
            seen.append(y)
            return super().learn(x, y, value)

    policy = Spy().fit(train, validation)
    popular = shares(train)
    for y in seen:
        np.testing.assert_array_equal(y[:, :3], popular)
        np.testing.assert_array_equal(y[:, 3:], np.where(np.isfinite(popular), 0.0, np.nan))
    # The LLM to choose is the one that is picked most often on validation where it can be.
    earned = []
    held = shares(validation)
    for value in range(3):
        believed = np.where(np.isfinite(held), np.arange(3) == value, -1.0)
        rows = np.isfinite(held).any(axis=1)
        earned.append(np.take_along_axis(held, believed.argmax(axis=1)[:, None], axis=1)[rows].mean())
    assert policy.chosen == int(np.argmax(earned))
    grid = policy.grid(validation.queries, [*train.user_ids, "a stranger"])
    np.testing.assert_array_equal(grid, np.repeat(grid[:1], 4, axis=0))


@pytest.mark.parametrize("best", [0, 1, 2])
def test_with_personas_the_grid_is_chosen_by_what_was_picked_on_validation(best: int) -> None:
    train, validation = make_world(llms=3, hidden=0.0, personas=True)
    performance = np.full_like(validation.performance, 0.2)
    performance[:, (best + 1) % 3] = 0.9  # the LLM that does best is not the one that is picked
    validation = dataclasses.replace(
        validation,
        performance=performance,
        answers=np.tile(np.arange(3), (len(performance), 1)),
        interactions=validation.interactions.assign(llm_id=validation.llm_ids[best]),
    )
    assert Offset().fit(train, validation).chosen == best
