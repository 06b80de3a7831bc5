"""From results to numbers: `metrics.json` and the CSV tables. What each number means is said in graph/metrics.py."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.deferral import deferral_summary
from evaluation.results import (
    FLOOR,
    FLOORS,
    GRAPH,
    MEASURES,
    ORACLE,
    Results,
    all_decisions,
    mean_singles,
    validate,
)
from evaluation.strong_weak import pair_curves, pair_summary
from evaluation.study_numbers import study_rows
from graph.metrics import calibration, cluster_bootstrap, headroom, mean_of_strata, oracle_ratio

SCHEMA = 1
# For personas all policies but these, the graph's and the user's own favourite give every user the same.
NOT_PERSONAL = (
    "cheapest",
    "best_single",
    "best_single_per_task",
    "knn",
    "linear",
    "mlp",
    "factorization",
    "elo",
    "contrastive",
)


def summarise(results: Results, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return what `metrics.json` holds: plain numbers, None where one does not exist.

    A policy's mean is the mean over repeats of each repeat's mean; `std` is over repeats (None with one); `ci95` is a
    bootstrap over queries with `resamples` draws (None with 0). `headroom` and `oracle_ratio` are of these means, and
    None where the oracle or `best_single_per_user` was not run. `paired` is `graph` minus the other, row by row.
    """
    validate(results)
    decisions = all_decisions(results)
    per_repeat = decisions.groupby(["policy", "repeat"])[MEASURES].mean()
    table = _policy_numbers(results, per_repeat)
    intervals, paired = _bootstrap(decisions, list(table.index), resamples, seed)
    first = results.repeats[0]
    policies = {}
    for name, row in table.iterrows():
        numbers = row.drop(["reward", "reward_std"]).to_dict()
        reward = {"mean": row["reward"], "std": row["reward_std"], "ci95": intervals[str(name)]}
        policies[str(name)] = {"reward": reward, **numbers}
    metrics = {
        "schema": SCHEMA,
        "dataset": results.dataset,
        "simulated": results.simulated,
        "cost_kind": results.cost_kind,
        "num_train": first.num_train,
        "num_validation": first.num_validation,
        "num_test": first.num_test,
        "users": len(results.users),
        "llms": len(results.llms),
        "repeats": len(results.repeats),
        "bootstrap": resamples,
        "policies": policies,
        "paired": paired,
        "savings": savings(results, table),
        "calibration_error": calibration_error(decisions),
        "confidence": confidence(decisions),
        "judged": judged(results, table),
    }
    if results.studies:
        metrics["studies"] = {name: study_rows(table) for name, table in results.studies.items()}
    if len(results.pair):
        metrics["strong_weak"] = pair_summary(results.pair, resamples, seed).to_dict("records")
    if len(results.deferral):
        metrics["deferral"] = deferral_summary(results.deferral).to_dict("records")
    return plain(metrics)


def _policy_numbers(results: Results, per_repeat: pd.DataFrame) -> pd.DataFrame:
    """Return one row per policy, best reward first (accuracy where there is no reward)."""
    by_policy = per_repeat.groupby("policy")
    table = by_policy.mean().rename(columns={"best": "accuracy", "best_in_top3": "accuracy_top3"})
    table["accuracy_std"] = by_policy["best"].std(ddof=1)
    table["reward_std"] = by_policy["reward"].std(ddof=1)
    rewards = per_repeat["reward"].unstack("repeat")
    bounds = [_row_or_nan(rewards, FLOOR), _row_or_nan(rewards, ORACLE)]
    floor, oracle = (float(table["reward"].get(name, np.nan)) for name in (FLOOR, ORACLE))
    table["headroom"] = [headroom(mean, floor, oracle) for mean in table["reward"]]
    each = [[headroom(*args) for args in zip(rewards.loc[name], *bounds, strict=True)] for name in table.index]
    table["headroom_std"] = pd.DataFrame(each, index=table.index).std(axis=1, ddof=1)
    table["oracle_ratio"] = [oracle_ratio(mean, oracle) for mean in table["reward"]]
    timings = pd.concat([repeat.timings for repeat in results.repeats])
    times = timings.groupby("policy")[["fit_seconds", "route_ms_per_query"]].mean()
    table = table.join(times)
    order = table.assign(name=table.index).sort_values(["reward", "accuracy", "name"], ascending=[False, False, True])
    columns = ["reward", "reward_std", "performance", "cost_usd", "cost", "headroom", "headroom_std"]
    columns += ["oracle_ratio", "accuracy", "accuracy_std", "accuracy_top3", "fit_seconds", "route_ms_per_query"]
    return table.loc[order.index, columns]


def policy_means(results: Results) -> pd.DataFrame:
    """Return, per policy, its `MEASURES`: means over repeats of each repeat's mean."""
    return all_decisions(results).groupby(["policy", "repeat"])[MEASURES].mean().groupby("policy").mean()


