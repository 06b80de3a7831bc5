"""A threshold on how much the strong LLM is needed, such that a wanted share of prompts goes to it: exact on ties."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from graph.metrics import Floats

# Above and below every need there is. Not infinite, which JSON cannot hold.
NEVER, ALWAYS = sys.float_info.max, -sys.float_info.max


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Prompts of a `need` above `value` go to the strong LLM, those at it with probability `coin` in [0, 1].

    Without ties beyond a single prompt `coin` matters to that prompt alone. Which way it falls is decided by a hash of
    the prompt's text, so that a prompt always goes the same way.
    """

    value: float
    coin: float

    @classmethod
    def for_share(cls, need: ArrayLike, share: float) -> Threshold:
        """Return the threshold that sends `share` in [0, 1] of prompts such as the N of `need` (N,) to the strong LLM.

        Exact in expectation over the coin; 0 is never and 1 always, whatever is asked later. Raises `ValueError`
        without prompts, for a need that is no finite number, and for a share outside [0, 1].
        """
        scores = _checked(need)
        if not 0 <= share <= 1:
            raise ValueError(f"share: expected a number in [0, 1], got {share}")
        if share in (0, 1):
            return cls(ALWAYS if share else NEVER, 0.0)
        ordered = np.sort(scores)[::-1]
        wanted = share * len(scores)
        value = float(ordered[max(int(np.ceil(wanted - 1e-9)), 1) - 1])
        above, at = int((scores > value).sum()), int((scores == value).sum())
        return cls(value, float(np.clip((wanted - above) / at, 0.0, 1.0)))

    def expected(self, need: ArrayLike) -> Floats:
        """Return (N,) the probability that each prompt goes to the strong LLM: 0, 1, or `coin` at the threshold."""
        scores = _checked(need)
        return np.where(scores > self.value, 1.0, np.where(scores == self.value, self.coin, 0.0))

    def strong(self, queries: Sequence[str], need: ArrayLike) -> np.ndarray:
        """Return (N,) of bool: which prompts go to the strong LLM."""
        return np.array([_draw(query) for query in queries]) < self.expected(need)

    def reachable(self, need: ArrayLike) -> tuple[float, float]:
        """Return the shares of strong calls just above and at the threshold: what is possible without a coin."""
        scores = _checked(need)
        return float((scores > self.value).mean()), float((scores >= self.value).mean())


def _checked(need: ArrayLike) -> Floats:
    scores = np.asarray(need, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"need: expected (N,) finite numbers, N above 0, got shape {scores.shape} or another value")
    return scores


def _draw(query: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(query.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
