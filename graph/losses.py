"""What the query encoder is trained on: RouterDC's two contrastive losses and a listwise one, as pure functions.

RouterDC: arXiv 2409.19886. Everything is computed in log-space, so that no temperature can overflow. Each function
returns one loss per query, and no query's loss depends on whether another one has anything to learn from. None of them
breaks ties at random: where scores tie, the first LLMs count as the better ones, so shuffle the columns before.
"""

from __future__ import annotations

import torch
from torch import Tensor

HARMLESS = 0.5  # an LLM that scores more than this answered well enough to be no negative (RouterDC's threshold)


def sample_llm_loss(similarity: Tensor, score: Tensor, temperature: float, positives: int, negatives: int) -> Tensor:
    """Draw a query to the LLMs that answer it well and away from those that answer it badly.

    For each i of the `positives` LLMs of the highest score, where that is above 0:
    −log( e^{s_i/τ} / (e^{s_i/τ} + Σ_j e^{s_j/τ}) ), over those j of the `negatives` LLMs of the lowest score that
    score at most 0.5; the sum over i. A j has to score less than i: where LLMs are few or tie, one may be among the
    highest and the lowest, and there is nothing to learn from setting it against itself or its equal.

    Shapes: `similarity` (B, L), cosines of queries and LLMs; `score` (B, L), NaN where unobserved, no gradient; result
    (B,), 0 where a query has no such pair.
    """
    known = ~score.isnan()
    value = torch.where(known, score, torch.zeros_like(score)).detach()
    high = _first(value.masked_fill(~known, -torch.inf), positives, descending=True) & known & (value > 0)
    low = _first(value.masked_fill(~known, torch.inf), negatives, descending=False) & known & (value <= HARMLESS)
    pair = high[:, :, None] & low[:, None, :] & (value[:, None, :] < value[:, :, None])  # (B, i, j)
    return _against(similarity[:, :, None] / temperature, similarity[:, None, :] / temperature, pair).sum(dim=1)


def sample_sample_loss(
    embedding: Tensor, cluster: Tensor, temperature: float, negatives: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw a query to one of its cluster and away from others: −log( e^{s⁺/τ} / (e^{s⁺/τ} + Σ e^{s⁻/τ}) ).

    The one of its own cluster and the `negatives` of other clusters are drawn from the batch with `generator` (on the
    CPU); where the batch has fewer others, all of them count. s are cosines.

    Shapes: `embedding` (B, d), of any length; `cluster` (B,) whole numbers; result (B,), 0 for a query that is alone in
    its cluster, and for all of them where the batch has only one cluster.
    """
    unit = torch.nn.functional.normalize(embedding, dim=1)
    similarity = unit @ unit.T / temperature
    draw = torch.rand(similarity.shape, generator=generator).to(similarity.device)
    same = cluster[:, None] == cluster[None, :]
    friend = same & ~torch.eye(len(cluster), dtype=torch.bool, device=same.device)
    positive = _first(draw.masked_fill(~friend, torch.inf), 1, descending=False) & friend
    negative = _first(draw.masked_fill(same, torch.inf), negatives, descending=False) & ~same
    pair = positive[:, :, None] & negative[:, None, :]
    return _against(similarity[:, :, None], similarity[:, None, :], pair).sum(dim=1)


def listwise_loss(similarity: Tensor, score: Tensor, temperature: float, target_temperature: float = 0.1) -> Tensor:
    """Let the softmax over the LLMs follow the scores themselves: KL(softmax(score/τ') ‖ softmax(similarity/τ)).

    Unlike RouterDC's, it tells a good answer from a slightly better one, so it suits rewards with a cost in them.

    Shapes: `similarity` (B, L); `score` (B, L), NaN where unobserved (left out of both softmaxes), no gradient; result
    (B,), 0 for a query with fewer than two observed LLMs.
    """
    known = ~score.isnan()
    value = torch.where(known, score, torch.zeros_like(score)).detach()
    # A row without any observed LLM would be a softmax over nothing. It keeps all columns and is dropped in the end.
    usable = known.sum(dim=1) > 1
    hidden = ~known & usable[:, None]
    target = (value / target_temperature).masked_fill(hidden, -torch.inf).log_softmax(dim=1)
    guess = (similarity / temperature).masked_fill(hidden, -torch.inf).log_softmax(dim=1)
    gap = target.masked_fill(hidden, 0.0) - guess.masked_fill(hidden, 0.0)
    return (target.exp() * gap).sum(dim=1) * usable


def _first(value: Tensor, count: int, descending: bool) -> Tensor:
    """Return (B, L) bool: whether a column is among the `count` first of its row; of equals the left ones are."""
    place = value.argsort(dim=1, descending=descending, stable=True).argsort(dim=1)
    return place < count


def _against(positive: Tensor, negative: Tensor, pair: Tensor) -> Tensor:
    """Return log(1 + Σ_j e^{negative_j − positive}) over the j of `pair`: −log of the softmax, in log-space.

    Shapes: `positive` (B, I, 1), `negative` (B, 1, J), `pair` (B, I, J) bool; result (B, I), 0 where there is no j.
    """
    gap = (negative - positive).masked_fill(~pair, -torch.inf)
    nothing = torch.zeros_like(gap[..., :1])
    return torch.cat([nothing, gap], dim=-1).logsumexp(dim=-1)
