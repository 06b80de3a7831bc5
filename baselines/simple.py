"""The floors every router must be compared with: random, cheapest, best single LLM, task means; and Elo ratings.

Each predicts a constant per LLM (or per task and LLM) and is given the same inferred preferences as every other policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from graph.choices import hits, places, popularity_view
from graph.policy import OutcomePolicy, Policy
from graph.preference import GRID, Preferences
from graph.records import Queries, RoutingData


class RandomPolicy(Policy):
    """A uniformly random LLM per (user, query): the same one whenever the same user asks the same query."""

    name: ClassVar[str] = "random"

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        return self

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Draw each score from (seed, user, query, LLM), so that neither the order of rows nor of LLMs matters."""
        return np.array(
            [
                [_uniform(self.seed, user, query, llm) for llm in self.llm_ids]
                for user, query in zip(users, queries.query_ids, strict=True)
            ]
        ).reshape(len(queries), len(self.llm_ids))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"llm_ids": self.llm_ids, "seed": self.seed}, {}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls(settings["seed"])
        policy.llm_ids = settings["llm_ids"]
        return policy


class ConstantPolicy(OutcomePolicy):
    """An expected (performance, cost) per LLM, whatever the query; `means` is (num_llms, 2)."""

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        self.preferences = self.users_of(train)
        self.means = self.means_of(popularity_view(train))
        return self

    def users_of(self, train: RoutingData) -> Preferences:
        """Return whose preferences the policy serves; by default each user's own."""
        return Preferences.fit(train)

    def means_of(self, train: RoutingData) -> np.ndarray:
        """Return (num_llms, 2)."""
        return mean_outcomes(train)

    def outcomes(self, queries: Queries) -> np.ndarray:
        return np.broadcast_to(self.means, (len(queries), *self.means.shape))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = self.preferences.state()
        return {"llm_ids": self.llm_ids, "preferences": settings}, arrays | {"means": self.means}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls()
        policy.llm_ids = settings["llm_ids"]
        policy.preferences = Preferences.from_state(settings["preferences"], arrays)
        policy.means = arrays["means"]
        return policy


class BestSinglePerUserPolicy(ConstantPolicy):
    """For each user the LLM with the highest mean reward over the train rows: the floor of `headroom`.

    For a persona it is the LLM whose answers the persona picked most often; `own` is user_id -> (num_llms,) that share,
    with one more pick shared out as all personas pick.
    """

    name: ClassVar[str] = "best_single_per_user"
    own: dict[str, np.ndarray]

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        super().fit(train, validation)
        self.own = {}
        if train.judged:
            users = train.user_ids
            chosen = places(train, train.interactions, users)
            total = np.zeros((len(users), len(self.llm_ids)))
            np.add.at(total, chosen.user, hits(train, chosen))
            count = np.bincount(chosen.user, minlength=len(users))
            self.own = dict(zip(users, (total + self.means[:, 0]) / (count + 1)[:, None], strict=True))
        return self

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        if not self.own:
            return super().scores(queries, users)
        return np.array([self.own.get(user, self.means[:, 0]) for user in users]).reshape(len(users), len(self.llm_ids))

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        if not self.own:
            return super().grid(queries, users)
        return np.repeat(self.scores(queries, users)[:, None], len(queries), axis=1)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = super().state()
        users = sorted(self.own)
        table = np.array([self.own[user] for user in users]).reshape(len(users), len(self.llm_ids))
        return settings | {"own": users}, arrays | {"own": table}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = super().from_state(settings, arrays)
        policy.own = dict(zip(settings["own"], arrays["own"], strict=True))
        return policy


class BestSinglePolicy(ConstantPolicy):
    """The one LLM with the highest mean reward over the train rows and all users."""

    name: ClassVar[str] = "best_single"

    def users_of(self, train: RoutingData) -> Preferences:
        # One answer for all: the population's. Expected utility is linear in the preference, so the mean suffices.
        each = Preferences.fit(train)
        if train.judged:
            return each
        mean = float(each.mean(train.user_ids).mean()) if train.user_ids else 0.5
        # A belief with exactly this mean: shared between its two neighbours on the grid, and held of unknown users too.
        below = min(int(np.searchsorted(GRID, mean, side="right")) - 1, len(GRID) - 2)
        belief = np.zeros(len(GRID))
        belief[below + 1] = (mean - GRID[below]) / (GRID[below + 1] - GRID[below])
        belief[below] = 1 - belief[below + 1]
        return Preferences({}, {}, each.temperature, belief)


