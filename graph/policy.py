"""The contract of every router: what it may see, what it must answer, and how it is kept on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from graph.artifact import load_artifact, save_artifact
from graph.preference import Preferences
from graph.records import Queries, RoutingData


class Policy(ABC):
    """A router.

    `fit` sees train and validation data only. `scores` returns expected utility, shape (N, num_llms), columns in the
    order of `llm_ids`, higher is better; only the order within a row matters. Users and tasks never seen in training
    get the population's answer. Constructors only assign; `fit` returns self.
    """

    name: ClassVar[str]
    llm_ids: list[str]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

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


class OutcomePolicy(Policy):
    """A policy that predicts outcomes and combines them by what it believes of the user's preference.

    Subclasses give `outcomes`; `fit` must set `llm_ids` and `preferences`.
    """

    preferences: Preferences

    @abstractmethod
    def outcomes(self, queries: Queries) -> np.ndarray:
        """Return (N, num_llms, 2): expected performance and expected scaled cost."""

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return α·performance − (1−α)·cost with each user's expected preference α, shape (N, num_llms)."""
        return utility(self.outcomes(queries), self.preferences.mean(users)[:, None])

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return (U, N, num_llms); the outcomes are predicted once for all users."""
        return utility(self.outcomes(queries), self.preferences.mean(users)[:, None, None])


def utility(outcomes: np.ndarray, preference: np.ndarray) -> np.ndarray:
    """Return α·performance − (1−α)·cost; `outcomes` (..., 2 or more) has performance and scaled cost first."""
    return preference * outcomes[..., 0] - (1 - preference) * outcomes[..., 1]