def best_rival(results: Results) -> str | None:
    """Return the best policy beside `graph`, the oracle and the floors; None without one.

    Best is by reward, or by accuracy where no user has a reward.
    """
    means = policy_means(results).drop([GRAPH, ORACLE, *FLOORS], errors="ignore")
    measure = means["reward"] if means["reward"].notna().any() else means["best"]
    return str(measure.idxmax()) if len(measure) else None


def _row_or_nan(table: pd.DataFrame, name: str) -> pd.Series:
    return table.T[name] if name in table.index else pd.Series(np.nan, index=table.columns)


def _bootstrap(
    decisions: pd.DataFrame, policies: list[str], resamples: int, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the interval of each policy's reward, and the paired comparison of `graph` with each other policy."""
    rows = decisions.sort_values(["repeat", "user_id", "query_id", "policy"])
    names = sorted(policies)
    queries, repeats = (rows[c].to_numpy().reshape(-1, len(names))[:, 0] for c in ("query_id", "repeat"))
    reward = rows["reward"].to_numpy(dtype=np.float64).reshape(-1, len(names))
    best = rows["best"].to_numpy(dtype=np.float64).reshape(-1, len(names))
    others = [name for name in names if name != GRAPH] if GRAPH in names else []
    other = [names.index(name) for name in others]
    mine = [names.index(GRAPH)] * len(others) if others else []
    values = np.hstack([reward, reward[:, mine] - reward[:, other], best[:, mine] - best[:, other]])
    means = mean_of_strata(values, repeats)
    bounds = [_pair(row) for row in cluster_bootstrap(values, queries, repeats, resamples, seed)]
    paired = {}
    for name in (policy for policy in policies if policy in others):
        i = len(names) + others.index(name)
        j = i + len(others)
        compared = {"reward_diff": means[i], "ci95": bounds[i], "accuracy_diff": means[j], "accuracy_ci95": bounds[j]}
        paired[name] = compared
    return dict(zip(names, bounds[: len(names)], strict=True)), paired


def _pair(bounds: np.ndarray) -> list[float] | None:
    return None if np.isnan(bounds).any() else [float(bounds[0]), float(bounds[1])]


def savings(results: Results, table: pd.DataFrame) -> dict[str, Any] | None:
    """Compare `graph`'s mean performance and cost with always using one LLM; None without `graph` or cost.

    `strongest` is the LLM of highest performance, `matching` the cheapest that performs at least as well as the router
    (None where none does). `share_saved` is 1 − router's cost / its cost (None where its cost is 0).
    """
    singles = mean_singles(results)
    if GRAPH not in table.index or not results.has_cost or singles.empty:
        return None
    performance, cost = float(table["performance"][GRAPH]), float(table["cost_usd"][GRAPH])
    matching = singles[singles["performance"] >= performance].sort_values(["cost_usd", "performance", "llm_id"])

    def compare(single: pd.Series) -> dict[str, Any]:
        share = 1 - cost / single["cost_usd"] if single["cost_usd"] > 0 else math.nan
        return {key: single[key] for key in ("llm_id", "performance", "cost_usd")} | {"share_saved": share}

    strongest = compare(singles.iloc[0])
    return {"strongest": strongest, "matching": compare(matching.iloc[0]) if len(matching) else None}


def calibration_error(decisions: pd.DataFrame) -> float:
    """Return the expected calibration error of `graph`'s expected performance, in [0, 1]; NaN where it has none."""
    mine = decisions[decisions["policy"] == GRAPH]
    return calibration(mine["expected_performance"], mine["performance"]).error


def confidence(decisions: pd.DataFrame) -> dict[str, Any] | None:
    """Return how well `graph`'s probabilities of being the best hold: mean, observed share, calibration error (ECE),
    Brier score, and the Brier score of always saying the observed share; None where it gave none."""
    mine = decisions[(decisions["policy"] == GRAPH) & decisions["confidence"].notna()]
    if mine.empty:
        return None
    said, best = mine["confidence"].to_numpy(), mine["best"].to_numpy(dtype=float)
    return {
        "mean": said.mean(),
        "observed": best.mean(),
        "calibration_error": calibration(said, best).error,
        "brier": ((said - best) ** 2).mean(),
        "brier_of_mean": best.mean() * (1 - best.mean()),
    }


def judged(results: Results, table: pd.DataFrame) -> dict[str, Any] | None:
    """Return what bounds the accuracy for personas; None where users have preferences.

    `best_non_personalised` is the best policy that gives every user the same answer, `ratio` is `graph`'s accuracy over
    its, and `noise_ceiling` what naming each persona's likeliest pick would reach, having read all answers.
    """
    if not results.judged:
        return None
    ceilings = [repeat.judge_ceiling for repeat in results.repeats]
    same = table.loc[[name for name in table.index if name in NOT_PERSONAL], "accuracy"]
    found: dict[str, Any] = {"noise_ceiling": float(np.mean(ceilings)), "best_non_personalised": None, "ratio": None}
    if len(same):
        found["best_non_personalised"] = {"policy": str(same.idxmax()), "accuracy": float(same.max())}
        if GRAPH in table.index and same.max() > 0:
            found["ratio"] = float(table["accuracy"][GRAPH] / same.max())
    return found


def policy_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Return one row per policy, best first: the numbers of `metrics.json` in flat columns."""
    rows = []
    for name, numbers in metrics["policies"].items():
        reward, versus = numbers["reward"], metrics["paired"].get(name, {})
        low, high = reward["ci95"] or (None, None)
        diff_low, diff_high = versus.get("ci95") or (None, None)
        row = {"policy": name, "reward": reward["mean"], "reward_std": reward["std"]}
        row |= {"reward_low": low, "reward_high": high}
        row |= {key: value for key, value in numbers.items() if key != "reward"}
        row |= {"graph_minus_policy": versus.get("reward_diff"), "difference_low": diff_low}
        rows.append(row | {"difference_high": diff_high})
    return pd.DataFrame(rows)


def user_table(results: Results) -> pd.DataFrame:
    """Return policy, user_id, preference, reward, performance, cost, cost_usd, accuracy, headroom."""
    table = _grouped(all_decisions(results), "user_id")
    table = table.merge(results.users[["user_id", "preference"]], on="user_id", how="left", validate="many_to_one")
    columns = ["policy", "user_id", "preference", "reward", "performance", "cost", "cost_usd", "accuracy", "headroom"]
    return table[columns]


def task_table(results: Results) -> pd.DataFrame:
    """Return policy, task_id, queries (distinct, tested), reward, performance, cost, cost_usd, accuracy, headroom."""
    decisions = all_decisions(results)
    table = _grouped(decisions, "task_id")
    counts = decisions.groupby("task_id")["query_id"].nunique().rename("queries").reset_index()
    table = table.merge(counts, on="task_id", validate="many_to_one")
    columns = ["policy", "task_id", "queries", "reward", "performance", "cost", "cost_usd", "accuracy", "headroom"]
    return table[columns]


def _grouped(decisions: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the measures per (policy, `by`), means over repeats of each repeat's mean, with the group's headroom."""
    each = decisions.groupby(["policy", by, "repeat"])[MEASURES].mean()
    table = each.groupby(["policy", by]).mean().rename(columns={"best": "accuracy"})
    rewards = table["reward"].unstack(by)
    floor, oracle = _row_or_nan(rewards, FLOOR), _row_or_nan(rewards, ORACLE)
    groups = table.index.get_level_values(by)
    bounds = zip(table["reward"], floor[groups], oracle[groups], strict=True)
    table["headroom"] = [headroom(*args) for args in bounds]
    return table.reset_index()


def llm_shares(results: Results, policy: str = GRAPH) -> pd.DataFrame:
    """Return (U, L): the share of each user's test queries that `policy` gives to each LLM; rows sum to 1.

    Index user_id in the order of `results.users`; columns llm_id, most used first. Empty where the policy is absent.
    """
    decisions = all_decisions(results)
    mine = decisions[decisions["policy"] == policy]
    counts = mine.groupby(["user_id", "llm_id"]).size().unstack(fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0)
    users = [user for user in results.users["user_id"] if user in shares.index]
    order = shares.sum().sort_values(ascending=False, kind="stable").index
    return shares.loc[users, order]


def plain(value: Any) -> Any:
    """Return `value` with numpy numbers as Python's and every NaN or infinity as None, for JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_summary(results: Results, metrics: dict[str, Any], folder: Path) -> None:
    """Write policies.csv, per_user.csv, per_task.csv, decisions.parquet, and where there are any studies/<name>.csv,
    strong_weak.csv and deferral.csv (curves, point by point) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    policy_table(metrics).to_csv(folder / "policies.csv", index=False)
    user_table(results).to_csv(folder / "per_user.csv", index=False)
    task_table(results).to_csv(folder / "per_task.csv", index=False)
    all_decisions(results).to_parquet(folder / "decisions.parquet", index=False)
    for name, table in results.studies.items():
        (folder / "studies").mkdir(exist_ok=True)
        table.to_csv(folder / "studies" / f"{name}.csv", index=False)
    if len(results.pair):
        pair_curves(results.pair).to_csv(folder / "strong_weak.csv", index=False)
    if len(results.deferral):
        results.deferral.to_csv(folder / "deferral.csv", index=False)


def write_metrics(metrics: dict[str, Any], path: Path) -> None:
    """Write the metrics as JSON in one step: the file is there whole or not at all. It marks a run as finished."""
    text = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
