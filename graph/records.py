"""What goes into a router and what comes out: queries, one split of the data, decisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

UNKNOWN_TASK = ""


@dataclasses.dataclass(frozen=True)
class Queries:
    """A batch of N queries, featurised. `task_ids` holds `UNKNOWN_TASK` where the task is not known.

    Shapes: `embeddings` (N, d) float32; `blocks` are the widths of its blocks of columns (text, style, …), in order;
    empty means one block.
    """

    query_ids: tuple[str, ...]
    task_ids: tuple[str, ...]
    texts: tuple[str, ...]
    embeddings: np.ndarray
    blocks: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.query_ids)

    def take(self, rows: Sequence[int] | np.ndarray) -> Queries:
        """Return the given rows, in the given order (repeats allowed)."""
        return Queries(
            tuple(self.query_ids[i] for i in rows),
            tuple(self.task_ids[i] for i in rows),
            tuple(self.texts[i] for i in rows),
            self.embeddings[np.asarray(rows, dtype=int)],
            self.blocks,
        )


@dataclasses.dataclass(frozen=True)
class RoutingData:
    """What a policy may see of one split: Q queries, L LLMs, T tasks, and users with their interactions.

    Matrices are (Q, L), rows as `queries`, columns as `llms`, NaN where nothing was observed. `cost` is `cost_usd`
    scaled to [0, 1] by the scaler fitted on train rows. `users` has `user_id`, `kind` and `preference`, the latter NaN
    unless the user *stated* it: policies infer it from `interactions` (`user_id, query_id, llm_id, reward`), where
    `llm_id` is what the user chose among the observed LLMs and `reward` is NaN where the user only chose.

    Where answers are known as text, `answers` (Q, L) numbers the distinct ones within each row, 0 to L − 1, and
    `attributes` (Q, L, K) measures them (`attribute_names`), scaled so that answers to one query differ by about 1.
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
    answers: np.ndarray | None = None
    attributes: np.ndarray | None = None
    attribute_names: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether the users are personas, who pick answers, rather than users with a preference."""
        return len(self.users) > 0 and bool((self.users["kind"] == "persona").all())

    @property
    def llm_ids(self) -> list[str]:
        return list(self.llms["llm_id"])

    @property
    def user_ids(self) -> list[str]:
        return list(self.users["user_id"])


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One LLM as the router sees it for one (user, query); `expected_cost` is scaled to [0, 1].

    `utility` is α·performance − (1−α)·cost of what the model predicts; for a persona the expected chance that it would
    pick this LLM's answer. Of either, an LLM with few outcomes is charged a standard error (graph/caution.py).
    """

    llm_id: str
    utility: float
    expected_performance: float
    expected_cost: float
    expected_cost_usd: float


@dataclasses.dataclass(frozen=True)
class Decision:
    """The answer of the router for one (user, query): the ranked LLMs, best first, and why.

    `confidence`: the calibrated probability that the chosen LLM is the best (or as good as the best) for this user and
    query; None where validation had nothing to calibrate it on. `preference` is None where a taste serves the user.
    """

    user_id: str
    query: str
    task_id: str
    llm_id: str
    expected_performance: float
    expected_cost_usd: float
    alternatives: tuple[Alternative, ...]
    confidence: float | None
    preference: float | None
    preference_source: str
    nearest_queries: tuple[dict[str, Any], ...]
    why: str
