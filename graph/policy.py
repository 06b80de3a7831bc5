"""The contract of every router: what it may see, what it must answer, and how it is kept on disk."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from graph.artifact import load_artifact, save_artifact

UNKNOWN_TASK = ""


@dataclasses.dataclass(frozen=True)
class Queries:
    """A batch of N queries, featurised. `task_ids` holds `UNKNOWN_TASK` where the task is not known.

    Shapes: `embeddings` (N, embedding_dim) float32.
    """

    query_ids: tuple[str, ...]
    task_ids: tuple[str, ...]
    texts: tuple[str, ...]
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.query_ids)

    def take(self, rows: Sequence[int] | np.ndarray) -> Queries:
        """Return the given rows, in the given order (repeats allowed)."""
        return Queries(
            tuple(self.query_ids[i] for i in rows),
            tuple(self.task_ids[i] for i in rows),
            tuple(self.texts[i] for i in rows),
            self.embeddings[np.asarray(rows, dtype=int)],
        )


@dataclasses.dataclass(frozen=True)
class RoutingData:
    """What a policy may see of one split: Q queries, L LLMs, T tasks, and users with their interactions.

    Matrices are (Q, L), rows as `queries`, columns as `llms`, NaN where nothing was observed. `cost` is `cost_usd`
    scaled to [0, 1] by the scaler fitted on train rows. `users` has `user_id`, `kind` and `preference`, the latter NaN
    unless the user *stated* it: policies infer it from `interactions` (`user_id, query_id, llm_id, reward`), where
    `llm_id` is what the user chose among the observed LLMs and `reward` is NaN where the user only chose.
    """

    llms: pd.DataFrame
    llm_embeddings: np.ndarray
    tasks: pd.DataFrame
    task_embeddings: np.ndarray
    queries: Queries
    performance: np.ndarray
    cost: np.ndarray
    cost_usd: np.ndarray
    users: pd.DataFrame
    interactions: pd.DataFrame

    @property
    def llm_ids(self) -> list[str]:
        return list(self.llms["llm_id"])

    @property
    def user_ids(self) -> list[str]:
        return list(self.users["user_id"])


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One LLM as the router sees it for one (user, query); `expected_cost` is scaled, `expected_cost_usd` in dollars."""

    llm_id: str
    utility: float
    expected_performance: float
    expected_cost: float
    expected_cost_usd: float


@dataclasses.dataclass(frozen=True)
class Decision:
    """The answer of the router for one (user, query): the ranked LLMs, best first, and why."""

    user_id: str
    query: str
    task_id: str
    llm_id: str
    expected_performance: float
    expected_cost_usd: float
    alternatives: tuple[Alternative, ...]
    preference: float
    preference_source: str
    nearest_queries: tuple[dict[str, Any], ...]
    why: str


class Policy(ABC):
    """A router.

    `fit` sees train and validation data only. `scores` returns expected utility, shape (N, num_llms), columns in the
    order of `llm_ids`, higher is better; only the order within a row matters. Users and tasks never seen in training
    get the population's answer. Constructors only assign; `fit` returns self.
    """

    name: ClassVar[str]
    llm_ids: list[str]

    @abstractmethod
    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        """Learn from `train`; choose hyper-parameters on `validation`."""

    @abstractmethod
    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return (N, num_llms) expected utilities of query i for user i; `len(users) == len(queries)`."""

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return (U, N, num_llms): every query for every user."""
        return np.stack([self.scores(queries, [user] * len(queries)) for user in users])

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `save` keeps: JSON-able settings and named arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Build the fitted policy back from `state`."""

    def save(self, folder: Path) -> None:
        """Write the policy as an artifact: a folder of sorted JSON, safetensors and a manifest."""
        settings, arrays = self.state()
        save_artifact(Path(folder), self.name, settings, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an artifact written by `save`; raise `InputError` where it is damaged or of another kind."""
        settings, arrays = load_artifact(Path(folder), cls.name)
        return cls.from_state(settings, arrays)
