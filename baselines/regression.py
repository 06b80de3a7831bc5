"""Routers that regress performance and cost on the features of the query: kNN, ridge, MLP, matrix factorisation.

All share the loop over a small grid of hyper-parameters, chosen by the mean reward on the validation split. Where users
are personas they regress how popular each LLM's answer was, and so give everybody the same.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor

from baselines.simple import nan_mean
from graph.choices import popularity_view
from graph.policy import OutcomePolicy, utility
from graph.preference import Preferences
from graph.records import Queries, RoutingData


class RegressionPolicy(OutcomePolicy):
    """Fit one model per value of `grid`, keep the one with the highest mean reward on validation.

    `arrays` holds what the chosen model learned: prediction is a function of it and of the query features alone.
    """

    grid_values: ClassVar[tuple[float, ...]]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.chosen = 0.0
        self.arrays: dict[str, np.ndarray] = {}
        self.tasks: list[str] = []

    @abstractmethod
    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        """Return arrays from features `x` (Q, d), outcomes `y` (Q, 2L) with NaN, and one value of the grid."""

    @abstractmethod
    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        """Return (N, 2L) from features `x` (N, d)."""

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        self.preferences = Preferences.fit(train)
        train, validation = popularity_view(train), popularity_view(validation)
        self.tasks = sorted(set(train.queries.task_ids))
        x, y = self.features(train.queries), np.hstack([train.performance, train.cost])
        held_out = self.features(validation.queries)
        best = -np.inf
        for value in self.grid_values:
            arrays = self.learn(x, y, value)
            earned = self._reward(self.predict(arrays, held_out), validation)
            if earned > best or not self.arrays:
                best, self.chosen, self.arrays = earned, value, arrays
        return self

    def features(self, queries: Queries) -> np.ndarray:
        """Return the query features beside a one-hot task: all zeros for an unknown one."""
        place = {task: column for column, task in enumerate(self.tasks)}
        hot = np.zeros((len(queries), len(self.tasks)), dtype=np.float32)
        for row, task in enumerate(queries.task_ids):
            if task in place:
                hot[row, place[task]] = 1.0
        return np.hstack([queries.embeddings, hot])

    def outcomes(self, queries: Queries) -> np.ndarray:
        return self._shaped(self.predict(self.arrays, self.features(queries)))

    def _shaped(self, flat: np.ndarray) -> np.ndarray:
        return np.stack(np.split(flat, 2, axis=1), axis=-1)

    def _reward(self, flat: np.ndarray, data: RoutingData) -> float:
        alpha = self.preferences.mean(data.user_ids)[:, None, None]
        truth = utility(np.stack([data.performance, data.cost], axis=-1), alpha)
        believed = np.where(np.isfinite(truth), utility(self._shaped(flat), alpha), -np.inf)
        choice = believed.argmax(axis=-1)[..., None]
        earned = np.take_along_axis(truth, choice, axis=-1)
        seen = np.isfinite(earned)
        return float(earned[seen].mean()) if seen.any() else -np.inf

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = self.preferences.state()
        kept = {"llm_ids": self.llm_ids, "preferences": settings, "tasks": self.tasks, "chosen": self.chosen}
        return kept, arrays | {f"model.{name}": value for name, value in self.arrays.items()}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls()
        policy.llm_ids, policy.tasks, policy.chosen = settings["llm_ids"], settings["tasks"], settings["chosen"]
        policy.preferences = Preferences.from_state(settings["preferences"], arrays)
        policy.arrays = {
            name.removeprefix("model."): value for name, value in arrays.items() if name.startswith("model.")
        }
        return policy


class KnnPolicy(RegressionPolicy):
    """The mean over the k nearest train queries, shrunk by one pseudo-observation towards the LLM's mean."""

    name: ClassVar[str] = "knn"
    grid_values: ClassVar[tuple[float, ...]] = (20, 60, 120)

    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        return {"x": x, "y": y, "k": np.array([min(value, len(x))]), "mean": nan_mean(y)}

    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        k = int(arrays["k"][0])
        near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(arrays["x"]).kneighbors(x, return_distance=False)
        values = arrays["y"][near]
        seen = np.isfinite(values)
        return (np.where(seen, values, 0.0).sum(axis=1) + arrays["mean"]) / (seen.sum(axis=1) + 1)


