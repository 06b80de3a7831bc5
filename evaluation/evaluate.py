"""Policies × the test split → one `RepeatResult`. This is the only place that opens the test split."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from baselines import BASELINES
from baselines.contrastive import ContrastivePolicy
from baselines.oracle import OraclePolicy
from configs.errors import InputError
from configs.schema import Config
from evaluation.deferral import POINT_COLUMNS, deferral_points
from evaluation.expected import expect
from evaluation.results import HISTORY_COLUMNS, RepeatResult, concat_decisions
from evaluation.strong_weak import pair_scores
from graph.choices import hits, places
from graph.contrastive_model import learned_of, need_transformer
from graph.device import limited_threads
from graph.graph_policy import GraphPolicy
from graph.metrics import TOLERANCE, is_best
from graph.policy import OutcomePolicy, Policy, utility
from graph.records import RoutingData
from graph.routing_data import PreparedData
from graph.tuned_encoder import Learned

TOP = 3  # of how many LLMs, best first, one must be right for `best_in_top3`


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A fitted policy and the seconds it took."""

    policy: Policy
    fit_seconds: float


def make_policy(name: str, config: Config, seed: int, progress: bool, learned: Learned | None = None) -> Policy:
    """Return the unfitted policy of that name; the oracle is made by `evaluate`.

    `learned`: what was trained with the encoder of the features, where that is a contrastively trained one.
    """
    if name == GraphPolicy.name:
        return GraphPolicy(config.graph, config.train, seed, progress)
    if name == ContrastivePolicy.name:
        return ContrastivePolicy(seed, config.encoder, learned, config.train.device, progress)
    return BASELINES[name](seed)


def check_policies(config: Config) -> None:
    """Raise `InputError` for a policy that the configured encoder cannot serve, before anything is trained."""
    wanted = config.evaluate
    thin = wanted.thin_logs.observed_llms_per_query or wanted.thin_logs.interactions_per_user
    if ContrastivePolicy.name in (*wanted.policies, *(wanted.thin_logs.policies if thin else ())):
        need_transformer(config.encoder)


def fit_policies(prepared: PreparedData, config: Config, seed: int, progress: bool = False) -> dict[str, Fitted]:
    """Fit every policy of the configuration but the oracle on train and validation; it never sees `prepared.test`."""
    fitted: dict[str, Fitted] = {}
    learned = learned_of(prepared.features.encoder) if config.encoder.training == "contrastive" else None
    for name in config.evaluate.policies:
        if name == OraclePolicy.name:
            continue
        start = time.perf_counter()
        # What trains an encoder of its own takes all cores for it, as the encoder does everywhere.
        threads = torch.get_num_threads() if name == ContrastivePolicy.name else config.train.threads
        with limited_threads(threads):
            policy = make_policy(name, config, seed, progress, learned).fit(prepared.train, prepared.validation)
        fitted[name] = Fitted(policy, time.perf_counter() - start)
    return fitted


def evaluate(prepared: PreparedData, fitted: dict[str, Fitted], config: Config, repeat: int) -> RepeatResult:
    """Route every test query for every user with every policy.

    A policy chooses among the LLMs with an outcome on that query, for nothing else can be scored; queries without any
    are left out. Rewards use the users' true preferences, which no policy has seen unless the users stated them. Of
    personas a choice is right where the LLM gave the answer that the persona picked.
    """
    test = prepared.test
    rows, truth = test_truth(prepared)
    policies = {name: item.policy for name, item in fitted.items()}
    decisions, timings = [], []
    for name in config.evaluate.policies:
        start = time.perf_counter()
        if name == OraclePolicy.name:  # it knows the truth, in hindsight
            scores = np.where(np.isfinite(truth), truth, -np.inf)
        else:
            with limited_threads(config.train.threads):
                scores = policies[name].grid(test.queries.take(rows), list(prepared.true_users["user_id"]))
        seconds = time.perf_counter() - start
        decisions.append(_decisions(name, policies.get(name), scores, truth, prepared, rows))
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
    ceiling = np.nan
    if prepared.ceiling is not None:
        ceiling = float(prepared.ceiling[:, rows][np.isfinite(truth).any(axis=2)].mean())
    return RepeatResult(
        repeat=repeat,
        decisions=concat_decisions(decisions),
        singles=_singles(test, rows),
        timings=pd.DataFrame(timings),
        history=pd.DataFrame(training.history if training else [], columns=HISTORY_COLUMNS),
        num_train=len(prepared.train.queries),
        num_validation=len(prepared.validation.queries),
        num_test=len(rows),
        chosen_epoch=training.chosen_epoch if training else None,
        judge_ceiling=ceiling,
        **trade_offs(prepared, policies, config, repeat),
    )


