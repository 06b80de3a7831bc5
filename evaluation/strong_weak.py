"""Two LLMs: from what policies expect to RouteLLM's curves and numbers. What they mean is in graph/strong_weak.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation.expected import Answered, benchmarks, routers
from evaluation.results import ORACLE
from graph.strong_weak import Curve, Pair, apgr, bootstrap_apgr, cpt, saving, trace, trace_random

RANDOM = "random"
OUTCOMES = ["weak_performance", "strong_performance", "weak_cost_usd", "strong_cost_usd"]
PAIR_COLUMNS = ["repeat", "policy", "query_id", "task_id", "weak_llm", "strong_llm", "need", *OUTCOMES]
CURVE_COLUMNS = ["repeat", "policy", "task_id", "threshold", "share", "pgr", "performance", "cost_usd"]
NUMBERS = ["apgr", "cpt50", "cpt80", "share_at_95", "cost_usd_at_95", "saved_at_95", "saved_over_random_at_95"]
SUMMARY_COLUMNS = [
    "task_id",
    "policy",
    "queries",
    "weak_llm",
    "strong_llm",
    "weak_performance",
    "strong_performance",
    *NUMBERS,
    "apgr_std",
    "apgr_se",
]


def pair_scores(answered: Answered, repeat: int) -> pd.DataFrame:
    """Return one row per (policy, test query), columns `PAIR_COLUMNS`; none unless there are exactly two LLMs.

    `need` is the expected performance of the strong LLM minus that of the weak one; the oracle's is the true gain.
    Strong is the LLM of higher mean performance on train (then the dearer one). `random` is not among them: it needs
    no score.
    """
    if len(answered.llm_ids) != 2 or not len(answered.query_ids):
        return pd.DataFrame(columns=PAIR_COLUMNS)
    weak, strong = strength_order(answered)
    shared = {
        "query_id": answered.query_ids,
        "task_id": answered.task_ids,
        "weak_llm": answered.llm_ids[weak],
        "strong_llm": answered.llm_ids[strong],
        "weak_performance": answered.performance[:, weak],
        "strong_performance": answered.performance[:, strong],
        "weak_cost_usd": answered.cost_usd[:, weak],
        "strong_cost_usd": answered.cost_usd[:, strong],
    }
    parts = []
    for name in routers(answered):
        expected = answered.expected[name][..., 0]
        need = (expected[:, strong] - expected[:, weak]).astype(np.float64)
        parts.append(pd.DataFrame({"repeat": repeat, "policy": name, "need": need, **shared}))
    return pd.concat(parts, ignore_index=True)[PAIR_COLUMNS]


def strength_order(answered: Answered) -> list[int]:
    """Return the columns of the LLMs from weak to strong: by performance on train, then price, then id."""
    keys = zip(answered.strength, answered.price, answered.llm_ids, strict=True)
    return [place for _, place in sorted((key, place) for place, key in enumerate(keys))]


def pair_curves(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of `pair_scores` (of any number of repeats), and `random`'s, columns `CURVE_COLUMNS`.

    One row per threshold of each (task_id, policy, repeat), by rising share of strong calls; `task_id` names a
    benchmark, or all of them (`evaluation.expected.benchmarks`). `threshold` is infinite at a share of 0; `pgr` is NaN
    where the strong LLM is not the better one.
    """
    parts = [
        pd.DataFrame(
            {"repeat": repeat, "policy": policy, "task_id": task, "threshold": curve.threshold, "share": curve.share}
            | {"pgr": curve.pgr, "performance": curve.performance, "cost_usd": curve.cost_usd}
        )
        for task, rows in _by_benchmark(scores)
        for policy, own in _by_policy(rows)
        for repeat, curve in _curves(policy, own)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)


def pair_summary(scores: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return one row per (task_id, policy), columns `SUMMARY_COLUMNS`: means over repeats of each repeat's number.

    `apgr_std` is over repeats (NaN with one). `apgr_se` is the standard error of `apgr`, and of its distance to
    random's 1/2, by a bootstrap over queries that keeps a query's rows in all repeats together (NaN with `resamples`
    0): repeats share test queries, so their spread alone would flatter. `cpt50` and `cpt80` are shares of strong
    calls; those `_at_95` are at 95 % of the strong LLM's performance. `queries` are distinct ones.
    """
    rows = []
    for task, part in _by_benchmark(scores):
        for policy, own in _by_policy(part):
            rows.append({"task_id": task, "policy": policy} | _summary(policy, own, resamples, seed))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _summary(policy: str, own: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    each = pd.DataFrame([_numbers(curve) for _, curve in _curves(policy, own)], columns=NUMBERS)
    error = np.nan
    if policy == RANDOM:
        error = 0.0
    elif resamples:
        draws = bootstrap_apgr(own["need"], _pair(own), own["query_id"], own["repeat"], resamples, seed)
        known = draws[np.isfinite(draws)]
        error = float(known.std(ddof=1)) if len(known) > 1 else np.nan
    performance = own.groupby("repeat")[["weak_performance", "strong_performance"]].mean().mean()
    return {
        "queries": own["query_id"].nunique(),
        "weak_llm": own["weak_llm"].iloc[0],
        "strong_llm": own["strong_llm"].iloc[0],
        **performance,
        **each.mean(),
        "apgr_std": each["apgr"].std(ddof=1),
        "apgr_se": error,
    }


def _numbers(curve: Curve) -> dict[str, float]:
    saved = saving(curve, 0.95)
    won = (apgr(curve), cpt(curve, 0.5), cpt(curve, 0.8))
    spared = (saved.share, saved.cost_usd, saved.saved, saved.saved_over_random)
    return dict(zip(NUMBERS, (*won, *spared), strict=True))


def _by_benchmark(scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if scores.empty:
        return []
    return [(name, scores[rows]) for name, rows in benchmarks(scores["task_id"].to_numpy()).items()]


def _by_policy(scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each policy in order of appearance, and the oracle's again under `RANDOM`'s name."""
    parts = [(str(name), own) for name, own in scores.groupby("policy", sort=False)]
    # The random router needs the outcomes alone, which are in every policy's rows.
    return [*parts, (RANDOM, next(own for name, own in parts if name == ORACLE))]


def _curves(policy: str, own: pd.DataFrame) -> list[tuple[int, Curve]]:
    pairs = [(int(str(repeat)), rows["need"], _pair(rows)) for repeat, rows in own.groupby("repeat")]
    return [(n, trace_random(pair) if policy == RANDOM else trace(need, pair)) for n, need, pair in pairs]


def _pair(rows: pd.DataFrame) -> Pair:
    return Pair(*(rows[column].to_numpy(dtype=np.float64) for column in OUTCOMES))
