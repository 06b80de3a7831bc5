"""A tiny seeded world for the tests of this folder: 3 tasks, 4 LLMs, 4 users, outcomes that depend on all of them.

`tiny` makes the three splits with random features; `tiny_dataset` makes the same kind of world as tables with texts,
and `tiny_prepared` and `tiny_router` take it through the product with the hashing encoder, so no weights are loaded.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import Config, Encoder, Graph, Train, Users
from data_processing.personas import make_personas, persona_users
from data_processing.rule_judge import RuleJudge
from data_processing.simulated import build_world
from data_processing.splits import split_queries
from data_processing.tables import Dataset, conform, empty, query_id
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.records import Queries, RoutingData
from graph.router import Router
from graph.routing_data import PreparedData, prepare

TASKS = ("algebra", "history", "poetry")
LLMS = ("brook", "delta", "fjord", "ocean")  # from weak and cheap to strong and dear
ALPHAS = (0.1, 0.4, 0.7, 1.0)
BLOCKS = (12, 5)
GRAPH = Graph(topics=(2, 4), neighbours=8)
TRAIN = Train(epochs=3, folds=3, device="cpu")
ATTRIBUTES = ("length", "warmth")
TASTES = ((2.5, 0.0), (-2.5, 0.0), (0.0, 2.5), (1.0, -2.0))  # of the personas, for the two attributes
RELATIONS = tuple(GRAPH.relations.model_dump())
WORDS = {
    "algebra": ["sum", "root", "factor", "matrix", "prove", "integer", "equation", "solve", "fraction", "polynomial"],
    "history": ["king", "treaty", "empire", "war", "century", "revolt", "trade", "crown", "siege", "dynasty"],
    "poetry": ["rhyme", "verse", "moon", "sonnet", "metre", "stanza", "river", "lament", "ode", "dawn"],
}


def with_relations(*names: str, **changes: Any) -> Graph:
    """Return `GRAPH` with only the named relations switched on."""
    switches = {name: name in names for name in RELATIONS}
    return Graph(**{"topics": GRAPH.topics, "neighbours": GRAPH.neighbours, "relations": switches, **changes})


def tiny(
    seed: int = 0,
    counts: tuple[int, int, int] = (60, 16, 14),
    llms: int = 4,
    alphas: tuple[float, ...] = ALPHAS,
    feedback: str = "reward",
) -> tuple[RoutingData, RoutingData, RoutingData]:
    """Return train, validation and test, with `counts` queries; every user chose on every train query."""
    rng = np.random.default_rng(seed)
    task = rng.integers(0, len(TASKS), sum(counts))
    embeddings = _features(rng, task)
    performance, cost_usd = _truth(rng, task, embeddings, llms)
    ids = [f"q{number:03d}" for number in rng.permutation(sum(counts))]
    low, high = cost_usd[: counts[0]].min(), cost_usd[: counts[0]].max()
    cost = np.clip((cost_usd - low) / (high - low), 0, 1).astype(np.float32)
    users = pd.DataFrame(
        {"user_id": [f"user_{i + 1}" for i in range(len(alphas))], "kind": "preference", "preference": np.nan}
    )
    llm_table, llm_embeddings = _llms(rng, llms)
    tasks = pd.DataFrame({"task_id": TASKS, "description": "", "metric": "em"})
    task_embeddings = rng.normal(size=(len(TASKS), BLOCKS[0])).astype(np.float32)
    interactions = chosen_by(alphas, ids[: counts[0]], llm_table, performance, cost, feedback)
    splits, start = [], 0
    for number, count in enumerate(counts):
        rows = slice(start, start + count)
        queries = Queries(
            tuple(ids[rows]),
            tuple(TASKS[t] for t in task[rows]),
            tuple(f"text of {name}" for name in ids[rows]),
            embeddings[rows],
            BLOCKS,
        )
        splits.append(
            RoutingData(
                llm_table, llm_embeddings, tasks, task_embeddings, queries,
                performance[rows], cost[rows], cost_usd[rows], users, interactions if number == 0 else interactions[:0],
            )
        )  # fmt: skip
        start += count
    return splits[0], splits[1], splits[2]


def chosen_by(
    alphas: tuple[float, ...],
    query_ids: list[str],
    llms: pd.DataFrame,
    performance: np.ndarray,
    cost: np.ndarray,
    feedback: str,
) -> pd.DataFrame:
    """Return what users of these preferences choose on the first `len(query_ids)` rows: the highest reward."""
    rows = []
    for number, alpha in enumerate(alphas):
        for row, name in enumerate(query_ids):
            reward = alpha * performance[row] - (1 - alpha) * cost[row]
            best = int(np.nanargmax(reward))
            known = float(reward[best]) if feedback == "reward" else np.nan
            rows.append((f"user_{number + 1}", name, llms["llm_id"].iloc[best], known))
    return pd.DataFrame(rows, columns=["user_id", "query_id", "llm_id", "reward"])


def _features(rng: np.random.Generator, task: np.ndarray) -> np.ndarray:
    parts = []
    for width in BLOCKS:
        middle = rng.normal(size=(len(TASKS), width))
        values = middle[task] + rng.normal(size=(len(task), width))
        parts.append(values / np.linalg.norm(values, axis=1, keepdims=True))
    return np.hstack(parts).astype(np.float32)


def _truth(rng: np.random.Generator, task: np.ndarray, x: np.ndarray, llms: int) -> tuple[np.ndarray, np.ndarray]:
    """Performance: skill, task, features, the query's difficulty, noise. Dollars: price and length."""
    skill = np.linspace(-0.15, 0.15, llms) + rng.normal(scale=0.1, size=(len(TASKS), llms))
    slope = rng.normal(scale=0.15, size=(x.shape[1], llms))
    difficulty = rng.normal(scale=0.15, size=(len(task), 1))
    noise = rng.normal(scale=0.05, size=(len(task), llms))
    performance = np.clip(0.5 + skill[task] + x @ slope + difficulty + noise, 0, 1)
    length = rng.uniform(1, 3, size=(len(task), 1)) * (1 + task[:, None])
    return performance, 1e-4 * length * np.geomspace(1, 8, llms) * rng.uniform(0.9, 1.1, size=(len(task), llms))