def trade_offs(
    prepared: PreparedData, policies: dict[str, Policy], config: Config, repeat: int
) -> dict[str, pd.DataFrame]:
    """Return `pair` and `deferral` of a `RepeatResult`; without costs there is nothing to trade."""
    answered = expect(prepared, policies, config)
    costly = bool(answered.cost_usd.any())
    deferral = deferral_points(answered, repeat) if costly else pd.DataFrame(columns=POINT_COLUMNS)
    return {"pair": pair_scores(answered, repeat), "deferral": deferral}


def test_truth(prepared: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (N,) of the test queries that can be scored, and what each LLM is worth there (U, N, L).

    The worth is the true reward; for personas 1 where the LLM gave the answer that was picked and 0 elsewhere. NaN
    where the LLM was not observed or the persona picked nothing.
    """
    test = prepared.test
    users = list(prepared.true_users["user_id"])
    if test.judged:
        chosen = places(test, test.interactions, users)
        worth = np.full((len(users), *test.performance.shape), np.nan, dtype=np.float32)
        worth[chosen.user, chosen.query] = hits(test, chosen)
        worth[:, ~np.isfinite(test.performance)] = np.nan
    else:
        alpha = prepared.true_users["preference"].to_numpy(dtype=float)[:, None, None]
        worth = utility(np.stack([test.performance, test.cost], axis=-1), alpha)
    rows = np.flatnonzero(np.isfinite(worth).any(axis=(0, 2)))
    if not len(rows):
        raise InputError("test split: expected at least one query with an outcome, got none; check the test set")
    return rows, worth[:, rows]


def choices(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (U, N) the LLM of highest score among those that can be scored; both are (U, N, L)."""
    return np.where(np.isfinite(truth), scores, -np.inf).argmax(axis=-1)


def _decisions(
    name: str, policy: Policy | None, scores: np.ndarray, truth: np.ndarray, prepared: PreparedData, rows: np.ndarray
) -> pd.DataFrame:
    test, users = prepared.test, prepared.true_users
    observed = np.isfinite(truth)
    if not np.isfinite(scores[observed]).all():
        raise RuntimeError(f"policy {name!r} gave a score that is not a finite number")
    choice = choices(scores, truth)
    user, query = np.nonzero(observed.any(axis=2))
    llm = choice[user, query]
    row = rows[query]
    worth = truth[user, query]
    rank = np.where(observed, -scores, np.inf)[user, query].argsort(axis=1, kind="stable")
    top = np.take_along_axis(worth, rank[:, :TOP], axis=1)
    expected = np.full((len(rows), len(test.llm_ids), 3), np.nan)
    if isinstance(policy, GraphPolicy):
        expected = policy.predictions(test.queries.take(rows))
    elif (
        isinstance(policy, OutcomePolicy) and not test.judged and name not in ("elo", "cheapest")
    ):  # they predict ranks
        expected[..., :2] = policy.outcomes(test.queries.take(rows))
    sure = np.full(len(user), np.nan)
    if isinstance(policy, GraphPolicy):
        offered = np.where(observed, scores, -np.inf)[user, query]
        sure = policy.probability(offered, users["user_id"].to_numpy()[user].tolist())
    query_ids = [test.queries.query_ids[place] for place in rows]
    tasks, task = np.unique([prepared.task_of[query_id] for query_id in query_ids], return_inverse=True)
    return pd.DataFrame(
        {
            "policy": _ids(np.zeros(len(user), dtype=int), [name]),
            "user_id": _ids(user, list(users["user_id"])),
            "query_id": _ids(query, query_ids),
            "task_id": _ids(task[query], list(tasks)),
            "llm_id": _ids(llm, test.llm_ids),
            "performance": test.performance[row, llm],
            "cost": test.cost[row, llm],
            "cost_usd": test.cost_usd[row, llm],
            "reward": np.nan if test.judged else worth[np.arange(len(llm)), llm],
            "best": is_best(worth, llm),
            "best_in_top3": np.nanmax(top, axis=1) >= np.nanmax(worth, axis=1) - TOLERANCE,
            "expected_performance": expected[query, llm, 0],
            "expected_cost_usd": expected[query, llm, 2],
            "confidence": sure,
        }
    )


def _ids(codes: np.ndarray, names: Sequence[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(list(names), dtype="str"))


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
