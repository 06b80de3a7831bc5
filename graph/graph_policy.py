"""Policy `graph`: the GNN over the heterogeneous graph, with preferences inferred from the users' interactions."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from configs.errors import InputError, did_you_mean
from configs.schema import Graph, Train
from graph.build import (
    CHANNELS,
    add_llm,
    answers_of,
    attach,
    build_graph,
    itself,
    observations,
    remove_llm,
    task_of,
    task_rows,
)
from graph.caution import charges
from graph.choices import Answers, hits, places
from graph.confidence import Confidence
from graph.device import resolve_device
from graph.model import GraphModel
from graph.policy import OutcomePolicy, utility
from graph.preference import Preferences
from graph.records import UNKNOWN_TASK, Queries, RoutingData
from graph.taste import Tastes
from graph.train import Supervision, Training, preference_weights, supervision, train_model

MAX_CALIBRATED = 500  # personas on whose picks it is calibrated how sure to be
MAX_TASTES = 32  # users whose likings are supervised in training
TASTES_AT_ONCE = 64  # users whose likings are predicted in one pass

# The parts of the graph that prediction reads. What users chose is in their beliefs; train–train neighbours are only
# trained on.
NODE_ARRAYS = (("query", "x"), ("llm", "x"), ("llm", "log_price"), ("task", "x"), ("topic", "x"))
EDGE_ARRAYS = (
    (("llm", "answered", "query"), "edge_index"),
    (("llm", "answered", "query"), "edge_attr"),
    (("llm", "answered", "query"), "attributes"),
    (("llm", "answered", "query"), "answer"),
    (("llm", "like", "llm"), "edge_index"),
    (("llm", "like", "llm"), "edge_attr"),
    (("query", "in", "task"), "edge_index"),
    (("query", "about", "topic"), "edge_index"),
)


class GraphPolicy(OutcomePolicy):
    """The graph router.

    After `fit`: `graph`, `model`, `preferences`, `tastes` (None where users have preferences), `confidence`, `training`
    (its history) and `query_ids`. What it learns afterwards (`observed`, `with_preference`, `with_llm`, `without_llm`)
    gives another policy that shares the rest; the old one stays as it is.
    """

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
        personal = self.config.relations.user_query
        self.preferences = Preferences.fit(train) if personal else Preferences.population_of(train)
        self.tastes = None
        if train.judged:
            self.tastes = Tastes.fit(train, self.seed) if personal else Tastes.population_of(train, self.seed)
        if not self.config.separate_heads:
            train, validation = (_one_head(data, self.preferences) for data in (train, validation))
        graph = build_graph(train, self.config, self.seed).to(str(device))
        kinds = len(CHANNELS) + (self.tastes is not None)
        model = GraphModel(len(graph.blocks), len(graph.topic_sizes), self.config, kinds).to(device)
        truths = [self._truth(data, graph.usd_scale, train.user_ids, device) for data in (train, validation)]
        self.training = train_model(
            model,
            graph,
            itself(graph),
            truths[0],
            attach(graph, validation.queries),
            truths[1],
            self.train_config,
            self.seed,
            self.progress,
        )
        del graph["user", "chose", "query"], graph["query", "near", "query"]
        self.graph, self.model = graph.cpu(), model.cpu()
        self.confidence = self._calibrated(validation)
        return self

    def _calibrated(self, validation: RoutingData) -> Confidence:
        """Fit how sure to be, on the validation queries that every LLM answered: on others nobody knows the best."""
        whole = np.flatnonzero(np.isfinite(validation.performance).all(axis=1))
        raw = self.raw_predictions(validation.queries)
        alpha = np.linspace(0.0, 1.0, 11)  # any preference may be stated, not only those of the users
        worth = utility(np.stack([validation.performance, validation.cost], axis=-1)[whole], alpha[:, None, None])
        scores = utility(raw[whole], alpha[:, None, None]) - self._charges(
            validation.queries.take(whole), alpha[:, None]
        )
        scores = scores.reshape(-1, len(self.llm_ids))
        best = np.isclose(worth, worth.max(axis=2, keepdims=True, initial=-np.inf), rtol=0, atol=1e-9)
        belief = np.repeat(alpha, len(whole))
        if self.tastes is not None:
            users = sorted(set(validation.interactions["user_id"]))[:: 1 + len(validation.users) // MAX_CALIBRATED]
            chosen = places(validation, validation.interactions, users)
            keep = np.isin(chosen.query, whole)
            liked = self.likings(validation.queries, users) if users else np.zeros((0, *raw.shape[:2]))
            scores = np.concatenate([scores, liked[chosen.user[keep], chosen.query[keep]]])
            best = np.concatenate([best.reshape(-1, len(self.llm_ids)), hits(validation, chosen)[keep]])
            belief = np.concatenate([belief, np.full(int(keep.sum()), np.nan)])
        return Confidence.fit(scores, best.reshape(-1, len(self.llm_ids)), belief)

    def probability(
        self, scores: np.ndarray, users: Sequence[str], stated: Sequence[float | None] | None = None
    ) -> np.ndarray:
        """Return (N,) how likely the highest of each row of `scores` (N, num_llms) is the best; NaN where unknown."""
        given = [None] * len(users) if stated is None else stated
        alpha = self._alphas(users, given)
        silent = [self._silent(user, value) for user, value in zip(users, given, strict=True)]
        return self.confidence.probability(scores, np.where(silent, np.nan, alpha))

    def _alphas(self, users: Sequence[str], given: Sequence[float | None]) -> np.ndarray:
        inferred = self.preferences.mean(users)
        return np.array([mean if value is None else value for mean, value in zip(inferred, given, strict=True)])

    def _truth(self, data: RoutingData, usd_scale: float, users: list[str], device: torch.device) -> Supervision:
        """Return what training is supervised by: the outcomes, and what a few users make of them."""
        if self.tastes is None:
            return supervision(data, usd_scale, preference_weights(self.preferences.mean(users)), device)
        some = sorted(users)[:: 1 + (len(users) - 1) // MAX_TASTES]  # by id: not by the order of the table
        liked = self.tastes.liking(Answers.of(data), some)
        weights = np.hstack([np.zeros((len(some), len(CHANNELS))), np.eye(len(some))])
        return supervision(data, usd_scale, weights, device, liked)

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
        """Return (N, num_llms, 3) as the model gives them; the third is the share of the highest cost in dollars."""
        return self.model(self.graph, attach(self.graph, queries)).numpy().astype(np.float64)

    def in_range(self, raw: np.ndarray) -> np.ndarray:
        """Return raw predictions clipped to their ranges, the third in dollars."""
        values = raw.copy()
        values[..., :2] = values[..., :2].clip(0.0, 1.0)
        values[..., 2] = values[..., 2].clip(min=0.0) * self.graph.usd_scale
        return values

    def nearest(self, queries: Queries, count: int) -> np.ndarray:
        """Return (N, count) rows of the nearest train queries, nearest first."""
        target = attach(self.graph, queries)
        return target.near[0].view(len(target), self.graph.neighbours)[:, :count].numpy()

    def utilities(
        self, queries: Queries, raw: np.ndarray, users: Sequence[str], stated: Sequence[float | None] | None = None
    ) -> np.ndarray:
        """Return (N, num_llms) what each user makes of the LLMs, from the raw predictions of N queries.

        A preference `stated` with the request wins over one that the user stated before, and that over what was
        inferred: a taste where the router learnt from personas, else a preference.
        """
        given = [None] * len(users) if stated is None else list(stated)
        alpha = self._alphas(users, given)
        scores = utility(raw, alpha[:, None])
        silent = [row for row, (user, value) in enumerate(zip(users, given, strict=True)) if self._silent(user, value)]
        if silent:
            people = list(dict.fromkeys(users[row] for row in silent))
            liked = self.likings(queries.take(silent), people)
            scores[silent] = liked[[people.index(users[row]) for row in silent], range(len(silent))]
        return scores - self._charges(queries, alpha)

    def _charges(self, queries: Queries, alpha: np.ndarray) -> np.ndarray:
        return charges(self.graph, alpha, task_rows(self.graph, queries))

    def _silent(self, user: str, given: float | None = None) -> bool:
        """Whether nothing is stated, and the user is served by taste."""
        return self.tastes is not None and given is None and user not in self.preferences.stated

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return self.utilities(queries, self.raw_predictions(queries), users)

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return (U, N, num_llms); the outcomes are predicted once for all users."""
        alpha = self.preferences.mean(users)
        scores = utility(self.raw_predictions(queries), alpha[:, None, None])
        silent = [row for row, user in enumerate(users) if self._silent(user)]
        if silent:
            scores[silent] = self.likings(queries, [users[row] for row in silent])
        return scores - self._charges(queries, alpha[:, None])

    @torch.no_grad()
    def likings(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        """Return (U, N, num_llms): the expected chance that each user picks the answer of each LLM."""
        assert self.tastes is not None
        target, answers = attach(self.graph, queries), answers_of(self.graph)
        parts = []
        for start in range(0, len(users), TASTES_AT_ONCE):
            liked = self.tastes.liking(answers, users[start : start + TASTES_AT_ONCE])
            found = self.model(self.graph, target, liked=torch.from_numpy(liked.astype(np.float32)))
            parts.append(found[..., len(CHANNELS) :].permute(2, 0, 1).numpy().astype(np.float64))
        return np.concatenate(parts)

    def observed(self, data: RoutingData, interactions: pd.DataFrame) -> Self:
        """Return a policy that knows more interactions with queries of `data`; graph and model are shared.

        Of a user never seen before this is all that is known. Nothing is trained.
        """
        other = copy.copy(self)
        other.preferences = self.preferences.copy()
        if self.tastes is None:
            other.preferences.observe(data, interactions)
        else:
            other.tastes = self.tastes.copy()
            other.tastes.observe(dataclasses.replace(data, interactions=interactions))
        return other

    def remembered(self) -> RoutingData:
        """Return what the graph knows of its train queries, as far as `observed` needs it: no texts, no users."""
        outcome, known = (part.numpy() for part in observations(self.graph))
        values = np.where(known > 0, outcome, np.nan).astype(np.float64)
        answers = answers_of(self.graph)
        queries = Queries(
            self.query_ids,
            tuple(self.graph.task_ids[task] if task >= 0 else UNKNOWN_TASK for task in task_of(self.graph).tolist()),
            ("",) * len(self.query_ids),
            self.graph["query"].x.numpy(),
            tuple(self.graph.blocks),
        )
        return RoutingData(
            llms=pd.DataFrame({"llm_id": self.llm_ids}),
            llm_embeddings=self.graph["llm"].x.numpy(),
            tasks=pd.DataFrame({"task_id": self.graph.task_ids}),
            task_embeddings=self.graph["task"].x.numpy(),
            queries=queries,
            performance=values[..., 0],
            cost=values[..., 1],
            cost_usd=values[..., 2] * self.graph.usd_scale,
            users=pd.DataFrame({"user_id": [], "kind": [], "preference": []}),
            interactions=pd.DataFrame({"user_id": [], "query_id": [], "llm_id": [], "reward": []}),
            answers=answers.classes,
            attributes=answers.properties[..., 1:],
        )

    def with_preference(self, user_id: str, preference: float | None) -> Self:
        """Return a policy to which the user has stated a preference in [0, 1]; None takes it back."""
        other = copy.copy(self)
        other.preferences = self.preferences.copy()
        other.preferences.stated.pop(user_id, None)
        if preference is not None:
            other.preferences.stated[user_id] = preference
        return other

    def with_llm(self, llm: pd.Series, embedding: np.ndarray, query_ids: Sequence[str], outcomes: np.ndarray) -> Self:
        """Return a policy that knows one more LLM, by its row of table `llms` and its outcomes on train queries.

        Nothing is trained: the LLM becomes a node, its outcomes edges. Shapes: `embedding` (d,) of `llm_text`;
        `outcomes` (n, 3 or more) performance, scaled cost, dollars, and as many attributes of the answer as are known
        (the rest is taken to be average). An LLM without outcomes starts from the LLMs like it. Raises `InputError` for
        an id that is taken or a query that is not a train query.
        """
        name = str(llm["llm_id"])
        if name in self.llm_ids:
            raise InputError(f"llm: expected an id that is not taken, got {name!r}; remove the old one first")
        place = {query: row for row, query in enumerate(self.query_ids)}
        unknown = [query for query in query_ids if query not in place]
        if unknown:
            raise InputError(f"llm {name!r}: expected probes on train queries, got {unknown[0]!r}; leave it out")
        other = copy.copy(self)
        other.graph = add_llm(self.graph, llm, embedding, [place[query] for query in query_ids], outcomes)
        other.llm_ids = [*self.llm_ids, name]
        other.tastes = self.tastes.with_llm(name) if self.tastes is not None else None
        return other

    def without_llm(self, llm_id: str) -> Self:
        """Return a policy that has forgotten the LLM; what users' choices of it said about the users stays."""
        if llm_id not in self.llm_ids:
            raise InputError(
                f"llm: expected one of {', '.join(self.llm_ids)}, got {llm_id!r}{did_you_mean(llm_id, self.llm_ids)}; "
                "mend the id"
            )
        if len(self.llm_ids) == 1:
            raise InputError(f"llm: expected another LLM to remain, got the only one, {llm_id!r}; add one first")
        other = copy.copy(self)
        other.graph = remove_llm(self.graph, self.llm_ids.index(llm_id))
        other.llm_ids = [name for name in self.llm_ids if name != llm_id]
        other.tastes = self.tastes.without_llm(llm_id) if self.tastes is not None else None
        return other

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        user_settings, user_arrays = self.preferences.state()
        settings = {
            "config": self.config.model_dump(mode="json"),
            "llm_ids": self.llm_ids,
            "query_ids": list(self.query_ids),
            "preferences": user_settings,
            "graph": {
                name: getattr(self.graph, name)
                for name in ("blocks", "task_ids", "topic_sizes", "usd_scale", "neighbours", "families")
            },
        }
        arrays = {f"preferences.{name}": value for name, value in user_arrays.items()}
        settings["confidence"], confidence_arrays = self.confidence.state()
        arrays |= {f"confidence.{name}": value for name, value in confidence_arrays.items()}
        if self.tastes is not None:
            settings["tastes"], taste_arrays = self.tastes.state()
            arrays |= {f"tastes.{name}": value for name, value in taste_arrays.items()}
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
        policy.confidence = Confidence.from_state(settings["confidence"], _with_prefix(arrays, "confidence."))
        policy.tastes = None
        if "tastes" in settings:
            policy.tastes = Tastes.from_state(settings["tastes"], _with_prefix(arrays, "tastes."))
        graph = HeteroData()
        for name, value in settings["graph"].items():
            setattr(graph, name, value)
        for node, name in NODE_ARRAYS:
            graph[node][name] = torch.from_numpy(arrays[f"node.{node}.{name}"])
        for edge, name in EDGE_ARRAYS:
            graph[edge][name] = torch.from_numpy(arrays[f"edge.{'.'.join(edge)}.{name}"])
        graph.distance_scale = torch.from_numpy(arrays["distance_scale"])
        policy.graph = graph
        policy.model = GraphModel(
            len(graph.blocks), len(graph.topic_sizes), policy.config, len(CHANNELS) + (policy.tastes is not None)
        )
        weights = _with_prefix(arrays, "model.")
        policy.model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        policy.model.eval()
        return policy


def _one_head(data: RoutingData, preferences: Preferences) -> RoutingData:
    """Return `data` with the mean user's reward as its only outcome (an ablation)."""
    alpha = float(preferences.mean(data.user_ids).mean())
    reward = utility(np.stack([data.performance, data.cost], axis=-1), np.asarray(alpha))
    return dataclasses.replace(data, performance=reward, cost=0.0 * reward)


def _with_prefix(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
