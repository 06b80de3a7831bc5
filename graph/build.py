"""The heterogeneous graph: users, tasks, topics, queries and LLMs, and what train rows say about them.

Message edges come from train rows only. Queries to be routed are never nodes of this graph: they attach to it by
`attach`, through edges that carry no outcome, so that no prediction can read what it predicts.

| node | features `x` |
|---|---|
| `query` | (Q, d) query features |
| `llm` | (L, d_text) description embedding, and `log_price` (L, 2) |
| `task` | (T, d_text) description embedding |
| `topic` | (K, d) centroid: tasks discovered in the text by k-means, at several resolutions |
| `user` | (U, 41) belief over the user's preference, made of the messages along `chose` |

| edge | attributes |
|---|---|
| llm – answered → query | (performance, scaled cost, share of the highest cost in dollars), `attributes` |
| query – in → task, query – about → topic | |
| query – near → query | squared distance per block of features |
| llm – like → llm | (same family, −difference of log price, cosine of descriptions) |
| user – chose → query | LLM, reward |
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch_geometric.data import HeteroData

from configs.schema import Graph
from graph.choices import Answers
from graph.records import Queries, RoutingData

CHANNELS = ("performance", "cost", "cost_usd")


@dataclasses.dataclass(frozen=True)
class Attachment:
    """N queries attached to the graph: their edges to tasks, topics and near train queries.

    Shapes: `task` (N,) row of `task`, −1 where unknown; `topic` (N, R) one row of `topic` per resolution; `near`
    (2, E) edges train query → new query; `distance` (E, blocks) squared distances, in units of their train mean.
    """

    x: torch.Tensor
    task: torch.Tensor
    topic: torch.Tensor
    near: torch.Tensor
    distance: torch.Tensor

    def __len__(self) -> int:
        return len(self.task)


def build_graph(train: RoutingData, config: Graph, seed: int) -> HeteroData:
    """Return the graph of the train rows, on the CPU."""
    graph = HeteroData()
    x = torch.from_numpy(train.queries.embeddings)
    graph["query"].x = x
    graph.blocks = list(train.queries.blocks or (x.size(1),))
    graph.task_ids = list(train.tasks["task_id"])
    graph.usd_scale = float(np.nanmax(train.cost_usd, initial=0.0)) or 1.0
    _add_outcomes(graph, train)
    _add_llms(graph, train)
    graph["task"].x = torch.from_numpy(train.task_embeddings)
    _add_topics(graph, x, config.topics, seed)
    _add_users(graph, train)
    graph.distance_scale = torch.ones(len(graph.blocks))
    graph.neighbours = min(config.neighbours, max(1, x.size(0) - 1))
    own = attach(graph, train.queries, leave_out=torch.arange(x.size(0)))
    graph.distance_scale = own.distance.mean(dim=0).clamp(min=1e-9)
    known = own.task >= 0
    rows = torch.arange(x.size(0))
    graph["query", "in", "task"].edge_index = torch.stack([rows[known], own.task[known]])
    graph["query", "about", "topic"].edge_index = torch.stack(
        [rows.repeat_interleave(own.topic.size(1)), own.topic.flatten()]
    )
    graph["query", "near", "query"].edge_index = own.near
    graph["query", "near", "query"].edge_attr = own.distance / graph.distance_scale
    return graph


def itself(graph: HeteroData) -> Attachment:
    """Return the train queries attached to their own graph, none its own neighbour, from the edges of the graph."""
    x = graph["query"].x
    topic = graph["query", "about", "topic"].edge_index[1].view(len(x), -1)
    near = graph["query", "near", "query"]
    return Attachment(x, task_of(graph), topic, near.edge_index, near.edge_attr)


def task_of(graph: HeteroData) -> torch.Tensor:
    """Return (Q,) the task of each train query, −1 for none, from the `in` edges."""
    query, task = graph["query", "in", "task"].edge_index
    out = torch.full((graph["query"].x.size(0),), -1, dtype=torch.long, device=task.device)
    out[query] = task
    return out


def task_rows(graph: HeteroData, queries: Queries) -> np.ndarray:
    """Return (N,) the task node of each query, −1 where its task is unknown."""
    place = {task: row for row, task in enumerate(graph.task_ids)}
    return np.array([place.get(task, -1) for task in queries.task_ids], dtype=np.int64)


def attach(graph: HeteroData, queries: Queries, leave_out: torch.Tensor | None = None) -> Attachment:
    """Attach N queries to the graph. `leave_out`: (N,) the query node that each must not neighbour: itself."""
    x = torch.from_numpy(np.ascontiguousarray(queries.embeddings)).to(graph["query"].x)
    task = torch.from_numpy(task_rows(graph, queries))
    centroids, sizes = graph["topic"].x, graph.topic_sizes
    topic, start = [], 0
    for size in sizes:
        topic.append(torch.cdist(x, centroids[start : start + size]).argmin(dim=1) + start)
        start += size
    topics = torch.stack(topic, dim=1) if topic else torch.empty(len(x), 0, dtype=torch.long)
    near, distance = _nearest(graph, x, leave_out)
    return Attachment(x, task.to(x.device), topics, near, distance)


def _nearest(graph: HeteroData, x: torch.Tensor, leave_out: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    context, rows = graph["query"].x.split(graph.blocks, dim=1), torch.arange(len(x), device=x.device)
    near, distances = [], []
    for batch in rows.split(512):  # bounds the (batch, Q) matrices of distances
        parts = zip(x[batch].split(graph.blocks, dim=1), context, strict=True)
        squared = torch.stack([torch.cdist(new, old).square() for new, old in parts], dim=-1)
        total = squared.sum(dim=-1)
        if leave_out is not None:
            total[torch.arange(len(batch), device=x.device), leave_out[batch]] = torch.inf
        nearest = total.topk(graph.neighbours, largest=False).indices
        near.append(nearest)
        distances.append(squared.gather(1, nearest[..., None].expand(-1, -1, squared.size(-1))))
    if not near:
        return torch.empty(2, 0, dtype=torch.long), x.new_zeros(0, len(context))
    edges = torch.stack([torch.cat(near).flatten(), rows.repeat_interleave(graph.neighbours)])
    return edges, torch.cat(distances).flatten(0, 1) / graph.distance_scale


def _add_outcomes(graph: HeteroData, train: RoutingData) -> None:
    observed = np.isfinite(train.performance)
    query, llm = np.nonzero(observed)
    values = outcomes(train, graph.usd_scale)
    answers = Answers.of(train)
    edges = graph["llm", "answered", "query"]
    edges.edge_index = torch.from_numpy(np.stack([llm, query]))
    edges.edge_attr = torch.from_numpy(values[observed].astype(np.float32))
    edges.attributes = torch.from_numpy(answers.properties[observed][:, 1:].astype(np.float32))
    edges.answer = torch.from_numpy(answers.classes[observed])


def outcomes(data: RoutingData, usd_scale: float) -> np.ndarray:
    """Return (Q, L, 3): performance, scaled cost, share of the highest cost."""
    return np.stack([data.performance, data.cost, data.cost_usd / usd_scale], axis=-1)


def answers_of(graph: HeteroData) -> Answers:
    """Return the answers to the train queries as personas see them, from the `answered` edges."""
    edges = graph["llm", "answered", "query"]
    llm, query = edges.edge_index.numpy()
    shape = (graph["query"].x.size(0), graph["llm"].x.size(0))
    properties = np.full((*shape, 1 + edges.attributes.size(1)), np.nan)
    classes = np.full(shape, -1)
    properties[query, llm] = np.column_stack([edges.edge_attr[:, 0], edges.attributes])
    classes[query, llm] = edges.answer.numpy()
    return Answers(properties, classes)


def observations(graph: HeteroData) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (outcome (Q, L, 3), known (Q, L, 1) of 0 and 1) from the `answered` edges."""
    edges = graph["llm", "answered", "query"]
    llm, query = edges.edge_index
    shape = (graph["query"].x.size(0), graph["llm"].x.size(0))
    outcome = edges.edge_attr.new_zeros(*shape, edges.edge_attr.size(1))
    known = edges.edge_attr.new_zeros(*shape, 1)
    outcome[query, llm] = edges.edge_attr
    known[query, llm] = 1.0
    return outcome, known


