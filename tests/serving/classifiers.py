"""A classifier between two LLMs that needs no training, for the tests of its page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Hard:
    """Needs the strong LLM with 0.9 where a prompt says `hard`, else with 0.25; costs as given."""

    weak_id: str = "small"
    strong_id: str = "large"
    costs: tuple[float, float] | None = (1e-5, 1e-3)

    def need(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([0.9 if "hard" in text else 0.25 for text in texts])

    def expected(self, texts: Sequence[str]) -> np.ndarray | None:
        if self.costs is None:
            return None
        return np.array([[[0.4, self.costs[0]], [1.2, self.costs[1]]]] * len(texts))
