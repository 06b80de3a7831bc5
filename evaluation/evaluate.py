"""Policies × the test split → one `RepeatResult`. This is the only place that opens the test split."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd

from baselines import BASELINES
from baselines.oracle import OraclePolicy
from configs.errors import InputError
from configs.schema import Config
from evaluation.results import HISTORY_COLUMNS, RepeatResult
from graph.device import limited_threads
from graph.graph_policy import GraphPolicy
from graph.metrics import is_best
from graph.policy import OutcomePolicy, Policy, utility
from graph.records import RoutingData
from graph.routing_data import PreparedData


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A fitted policy and the seconds it took."""

    policy: Policy
    fit_seconds: float


def make_policy(name: str, config: Config, seed: int, progress: bool) -> Policy:
    """Return the unfitted policy of that name; the oracle is made by `evaluate`."""
    if name == GraphPolicy.name:
        return GraphPolicy(config.graph, config.train, seed, progress)
    return BASELINES[name](seed)


def fit_policies(prepared: PreparedData, config: Config, seed: int, progress: bool = False) -> dict[str, Fitted]:
    """Fit every policy of the configuration but the oracle on train and validation; it never sees `prepared.test`."""
    fitted: dict[str, Fitted] = {}
    for name in config.evaluate.policies:
        if name == OraclePolicy.name:
            continue
        start = time.perf_counter()
        with limited_threads(config.train.threads):
            policy = make_policy(name, config, seed, progress).fit(prepared.train, prepared.validation)
        fitted[name] = Fitted(policy, time.perf_counter() - start)
    return fitted


def evaluate(prepared: PreparedData, fitted: dict[str, Fitted], config: Config, repeat: int) -> RepeatResult:
    """Route every test query for every user with every policy.

    A policy chooses among the LLMs with an outcome on that query, for nothing else can be scored; queries without any
    are left out. Rewards use the users' true preferences, which no policy has seen unless the users stated them.
    """
    test = prepared.test
    seen = np.isfinite(test.performance).any(axis=1)
    if not seen.any():
        raise InputError("test split: expected at least one query with an outcome, got none; check the test set")
    rows = np.flatnonzero(seen)
    truth = _rewards(test, prepared.true_users, rows)
    policies = {name: item.policy for name, item in fitted.items()}
    if OraclePolicy.name in config.evaluate.policies:
        preference = dict(zip(prepared.true_users["user_id"], prepared.true_users["preference"], strict=True))
        policies[OraclePolicy.name] = OraclePolicy(preference).fit(test, test)
    decisions, timings = [], []
    for name in config.evaluate.policies:
        policy = policies[name]
        start = time.perf_counter()
        with limited_threads(config.train.threads):
            scores = policy.grid(test.queries.take(rows), list(prepared.true_users["user_id"]))
        seconds = time.perf_counter() - start
        decisions.append(_decisions(name, policy, scores, truth, prepared, rows))
        fit_seconds = fitted[name].fit_seconds if name in fitted else 0.0
        timings.append(
            {
                "policy": name,
                "fit_seconds": fit_seconds,
                "route_ms_per_query": 1e3 * seconds / truth[..., 0].size,
            }
        )
    graph = policies.get(GraphPolicy.name)
    training = graph.training if isinstance(graph, GraphPolicy) else None
    return RepeatResult(
        repeat=repeat,
        decisions=pd.concat(decisions, ignore_index=True),
        singles=_singles(test, rows),
        timings=pd.DataFrame(timings),
        history=pd.DataFrame(training.history if training else [], columns=HISTORY_COLUMNS),
        num_train=len(prepared.train.queries),
        num_validation=len(prepared.validation.queries),
        num_test=len(rows),
        chosen_epoch=training.chosen_epoch if training else None,
    )


def _rewards(test: RoutingData, users: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return (U, N, L) true rewards, NaN where unobserved."""
    alpha = users["preference"].to_numpy(dtype=float)[:, None, None]
    return utility(np.stack([test.performance, test.cost], axis=-1)[rows], alpha)


def _decisions(
    name: str, policy: Policy, scores: np.ndarray, truth: np.ndarray, prepared: PreparedData, rows: np.ndarray
) -> pd.DataFrame:
    test, users = prepared.test, prepared.true_users
    if not np.isfinite(scores[np.isfinite(truth)]).all():
        raise RuntimeError(f"policy {name!r} gave a score that is not a finite number")
    choice = np.where(np.isfinite(truth), scores, -np.inf).argmax(axis=-1)
    user, query = np.indices(choice.shape).reshape(2, -1)
    row, llm = rows[query], choice.ravel()
    expected = np.full((len(rows), len(test.llm_ids), 3), np.nan)
    if isinstance(policy, GraphPolicy):
        expected = policy.predictions(test.queries.take(rows))
    elif isinstance(policy, OutcomePolicy) and name not in ("elo", "cheapest"):  # those two predict ranks
        expected[..., :2] = policy.outcomes(test.queries.take(rows))
    query_ids = np.asarray(test.queries.query_ids, dtype=object)[row]
    chosen = (user, query, llm)
    return pd.DataFrame(
        {
            "policy": name,
            "user_id": users["user_id"].to_numpy()[user],
            "query_id": query_ids,
            "task_id": [prepared.task_of[query_id] for query_id in query_ids],
            "llm_id": np.asarray(test.llm_ids, dtype=object)[llm],
            "performance": test.performance[row, llm],
            "cost": test.cost[row, llm],
            "cost_usd": test.cost_usd[row, llm],
            "reward": truth[chosen],
            "best": is_best(truth.reshape(-1, truth.shape[-1]), llm),
            "expected_performance": expected[query, llm, 0],
            "expected_cost_usd": expected[query, llm, 2],
        }
    )


def _singles(test: RoutingData, rows: np.ndarray) -> pd.DataFrame:
    # Means over the observed outcomes; NaN, without numpy's warning, for an LLM that has none on the test queries.
    return pd.DataFrame(
        {
            "llm_id": test.llm_ids,
            "performance": pd.DataFrame(test.performance[rows]).mean(),
            "cost": pd.DataFrame(test.cost[rows]).mean(),
            "cost_usd": pd.DataFrame(test.cost_usd[rows]).mean(),
        }
    )