def _llms(rng: np.random.Generator, count: int) -> tuple[pd.DataFrame, np.ndarray]:
    names = [LLMS[i] if i < len(LLMS) else f"river_{i}" for i in range(count)]
    price = np.geomspace(0.1, 8.0, count)
    table = pd.DataFrame(
        {
            "llm_id": names,
            "description": "",
            "family": ["stream" if i % 2 else "basin" for i in range(count)],
            "api_model": "",
            "input_price_usd_per_mtok": price,
            "output_price_usd_per_mtok": 3 * price,
        }
    )
    vectors = rng.normal(size=(count, BLOCKS[0]))
    return table, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def tiny_judged(
    seed: int = 0,
    counts: tuple[int, int, int] = (60, 16, 14),
    llms: int = 4,
    tastes: tuple[tuple[float, float], ...] = TASTES,
) -> tuple[RoutingData, RoutingData, RoutingData]:
    """Return the splits of `tiny` with texts, and a persona per taste who picked one on every query of all splits.

    How long and warm an LLM's answer is depends on the LLM and the query's features, so it can be foreseen. About one
    answer in five is word for word that of another LLM.
    """
    rng = np.random.default_rng([seed, 1])
    people = pd.DataFrame(
        {"user_id": [f"user_{i + 1}" for i in range(len(tastes))], "kind": "persona", "preference": np.nan}
    )
    slope = rng.normal(scale=0.7, size=(sum(BLOCKS), llms, len(ATTRIBUTES)))
    habit = np.stack([np.linspace(-1, 1, llms), rng.permutation(np.linspace(-1, 1, llms))], axis=1)
    splits = []
    for data in tiny(seed, counts, llms):
        shape = data.performance.shape
        answers = np.tile(np.arange(llms), (shape[0], 1))
        copied = (rng.random(shape) < 0.2) & (answers > 0)
        answers[copied] = (answers - 1)[copied]
        answers = _renumbered(answers)
        own = np.einsum("qd,dlk->qlk", data.queries.embeddings, slope) + habit + rng.normal(scale=0.3, size=(*shape, 2))
        attributes = np.take_along_axis(own, answers[..., None], axis=1)
        rows = []
        for user, taste in zip(people["user_id"], tastes, strict=True):
            worth = (
                attributes @ np.array(taste)
                + data.performance
                + np.take_along_axis(rng.gumbel(size=shape), answers, axis=1)
            )
            rows += [
                (user, query, data.llm_ids[int(best)], np.nan)
                for query, best in zip(data.queries.query_ids, worth.argmax(axis=1), strict=True)
            ]
        splits.append(
            dataclasses.replace(
                data,
                users=people,
                interactions=pd.DataFrame(rows, columns=["user_id", "query_id", "llm_id", "reward"]),
                answers=answers,
                attributes=attributes,
                attribute_names=ATTRIBUTES,
            )
        )
    return splits[0], splits[1], splits[2]


