"""Policy `graph`: the GNN over the heterogeneous graph, with preferences inferred from the users' interactions."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch_geometric.data import HeteroData

from configs.schema import Graph, Train
from graph.build import attach, build_graph, itself
from graph.device import resolve_device
from graph.model import GraphModel
from graph.policy import OutcomePolicy
from graph.preference import Preferences
from graph.records import Queries, RoutingData
from graph.train import Training, supervision, train_model

# The parts of the graph that prediction reads; the rest (train–train neighbours) is only trained on.
NODE_ARRAYS = (("query", "x"), ("llm", "x"), ("llm", "log_price"), ("task", "x"), ("topic", "x"))
EDGE_ARRAYS = (
    (("llm", "answered", "query"), "edge_index"),
    (("llm", "answered", "query"), "edge_attr"),
    (("llm", "like", "llm"), "edge_index"),
    (("llm", "like", "llm"), "edge_attr"),
    (("query", "in", "task"), "edge_index"),
    (("query", "about", "topic"), "edge_index"),
    (("user", "chose", "query"), "edge_index"),
    (("user", "chose", "query"), "llm"),
    (("user", "chose", "query"), "reward"),
)


class GraphPolicy(OutcomePolicy):
    """The graph router. After `fit`: `graph`, `model`, `preferences`, `training` (its history) and `query_ids`."""

    name: ClassVar[str] = "graph"

    def __init__(
        self, config: Graph | None = None, train: Train | None = None, seed: int = 0, progress: bool = False
    ) -> None:
        self.config = config or Graph()
        self.train_config = train or Train()
        self.seed = seed
        self.progress = progress
        self.graph = HeteroData()
        self.training: Training | None = None
        self.query_ids: tuple[str, ...] = ()

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        """Build the graph of the train rows, train the GNN on them, keep the epoch that is best on validation."""
        torch.manual_seed(self.seed)
        device = resolve_device(self.train_config.device)
        self.llm_ids, self.query_ids = train.llm_ids, train.queries.query_ids
        self.preferences = (
            Preferences.fit(train) if self.config.relations.user_query else Preferences.population_of(train)
        )
        graph = build_graph(train, self.config, self.seed).to(str(device))
        model = GraphModel(len(graph.blocks), len(graph.topic_sizes), self.config).to(device)
        believed = self.preferences.mean(train.user_ids)
        self.training = train_model(
            model,
            graph,
            itself(graph),
            supervision(train, graph.usd_scale, believed, device),
            attach(graph, validation.queries),
            supervision(validation, graph.usd_scale, believed, device),
            self.train_config,
            self.seed,
            self.progress,
        )
        self.graph, self.model = graph.cpu(), model.cpu()
        return self

    @property
    def interrupted(self) -> bool:
        """Whether a Ctrl-C ended training early; the best checkpoint until then is in use."""
        return self.training is not None and self.training.interrupted

    def predictions(self, queries: Queries) -> np.ndarray:
        """Return (N, num_llms, 3): expected performance, scaled cost, and cost in dollars; clipped to their ranges."""
        return self.in_range(self.raw_predictions(queries))

    def outcomes(self, queries: Queries) -> np.ndarray:
        # Not clipped: clipping would make ties of what the model can tell apart.
        return self.raw_predictions(queries)[..., :2]

    @torch.no_grad()
    def raw_predictions(self, queries: Queries) -> np.ndarray:
        """Return (N, num_llms, 3) as the model gives them; the last is the share of the highest cost in dollars."""
        return self.model(self.graph, attach(self.graph, queries)).numpy().astype(np.float64)

    def in_range(self, raw: np.ndarray) -> np.ndarray:
        """Return raw predictions clipped to their ranges, the last in dollars."""
        values = raw.copy()
        values[..., :2] = values[..., :2].clip(0.0, 1.0)
        values[..., 2] = values[..., 2].clip(min=0.0) * self.graph.usd_scale
        return values

    def nearest(self, queries: Queries, count: int) -> np.ndarray:
        """Return (N, count) rows of the nearest train queries, nearest first."""
        target = attach(self.graph, queries)
        return target.near[0].view(len(target), self.graph.neighbours)[:, :count].numpy()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        user_settings, user_arrays = self.preferences.state()
        settings = {
            "config": self.config.model_dump(mode="json"),
            "llm_ids": self.llm_ids,
            "query_ids": list(self.query_ids),
            "preferences": user_settings,
            "graph": {
                name: getattr(self.graph, name)
                for name in ("blocks", "task_ids", "topic_sizes", "usd_scale", "neighbours")
            },
        }
        arrays = {f"preferences.{name}": value for name, value in user_arrays.items()}
        arrays |= {f"model.{name}": value.numpy() for name, value in self.model.state_dict().items()}
        arrays |= {f"node.{node}.{name}": self.graph[node][name].numpy() for node, name in NODE_ARRAYS}
        arrays |= {f"edge.{'.'.join(edge)}.{name}": self.graph[edge][name].numpy() for edge, name in EDGE_ARRAYS}
        arrays["distance_scale"] = self.graph.distance_scale.numpy()
        return settings, arrays

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        policy = cls(Graph.model_validate_json(json.dumps(settings["config"])))
        policy.llm_ids, policy.query_ids = settings["llm_ids"], tuple(settings["query_ids"])
        policy.preferences = Preferences.from_state(settings["preferences"], _with_prefix(arrays, "preferences."))
        graph = HeteroData()
        for name, value in settings["graph"].items():
            setattr(graph, name, value)
        for node, name in NODE_ARRAYS:
            graph[node][name] = torch.from_numpy(arrays[f"node.{node}.{name}"])
        for edge, name in EDGE_ARRAYS:
            graph[edge][name] = torch.from_numpy(arrays[f"edge.{'.'.join(edge)}.{name}"])
        graph.distance_scale = torch.from_numpy(arrays["distance_scale"])
        policy.graph = graph
        policy.model = GraphModel(len(graph.blocks), len(graph.topic_sizes), policy.config)
        weights = _with_prefix(arrays, "model.")
        policy.model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        policy.model.eval()
        return policy


def _with_prefix(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
