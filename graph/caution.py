"""How far to distrust an LLM with few outcomes: what keeps a new one from being chosen for its luck.

The LLM that looks best is often the one whose error happens to point up, and errors are largest where outcomes are few.
An LLM with n outcomes is therefore charged one standard error, spread / √(n + 1), less what the best known LLM is
charged: where all are known equally well nothing changes, and one without any outcome waits until it has some.
"""

from __future__ import annotations

import numpy as np
from torch_geometric.data import HeteroData

from graph.build import observations


def charges(graph: HeteroData, preference: np.ndarray) -> np.ndarray:
    """Return (..., L) what each LLM is charged, in units of utility, for preferences (...)."""
    outcome, known = observations(graph)
    count = known.sum(dim=(0, 2)).numpy()
    centred = (outcome - outcome.sum(dim=0) / known.sum(dim=0).clamp(min=1)) * known
    spread = (centred.square().sum(dim=(0, 1)) / known.sum().clamp(min=1)).sqrt().numpy()
    doubt = 1 / np.sqrt(count + 1)
    doubt = doubt - doubt.min(initial=1.0)
    alpha = np.asarray(preference, dtype=float)[..., None]
    return (alpha * spread[0] + (1 - alpha) * spread[1]) * doubt