def _add_llms(graph: HeteroData, train: RoutingData) -> None:
    graph.families = [str(family) for family in train.llms["family"]]
    graph.llm_order = [
        int(row) for row in np.argsort(train.llm_ids)
    ]  # by id: draws must not depend on the table's order
    graph["llm"].x = torch.from_numpy(train.llm_embeddings)
    graph["llm"].log_price = torch.from_numpy(log_prices(train.llms).astype(np.float32))
    relate_llms(graph)


def log_prices(llms: pd.DataFrame, middle: float | None = None) -> np.ndarray:
    """Return (L, 2) logarithms of the prices; an unknown one becomes `middle`, by default the mean of the known."""
    prices = llms[["input_price_usd_per_mtok", "output_price_usd_per_mtok"]].to_numpy(dtype=np.float64)
    log_price = np.log(prices + 0.01)
    if middle is None:
        middle = float(np.nanmean(log_price)) if np.isfinite(log_price).any() else 0.0
    return np.where(np.isfinite(log_price), log_price, middle)


def relate_llms(graph: HeteroData) -> None:
    """Set the edges `like` between every two LLMs from their families, prices and descriptions."""
    log_price, x = graph["llm"].log_price.numpy(), graph["llm"].x.numpy()
    family = np.asarray(graph.families, dtype=object)
    source, target = np.nonzero(~np.eye(len(x), dtype=bool))
    same = (family[source] == family[target]) & (family[source] != "")
    gap = np.abs(log_price[source] - log_price[target]).mean(axis=1)
    alike = (x[source] * x[target]).sum(axis=1)
    edges = graph["llm", "like", "llm"]
    edges.edge_index = torch.from_numpy(np.stack([source, target]))
    edges.edge_attr = torch.from_numpy(np.stack([same, -gap, alike], axis=1).astype(np.float32))


