"""An encoder with other weights in its top layers, and how it is kept: what was trained, not what it was trained on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from configs.errors import InputError
from configs.schema import Encoder as EncoderConfig
from graph.artifact import load_artifact, save_artifact
from graph.embedding_cache import CachedEncoder, QueryEncoder
from graph.encoder import TextEncoder, make_encoder

KIND = "encoder"
HISTORY = ("step", "train_loss", "validation_score", "probe_score", "alone_score")


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How it went. `history` has a row of `HISTORY` per look at validation: step, train_loss (NaN at step 0), and the
    mean score of the LLMs chosen by a ridge on the vectors (`probe_score`), by the LLMs' own vectors (`alone_score`),
    and the mean of both (`validation_score`, which decides)."""

    history: list[dict[str, float]]
    chosen_step: int
    interrupted: bool


@dataclasses.dataclass(frozen=True)
class Learned:
    """What was trained: `weights` of the top layers by name (none where the frozen encoder was the best), the LLMs'
    vectors (L, dim + m) by the text that describes them, what projects the k side features, `side` (k, m), and the
    centres (K, dim) of the clusters of train queries, in the frozen encoder's space. k and m may be 0."""

    weights: dict[str, np.ndarray]
    llm_texts: tuple[str, ...]
    llm_vectors: np.ndarray
    centres: np.ndarray
    side: np.ndarray


def history_to_json(history: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Return the rows with None for NaN, which JSON has not."""
    return [{name: None if value != value else value for name, value in row.items()} for row in history]


def history_from_json(rows: list[dict[str, float | None]]) -> list[dict[str, float]]:
    """Return what `history_to_json` was given, columns in the order of `HISTORY`, which sorted JSON has lost."""
    return [{name: np.nan if (value := row[name]) is None else value for name in HISTORY} for row in rows]


def similarities(learned: Learned, vectors: np.ndarray, side_features: np.ndarray) -> np.ndarray:
    """Return (N, L) cosines of queries and LLMs; the highest is RouterDC's choice.

    Shapes: `vectors` (N, dim) of the tuned encoder, `side_features` (N, k), as in training; without a trained `side`
    they are not looked at.
    """
    query = np.asarray(vectors)
    if learned.side.size:
        query = np.hstack([query, np.asarray(side_features) @ learned.side])
    return _unit(query) @ _unit(learned.llm_vectors).T


def clusters_of(learned: Learned, frozen_vectors: np.ndarray) -> np.ndarray:
    """Return (N,) the cluster of each text: the nearest centre to its vector (N, dim) by the *frozen* encoder.

    Of train texts these are the very clusters that were trained on. (The paper clusters after t-SNE, which can place
    no new text.)
    """
    return nearest(learned.centres, frozen_vectors)


def nearest(centres: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return (N,) the row of the nearest of `centres` (K, dim) for each of `vectors` (N, dim)."""
    far = (centres**2).sum(axis=1)[None] - 2 * np.asarray(vectors) @ centres.T
    return far.argmin(axis=1)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class TunedEncoder(TextEncoder):
    """`base` with other weights in its top layers. Without any it is `base`, under the same key."""

    def __init__(self, base: TextEncoder, learned: Learned, tuning: Tuning) -> None:
        super().__init__(base.model, base.revision, base.max_tokens, base.batch_size, base.dtype, base.device)
        self.learned = learned
        self.tuning = tuning

    @functools.cached_property
    def key(self) -> str:
        """The base's, with the sha256 of the trained weights in the part that names weights."""
        base = super().key
        if not self.learned.weights:
            return base
        digest = hashlib.sha256()
        for name, array in sorted(self.learned.weights.items()):
            digest.update(f"{name}\x1f{array.shape}\x1f".encode() + np.ascontiguousarray(array).tobytes())
        weights, _, rest = base.partition("|")
        return f"{weights}+contrastive:{digest.hexdigest()}|{rest}"

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, tokenizer = super()._loaded
        weights = {name: torch.from_numpy(array) for name, array in self.learned.weights.items()}
        try:
            wrong = model.load_state_dict(weights, strict=False).unexpected_keys
        except RuntimeError as err:
            raise InputError(f"{self.model}: expected weights of its shape; train the encoder again") from err
        if wrong:
            raise InputError(f"{self.model}: expected trained weights that it has, got {wrong[0]!r}; train again")
        return model, tokenizer

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays): what was trained, the base's fingerprint, and how training went."""
        settings = {
            "base": {"model": self.model, "weights": self.source.key},
            "llm_texts": list(self.learned.llm_texts),
            "tuning": {
                "chosen_step": self.tuning.chosen_step,
                "interrupted": self.tuning.interrupted,
                "history": history_to_json(self.tuning.history),
            },
        }
        arrays = {f"weights.{name}": array for name, array in self.learned.weights.items()}
        named = {"llm_vectors": self.learned.llm_vectors, "centres": self.learned.centres, "side": self.learned.side}
        return settings, arrays | named

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray], base: TextEncoder, where: str) -> Self:
        """Build the encoder back from `state`; `InputError`, beginning with `where`, if it had another base."""
        trained = settings["base"]
        if trained["weights"] != base.source.key:
            raise InputError(
                f"{where}: expected an encoder trained on {base.model} ({base.source.key}), got one trained on "
                f"{trained['model']} ({trained['weights']}); give that model or train again"
            )
        prefix = "weights."
        weights = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        learned = Learned(
            weights, tuple(settings["llm_texts"]), arrays["llm_vectors"], arrays["centres"], arrays["side"]
        )
        history = history_from_json(settings["tuning"]["history"])
        return cls(base, learned, Tuning(history, settings["tuning"]["chosen_step"], settings["tuning"]["interrupted"]))

    def save(self, folder: Path) -> None:
        """Write the state as an artifact; not the base itself."""
        save_artifact(Path(folder), KIND, *self.state())

    @classmethod
    def load(cls, folder: Path, base: TextEncoder) -> Self:
        """Read what `save` wrote. Raises `InputError` where it is damaged or was trained on another base."""
        return cls.from_state(*load_artifact(Path(folder), KIND), base, str(folder))


def tuned_part(encoder: QueryEncoder) -> TunedEncoder:
    """Return the fine-tuned encoder itself, without its cache."""
    inner = encoder.encoder if isinstance(encoder, CachedEncoder) else encoder
    assert isinstance(inner, TunedEncoder)
    return inner


def save_encoder(encoder: QueryEncoder, folder: Path) -> None:
    """Write an encoder that `train_encoder` returned."""
    tuned_part(encoder).save(folder)


def load_encoder(folder: Path, config: EncoderConfig, device: str = "auto") -> QueryEncoder:
    """Return the encoder that was saved in `folder`, with the cache of `config`; `InputError` where it does not fit."""
    base, wrap = unwrapped(make_encoder(config, device))
    return wrap(TunedEncoder.load(folder, base))


def unwrapped(encoder: QueryEncoder) -> tuple[TextEncoder, Any]:
    """Return the transformer under the cache, and what puts a cache like it around another encoder."""
    inner = encoder.encoder if isinstance(encoder, CachedEncoder) else encoder
    if not isinstance(inner, TextEncoder):
        raise InputError(
            f"encoder.training: expected a transformer to fine-tune, got {inner.key.split('|')[0]!r}; give another "
            "encoder.model or --set encoder.training=frozen"
        )
    if isinstance(encoder, CachedEncoder):
        return inner, functools.partial(CachedEncoder, folder=encoder.folder)
    return inner, lambda tuned: tuned
