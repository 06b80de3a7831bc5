"""What policies expect of every LLM on the test queries that all LLMs answered: what trade-off curves are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from configs.schema import Config
from evaluation.results import ORACLE
from graph.device import limited_threads
from graph.graph_policy import GraphPolicy
from graph.policy import OutcomePolicy, Policy
from graph.routing_data import PreparedData

ALL = "all"
FAMILY = 3  # as many tasks whose ids share what is before the first underscore are also shown as one benchmark


@dataclasses.dataclass(frozen=True)
class Answered:
    """N test queries with an outcome of each of L LLMs, and what each policy expected there.

    Shapes: `query_ids`, `task_ids` (N,), `performance` in [0, 1] and `cost_usd` in dollars (N, L); `strength` and
    `price` (L,), mean performance and dollars of each LLM over the train rows; `expected` maps policy to (N, L, 2),
    performance and scaled cost, the oracle's being the truth. Policies that expect the same of every query are left
    out: they tell no query from another.
    """

    query_ids: np.ndarray
    task_ids: np.ndarray
    llm_ids: list[str]
    performance: np.ndarray
    cost_usd: np.ndarray
    strength: np.ndarray
    price: np.ndarray
    expected: dict[str, np.ndarray]


def expect(prepared: PreparedData, policies: Mapping[str, Policy], config: Config) -> Answered:
    """Open the test split and ask every policy of `policies` (name -> fitted) that predicts outcomes.

    Other queries are left out: where an LLM has no outcome nobody knows what choosing it would have brought. Of
    personas there are no rows, for they have no trade-off of performance and cost.
    """
    test, train = prepared.test, prepared.train
    whole = np.isfinite(test.performance).all(axis=1) & (not test.judged)
    rows = np.flatnonzero(whole)
    queries = test.queries.take(rows)
    expected = {}
    for name, policy in policies.items():
        if not isinstance(policy, OutcomePolicy) or not len(rows):
            continue
        if policy.llm_ids != test.llm_ids:
            raise RuntimeError(f"policy {name!r} knows other LLMs, or in another order, than the test split")
        with limited_threads(config.train.threads):
            outcomes = policy.outcomes(queries)
        if np.ptp(outcomes, axis=0).any():
            expected[name] = outcomes
    if len(rows):
        expected[ORACLE] = np.stack([test.performance, test.cost], axis=-1)[rows]
    return Answered(
        np.array(queries.query_ids, dtype=object),
        np.array([prepared.task_of[query] for query in queries.query_ids], dtype=object),
        test.llm_ids,
        test.performance[rows],
        test.cost_usd[rows],
        _observed_means(train.performance),
        _observed_means(train.cost_usd),
        expected,
    )


def benchmarks(task_ids: Sequence[str] | np.ndarray) -> dict[str, np.ndarray]:
    """Return name -> rows (N,) as booleans: `ALL`, then each benchmark where there are several.

    A benchmark is a task, or the tasks whose ids share what is before the first underscore, if there are `FAMILY` of
    them or more: mmlu for mmlu_astronomy, mmlu_nutrition and mmlu_prehistory.
    """
    ids = np.asarray(task_ids, dtype=object)
    tasks = sorted(set(ids))
    stems = [task.split("_")[0] for task in tasks]
    name_of = {task: stem if stems.count(stem) >= FAMILY else task for task, stem in zip(tasks, stems, strict=True)}
    named = np.array([name_of[task] for task in ids], dtype=object)
    names = sorted(set(named))
    parts = {name: named == name for name in names} if len(names) > 1 else {}
    return {ALL: np.ones(len(ids), dtype=bool)} | parts


def _observed_means(values: np.ndarray) -> np.ndarray:
    """Return (L,) the means of the observed cells; −inf for an LLM without any."""
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), -np.inf), where=count > 0)


def routers(answered: Answered) -> list[str]:
    """Return the names of `answered.expected`, the graph router first and the oracle last."""
    rank = {GraphPolicy.name: 0, ORACLE: 2}
    return sorted(answered.expected, key=lambda name: (rank.get(name, 1), name))
