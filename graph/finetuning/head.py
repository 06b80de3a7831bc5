"""What a query's vector is compared with: one vector per LLM, and a matrix that lets the form of a text count, too.

RouterDC (arXiv 2409.19886) has the LLMs' vectors only. A sentence encoder may not know a text's language at all; a
trained projection of its character n-grams and counts, beside the encoder's vector, does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

SIDE_SCALE = 1.0  # how long the projected side features are at first, beside the encoder's vector of length 1


class Head(torch.nn.Module):
    """`similarity` of queries and LLMs: the cosine of [h ; A·f] and the LLM's vector.

    Shapes: h (B, dim) unit vectors of an encoder, f (B, k) side features, A = `side` (k, m), `llms` (L, dim + m). Where
    k or m is 0 there is no such part, and this is RouterDC's own.
    """

    def __init__(self, start: np.ndarray, side_width: int, side_dim: int, seed: int) -> None:
        super().__init__()
        side_dim = side_dim if side_width else 0
        draw = torch.randn(side_width if side_dim else 0, side_dim, generator=torch.Generator().manual_seed(seed))
        self.side = torch.nn.Parameter(SIDE_SCALE * draw / max(1, side_dim) ** 0.5)
        self.llms = torch.nn.Parameter(
            torch.from_numpy(np.hstack([start, np.zeros((len(start), side_dim))]).astype(np.float32))
        )

    def query(self, vectors: Tensor, side: Tensor) -> Tensor:
        """Return (B, dim + m) unit vectors of queries."""
        if self.side.numel():
            vectors = torch.cat([vectors, side @ self.side], dim=1)
        return torch.nn.functional.normalize(vectors, dim=1)

    def similarity(self, query: Tensor) -> Tensor:
        """Return (B, L) cosines."""
        return query @ torch.nn.functional.normalize(self.llms, dim=1).T


def random_start(llms: int, dim: int, seed: int) -> np.ndarray:
    """Return (llms, dim) random unit vectors."""
    draw = np.random.default_rng([seed, 11]).normal(size=(llms, dim))
    return (draw / np.linalg.norm(draw, axis=1, keepdims=True)).astype(np.float32)


def fit_head(
    head: Head,
    vectors: Tensor,
    side: Tensor,
    loss: Callable[[Tensor, np.ndarray, torch.Generator], Tensor],
    batches: Callable[[int], np.ndarray],
    pace: Callable[[int], float],
    steps: int,
    rate: float,
    seed: int,
) -> None:
    """Train the head alone for `steps`, the encoder's `vectors` (N, dim) being fixed.

    Begun with a head that knows nothing, fine-tuning first spoils what the encoder knows (Kumar et al., arXiv
    2202.10054): hence the head first. It also makes the encoder as it is, step 0, one that can be compared.
    """
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.0)
    for step in range(steps):
        rows = batches(step)
        generator = torch.Generator().manual_seed(seed + step)
        optimizer.zero_grad()
        loss(head.similarity(head.query(vectors[rows], side[rows])), rows, generator).backward()
        optimizer.param_groups[0]["lr"] = rate * pace(step)
        optimizer.step()
