"""The GNN: predicts, for every (query, LLM), performance, scaled cost and dollars, by messages over the graph.

Every level of the graph gives an estimate of what the levels above left unexplained, shrunk towards zero by a learned
pseudo-count: LLM → task → topic → linear in the features → near queries. With little data a prediction therefore
falls back from neighbourhood to topic to task to LLM, and an LLM without any outcome falls back to LLMs like it.
Nothing is learned per id, and all weights are shared between LLMs, so new queries, users and LLMs need no training.

Shapes: Q train queries, N target queries, L LLMs, C channels: performance, cost, dollars and, for each user whose
liking is predicted, whether the user would pick the answer. Likings of all users share their weights.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from configs.schema import Graph
from graph.build import CHANNELS, Attachment, observations, task_of


@dataclasses.dataclass
class Residual:
    """What is left to explain of the visible outcomes, (Q, L, C), zero where unknown; `known` (Q, L, 1) of 0 and 1.

    A query's residual splits into a part common to its LLMs (its difficulty) and the rest: the common part is seen
    even if each query was answered by few LLMs, and taking it out makes the LLMs comparable across queries.
    """

    common: Tensor
    common_known: Tensor
    specific: Tensor
    known: Tensor

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Return values (Q, L + 1, C) and counts (Q, L + 1, 1), the common part last."""
        return torch.cat([self.specific, self.common], dim=1), torch.cat([self.known, self.common_known], dim=1)


def per_channel(weight: Tensor, channels: int) -> Tensor:
    """Return (..., channels) of a weight per kind of channel: those after the kinds are of the last kind."""
    kinds = weight.size(-1)
    return weight[..., torch.arange(channels, device=weight.device).clamp(max=kinds - 1)]


