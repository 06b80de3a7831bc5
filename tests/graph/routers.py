"""Routers for the tests of what is done with one: of users with preferences, and of personas."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json

import pandas as pd
import pytest

from configs.schema import Users
from graph.graph_policy import GraphPolicy
from graph.records import Decision
from graph.router import Router
from tests.graph.world import judged_prepared, tiny_config, tiny_prepared, tiny_router

WORLDS = ("preference", "persona")
QUESTIONS = ["king treaty empire war 12?", "Write of moon verse.\nUse 3 words.", "Was kostet 東京? 🦊"]


@functools.cache
def _router(world: str) -> Router:
    if world == "preference":
        return tiny_router()
    config = tiny_config(users=Users(feedback="choice", interactions_per_user=4))
    prepared = judged_prepared() if world == "persona" else tiny_prepared(config=config)
    policy = GraphPolicy(config.graph, config.train, seed=0).fit(prepared.train, prepared.validation)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    about = {"dataset": world, "cost_kind": "computed", "simulated": True}
    return Router(policy, prepared.features, config.encoder, table, about, prepared.scaler, prepared.train.llms)


def router_of(world: str = "preference") -> Router:
    """Return a router of its own, which may learn: what it shares with others is never changed in place.

    `preference`: users with rewards on every query; `choice`: users with four choices each; `persona`: personas.
    """
    return copy.copy(_router(world))


def interactions(router: Router, llm_id: str, count: int = 30) -> pd.DataFrame:
    """Return that a user chose one LLM on the first known queries."""
    return pd.DataFrame({"query_id": router.queries["query_id"].iloc[:count], "llm_id": llm_id})


def probes(router: Router, count: int, performance: float = 0.6, cost_usd: float = 1e-4) -> pd.DataFrame:
    """Return outcomes of a new LLM, the same on the first known queries."""
    ids = list(router.queries["query_id"].iloc[:count])
    return pd.DataFrame({"query_id": ids, "performance": performance, "cost_usd": cost_usd})


def decided(router: Router, users: tuple[str, ...] = ("user_1", "persona_0001", "nobody")) -> list[Decision]:
    """Return decisions for all `QUESTIONS` and users; every one must be whole and valid JSON."""
    found = [decision for user in users for decision in router.route_batch(QUESTIONS, [user] * len(QUESTIONS))]
    for decision in found:
        whole = json.loads(json.dumps(dataclasses.asdict(decision), allow_nan=False))
        assert sorted(item["llm_id"] for item in whole["alternatives"]) == sorted(router.llm_ids)
        utilities = [item["utility"] for item in whole["alternatives"]]
        assert utilities == sorted(utilities, reverse=True)
        assert decision.llm_id == decision.alternatives[0].llm_id
        assert decision.why
    return found


def assert_alike(found: list[Decision], wanted: list[Decision], tolerance: float = 1e-6) -> None:
    """Assert that the decisions rank the same LLMs with the same utilities but for rounding."""
    for one, other in zip(found, wanted, strict=True):
        assert [item.llm_id for item in one.alternatives] == [item.llm_id for item in other.alternatives]
        assert [item.utility for item in one.alternatives] == pytest.approx(
            [item.utility for item in other.alternatives], abs=tolerance
        )
