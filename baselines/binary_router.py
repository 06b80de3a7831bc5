"""The classifier as it is used: the text of a prompt in, the probability that the strong LLM is needed out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from baselines.binary_policy import BinaryPolicy
from baselines.classifier import Classifier
from configs.errors import InputError
from configs.schema import Encoder
from graph.artifact import load_artifact, save_artifact
from graph.encoder import make_encoder
from graph.features import QueryFeatures
from graph.needs import observed_means
from graph.records import UNKNOWN_TASK, RoutingData
from graph.tuned_encoder import load_encoder, save_encoder

KIND = "binary_router"


@dataclasses.dataclass(frozen=True)
class BinaryRouter:
    """A classifier with the features it reads; `save` and `load` make it a folder.

    `policy`: of outcomes, and then with the mean dollars of weak and strong (2,) in `cost_usd`. Of labels there is
    `head` alone, for nobody said how good the LLMs are, nor what they cost. A task is never known here.
    """

    features: QueryFeatures
    encoder: Encoder
    head: Classifier
    weak_id: str
    strong_id: str
    policy: BinaryPolicy | None = None
    cost_usd: np.ndarray | None = None

    @classmethod
    def of_policy(cls, policy: BinaryPolicy, features: QueryFeatures, encoder: Encoder, train: RoutingData) -> Self:
        """Return the router of a policy that was fitted on `train`."""
        place = [policy.llm_ids.index(name) for name in (policy.weak_id, policy.strong_id)]
        dollars = observed_means(train.cost_usd)[place]
        return cls(features, encoder, policy.heads["need"], policy.weak_id, policy.strong_id, policy, dollars)

    def need(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N,) calibrated probabilities in [0, 1] that the strong LLM is needed."""
        queries = self._featurise(texts)
        return self.head.probability(queries.embeddings) if self.policy is None else self.policy.need(queries)

    def expected(self, texts: Sequence[str]) -> np.ndarray | None:
        """Return (N, 2, 2): of weak and strong the expected performance and dollars; None of labels."""
        if self.policy is None or self.cost_usd is None:
            return None
        place = [self.policy.llm_ids.index(name) for name in (self.weak_id, self.strong_id)]
        performance = self.policy.outcomes(self._featurise(texts))[:, place, 0]
        return np.stack([performance, np.broadcast_to(self.cost_usd, performance.shape)], axis=-1)

    def _featurise(self, texts: Sequence[str]) -> Any:
        return self.features.transform([str(row) for row in range(len(texts))], [UNKNOWN_TASK] * len(texts), texts)

    def save(self, folder: Path) -> None:
        """Write the router: `features/`, a tuned encoder, the policy, and the manifest that makes it whole, last."""
        folder = Path(folder)
        save_artifact(folder / "features", "features", *self.features.state())
        if self.encoder.training == "contrastive":
            save_encoder(self.features.encoder, folder / "encoder")
        settings = {
            "encoder": self.encoder.model_dump(mode="json"),
            "encoder_key": self.features.encoder.key,
            "weak_id": self.weak_id,
            "strong_id": self.strong_id,
            "of_outcomes": self.policy is not None,
        }
        settings["head"], arrays = self.head.state()
        if self.policy is not None and self.cost_usd is not None:
            self.policy.save(folder / "policy")
            arrays["cost_usd"] = self.cost_usd
        save_artifact(folder, KIND, settings, arrays)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read a router written by `save`; raise `InputError` where it is damaged or of another encoder."""
        folder = Path(folder)
        settings, arrays = load_artifact(folder, KIND)
        config = Encoder.model_validate(settings["encoder"])
        tuned = config.training == "contrastive"
        encoder = load_encoder(folder / "encoder", config, device) if tuned else make_encoder(config, device)
        # What follows the first bar is the number format, which may differ between machines.
        if encoder.key.split("|")[0] != settings["encoder_key"].split("|")[0]:
            raise InputError(
                f"{folder}: expected the encoder {settings['encoder_key'].split('|')[0]!r}, got "
                f"{encoder.key.split('|')[0]!r}; install the encoder it was trained with or train again"
            )
        features = QueryFeatures.from_state(encoder, *load_artifact(folder / "features", "features"))
        policy = BinaryPolicy.load(folder / "policy") if settings["of_outcomes"] else None
        head = Classifier.from_state(settings["head"], arrays)
        names = settings["weak_id"], settings["strong_id"]
        return cls(features, config, head, *names, policy, arrays.get("cost_usd"))
