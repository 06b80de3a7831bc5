"""From text to vectors without weights: words and letters hashed into a few signed numbers.

For tests, the offline default world, and machines without a model. Feature hashing: Weinberger et al., arXiv 0902.2206.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from tqdm import tqdm

from configs.errors import InputError

DEFAULT_DIM = 64
MAX_DIM = 1 << 16
_NAME = re.compile(r"hashing(?::(\d{1,6}))?")
_WORDS = re.compile(r"\w+|[^\w\s]")


def is_hashing(model: str) -> bool:
    """Say whether `encoder.model` asks for this encoder; a misspelt size still does, so that it is refused here."""
    return model == "hashing" or model.startswith("hashing:")


class HashingEncoder:
    """Signed sums of sqrt(count) over hashed words, word pairs and letters; the same on every machine and in every run.

    Of a text of more than `max_tokens` words the first and the last half of the budget are read.
    """

    def __init__(self, dim: int = DEFAULT_DIM, max_tokens: int = 256) -> None:
        self.dim = dim
        self.max_tokens = max_tokens

    @classmethod
    def from_name(cls, name: str, max_tokens: int = 256) -> Self:
        """Return the encoder for `hashing` or `hashing:<dim>`; `InputError` for anything else."""
        match = _NAME.fullmatch(name)
        dim = int(match[1] or DEFAULT_DIM) if match else 0
        if not 1 <= dim <= MAX_DIM:
            raise InputError(
                f"encoder.model: expected hashing or hashing:<1 to {MAX_DIM}>, got {name!r}; mend the size"
            )
        return cls(dim, max_tokens)

    @property
    def key(self) -> str:
        """What the vectors depend on."""
        return f"hashing:{self.dim}|words={self.max_tokens} head+tail|blake2b|sqrt|l2"

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Return (N, dim) float32 vectors of length 1."""
        if isinstance(texts, str):
            raise TypeError("expected a sequence of texts, got one text")
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(tqdm(texts, desc="encoding", unit="text", disable=not progress)):
            vectors[row] = self._vector(text)
        return vectors

    def _vector(self, text: str) -> np.ndarray:
        vector = np.zeros(self.dim)
        for feature, count in Counter(_features(text, self.max_tokens)).items():
            number = _hash(feature)
            # The lowest bit is the sign, the rest the place: collisions cancel on average instead of adding up.
            vector[(number >> 1) % self.dim] += (count**0.5) * (1 if number & 1 else -1)
        norm = float(np.linalg.norm(vector))
        if norm < 1e-9:  # no words, or all cancelled out: the text as a whole is its one feature
            vector = np.zeros(self.dim)
            vector[_hash(f"t{text}") % self.dim] = 1
            return vector
        return vector / norm


def _features(text: str, max_words: int) -> Iterator[str]:
    words = _WORDS.findall(text.lower())
    if len(words) > max_words:
        words = words[: max_words - max_words // 2] + words[len(words) - max_words // 2 :]
    for word in words:
        yield f"w{word}"
        yield from _letters(word)
    for first, second in itertools.pairwise(words):
        yield f"p{first} {second}"


@functools.lru_cache(maxsize=1 << 14)
def _letters(word: str) -> tuple[str, ...]:
    # Pairs of letters say little in alphabets, but are words in scripts without blanks.
    sizes = (3, 4) if word.isascii() else (2, 3)
    padded = f"<{word}>"
    return tuple(f"c{padded[i : i + n]}" for n in sizes for i in range(len(padded) - n + 1))


@functools.lru_cache(maxsize=1 << 18)
def _hash(feature: str) -> int:
    # Python's hash() differs from process to process.
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
