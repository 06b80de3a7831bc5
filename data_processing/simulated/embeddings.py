"""An embeddings endpoint without weights: words and parts of words are hashed into a vector. It knows no meaning."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from data_processing.cost import count_tokens
from data_processing.simulated.protocol import ApiError

EMBEDDINGS = "simulated/hashing-embeddings"
DIMENSIONS = 384
MOST_DIMENSIONS = 4096
MOST_TEXTS = 2048  # per request, as the API has it
_WORD = re.compile(r"\w+")


class EmbeddingRequest(BaseModel):
    """What is read of an embeddings request."""

    model: str
    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=MOST_DIMENSIONS)] | None = None


def embed(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Return a vector (dimensions,) float32 of length 1; the same text gives the same one on every machine."""
    vector = np.zeros(dimensions, dtype=np.float64)
    for feature, count in _features(text).items():
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        vector[(number >> 1) % dimensions] += (1 if number & 1 else -1) * np.sqrt(count)
    # Where all features cancel each other out, any fixed direction will do.
    vector[0] += float(not vector.any())
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embeddings_body(request: EmbeddingRequest) -> dict[str, Any]:
    """Return the reply to a request; `ApiError` 400 for an empty text."""
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not all(texts):
        raise ApiError(400, "input: expected texts that are not empty, got ''; leave it out", param="input")
    vectors = [embed(text, request.dimensions or DIMENSIONS) for text in texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, request.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    tokens = int(count_tokens(texts).sum())
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _features(text: str) -> Counter[str]:
    """Count words, and runs of three characters so that forms of one word are near each other."""
    words = _WORD.findall(text.casefold())
    found = Counter(words or [text])
    for word in words:
        marked = f"<{word}>"
        found.update(marked[start : start + 3] for start in range(len(marked) - 2))
    return found


def _encoded(vector: np.ndarray, encoding: str | None) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]
