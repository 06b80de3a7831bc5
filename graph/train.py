"""Training of the GNN: hide the outcomes of some train queries, predict them from the rest, choose on validation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from tqdm import tqdm

from configs.schema import Train
from graph.build import CHANNELS, Attachment, outcomes
from graph.model import GraphModel
from graph.records import RoutingData

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Supervision:
    """What one split says: `outcome` (N, L, C), `known` (N, L, 1), and what users make of it, `weights` (U, C).

    A user's utility of an answer is the sum of its channels times the user's weights: (α, α − 1, 0) for a preference α;
    for a persona its own liking, one of the channels after the third.
    """

    outcome: Tensor
    known: Tensor
    weights: Tensor


@dataclasses.dataclass
class Training:
    """The history (a row per epoch), the epoch kept, and whether a Ctrl-C ended it early."""

    history: list[dict[str, float]]
    chosen_epoch: int
    interrupted: bool


def supervision(
    data: RoutingData, usd_scale: float, weights: np.ndarray, device: torch.device, liked: np.ndarray | None = None
) -> Supervision:
    """Return the outcomes of `data` as tensors, C = 3, and after them `liked` (N, L, U) where users are personas."""
    values = outcomes(data, usd_scale)
    known = np.isfinite(values).all(axis=-1, keepdims=True)
    if liked is not None:
        values = np.concatenate([values, liked], axis=-1)
    return Supervision(
        torch.from_numpy(np.where(known, values, 0.0).astype(np.float32)).to(device),
        torch.from_numpy(known.astype(np.float32)).to(device),
        torch.from_numpy(weights.astype(np.float32)).to(device),
    )


def preference_weights(preference: np.ndarray) -> np.ndarray:
    """Return (U', 3) weights of the distinct preferences among `preference` (U,): α, α − 1, and 0 on dollars."""
    alpha = np.unique(np.round(preference, 2))
    return np.stack([alpha, alpha - 1, 0.0 * alpha], axis=1)


def loss_of(prediction: Tensor, truth: Supervision, rows: Tensor | slice, outcome_weight: float) -> Tensor:
    """Return the contrast loss + outcome_weight · mean squared error of the outcomes, over what is known.

    The contrast loss is the squared error of the users' utilities after the mean over a query's LLMs is taken out: an
    error that all LLMs of a query share changes no decision. On RouterBench, where queries differ far more in
    difficulty than LLMs do in rank, training on plain squared error loses to task means and this does not.
    """
    outcome, known = truth.outcome[rows], truth.known[rows]
    error = (prediction - outcome) * known
    mse = error.square().sum() / (known.sum() * outcome.size(-1)).clamp(min=1)
    regret = error @ truth.weights.T
    regret = (regret - regret.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)) * known
    contrast = regret.square().sum() / (len(truth.weights) * known.sum()).clamp(min=1)
    return contrast + outcome_weight * mse


@torch.no_grad()
def mean_reward(prediction: Tensor, truth: Supervision) -> float:
    """Return the mean utility of choosing, for each believed user and query, the best predicted observed LLM."""
    hidden = truth.known == 0
    choice = (prediction @ truth.weights.T).masked_fill(hidden, -torch.inf).argmax(dim=1, keepdim=True)
    earned = (truth.outcome @ truth.weights.T).gather(1, choice)
    return float(earned[~hidden[..., 0].all(dim=1)].mean())


def train_model(
    model: GraphModel,
    graph: HeteroData,
    itself: Attachment,
    truth: Supervision,
    validation: Attachment,
    validation_truth: Supervision,
    config: Train,
    seed: int,
    progress: bool,
) -> Training:
    """Train in place; at the end `model` has the weights of the best validation loss.

    `itself` is the attachment of the train queries to their own graph. Ctrl-C ends training; the best weights stay.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(seed)
    best = (torch.inf, {name: value.clone() for name, value in model.state_dict().items()}, 0)
    history: list[dict[str, float]] = []
    interrupted = False
    bar = tqdm(range(config.epochs + 1), desc="training", unit="epoch", disable=not progress, leave=False)
    try:
        for epoch in bar:
            # Epoch 0 only evaluates: the untrained levels are already shrunken means, and may be hard to beat.
            train_loss = train_epoch(model, graph, itself, truth, optimizer, generator, config) if epoch else np.nan
            model.eval()
            with torch.no_grad():
                prediction = model(graph, validation, liked=liked_of(truth))
                loss = float(loss_of(prediction, validation_truth, slice(None), config.outcome_weight))
            reward = mean_reward(prediction, validation_truth)
            history.append(
                {"epoch": epoch, "train_loss": train_loss, "validation_loss": loss, "validation_reward": reward}
            )
            bar.set_postfix(loss=f"{train_loss:.4f}", validation_reward=f"{reward:.4f}")
            if loss < best[0]:
                best = (loss, {name: value.clone() for name, value in model.state_dict().items()}, epoch)
            if epoch - best[2] >= config.patience:
                break
    except KeyboardInterrupt:
        interrupted = True
        LOG.warning("interrupted at epoch %d: kept the best checkpoint, of epoch %d", len(history), best[2])
    finally:
        bar.close()
    model.load_state_dict(best[1])
    model.eval()
    return Training(history, best[2], interrupted)


def train_epoch(
    model: GraphModel,
    graph: HeteroData,
    itself: Attachment,
    truth: Supervision,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    config: Train,
) -> float:
    """Make one pass over the train queries, fold by fold, and return the mean loss.

    The outcomes of a fold are hidden from all message passing while it is predicted, as those of a new query are. Of
    one LLM per fold all but a few are hidden as well, as if it were new: else nothing would teach the model how far to
    trust few outcomes.
    """
    model.train()
    losses = []
    for rows, target in folds(itself, len(truth.outcome), config.folds, generator):
        visible = (truth.known[..., 0] > 0).clone()
        visible[rows] = False
        if config.new_llms:
            make_new(visible, graph.llm_order, generator)
        loss = loss_of(model(graph, target, visible, liked_of(truth)), truth, rows, config.outcome_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def liked_of(truth: Supervision) -> Tensor | None:
    """Return (Q, L, U) what the supervised personas like of the train answers; None where users have preferences."""
    liked = truth.outcome[..., len(CHANNELS) :]
    return liked if liked.size(-1) else None


def make_new(visible: Tensor, order: list[int], generator: torch.Generator) -> None:
    """Hide, in place, the outcomes of one random LLM, all but a random number: few more often than many.

    Shapes: `visible` (Q, L) of bool; `order` (L,) the columns as they are drawn from.
    """
    count, llms = visible.shape
    column = order[int(torch.randint(llms, (1,), generator=generator))]
    keep = int(count ** float(torch.rand(1, generator=generator))) - 1
    stays = torch.zeros(count, dtype=torch.bool)
    stays[torch.randperm(count, generator=generator)[:keep]] = True
    visible[:, column] &= stays.to(visible.device)


def folds(
    itself: Attachment, count: int, number: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Attachment]]:
    """Yield (rows, their attachment) for a random partition of the train queries."""
    order = torch.randperm(count, generator=generator).to(itself.x.device)
    per_query = itself.near.size(1) // max(count, 1)
    near = itself.near[0].view(count, per_query)
    distance = itself.distance.view(count, per_query, -1)
    for rows in order.chunk(min(number, count)):
        targets = torch.arange(len(rows), device=rows.device).repeat_interleave(per_query)
        edges = torch.stack([near[rows].flatten(), targets])
        yield (
            rows,
            Attachment(itself.x[rows], itself.task[rows], itself.topic[rows], edges, distance[rows].flatten(0, 1)),
        )
