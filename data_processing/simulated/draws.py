"""Repeatable random draws that depend on nothing but their key: no global state, no platform, no library version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws keyed by `parts`: the same parts give the same stream on every machine, in any order of calls.

    sha256 in counter mode instead of `random.Random`, whose `choice` and `shuffle` may change between Python versions.
    Only additions, multiplications and comparisons are used: no `exp` or `log`, which differ in the last digit between
    machines.
    """

    def __init__(self, *parts: object) -> None:
        self._key = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
        self._block = 0
        self._pool: list[int] = []

    def _bits(self) -> int:
        if not self._pool:
            digest = hashlib.sha256(self._key + b"\x1f" + str(self._block).encode()).digest()
            self._block += 1
            self._pool = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]
        return self._pool.pop()

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        return self._bits() / 4294967296.0

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.uniform() < probability

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + self._bits() % (high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self._bits() % len(options)]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Return `count` different options (all of them where there are fewer), in random order."""
        pool = list(options)
        return [pool.pop(self._bits() % len(pool)) for _ in range(min(count, len(pool)))]

    def normal(self) -> float:
        """Return a draw of mean 0 and standard deviation 1, within ±6 (the sum of twelve uniforms)."""
        # multiples of 2**-32 below 16 add up exactly, so that it does not matter how a Python version sums floats
        return sum(self.uniform() for _ in range(12)) - 6.0
