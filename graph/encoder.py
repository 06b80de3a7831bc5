"""From text to vectors with a transformer: mean pooling over the tokens, L2-normalised."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from configs.errors import InputError
from configs.schema import Encoder as EncoderConfig
from configs.schema import project_root
from graph.device import resolve_device, resolve_dtype
from graph.embedding_cache import CachedEncoder, QueryEncoder
from graph.hashing_encoder import HashingEncoder, is_hashing
from graph.model_source import OFFLINE_REMEDY, ModelSource, find_model, first_line

LOG = logging.getLogger(__name__)


def make_encoder(config: EncoderConfig, device: str) -> QueryEncoder:
    """Return the encoder that `config` asks for, on `device` (`auto`, `cpu`, `cuda`), with its cache if it has one.

    Nothing is loaded yet. A relative cache folder starts at the project's folder. The hashing encoder is never cached:
    computing its vectors is as fast as reading them.
    """
    if is_hashing(config.model):
        return HashingEncoder.from_name(config.model, config.max_tokens)
    encoder = TextEncoder(config.model, config.revision, config.max_tokens, config.batch_size, config.dtype, device)
    return encoder if config.cache is None else CachedEncoder(encoder, project_root() / config.cache)


class TextEncoder:
    """A transformer of the Hugging Face kind, read from a folder, an installed package or the hub when first needed.

    Of a text of more than `max_tokens` tokens the first and the last half of the budget are read: in few-shot prompts
    the question stands at the end. In bfloat16 a vector moves in its third decimal with the batch it is computed in.
    """

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        max_tokens: int = 256,
        batch_size: int = 32,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.dtype = dtype
        self.device = device

    @functools.cached_property
    def source(self) -> ModelSource:
        """Where the weights are; raises `InputError` where they cannot be had."""
        return find_model(self.model, self.revision)

    @functools.cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return self.source.hidden_size or int(self._loaded[0].config.hidden_size)

    @functools.cached_property
    def key(self) -> str:
        """What the vectors depend on: weights, token budget, number format, pooling."""
        dtype = str(resolve_dtype(self.dtype, resolve_device(self.device))).removeprefix("torch.")
        return f"{self.source.key}|tokens={self.max_tokens} head+tail|{dtype}|mean|l2"

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Return (N, dim) float32 vectors of length 1; `progress` shows a bar."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows, batch in self.batches(texts, progress):
            vectors[rows] = batch
        return vectors

    def batches(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield (rows, (len(rows), dim) vectors) until every row of `texts` came once, longest texts first."""
        if isinstance(texts, str):
            raise TypeError("expected a sequence of texts, got one text")
        if not len(texts):
            return
        tokens = self._tokenize(texts)
        # Texts of like length share a batch, so little is computed for padding; the longest first, so that memory
        # runs out at the start or never.
        order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
        with tqdm(total=len(texts), desc="encoding", unit="text", disable=not progress) as bar:
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                yield rows, self._forward([tokens[row] for row in rows])
                bar.update(len(rows))

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        model, tokenizer = self._loaded
        limit = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", self.max_tokens))
        if self.max_tokens > limit:
            raise InputError(
                f"encoder.max_tokens: expected at most {limit} for {self.model}, got {self.max_tokens}; lower it"
            )
        # A lone surrogate (half of a character, as broken JSON has it) is no Unicode; it is read as '?'.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        bare = tokenizer(clean, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        before, after = _special_tokens(tokenizer)
        budget = self.max_tokens - len(before) - len(after)
        shortened = sum(len(ids) > budget for ids in bare)
        if shortened:
            LOG.info(
                "%d of %d texts have more than %d tokens; of those the first %d and the last %d are read",
                *(shortened, len(texts), budget, budget - budget // 2, budget // 2),
            )
        blank = [tokenizer.pad_token_id or 0]  # an empty text still needs one token to have a mean
        return [before + head_and_tail(ids, budget) + after or blank for ids in bare]

    def token_vectors(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return for each text a (T, dim) float32 array: a vector of length 1 for each of its T tokens that are read.

        The tokens that the tokenizer puts around a text are not among them; an empty text has T = 0.
        """
        tokens = self._tokenize(texts) if texts else []
        before, after = _special_tokens(self._loaded[1])
        out = [np.zeros((0, self.dim), dtype=np.float32)] * len(texts)
        order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            hidden, _ = self._hidden([tokens[row] for row in rows])
            vectors = torch.nn.functional.normalize(hidden, dim=2).cpu().numpy()
            for row, vector in zip(rows, vectors, strict=True):
                # A copy, or a view of a few tokens would keep the whole padded batch in memory.
                out[row] = vector[len(before) : len(tokens[row]) - len(after)].copy()
        return out

    def _forward(self, tokens: list[list[int]]) -> np.ndarray:
        hidden, mask = self._hidden(tokens)
        return torch.nn.functional.normalize(mean_pool(hidden, mask), dim=1).cpu().numpy()

    def _hidden(self, tokens: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model's last layer for padded tokens, (N, T, dim) in float32, and the (N, T) mask."""
        model, tokenizer = self._loaded
        width = max(map(len, tokens))
        padding = tokenizer.pad_token_id or 0  # any id will do, for the mask hides it
        ids = torch.tensor([row + [padding] * (width - len(row)) for row in tokens], device=model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in tokens], device=model.device)
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask).last_hidden_state.float(), mask

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The model in evaluation mode, on its device, and its tokenizer."""
        device = resolve_device(self.device)
        model, tokenizer = load_transformer(self.source)
        return model.to(device=device, dtype=resolve_dtype(self.dtype, device)).eval(), tokenizer


def load_transformer(source: ModelSource) -> tuple[Any, Any]:
    """Return (float32 model, tokenizer); `InputError` where files are missing, damaged or leave weights unset."""
    # Imported here: transformers costs seconds, and a run whose vectors are all cached never needs it.
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source.location, revision=source.revision)
            # Safetensors only: other weight files are pickles, which run what is in them.
            model, info = AutoModel.from_pretrained(
                source.location,
                revision=source.revision,
                dtype=torch.float32,
                output_loading_info=True,
                use_safetensors=True,
            )
    except (OSError, ValueError, SafetensorError) as err:
        raise InputError(
            f"{source.location}: expected a model and its tokenizer, got: {first_line(err)}; {OFFLINE_REMEDY}"
        ) from err
    # Without its files a tokenizer comes up with next to no words, and every text becomes a row of unknown tokens.
    if 2 * len(tokenizer) < model.config.vocab_size:
        raise InputError(
            f"{source.location}: expected a tokenizer of about {model.config.vocab_size} tokens, got {len(tokenizer)}; "
            "add the tokenizer's files"
        )
    # transformers fills absent weights at random and goes on. The pooler is not used here; all else is.
    missing = sorted(name for name in info["missing_keys"] if "pooler." not in name)
    if missing:
        raise InputError(
            f"{source.location}: expected all weights, {len(missing)} are missing, the first is {missing[0]}; "
            "download or save the model again"
        )
    return model, tokenizer


def stack_of_layers(model: torch.nn.Module) -> tuple[str, torch.nn.ModuleList]:
    """Return the name and the list of a transformer's layers, lowest first; `InputError` where it has no one list."""
    count = getattr(model.config, "num_hidden_layers", None)
    stacks = [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == count
    ]
    if not stacks:
        raise InputError(
            f"encoder.training: expected a model with a list of its {count} layers, {type(model).__name__} has none; "
            "give another encoder.model or --set encoder.training=frozen"
        )
    return stacks[0]


def replace_layers(model: torch.nn.Module, name: str, layers: torch.nn.ModuleList) -> None:
    """Put `layers` where `stack_of_layers` found the list of that name; as many, for models count by their config."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layers)


def head_and_tail(ids: list[int], budget: int) -> list[int]:
    """Return `ids`, or its first and last half of `budget` where it is longer; the first gets the odd one."""
    if len(ids) <= budget:
        return ids
    tail = budget // 2
    return ids[: budget - tail] + ids[len(ids) - tail :]


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the token vectors that `mask` lets through.

    Shapes: `hidden` (N, T, dim), `mask` (N, T) of 0 and 1, result (N, dim).
    """
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts before and after a text, seen on a text of one letter."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return [], []


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' bars and notes while it loads; both are global, so they are put back."""
    from transformers.utils import logging as settings

    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()