def add_llm(
    graph: HeteroData, llm: pd.Series, embedding: np.ndarray, queries: list[int], outcomes: np.ndarray
) -> HeteroData:
    """Return the graph with one more LLM, last, and its edges to the query nodes `queries`; the old graph stays.

    Shapes: `embedding` (d,), `outcomes` (n, 3 or more): performance, scaled cost, dollars, and as many attributes of
    the answer as are known; the others are taken to be average, that is 0. Its answers count as unlike all others.
    """
    other = copy.copy(graph)
    middle = float(graph["llm"].log_price.mean())
    log_price = torch.from_numpy(log_prices(llm.to_frame().T.infer_objects(), middle).astype(np.float32))
    other["llm"].x = torch.cat([graph["llm"].x, torch.from_numpy(np.asarray(embedding, dtype=np.float32))[None]])
    other["llm"].log_price = torch.cat([graph["llm"].log_price, log_price])
    other.families = [*graph.families, str(llm["family"])]
    relate_llms(other)
    old = graph["llm", "answered", "query"]
    values = outcomes[:, :3] / np.array([1.0, 1.0, graph.usd_scale])
    attributes = np.zeros((len(queries), old.attributes.size(1)))
    attributes[:, : outcomes.shape[1] - 3] = outcomes[:, 3:]
    new = torch.tensor([[len(graph["llm"].x)] * len(queries), queries], dtype=torch.long).view(2, -1)
    edges = other["llm", "answered", "query"]
    edges.edge_index = torch.cat([old.edge_index, new], dim=1)
    edges.edge_attr = torch.cat([old.edge_attr, torch.from_numpy(values.astype(np.float32))])
    edges.attributes = torch.cat([old.attributes, torch.from_numpy(attributes.astype(np.float32))])
    # The number of its own that no other answer has: there are as many as there were LLMs before.
    edges.answer = torch.cat([old.answer, torch.full((len(queries),), len(graph["llm"].x))])
    return other


def remove_llm(graph: HeteroData, row: int) -> HeteroData:
    """Return the graph without the LLM node `row`; the old graph stays."""
    other = copy.copy(graph)
    keep = torch.arange(len(graph["llm"].x)) != row
    moved = keep.long().cumsum(0) - 1
    other["llm"].x, other["llm"].log_price = graph["llm"].x[keep], graph["llm"].log_price[keep]
    other.families = [family for place, family in enumerate(graph.families) if place != row]
    relate_llms(other)
    old = graph["llm", "answered", "query"]
    stays = keep[old.edge_index[0]]
    llm, query = old.edge_index[:, stays]
    edges = other["llm", "answered", "query"]
    edges.edge_index = torch.stack([moved[llm], query])
    edges.edge_attr, edges.attributes = old.edge_attr[stays], old.attributes[stays]
    edges.answer = _renumbered(query, old.answer[stays])
    return other


def _renumbered(query: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """Return the answers numbered from 0 within each query, keeping which are equal."""
    table = pd.DataFrame({"query": query.numpy(), "answer": answer.numpy()})
    return torch.from_numpy(table.groupby("query")["answer"].rank("dense").to_numpy().astype(np.int64) - 1)


def _add_topics(graph: HeteroData, x: torch.Tensor, sizes: tuple[int, ...], seed: int) -> None:
    """Cluster the train queries. A resolution with fewer than 8 queries per topic would be noise and is left out."""
    centroids, kept = [], []
    for number, size in enumerate(sizes):
        if size * 8 <= len(x):
            # One thread: the products are small, and threads that wait for each other cost more than they bring.
            with threadpool_limits(1):
                kmeans = KMeans(size, n_init=1, max_iter=50, random_state=seed + number).fit(x.numpy())
            centroids.append(torch.from_numpy(kmeans.cluster_centers_.astype(np.float32)))
            kept.append(size)
    graph["topic"].x = torch.cat(centroids) if centroids else x.new_zeros(0, x.size(1))
    graph.topic_sizes = kept


def _add_users(graph: HeteroData, train: RoutingData) -> None:
    chosen = train.interactions
    user = pd.Index(train.user_ids).get_indexer(pd.Index(chosen["user_id"]))
    query = pd.Index(train.queries.query_ids).get_indexer(pd.Index(chosen["query_id"]))
    llm = pd.Index(train.llm_ids).get_indexer(pd.Index(chosen["llm_id"]))
    graph["user"].num_nodes = len(train.users)
    edges = graph["user", "chose", "query"]
    edges.edge_index = torch.from_numpy(np.stack([user, query]))
    edges.llm = torch.from_numpy(llm)
    edges.reward = torch.from_numpy(chosen["reward"].to_numpy(dtype=np.float32))
