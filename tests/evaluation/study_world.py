"""A tiny world to run the studies in, taken through the product, and a router that writes down what is asked of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from configs.schema import Config, Evaluate, Users
from data_processing.personas import make_personas, persona_users
from data_processing.rule_judge import RuleJudge
from data_processing.simulated import build_world
from data_processing.splits import split_queries
from evaluation.evaluate import Fitted, fit_policies
from evaluation.study import Setting
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.records import Queries, RoutingData
from graph.routing_data import PreparedData, prepare
from tests.graph.world import tiny_config, tiny_dataset


def make_setting(seed: int = 0, repeat: int = 0, **evaluate: Any) -> Setting:
    """Return the setting of one repeat of an experiment with these keys of section `evaluate`."""
    config = tiny_config(evaluate=Evaluate(**{"policies": ("graph", "oracle", "knn"), **evaluate}))
    dataset = tiny_dataset()
    splits = split_queries(dataset.queries, config.data.split, seed)

    def prepare_with(other: Config) -> PreparedData:
        return prepare(dataset, splits, other, make_encoder(other.encoder, "cpu"), seed)

    prepared = prepare_with(config)
    return Setting(config, prepare_with, prepared, fit_policies(prepared, config, seed), seed, repeat)


def make_judged_setting(seed: int = 0, **evaluate: Any) -> Setting:
    """Return the setting of an experiment whose users are personas, for whom a rule-based judge chooses."""
    users = Users(strategy="llm_as_judge", personas=6)
    config = tiny_config(evaluate=Evaluate(**{"policies": ("graph", "oracle"), **evaluate}), users=users)
    personas = make_personas(users)
    dataset = dataclasses.replace(build_world(100, 4, 0), users=persona_users(personas))
    judge = RuleJudge.of(dataset, personas, users.self_agreement, users.persona_seed)
    splits = split_queries(dataset.queries, config.data.split, seed)

    def prepare_with(other: Config) -> PreparedData:
        return prepare(dataset, splits, other, make_encoder(other.encoder, "cpu"), seed, judge=judge)

    prepared = prepare_with(config)
    return Setting(config, prepare_with, prepared, fit_policies(prepared, config, seed), seed, 0)


def shuffled_rows(data: RoutingData, seed: int = 1) -> RoutingData:
    """Return the same data with users, interactions and queries in another order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data.queries))
    blank = {name: getattr(data, name)[rows] for name in ("performance", "cost", "cost_usd")}
    return dataclasses.replace(
        data,
        queries=data.queries.take(rows),
        users=data.users.sample(frac=1, random_state=seed).reset_index(drop=True),
        interactions=data.interactions.sample(frac=1, random_state=seed).reset_index(drop=True),
        **blank,
    )


class Spy(GraphPolicy):
    """A router that gives every LLM the same score and keeps what it is fitted on and told."""

    def __init__(self, config: object = None, train: object = None, seed: int = 0, progress: bool = False) -> None:
        self.training = None
        self.told: list[tuple[Any, ...]] = []
        self.seed = seed

    def fit(self, train: RoutingData, validation: RoutingData) -> Self:
        self.llm_ids, self.fitted_on = train.llm_ids, (train, validation)
        Spy.last = self
        return self

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return np.zeros((len(queries), len(self.llm_ids)))

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return np.zeros((len(users), len(queries), len(self.llm_ids)))

    def observed(self, data: RoutingData, interactions: pd.DataFrame) -> Self:
        self.told.append((data, interactions))
        return self

    def with_llm(self, llm: pd.Series, embedding: np.ndarray, query_ids: Sequence[str], outcomes: np.ndarray) -> Self:
        self.told.append((llm, embedding, list(query_ids), outcomes))
        return self


def spied(setting: Setting) -> Setting:
    """Return the setting with a spy as the router of the main run."""
    spy = Spy().fit(setting.prepared.train, setting.prepared.validation)
    return dataclasses.replace(setting, fitted={**setting.fitted, "graph": Fitted(spy, 0.0)})
