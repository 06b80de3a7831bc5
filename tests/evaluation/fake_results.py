"""Synthetic `Results` of any size: LLMs of known strength and price, policies of known skill."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from evaluation.results import RepeatResult, Results
from graph.metrics import is_best, reward

LLM_NAMES = (
    "openai/gpt-4-1106-preview",
    "meta/code-llama-instruct-34b-chat",
    "mistralai/mixtral-8x7b-chat",
    "anthropic/claude-instant-v1",
    "zero-one-ai/Yi-34B-Chat",
    "WizardLM/WizardLM-13B-V1.2",
    "meta/llama-2-70b-chat",
    "anthropic/claude-v2",
    "mistralai/mistral-7b-chat",
    "openai/gpt-3.5-turbo-1106",
    "anthropic/claude-v1",
)
# share of a row's best LLM in a policy's choice: 1 is the oracle, 0 is the user's best single LLM, below is noise
SKILL = {
    "graph": 0.45,
    "oracle": 1.0,
    "random": -1.0,
    "cheapest": -2.0,
    "best_single": -3.0,
    "best_single_per_user": 0.0,
    "best_single_per_task": 0.1,
    "knn": 0.15,
    "linear": 0.35,
    "mlp": 0.3,
    "factorization": 0.05,
    "elo": 0.02,
}
POLICIES = tuple(SKILL)


def make_results(
    users: int = 9,
    llms: int = 11,
    queries: int = 60,
    repeats: int = 2,
    policies: tuple[str, ...] = POLICIES,
    tasks: int = 3,
    kind: str = "preference",
    cost_kind: str = "published",
    simulated: bool = False,
    seed: int = 0,
) -> Results:
    """Return results whose `graph` beats its floor and loses to its oracle; `kind` is preference or persona."""
    rng = np.random.default_rng(seed)
    names = [*LLM_NAMES, *(f"vendor-{i}/model-{i}b-instruct" for i in range(llms))][:llms]
    preference = np.linspace(0.2, 1.0, users) if users > 1 else np.array([0.5])
    user_ids = [f"user_{i}" for i in range(users)]
    inferred = np.clip(preference + rng.normal(0, 0.04, users), 0, 1)
    if kind == "persona":
        preference, inferred = np.full(users, np.nan), np.full(users, np.nan)
    user_table = pd.DataFrame({"user_id": user_ids, "kind": kind, "preference": preference})
    llm_table = pd.DataFrame({"llm_id": names, "description": "an LLM", "input_price_usd_per_mtok": 1.0})
    return Results(
        dataset="fake",
        simulated=simulated,
        cost_kind=cost_kind,  # type: ignore[arg-type]
        notes=("3 rows without a performance were dropped", "1 query appears twice & was <merged>"),
        config_yaml="name: fake\nseed: 0\ndata:\n  source: routerbench\n",
        users=user_table.assign(inferred_preference=inferred),
        llms=llm_table,
        repeats=[_repeat(i, queries, tasks, names, user_table, policies, cost_kind, seed) for i in range(repeats)],
    )


def _repeat(
    repeat: int,
    queries: int,
    tasks: int,
    names: list[str],
    users: pd.DataFrame,
    policies: tuple[str, ...],
    cost_kind: str,
    seed: int,
) -> RepeatResult:
    rng = np.random.default_rng([seed, repeat])
    strength = np.linspace(0.75, 0.35, len(names))
    cost_usd = np.geomspace(0.01, 5e-5, len(names)) * rng.lognormal(0, 0.3, (queries, len(names)))
    cost = np.clip(cost_usd / cost_usd.max(), 0, 1)
    if cost_kind == "none":
        cost_usd, cost = np.zeros_like(cost_usd), np.zeros_like(cost)
    performance = (rng.random((queries, len(names))) < strength).astype(float)
    world = {"performance": performance, "cost": cost, "cost_usd": cost_usd, "strength": strength}
    query_ids = [f"q{i:04d}" for i in rng.permutation(2 * queries)[:queries]]
    task_ids = [f"task_{int(q[1:]) % tasks}" for q in query_ids]
    parts = []
    for user in users.itertuples():
        for policy in policies:
            rows = _decide(policy, user.preference, world, rng)
            ids = {"policy": policy, "user_id": user.user_id, "query_id": query_ids, "task_id": task_ids}
            parts.append(pd.DataFrame({**ids, "llm_id": [names[i] for i in rows.pop("chosen")], **rows}))
    epochs = np.arange(1, 61)
    history = {
        "epoch": epochs,
        "train_loss": 0.3 + np.exp(-epochs / 12) + rng.normal(0, 0.005, 60),
        "validation_loss": 0.38 + np.exp(-epochs / 12) + 0.002 * epochs + rng.normal(0, 0.01, 60),
        "validation_reward": 0.45 - 0.2 * np.exp(-epochs / 10) - 0.0005 * epochs + rng.normal(0, 0.003, 60),
    }
    means = {key: world[key].mean(axis=0) for key in ("performance", "cost", "cost_usd")}
    return RepeatResult(
        repeat=repeat,
        decisions=pd.concat(parts, ignore_index=True),
        singles=pd.DataFrame({"llm_id": names, **means}),
        timings=pd.DataFrame({"policy": policies, "fit_seconds": 1.5, "route_ms_per_query": 0.2}),
        history=pd.DataFrame(history if "graph" in policies else {key: [] for key in history}),
        num_train=7 * queries,
        num_validation=queries,
        num_test=queries,
    )


def _decide(policy: str, preference: float, world: dict, rng: np.random.Generator) -> dict:
    """Return the columns of one (policy, user) over all queries."""
    performance, cost = world["performance"], world["cost"]
    num_queries, num_llms = performance.shape
    persona = np.isnan(preference)
    alpha = 0.7 if persona else preference
    utility = reward(performance, cost, alpha)
    single = int(reward(performance.mean(axis=0), cost.mean(axis=0), alpha).argmax())
    skill = SKILL.get(policy, 0.2)
    if skill == -1:
        chosen = rng.integers(0, num_llms, num_queries)
    elif skill < 0:
        chosen = np.full(num_queries, num_llms - 1 if skill == -2 else 0)
    else:
        chosen = np.where(rng.random(num_queries) < skill, utility.argmax(axis=1), single)
    rows = np.arange(num_queries)
    predicts = policy in ("graph", "knn", "linear", "mlp")
    expected = np.clip(world["strength"][chosen] + 0.3 * (performance[rows, chosen] - 0.5), 0, 1)
    return {
        "chosen": chosen,
        "performance": performance[rows, chosen],
        "cost": cost[rows, chosen],
        "cost_usd": world["cost_usd"][rows, chosen],
        "reward": np.full(num_queries, np.nan) if persona else utility[rows, chosen],
        "best": is_best(utility, chosen),
        "best_in_top3": is_best(utility, chosen) | (rows % 3 == 0),
        "expected_performance": expected if predicts else np.nan,
        "expected_cost_usd": world["cost_usd"].mean(axis=0)[chosen] if predicts else np.nan,
        "confidence": np.clip(0.5 + 0.3 * (is_best(utility, chosen) - 0.5), 0, 1) if policy == "graph" else np.nan,
    }


def change(results: Results, repeat: int, **fields: pd.DataFrame) -> Results:
    """Return the results with fields of one repeat replaced."""
    repeats = list(results.repeats)
    repeats[repeat] = dataclasses.replace(repeats[repeat], **fields)
    return dataclasses.replace(results, repeats=repeats)
