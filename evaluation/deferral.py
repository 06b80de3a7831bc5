"""Any number of LLMs: what each policy buys for a budget. What the numbers mean is said in graph/deferral.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.expected import Answered, benchmarks, routers
from graph.deferral import Points, aiq, audc, corners, quality_neutral_cost, sweep

SINGLE = "one LLM"
POINT_COLUMNS = ["repeat", "task_id", "policy", "llm_id", "preference", "cost_usd", "performance", "queries"]
NUMBERS = ["audc", "aiq", "qnc"]
SUMMARY_COLUMNS = ["task_id", "policy", "queries", *NUMBERS, "audc_std", "aiq_std"]


def deferral_points(answered: Answered, repeat: int) -> pd.DataFrame:
    """Return what each policy reaches as α goes from 0 to 1, columns `POINT_COLUMNS`; none without test queries.

    At a preference α every query goes to the LLM of highest α·performance − (1−α)·cost as the policy expects them (cost
    scaled to [0, 1]); `cost_usd` and `performance` are means of what came of it. Of all trade-offs there are, those are
    kept that beat every cheaper one: the corners of the deferral curve. Rows of policy `SINGLE` are always using
    `llm_id`, without a preference; elsewhere `llm_id` is empty. `task_id` as in `evaluation.expected.benchmarks`.
    """
    parts = []
    for task, rows in benchmarks(answered.task_ids).items() if len(answered.query_ids) else ():
        performance, cost = answered.performance[rows], answered.cost_usd[rows]
        shared = {"repeat": repeat, "task_id": task, "queries": len(cost)}
        alone = {"cost_usd": cost.mean(axis=0), "performance": performance.mean(axis=0)}
        singles = {"policy": SINGLE, "llm_id": answered.llm_ids, "preference": np.nan}
        parts.append(pd.DataFrame({**singles, **alone, **shared}))
        for policy in routers(answered):
            rates, points = sweep(answered.expected[policy][rows], performance, cost)
            kept = corners(points)
            reached = {"cost_usd": points.cost[kept], "performance": points.performance[kept]}
            router = {"policy": policy, "llm_id": "", "preference": 1 / (1 + rates[kept])}
            parts.append(pd.DataFrame({**router, **reached, **shared}))
    return pd.concat(parts, ignore_index=True)[POINT_COLUMNS] if parts else pd.DataFrame(columns=POINT_COLUMNS)


def deferral_summary(points: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (task_id, policy), columns `SUMMARY_COLUMNS`: means and standard deviations over repeats.

    The row `SINGLE` is what no router is needed for: its AIQ is that of tossing coins between single LLMs, and its QNC
    is 1. `qnc` is the median, which is infinite where the router fell short of the best single LLM in half of the
    repeats. Standard deviations are NaN with one repeat; `queries` are those of one repeat.
    """
    rows = []
    for task, part in points.groupby("task_id", sort=False):
        singles = {repeat: _points(own) for repeat, own in part[part["policy"] == SINGLE].groupby("repeat")}
        for policy, own in part.groupby("policy", sort=False):
            each = [_numbers(_points(mine), singles[repeat]) for repeat, mine in own.groupby("repeat")]
            table = pd.DataFrame(each, columns=NUMBERS)
            spread = table[["audc", "aiq"]].std(ddof=1).add_suffix("_std")
            middle = {**table[["audc", "aiq"]].mean(), "qnc": table["qnc"].median()}
            rows.append({"task_id": task, "policy": policy, "queries": own["queries"].iloc[0], **middle, **spread})
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _points(rows: pd.DataFrame) -> Points:
    return Points.of(rows["cost_usd"], rows["performance"])


def _numbers(mine: Points, singles: Points) -> tuple[float, float, float]:
    return audc(mine, singles), aiq(mine, singles), quality_neutral_cost(mine, singles)