def _renumbered(answers: np.ndarray) -> np.ndarray:
    """Return the numbers of the distinct answers, each the first column that gave the answer."""
    return (answers[:, :, None] == answers[:, None, :]).argmax(axis=2)


def take_llms(data: RoutingData, order: list[int]) -> RoutingData:
    """Return `data` with the given LLM columns, in that order."""
    return dataclasses.replace(
        data,
        llms=data.llms.iloc[order].reset_index(drop=True),
        llm_embeddings=data.llm_embeddings[order],
        performance=data.performance[:, order],
        cost=data.cost[:, order],
        cost_usd=data.cost_usd[:, order],
        answers=None if data.answers is None else _renumbered(data.answers[:, order]),
        attributes=None if data.attributes is None else data.attributes[:, order],
        interactions=data.interactions[data.interactions["llm_id"].isin(data.llms["llm_id"].iloc[order])],
    )


def take_queries(data: RoutingData, rows: np.ndarray) -> RoutingData:
    """Return `data` with the given query rows, in that order; the interactions stay."""
    return dataclasses.replace(
        data,
        queries=data.queries.take(rows),
        performance=data.performance[rows],
        cost=data.cost[rows],
        cost_usd=data.cost_usd[rows],
        answers=None if data.answers is None else data.answers[rows],
        attributes=None if data.attributes is None else data.attributes[rows],
    )


def hide(data: RoutingData, hidden: np.ndarray) -> RoutingData:
    """Return `data` without the outcomes where `hidden` (Q, L) is True."""
    blank = {name: np.where(hidden, np.nan, getattr(data, name)) for name in ("performance", "cost", "cost_usd")}
    if data.attributes is not None:
        blank["attributes"] = np.where(hidden[..., None], np.nan, data.attributes)
    return dataclasses.replace(data, **blank)


def without_tasks(data: RoutingData) -> RoutingData:
    """Return `data` as `data.use_tasks: false` makes it."""
    queries = dataclasses.replace(data.queries, task_ids=("",) * len(data.queries))
    return dataclasses.replace(
        data, tasks=data.tasks.iloc[:0], task_embeddings=data.task_embeddings[:0], queries=queries
    )


def all_but_k(shape: tuple[int, int], keep: int, seed: int = 0) -> np.ndarray:
    """Return a mask that is True for all but `keep` random entries of each row."""
    return np.random.default_rng(seed).random(shape).argsort(axis=1).argsort(axis=1) >= keep