class ShrunkMean(nn.Module):
    """Sums to estimates: sum / (count + κ), κ > 0 learned, apart for each channel and for common and specific parts."""

    def __init__(self, pseudo_count: float, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.log_kappa = nn.Parameter(torch.full((2, channels), pseudo_count).log())

    def forward(self, total: Tensor, count: Tensor) -> Tensor:
        """Return (N, L, C) estimates from `total` (N, L + 1, C) and `count` (N, L + 1, 1)."""
        kappa = per_channel(self.log_kappa, total.size(-1)).exp()
        return total[:, :-1] / (count[:, :-1] + kappa[0]) + total[:, -1:] / (count[:, -1:] + kappa[1])


class GroupLevel(nn.Module):
    """Messages query → group → query, for groups that are tasks or topics."""

    def __init__(self, pseudo_count: float = 4.0, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.shrink = ShrunkMean(pseudo_count, channels)

    def forward(self, residual: Residual, group: Tensor, targets: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
        """Return estimates for the Q train queries, each without its own outcomes, and for the N targets.

        Shapes: `group` (Q,) and `targets` (N,) rows of the group, −1 for none (estimate zero).
        """
        value, count = residual.stacked()
        member = (group >= 0)[:, None, None]
        value, count, place = value * member, count * member, group.clamp(min=0)
        total = value.new_zeros(num_groups, *value.shape[1:]).index_add(0, place, value)
        number = count.new_zeros(num_groups, *count.shape[1:]).index_add(0, place, count)
        # The hazard of this level: a query's own outcome is in its group's sum. It is taken out again.
        own = self.shrink(total[place] - value, number[place] - count) * member
        place = targets.clamp(min=0)
        return own, self.shrink(total[place], number[place]) * (targets >= 0)[:, None, None]


class NeighbourLevel(MessagePassing):
    """Messages train query → target query along `near`, weighted by a learned distance over the feature blocks."""

    def __init__(self, num_blocks: int, channels: int = len(CHANNELS)) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.log_scale = nn.Parameter(torch.zeros(num_blocks))
        self.shrink = ShrunkMean(8.0, channels)

    def forward(self, residual: Residual, near: Tensor, distance: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (N, L, C). Shapes: `near` (2, E) train → target, `distance` (E, blocks), `size` (Q, N)."""
        weight = (-(distance * F.softplus(self.log_scale + 0.5)).sum(dim=1)).exp()
        value, count = residual.stacked()
        packed = torch.cat([value, count], dim=2)
        out = self.propagate(near, x=(packed, None), weight=weight, size=size)
        return self.shrink(out[..., :-1], out[..., -1:])

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        return x_j * weight[:, None, None]


ROUNDS = 2  # of alternating between LLMs and queries


class LlmLevel(nn.Module):
    """The mean outcome of each LLM, shrunk towards the LLMs like it: of its family, of like price.

    LLMs that answered different queries are compared at equal difficulty: what the LLMs of a query have in common is
    taken out, by alternating between LLMs and queries. Where every LLM answered everything this changes nothing.
    """

    def __init__(self, alike: bool = True, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.log_kappa = nn.Parameter(torch.ones(channels))
        self.likeness = nn.Parameter(torch.ones(3)) if alike else None

    def forward(self, outcome: Tensor, known: Tensor, like: Tensor, likeness: Tensor) -> Tensor:
        """Return (L, C) from `outcome` (Q, L, C), `known` (Q, L, 1) and the edges LLM → LLM with their (E, 3)."""
        mean = self._shrunk(outcome * known, known, like, likeness)
        for _ in range(ROUNDS):
            left = (outcome - mean) * known
            difficulty = left.sum(dim=1, keepdim=True) / (known.sum(dim=1, keepdim=True) + 1)
            level = difficulty.sum(dim=(0, 1)) / (known.sum(dim=1) > 0).sum().clamp(min=1)
            mean = self._shrunk((outcome - difficulty + level) * known, known, like, likeness)
        return mean

    def _shrunk(self, outcome: Tensor, known: Tensor, like: Tensor, likeness: Tensor) -> Tensor:
        total, count = outcome.sum(dim=0), known.sum(dim=0)
        seen = (count > 0).to(total)
        mean = total / count.clamp(min=1)
        overall = (mean * seen).sum(dim=0) / seen.sum().clamp(min=1)
        prior = overall.expand_as(mean)
        if self.likeness is not None and like.size(1):
            source, target = like
            logit = (likeness * F.softplus(self.likeness)).sum(dim=1)
            logit = logit.masked_fill(seen[source, 0] == 0, -1e4)
            weight = softmax(logit, target, num_nodes=len(mean))[:, None] * seen[source]
            borrowed = torch.zeros_like(mean).index_add(0, target, weight * mean[source])
            weights = torch.zeros_like(seen).index_add(0, target, weight)
            prior = borrowed + (1 - weights) * overall
        kappa = per_channel(self.log_kappa, outcome.size(-1)).exp()
        return (total + kappa * prior) / (count + kappa)


class LinearLevel(nn.Module):
    """Messages query → LLM → query: each LLM's state is the sum of its residuals times the features of their queries.

    The inner product with a target's features is ridge regression in the limit of strong shrinkage, which is where
    these data are; the learned gain of each block of features is one over its ridge penalty.
    """

    def __init__(self, num_blocks: int, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.full((num_blocks, channels), -5.0))

    def forward(self, residual: Residual, x: Tensor, target: Tensor, blocks: list[int]) -> tuple[Tensor, Tensor]:
        """Return estimates for the Q train queries, each without its own outcomes, and for the N targets.

        Shapes: `x` (Q, d) and `target` (N, d), split by `blocks` into columns.
        """
        value, _ = residual.stacked()
        middle = x.mean(dim=0)
        own, found = value.new_zeros(()), value.new_zeros(())
        for old, new, log_gain in zip(
            (x - middle).split(blocks, dim=1),
            (target - middle).split(blocks, dim=1),
            per_channel(self.log_gain, value.size(-1)),
            strict=True,
        ):
            gain = log_gain.exp()
            # Plain matrix products on (rows, LLMs × channels): einsum would copy its way to the same ones.
            state = ((old.T @ value.flatten(1)).view(-1, *value.shape[1:]) * gain).flatten(1)
            found = found + (new @ state).view(-1, *value.shape[1:])
            itself = old.square().sum(dim=1)[:, None, None] * (value * gain)
            own = own + (old @ state).view(value.shape) - itself
        return own[:, :-1] + own[:, -1:], found[:, :-1] + found[:, -1:]


class GraphModel(nn.Module):
    """All levels, in order. See the module's docstring."""

    def __init__(self, num_blocks: int, num_resolutions: int, config: Graph, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        self.config = config
        relations = config.relations
        self.log_common = nn.Parameter(torch.zeros(channels))
        self.llm = LlmLevel(relations.llm_llm, channels)
        self.task = GroupLevel(channels=channels) if relations.query_task else None
        resolutions = num_resolutions if relations.query_topic else 0
        self.topics = nn.ModuleList(GroupLevel(16.0, channels) for _ in range(resolutions))
        self.mix = nn.Parameter(torch.zeros(resolutions)) if resolutions > 1 else None
        self.near = NeighbourLevel(num_blocks, channels) if relations.query_query else None
        self.linear = LinearLevel(num_blocks, channels) if relations.llm_query else None

    def forward(
        self, graph: HeteroData, target: Attachment, visible: Tensor | None = None, liked: Tensor | None = None
    ) -> Tensor:
        """Return (N, L, 3 + U) predicted outcomes of the target queries, and whether each of U users would pick them.

        `liked` (Q, L, U): the same of the train queries, where it is asked for.
        `visible`, (Q,) or (Q, L) of bool, hides outcomes of train queries: what is supervised must not be visible.
        """
        outcome, known = observations(graph)
        if liked is not None:
            outcome = torch.cat([outcome, liked * known], dim=2)
        if visible is not None:
            known = known * (visible[:, None] if visible.dim() == 1 else visible)[..., None]
        like = graph["llm", "like", "llm"]
        mean = self.llm(outcome, known, like.edge_index, like.edge_attr)
        left = (outcome - mean) * known
        prediction = mean.expand(len(target), -1, -1)
        if self.task is not None and graph["task"].x.size(0):
            own, found = self.task(self._split(left, known), task_of(graph), target.task, graph["task"].x.size(0))
            left, prediction = (left - own) * known, prediction + found
        if len(self.topics):
            own, found = self._topics(graph, self._split(left, known), target)
            left, prediction = (left - own) * known, prediction + found
        if self.linear is not None:
            own, found = self.linear(self._split(left, known), graph["query"].x, target.x, graph.blocks)
            left, prediction = (left - own) * known, prediction + found
        if self.near is not None:
            rest = self._split(left, known)
            prediction = prediction + self.near(rest, target.near, target.distance, (len(outcome), len(target)))
        return prediction

    def _split(self, left: Tensor, known: Tensor) -> Residual:
        count = known.sum(dim=1, keepdim=True)
        common = left.sum(dim=1, keepdim=True) / (count + per_channel(self.log_common, left.size(-1)).exp())
        return Residual(common, (count > 0).to(known), (left - common) * known, known)

    def _topics(self, graph: HeteroData, residual: Residual, target: Attachment) -> tuple[Tensor, Tensor]:
        resolutions = len(self.topics)
        weights = self.mix.softmax(dim=0) if self.mix is not None else residual.known.new_ones(1)
        member = graph["query", "about", "topic"].edge_index[1].view(-1, resolutions)
        number = graph["topic"].x.size(0)
        parts = [level(residual, member[:, r], target.topic[:, r], number) for r, level in enumerate(self.topics)]
        own = sum(weight * part[0] for weight, part in zip(weights, parts, strict=True))
        found = sum(weight * part[1] for weight, part in zip(weights, parts, strict=True))
        return own, found
