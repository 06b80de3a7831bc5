"""Routing between two LLMs by a classifier of prompts: is the strong LLM needed? After RouteLLM's BERT classifier.

Two heads on the features of the query: how likely the strong LLM is needed, and how likely it does harm (arXiv
2406.18665 has the first alone; where both LLMs may fail, the second tells which prompts of equal need gain less).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from baselines.classifier import Classifier
from baselines.simple import nan_mean
from graph.choices import popularity_view
from graph.needs import choose_pair, needed, observed_means
from graph.policy import OutcomePolicy
from graph.preference import Preferences
from graph.records import Queries, RoutingData

# Counts (length, digits, …) stand small beside the encoder's vector, and what they mean differs between tasks: in each
# task they count again, this much larger.
TASK_COUNTS = 10 / 3
OUT_OF_REACH = 1.0  # how much worse and dearer than the pair all other LLMs are taken to be


class BinaryPolicy(OutcomePolicy):
    """Weak and strong LLM are those of `choose_pair`; no other LLM is ever chosen where one of them can be.

    `need` and `harm` are fitted on the train queries with an outcome of both, label 1 where the strong (weak) LLM alone
    was right; graded performance gives graded labels. The strong LLM's expected performance is the weak one's mean plus
    need − harm; costs are means.
    """

    name: ClassVar[str] = "binary"
    weak_id: str
    strong_id: str
    means: np.ndarray  # (num_llms, 2) mean performance and cost on train
    centres: np.ndarray  # (T, d) mean features of the queries of each task

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.tasks: list[str] = []
        self.heads: dict[str, Classifier] = {}

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        self.preferences = Preferences.fit(train)
        # Sums must not depend on the order of the table.
        train, validation = _by_id(popularity_view(train)), _by_id(popularity_view(validation))
        self.tasks = sorted(set(train.queries.task_ids))
        own = np.array([self.tasks.index(task) for task in train.queries.task_ids])
        count = np.bincount(own)[:, None]
        self.centres = np.stack([np.bincount(own, column) for column in train.queries.embeddings.T], axis=1) / count
        self.means = np.stack([nan_mean(train.performance), nan_mean(train.cost)], axis=1)
        # Dollars say which is dear, for cost may be scaled apart in each task; of personas' choices there is none.
        dollars = observed_means(train.cost_usd)
        self.weak_id, self.strong_id = choose_pair(self.llm_ids, observed_means(train.performance), dollars)
        x, outcomes = self._pairs(train)
        held_x, held = self._pairs(validation)
        if len(outcomes):
            self.heads = {
                "need": Classifier.fit(x, needed(*outcomes.T), held_x, needed(*held.T)),
                "harm": Classifier.fit(x, needed(*outcomes.T[::-1]), held_x, needed(*held.T[::-1])),
            }
        else:  # no query was answered by both: the means are all there is
            weak, strong = (self.means[[self.llm_ids.index(name)], 0] for name in (self.weak_id, self.strong_id))
            both = {"need": needed(weak, strong), "harm": needed(strong, weak)}
            self.heads = {name: Classifier.constant(x.shape[1], float(gap[0])) for name, gap in both.items()}
        return self

    def _pairs(self, data: RoutingData) -> tuple[np.ndarray, np.ndarray]:
        """Return features (n, d) and performances (n, 2) of weak and strong, of the queries that have both."""
        rows, outcomes = self.answered_by_both(data)
        return self.features(data.queries.take(rows)), outcomes

    def answered_by_both(self, data: RoutingData) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (n,) of the queries with an outcome of both LLMs, and these performances (n, 2), weak first.

        The LLMs of `data` are those of `fit`, in their order.
        """
        outcomes = data.performance[:, [self.llm_ids.index(self.weak_id), self.llm_ids.index(self.strong_id)]]
        rows = np.flatnonzero(np.isfinite(outcomes).all(axis=1))
        return rows, outcomes[rows]

    def features(self, queries: Queries) -> np.ndarray:
        """Return (N, d): the query's features, its task, and its last block of features (the counts) once per task.

        A task that was not seen in training counts as the one whose queries are nearest in the mean.
        """
        x = queries.embeddings.astype(np.float64)
        place = {task: column for column, task in enumerate(self.tasks)}
        away = (self.centres**2).sum(axis=1) - 2 * x @ self.centres.T
        task = [place.get(name, int(away[row].argmin())) for row, name in enumerate(queries.task_ids)]
        hot = np.eye(len(self.tasks))[np.array(task, dtype=int)]
        parts = [x, hot]
        if len(queries.blocks) > 1:
            counts = TASK_COUNTS * parts[0][:, -queries.blocks[-1] :]
            wide = hot.shape[1] * counts.shape[1]
            parts.append((hot[:, :, None] * counts[:, None, :]).reshape(len(queries), wide))
        return np.hstack(parts)

    def need(self, queries: Queries) -> np.ndarray:
        """Return (N,) calibrated probabilities in [0, 1] that the strong LLM is needed."""
        return self.heads["need"].probability(self.features(queries))

    def outcomes(self, queries: Queries) -> np.ndarray:
        x = self.features(queries)
        gain = self.heads["need"].probability(x) - self.heads["harm"].probability(x)
        weak, strong = self.llm_ids.index(self.weak_id), self.llm_ids.index(self.strong_id)
        pair = self.means[[weak, strong]]
        found = np.empty((len(queries), len(self.llm_ids), 2))
        found[..., 0] = min(pair[:, 0].min(), pair[0, 0] - 1) - OUT_OF_REACH
        found[..., 1] = pair[:, 1].max() + OUT_OF_REACH
        found[:, [weak, strong]] = pair
        if weak != strong:
            found[:, strong, 0] = pair[0, 0] + gain
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        preferences, arrays = self.preferences.state()
        arrays = arrays | {"means": self.means, "centres": self.centres}
        heads = {}
        for name, head in self.heads.items():
            heads[name], own = head.state()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        settings = {"llm_ids": self.llm_ids, "preferences": preferences, "tasks": self.tasks, "heads": heads}
        return settings | {"weak_id": self.weak_id, "strong_id": self.strong_id}, arrays

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls()
        policy.llm_ids, policy.tasks = settings["llm_ids"], settings["tasks"]
        policy.weak_id, policy.strong_id = settings["weak_id"], settings["strong_id"]
        policy.preferences = Preferences.from_state(settings["preferences"], arrays)
        policy.means, policy.centres = arrays["means"], arrays["centres"]
        for name, kept in settings["heads"].items():
            policy.heads[name] = Classifier.from_state(kept, {"weights": arrays[f"{name}.weights"]})
        return policy


def _by_id(data: RoutingData) -> RoutingData:
    """Return queries and outcomes of `data` in the order of the query ids; the rest is as it was."""
    rows = np.argsort(np.asarray(data.queries.query_ids, dtype=object))
    return RoutingData(
        **vars(data)
        | {name: getattr(data, name)[rows] for name in ("performance", "cost", "cost_usd")}
        | {"queries": data.queries.take(rows)}
    )
