"""How far to distrust an LLM with few outcomes: what keeps a new one from being chosen for its luck.

The LLM that looks best is often the one whose error happens to point up, and errors are largest where outcomes are few.
An LLM is therefore charged one standard error of what is known of it, less what the best known LLM is charged: where
all are known equally well nothing changes, and one without any outcome waits until it has some. What an LLM does on one
task says little of the others: outcomes of few tasks count as few.
"""

from __future__ import annotations

import numpy as np
from torch_geometric.data import HeteroData

from graph.build import observations, task_of


def charges(graph: HeteroData, preference: np.ndarray, task: np.ndarray) -> np.ndarray:
    """Return (..., N, L) what each LLM is charged on N queries, in units of utility.

    Shapes: `preference` (N,), or (U, 1) for (U, N, L); `task` (N,) rows of the graph's tasks, −1 where unknown.
    """
    doubt = standard_errors(graph)[task]
    doubt = doubt - doubt.min(axis=1, keepdims=True)
    alpha = np.asarray(preference, dtype=float)[..., None]
    return alpha * doubt[..., 0] + (1 - alpha) * doubt[..., 1]


def standard_errors(graph: HeteroData) -> np.ndarray:
    """Return (T + 1, L, 2) of performance and cost per task and LLM; the last row is for queries of unknown task.

    Of an LLM with n outcomes, a share s_t of them on task t, it is √(σ²/(n + 1) + τ²·Σ s_t²): σ is the spread between
    queries, τ that of the LLMs' strengths between tasks. On a task with n_t of its outcomes it is at most σ/√(n_t + 1).
    """
    outcome, known = (part.numpy()[..., :2] for part in observations(graph))
    tasks = graph["task"].x.size(0)
    task = task_of(graph).numpy()
    count = known.sum(axis=0)[:, 0]
    share = np.zeros((tasks, len(count)))
    np.add.at(share, task[task >= 0], known[task >= 0, :, 0])
    centred = (outcome - outcome.sum(axis=0) / np.maximum(known.sum(axis=0), 1)) * known
    between_queries = (centred**2).sum(axis=(0, 1)) / max(known.sum(), 1)
    between_tasks = _between_tasks(centred, known, task, share)
    focus = ((share / np.maximum(share.sum(axis=0), 1)) ** 2).sum(axis=0)
    whole = between_queries / (count[:, None] + 1) + between_tasks * focus[:, None]
    own = between_queries / (share[..., None] + 1)
    variance = np.concatenate([np.minimum(whole, np.where(share[..., None] > 0, own, np.inf)), whole[None]])
    return np.sqrt(variance)


def _between_tasks(centred: np.ndarray, known: np.ndarray, task: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return (2,) the variance between tasks of an LLM's strength, beside what its task's LLMs have in common.

    The noise of the means, σ²/n_t, is taken off; what is left is an average over pairs, large ones counting more.
    """
    if len(share) < 2:
        return np.zeros(2)
    special = (centred - centred.sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)) * known
    total = np.zeros((*share.shape, 2))
    np.add.at(total, task[task >= 0], special[task >= 0])
    mean = total / np.maximum(share, 1)[..., None]
    noise = (special**2).sum(axis=(0, 1)) / max(known.sum(), 1)
    excess = (share[..., None] * mean**2).sum(axis=(0, 1)) - noise * (share > 0).sum()
    return np.maximum(excess / max(share.sum(), 1), 0.0)
