"""RouterDC on its own: a fine-tuned encoder, the LLMs' vectors beside it, and all it takes to read a new text.

The LLM of a query is the one whose vector is the most similar to the query's (arXiv 2409.19886): no user, no cost, and
no task but for the lines that many of its prompts share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pydantic

from configs.errors import InputError
from configs.schema import Config
from configs.schema import Encoder as EncoderConfig
from graph.artifact import MANIFEST, artifact_kind, load_artifact, save_artifact
from graph.embedding_cache import QueryEncoder
from graph.encoder import make_encoder
from graph.features import QueryFeatures
from graph.hashing_encoder import is_hashing
from graph.records import Queries, RoutingData
from graph.routing_data import PreparedData, train_features
from graph.tuned_encoder import Learned, TunedEncoder, similarities, tuned_part, unwrapped

KIND = "contrastive"


@dataclasses.dataclass(frozen=True)
class ContrastiveModel:
    """`features` hold the tuned encoder, made by `config`; `llm_ids` are its LLMs, in the order of their vectors, and
    `task_ids` what it was trained on."""

    features: QueryFeatures
    config: EncoderConfig
    llm_ids: tuple[str, ...]
    task_ids: tuple[str, ...]

    @classmethod
    def train(
        cls,
        train: RoutingData,
        validation: RoutingData,
        config: EncoderConfig,
        device: str = "auto",
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """Return RouterDC trained on texts and performances; the features that the data bring are not looked at.

        The order of the LLMs and of the queries does not matter. Raises `InputError` where `config` has no transformer
        or no query has a performance, `KeyboardInterrupt` where Ctrl-C cut the training.
        """
        need_transformer(config)
        columns = np.argsort(np.asarray(train.llm_ids, dtype=object))
        train, validation = _by_id(train, columns), _by_id(validation, columns)
        features = QueryFeatures(make_encoder(config, device), config.drop_boilerplate, config.style)
        features.fit(train.queries.task_ids, train.queries.texts)
        both = (train, validation)
        tasks = [task for data in both for task in data.queries.task_ids]
        train_features(
            features,
            pd.DataFrame({"query": [text for data in both for text in data.queries.texts], "task_id": tasks}),
            pd.Series(tasks, dtype=object),
            np.array(["train"] * len(train.queries) + ["validation"] * len(validation.queries), dtype=object),
            np.concatenate([data.performance for data in both]),
            train.llms,
            Config(encoder=config),
            seed,
            progress,
            cost=np.concatenate([data.cost for data in both]),
        )
        trained_on = tuple(sorted(set(train.queries.task_ids)))
        return cls(features, config, tuple(train.llm_ids), trained_on)

    @classmethod
    def of(cls, prepared: PreparedData, config: EncoderConfig) -> Self:
        """Return RouterDC as `prepare` has trained it, under `encoder.training: contrastive`."""
        tasks = {prepared.task_of[query_id] for query_id in prepared.train.queries.query_ids}
        return cls(prepared.features, config, tuple(prepared.train.llm_ids), tuple(sorted(tasks)))

    def similarities(self, task_ids: Sequence[str], texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Return (N, L) cosines of N texts and the LLMs, columns in the order of `llm_ids`, higher is better.

        Of a text of an unknown task the lines that any task shares are left out before it is read.
        """
        batch = self.features.transform([str(row) for row in range(len(texts))], task_ids, texts, progress)
        return similarities_of(learned_of(self.features.encoder), batch)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays); the base transformer itself is not part of them."""
        tuned, tuned_arrays = tuned_part(self.features.encoder).state()
        features, feature_arrays = self.features.state()
        settings = {
            "encoder": self.config.model_dump(mode="json"),
            "llm_ids": list(self.llm_ids),
            "task_ids": list(self.task_ids),
            "tuned": tuned,
            "features": features,
        }
        arrays = {f"tuned.{name}": array for name, array in tuned_arrays.items()}
        return settings, arrays | {f"features.{name}": array for name, array in feature_arrays.items()}

    @classmethod
    def from_state(
        cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], where: str = KIND, device: str = "auto"
    ) -> Self:
        """Build the model back from `state`; `InputError`, beginning with `where`, where the base is another one or
        another version made it."""
        try:
            config = EncoderConfig.model_validate(settings["encoder"])
            base, wrap = unwrapped(make_encoder(config, device))
            tuned = TunedEncoder.from_state(settings["tuned"], _under(arrays, "tuned."), base, where)
            features = QueryFeatures.from_state(wrap(tuned), settings["features"], _under(arrays, "features."))
            return cls(features, config, tuple(settings["llm_ids"]), tuple(settings["task_ids"]))
        except pydantic.ValidationError as err:
            first = err.errors()[0]
            raise _other_version(where, f"encoder.{'.'.join(map(str, first['loc']))}: {first['msg']}") from err
        except KeyError as err:
            raise _other_version(where, f"none named {err}") from err

    def save(self, folder: Path) -> None:
        """Write the model as an artifact: settings, arrays, and a manifest with their checksums."""
        save_artifact(Path(folder), KIND, *self.state())

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read what `save` wrote; `InputError` where it is damaged, of another kind or of another base."""
        if not (Path(folder) / "manifest.json").is_file():
            raise InputError(
                f"{folder}: expected the folder encoder/ that a training leaves, found no manifest.json there; run "
                "python -m graph.contrastive --config FILE to make one"
            )
        _need_own_kind(Path(folder))
        settings, arrays = load_artifact(Path(folder), KIND)
        return cls.from_state(settings, arrays, str(folder), device)


def learned_of(encoder: QueryEncoder) -> Learned:
    """Return what was trained, of an encoder that `train_encoder` returned."""
    return tuned_part(encoder).learned


def similarities_of(learned: Learned, queries: Queries) -> np.ndarray:
    """Return (N, L) cosines; the first block of `queries` is the tuned encoder's vector, the others what is beside."""
    width = queries.blocks[0] if queries.blocks else queries.embeddings.shape[1]
    return similarities(learned, queries.embeddings[:, :width], queries.embeddings[:, width:])


def need_transformer(config: EncoderConfig) -> None:
    """Raise `InputError` where there is nothing to fine-tune."""
    if is_hashing(config.model):
        raise InputError(
            f"encoder.model: expected a transformer for the policy 'contrastive', got {config.model!r}, which has no "
            "weights to train; give another model or leave 'contrastive' out of the policies"
        )


def _other_version(where: str, got: str) -> InputError:
    return InputError(
        f"{where}: expected the settings that this version writes, got {got}; it was made by another version: train "
        "the encoder again"
    )


def _need_own_kind(folder: Path) -> None:
    """Raise `InputError` for the encoder of a router of run_exp.py, which lies in a folder encoder/, too."""
    if (folder.parent / MANIFEST).is_file() and artifact_kind(folder) == "encoder":
        raise InputError(
            f"{folder}: expected the folder encoder/ that python -m graph.contrastive leaves beside validation.csv, "
            "got the encoder inside a router of run_exp.py, which has no LLMs; train one alone: "
            "python -m graph.contrastive --config FILE"
        )


def _by_id(data: RoutingData, columns: np.ndarray) -> RoutingData:
    """Return queries, LLMs and outcomes of `data`, rows by query id and these LLMs: the order of a training's data."""
    rows = np.argsort(np.asarray(data.queries.query_ids, dtype=object))
    return dataclasses.replace(
        data,
        queries=data.queries.take(rows),
        llms=data.llms.iloc[columns].reset_index(drop=True),
        performance=data.performance[rows][:, columns],
        cost=data.cost[rows][:, columns],
    )


def _under(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