def tiny_dataset(seed: int = 0, queries: int = 90) -> Dataset:
    """Return a world of the same kind as tables, with texts made of words of the task."""
    rng = np.random.default_rng(seed)
    task = rng.integers(0, len(TASKS), queries)
    performance, cost_usd = _truth(rng, task, _features(rng, task), len(LLMS))
    texts = [
        f"{' '.join(rng.choice(WORDS[TASKS[t]], size=6))} {number}?" if number % 3 else
        f"Write of {' '.join(rng.choice(WORDS[TASKS[t]], size=4))}.\nUse {number} words."
        for number, t in enumerate(task)
    ]  # fmt: skip
    ids = [query_id(TASKS[t], text) for t, text in zip(task, texts, strict=True)]
    table = pd.DataFrame({"query_id": ids, "task_id": [TASKS[t] for t in task], "query": texts})
    outcomes = pd.DataFrame(
        {
            "query_id": np.repeat(ids, len(LLMS)),
            "llm_id": np.tile(LLMS, queries),
            "performance": performance.ravel(),
            "cost_usd": cost_usd.ravel(),
        }
    )
    llms, _ = _llms(rng, len(LLMS))
    users = pd.DataFrame(
        {"user_id": [f"user_{i + 1}" for i in range(len(ALPHAS))], "kind": "preference", "preference": ALPHAS}
    )
    return Dataset(
        "tiny",
        conform("llms", llms),
        conform("tasks", pd.DataFrame({"task_id": TASKS})),
        conform("queries", table),
        conform("outcomes", outcomes),
        conform("users", users),
        empty("interactions"),
        "computed",
    )


def tiny_config(**sections: Any) -> Config:
    """Return a configuration with the hashing encoder; `sections` replace whole sections."""
    defaults = {"encoder": Encoder(model="hashing:24"), "graph": GRAPH, "train": TRAIN}
    return Config(**{**defaults, **sections})


def tiny_prepared(dataset: Dataset | None = None, config: Config | None = None, seed: int = 0) -> PreparedData:
    """Return the dataset split and prepared by the product."""
    dataset, config = dataset or tiny_dataset(), config or tiny_config()
    splits = split_queries(dataset.queries, config.data.split, seed)
    return prepare(dataset, splits, config, make_encoder(config.encoder, "cpu"), seed)


@functools.cache
def judged_dataset(queries: int = 60, personas: int = 5) -> Dataset:
    """Return the simulated world, whose answers have texts, with personas as users; shared, so not to be changed."""
    world = build_world(queries, len(LLMS), 0)
    return dataclasses.replace(world, users=persona_users(make_personas(Users(personas=personas))))


def judge_of(dataset: Dataset) -> RuleJudge:
    """Return who picks for the personas of `judged_dataset`, whatever the order of its tables."""
    return RuleJudge.of(dataset, make_personas(Users(personas=len(dataset.users))), 0.8, 0)


def judged_prepared(
    dataset: Dataset | None = None, judge: RuleJudge | None = None, seed: int = 0, **sections: Any
) -> PreparedData:
    """Return a world of personas split and prepared by the product; `sections` as in `tiny_config`."""
    dataset = dataset or judged_dataset()
    users = sections.pop("users", Users()).model_copy(update={"strategy": "llm_as_judge"})
    config = tiny_config(users=users, **sections)
    splits = split_queries(dataset.queries, config.data.split, seed)
    encoder = make_encoder(config.encoder, "cpu")
    return prepare(dataset, splits, config, encoder, seed, judge=judge or judge_of(dataset))


@functools.cache
def tiny_router() -> Router:
    """Return a router trained on `tiny_dataset`; shared between tests, which must not change it."""
    prepared, config = tiny_prepared(), tiny_config()
    policy = GraphPolicy(config.graph, config.train, seed=0).fit(prepared.train, prepared.validation)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    about = {"dataset": "tiny", "cost_kind": "computed"}
    return Router(policy, prepared.features, config.encoder, table, about, prepared.scaler, prepared.train.llms)
