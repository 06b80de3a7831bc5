"""RouterDC alone (arXiv 2409.19886): the LLM whose learnt vector is the most similar to the query's.

A similarity is no performance, and knows no cost. For users who weigh both, a line that all LLMs share turns it into an
expected performance, so that the order of the LLMs stays RouterDC's where cost does not count; an LLM's cost is its
mean.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

import numpy as np

from baselines.simple import mean_outcomes
from configs.errors import InputError
from configs.schema import Encoder as EncoderConfig
from data_processing.tables import llm_text
from graph.choices import popularity_view
from graph.contrastive_model import ContrastiveModel, similarities_of
from graph.policy import OutcomePolicy
from graph.preference import Preferences
from graph.records import Queries, RoutingData
from graph.tuned_encoder import Learned

LEAST_SLOPE = 1e-3  # performance per cosine: where similarity tells nothing it still breaks ties
LEARNED = ("llm_vectors", "centres", "side")


class ContrastivePolicy(OutcomePolicy):
    """RouterDC, with the cosine s of query and LLM read as the performance a + b·s, b > 0, of all LLMs.

    `learned`: what was trained, where the queries' features already come from a contrastively trained encoder. Without
    it `fit` trains an encoder of its own, as `encoder` says, on the texts of the train queries, and reads texts.
    """

    name: ClassVar[str] = "contrastive"

    def __init__(
        self,
        seed: int = 0,
        encoder: EncoderConfig | None = None,
        learned: Learned | None = None,
        device: str = "auto",
        progress: bool = False,
    ) -> None:
        self.seed = seed
        self.encoder = encoder
        self.learned = learned
        self.device = device
        self.progress = progress
        self.own: ContrastiveModel | None = None
        self.intercept = 0.0
        self.slope = LEAST_SLOPE
        self.cost = np.zeros(0)

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids = train.llm_ids
        self.preferences = Preferences.fit(train)
        seen, held_out = popularity_view(train), popularity_view(validation)
        if self.learned is None:
            self.own = self._trained(train, validation)
        else:
            self.learned = _in_order_of(self.learned, train)
        self.cost = mean_outcomes(seen)[:, 1]
        # The encoder knows its train queries too well: how much a similarity is worth shows on others.
        judge = held_out if _has_scores(held_out) else seen
        self.intercept, self.slope = line(self.similarities(judge.queries), judge.performance)
        return self

    def _trained(self, train: RoutingData, validation: RoutingData) -> ContrastiveModel:
        """Return RouterDC trained on performances, for personas on how popular the answers were."""
        liked = popularity_view(train), popularity_view(validation)
        # Personas who chose nothing leave what the answers are worth in themselves.
        if train.judged and all(map(_has_scores, liked)):
            train, validation = liked
        config = self.encoder or EncoderConfig()
        return ContrastiveModel.train(train, validation, config, self.device, self.seed, self.progress)

    def similarities(self, queries: Queries) -> np.ndarray:
        """Return (N, num_llms) cosines of queries and LLMs."""
        if self.own is None:
            assert self.learned is not None
            return similarities_of(self.learned, queries)
        columns = [self.own.llm_ids.index(llm) for llm in self.llm_ids]
        return self.own.similarities(queries.task_ids, queries.texts)[:, columns]

    def outcomes(self, queries: Queries) -> np.ndarray:
        performance = self.intercept + self.slope * self.similarities(queries)
        return np.stack([performance, np.broadcast_to(self.cost, performance.shape)], axis=-1)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        preferences, arrays = self.preferences.state()
        settings = {"llm_ids": self.llm_ids, "preferences": preferences, "line": [self.intercept, self.slope]}
        arrays = arrays | {"cost": self.cost}
        if self.own is not None:
            own, own_arrays = self.own.state()
            return settings | {"own": own}, arrays | {f"own.{name}": array for name, array in own_arrays.items()}
        assert self.learned is not None
        settings["llm_texts"] = list(self.learned.llm_texts)
        return settings, arrays | {f"learned.{name}": getattr(self.learned, name) for name in LEARNED}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls()
        policy.llm_ids = settings["llm_ids"]
        policy.preferences = Preferences.from_state(settings["preferences"], arrays)
        policy.intercept, policy.slope = settings["line"]
        policy.cost = arrays["cost"]
        if "own" in settings:
            own = {name.removeprefix("own."): array for name, array in arrays.items() if name.startswith("own.")}
            policy.own = ContrastiveModel.from_state(settings["own"], own, "policy 'contrastive'")
        else:
            kept = {name: arrays[f"learned.{name}"] for name in LEARNED}
            policy.learned = Learned(weights={}, llm_texts=tuple(settings["llm_texts"]), **kept)
        return policy


def line(similarity: np.ndarray, performance: np.ndarray) -> tuple[float, float]:
    """Return (a, b) of a + b·similarity by least squares over what was observed, b at least `LEAST_SLOPE`.

    Shapes: both (N, L), `performance` NaN where unobserved; without any outcome the line is at 0.
    """
    seen = np.isfinite(performance)
    if not seen.any():
        return 0.0, LEAST_SLOPE
    x, y = similarity[seen], performance[seen]
    away = x - x.mean()
    spread = float(away @ away)
    slope = max(float(away @ y) / spread, LEAST_SLOPE) if spread > 0 else LEAST_SLOPE
    return float(y.mean() - slope * x.mean()), slope


def _has_scores(data: RoutingData) -> bool:
    return bool(np.isfinite(data.performance).any())


def _in_order_of(learned: Learned, train: RoutingData) -> Learned:
    """Return `learned` with its LLMs in the order of the data's; `InputError` where it has others."""
    texts = tuple(llm_text(llm) for _, llm in train.llms.iterrows())
    if texts == learned.llm_texts:
        return learned
    if sorted(texts) != sorted(learned.llm_texts):
        raise InputError(
            f"policy 'contrastive': expected an encoder trained on the LLMs {', '.join(train.llm_ids)}, got one of "
            f"{len(learned.llm_texts)} others; train it on these"
        )
    rows = [learned.llm_texts.index(text) for text in texts]
    return dataclasses.replace(learned, llm_texts=texts, llm_vectors=learned.llm_vectors[rows])