class LinearPolicy(RegressionPolicy):
    """Ridge regression of each LLM's performance and cost on the features of the queries it was observed on."""

    name: ClassVar[str] = "linear"
    grid_values: ClassVar[tuple[float, ...]] = (1.0, 10.0, 100.0)

    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        weights, bias = np.zeros((x.shape[1], y.shape[1])), nan_mean(y)
        for columns in same_rows(y):
            rows = np.isfinite(y[:, columns[0]])
            if rows.sum() >= 2:
                ridge = Ridge(alpha=value).fit(x[rows], y[rows][:, columns])
                weights[:, columns], bias[columns] = ridge.coef_.reshape(len(columns), -1).T, ridge.intercept_
        return {"weights": weights, "bias": bias}

    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        return x @ arrays["weights"] + arrays["bias"]


class MlpPolicy(RegressionPolicy):
    """A perceptron with one hidden layer for all LLMs at once; unobserved outcomes are filled with the LLM's mean."""

    name: ClassVar[str] = "mlp"
    grid_values: ClassVar[tuple[float, ...]] = (0.1, 1.0)

    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        filled = np.where(np.isfinite(y), y, nan_mean(y))
        model = MLPRegressor(
            hidden_layer_sizes=(64,),
            alpha=value,
            learning_rate_init=0.003,
            batch_size=min(128, len(x)),
            max_iter=30,
            tol=0.0,
            n_iter_no_change=1_000,
            random_state=self.seed,
        )
        _fit_quietly(model, x, filled)
        return {f"weights{i}": w for i, w in enumerate(model.coefs_)} | {
            f"bias{i}": b for i, b in enumerate(model.intercepts_)
        }

    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        hidden = np.maximum(x @ arrays["weights0"] + arrays["bias0"], 0.0)
        return hidden @ arrays["weights1"] + arrays["bias1"]


class FactorizationPolicy(RegressionPolicy):
    """Matrix factorisation of (query, LLM) outcomes by alternating least squares.

    A new query has no outcome to take its factors from, so they are regressed on its features (as in RouteLLM).
    """

    name: ClassVar[str] = "factorization"
    grid_values: ClassVar[tuple[float, ...]] = (2, 6)
    penalty = 2.0
    rounds = 8

    def learn(self, x: np.ndarray, y: np.ndarray, value: float) -> dict[str, np.ndarray]:
        mean = nan_mean(y)
        rank = int(min(value, *y.shape))
        known = np.isfinite(y)
        left = np.where(known, y - mean, 0.0)
        items = np.random.default_rng(self.seed).normal(scale=0.1, size=(y.shape[1], rank))
        for _ in range(self.rounds):
            rows = _solve(items, left, known, self.penalty)
            items = _solve(rows, left.T, known.T, self.penalty)
        ridge = Ridge(alpha=10.0).fit(x, rows)
        return {
            "weights": ridge.coef_.reshape(rank, -1).T,
            "bias": np.atleast_1d(ridge.intercept_),
            "items": items,
            "mean": mean,
        }

    def predict(self, arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        return (x @ arrays["weights"] + arrays["bias"]) @ arrays["items"].T + arrays["mean"]


def same_rows(y: np.ndarray) -> list[list[int]]:
    """Return groups of columns that are observed on the same rows: they can be fitted in one go."""
    groups: dict[bytes, list[int]] = {}
    for column in range(y.shape[1]):
        groups.setdefault(np.isfinite(y[:, column]).tobytes(), []).append(column)
    return list(groups.values())


def _solve(factors: np.ndarray, left: np.ndarray, known: np.ndarray, penalty: float) -> np.ndarray:
    """One half of alternating least squares: the factors of each row of `left` given those of its columns."""
    gram = np.einsum("rc,ci,cj->rij", known.astype(float), factors, factors, optimize=True)
    gram += penalty * np.eye(factors.shape[1])
    return np.linalg.solve(gram, (left @ factors)[..., None])[..., 0]


def _fit_quietly(model: MLPRegressor, x: np.ndarray, y: np.ndarray) -> None:
    with warnings.catch_warnings():
        # The number of epochs is a fixed budget here, not a failure to converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
