"""The oracle: the best LLM of each (user, query) in hindsight. It reads test outcomes, so evaluation alone makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from graph.policy import Policy, utility
from graph.records import Queries, RoutingData


class OraclePolicy(Policy):
    """Scores are the true rewards; −inf where an LLM was not observed. Unknown users get equal weights."""

    name: ClassVar[str] = "oracle"

    def __init__(self, preference: dict[str, float]) -> None:
        self.preference = preference

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        """Take the outcomes of *both* splits given: evaluation gives the test split here, and only here."""
        self.llm_ids = train.llm_ids
        self.query_ids = [*train.queries.query_ids, *validation.queries.query_ids]
        performance = np.concatenate([train.performance, validation.performance])
        cost = np.concatenate([train.cost, validation.cost])
        self.outcomes = np.stack([performance, cost], axis=-1)
        self._row = {query: row for row, query in enumerate(self.query_ids)}
        return self

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        rows = [self._row[query] for query in queries.query_ids]
        alpha = np.array([self.preference.get(user, 0.5) for user in users])
        rewards = utility(self.outcomes[rows], alpha[:, None])
        return np.where(np.isfinite(rewards), rewards, -np.inf)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {"llm_ids": self.llm_ids, "query_ids": self.query_ids, "preference": self.preference}
        return settings, {"outcomes": self.outcomes}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls(settings["preference"])
        policy.llm_ids, policy.query_ids = settings["llm_ids"], settings["query_ids"]
        policy.outcomes = arrays["outcomes"]
        policy._row = {query: row for row, query in enumerate(policy.query_ids)}
        return policy