class CheapestPolicy(ConstantPolicy):
    """Always the LLM with the lowest mean cost in dollars over the train rows."""

    name: ClassVar[str] = "cheapest"

    def means_of(self, train: RoutingData) -> np.ndarray:
        cost = nan_mean(train.cost_usd)
        # A performance of zero for all, and the cost as a rank in [0, 1], for every preference alike.
        # Equal costs have equal ranks, so that a tie does not depend on the order of LLMs.
        rank = np.unique(cost, return_inverse=True)[1] / max(len(cost), 1)
        return np.stack([-rank, rank], axis=1)


class EloPolicy(ConstantPolicy):
    """Ratings from all pairwise comparisons of performance (Bradley–Terry, the order-free form of Elo).

    The expected performance of an LLM is its mean chance of beating another; ties count half for each side.
    """

    name: ClassVar[str] = "elo"

    def means_of(self, train: RoutingData) -> np.ndarray:
        strength = bradley_terry(train.performance)
        chance = 1 / (1 + np.exp(strength[None] - strength[:, None]))
        np.fill_diagonal(chance, np.nan)
        wins = np.nanmean(chance, axis=1) if len(strength) > 1 else np.full(1, 0.5)
        return np.stack([wins, nan_mean(train.cost)], axis=1)


class BestSinglePerTaskPolicy(ConstantPolicy):
    """For each task and user the LLM with the highest mean reward: task means, hard to beat on benchmarks.

    For personas the LLM whose answers are most popular on the task.
    """

    name: ClassVar[str] = "best_single_per_task"

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        super().fit(train, validation)
        train = popularity_view(train)
        tasks = np.asarray(train.queries.task_ids, dtype=object)
        self.tasks = sorted(set(tasks))
        self.task_means = np.stack([mean_outcomes(train, tasks == task) for task in self.tasks])
        return self

    def outcomes(self, queries: Queries) -> np.ndarray:
        place = {task: row for row, task in enumerate(self.tasks)}
        table = np.concatenate([self.task_means, self.means[None]])
        return table[[place.get(task, -1) for task in queries.task_ids]]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = super().state()
        return settings | {"tasks": self.tasks}, arrays | {"task_means": self.task_means}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = super().from_state(settings, arrays)
        policy.tasks, policy.task_means = settings["tasks"], arrays["task_means"]
        return policy


def mean_outcomes(train: RoutingData, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Return (num_llms, 2) mean performance and cost over `rows`; an LLM unseen there has its overall mean."""
    columns = []
    for matrix in (train.performance, train.cost):
        overall = nan_mean(matrix)
        columns.append(nan_mean(matrix[rows], overall))
    return np.stack(columns, axis=1)


def nan_mean(matrix: np.ndarray, fallback: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of each column over its finite rows; `fallback` (by default the mean of all) where none is."""
    seen = np.isfinite(matrix)
    if fallback is None:
        fallback = np.full(matrix.shape[1], matrix[seen].mean() if seen.any() else 0.0)
    count = seen.sum(axis=0)
    return np.where(count > 0, np.where(seen, matrix, 0.0).sum(axis=0) / np.maximum(count, 1), fallback)


def bradley_terry(performance: np.ndarray) -> np.ndarray:
    """Return (num_llms,) log-strengths of mean zero from (Q, num_llms) performances, NaN where unobserved.

    A slight L2 penalty keeps an LLM that won all its comparisons finite.
    """
    count = performance.shape[1]
    first, second = np.triu_indices(count, 1)
    rows, wins = [], []
    for i, j in zip(first, second, strict=True):
        both = np.isfinite(performance[:, i]) & np.isfinite(performance[:, j])
        gap = performance[both, i] - performance[both, j]
        rows.append((i, j))
        wins.append(((gap > 0).sum() + 0.5 * (gap == 0).sum(), (gap < 0).sum() + 0.5 * (gap == 0).sum()))
    weights = np.array(wins, dtype=float).reshape(-1, 2)
    if count < 2 or not weights.any():
        return np.zeros(count)
    design = np.zeros((len(rows), count))
    design[np.arange(len(rows)), first], design[np.arange(len(rows)), second] = 1.0, -1.0
    model = LogisticRegression(fit_intercept=False, C=100.0)
    model.fit(
        np.concatenate([design, design]),
        np.repeat([1, 0], len(rows)),
        sample_weight=np.concatenate([weights[:, 0], weights[:, 1]]),
    )
    return model.coef_[0] - model.coef_[0].mean()


def _uniform(*parts: object) -> float:
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
