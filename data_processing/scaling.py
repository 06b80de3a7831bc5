"""From dollars to `cost` in [0, 1]: a min-max scaler per task, fitted on train rows only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

GLOBAL = "*"


@dataclasses.dataclass(frozen=True)
class CostScaler:
    """Bounds in dollars per task; `GLOBAL` serves tasks that were not in the train rows, or all of them."""

    bounds: dict[str, tuple[float, float]]

    @classmethod
    def fit(cls, task_ids: Sequence[str], cost_usd: np.ndarray, per_task: bool = True) -> CostScaler:
        """Fit on train rows. Shapes: `task_ids` of length Q, `cost_usd` (Q, L) with NaN where unobserved."""
        tasks = np.asarray(task_ids, dtype=object)
        groups = {GLOBAL: np.ones(len(tasks), dtype=bool)}
        if per_task:
            groups |= {task: tasks == task for task in sorted(set(tasks))}
        bounds = {}
        for task, rows in groups.items():
            values = cost_usd[rows]
            values = values[np.isfinite(values)]
            if values.size:
                bounds[task] = (float(values.min()), float(values.max()))
        return cls(bounds or {GLOBAL: (0.0, 0.0)})

    def scale(self, task_ids: Sequence[str], cost_usd: np.ndarray) -> np.ndarray:
        """Return (Q, L) cost in [0, 1], clipped; where all train costs of a task are equal it is 0."""
        low, width = self._low_and_width(task_ids)
        safe = np.where(width > 0, width, 1.0)
        return np.where(width > 0, np.clip((cost_usd - low) / safe, 0.0, 1.0), 0.0 * cost_usd).astype(np.float32)

    def dollars(self, task_ids: Sequence[str], cost: np.ndarray) -> np.ndarray:
        """Return (Q, L) dollars of a scaled cost: the inverse of `scale` inside the bounds."""
        low, width = self._low_and_width(task_ids)
        return low + cost * width

    def _low_and_width(self, task_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        pairs = np.array([self.bounds.get(task, self.bounds[GLOBAL]) for task in task_ids], dtype=float).reshape(-1, 2)
        return pairs[:, :1], pairs[:, 1:] - pairs[:, :1]

    def to_json(self) -> dict[str, Any]:
        return {task: list(pair) for task, pair in self.bounds.items()}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> CostScaler:
        return cls({task: (float(low), float(high)) for task, (low, high) in state.items()})
