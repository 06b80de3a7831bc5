"""The report's tables as text: who gets what, all policies, each task, each user."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from evaluation.results import FLOOR, FLOORS, GRAPH, LABELS, ORACLE, Results, mean_singles
from evaluation.summary import best_rival, llm_shares, plain, task_table, user_table
from evaluation.wording import MISSING, by_reward, interval, number, per_thousand, percent

MAX_USERS, MAX_TASKS, TOP_LLMS = 30, 60, 3


@dataclasses.dataclass(frozen=True)
class Table:
    """A titled table of text; `marks` has one word per row ("graph", "oracle", "floor" or "").

    `text_columns` are the numbers of the columns to be set left; all others hold numbers.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marks: list[str]
    text_columns: tuple[int, ...] = (0,)


def build_tables(results: Results, metrics: dict[str, Any]) -> tuple[Table, ...]:
    """Return the tables in the order of the report; who gets what is left out where `graph` was not run."""
    tables = [_who_gets_what(results), _policies(results, metrics), _tasks(results), _users(results)]
    return tuple(table for table in tables if table is not None)


def _role(name: str) -> str:
    return name if name in (GRAPH, ORACLE) else "floor" if name in FLOORS else ""


def _marked(name: str) -> str:
    marks = {"": "", GRAPH: " (this router)", ORACLE: " (ceiling)", "floor": " (floor)"}
    return name + marks[_role(name)]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts with None for NaN, as the formatters want it."""
    return plain(table.to_dict("records"))


def _spread(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return at most `limit` rows, evenly spaced, the first and last among them."""
    if len(table) <= limit:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, limit).round().astype(int)]


def _shown_users(results: Results) -> tuple[list[dict[str, Any]], str]:
    """Return the users to list, by rising preference, and a sentence where these are not all."""
    ordered = results.users.sort_values(["preference", "user_id"], na_position="last", ignore_index=True)
    shown = _spread(ordered, MAX_USERS)
    order = "id" if results.judged else "preference"
    note = f" Shown: {len(shown)} of {len(ordered):,} users, evenly spaced by {order}; all are in per_user.csv."
    return _records(shown), note if len(shown) < len(ordered) else ""


def _who_gets_what(results: Results) -> Table | None:
    shares = llm_shares(results)
    if shares.empty:
        return None
    users, note = _shown_users(results)
    means = user_table(results)
    mine = {row["user_id"]: row for row in _records(means[means["policy"] == GRAPH])}
    strongest = _records(mean_singles(results).head(1))[0]
    rows = []
    for user in users:
        if user["user_id"] not in mine:
            continue
        own = mine[user["user_id"]]
        wish = (number(user["preference"], 2), number(user["inferred_preference"], 2))
        if results.judged:
            wish = (user.get("taste") or MISSING, percent(own["accuracy"]))
        row = (user["user_id"], *wish, _top_llms(shares, user["user_id"]), number(own["performance"]))
        rows.append((*row, *_saving(results, own["cost_usd"], strongest["cost_usd"])))
    cost = ("Cost per 1,000", "Saved per 1,000", "Saved") if results.has_cost else ()
    what = (
        "the preference α is the user's weight on performance (0: cost alone counts), beside what the router inferred "
        "from the user's choices"
    )
    if results.judged:
        what = "before them what the router inferred that the user likes, and how often it gave the answer they picked"
    about = (
        f"The {TOP_LLMS} LLMs each user is sent to most, with their share of the test queries; {what}. The strongest "
        f"single LLM is {strongest['llm_id']}, with performance {number(strongest['performance'])}"
    )
    if results.has_cost:
        price = per_thousand(strongest["cost_usd"], results.in_dollars)
        about += f" at {price} for 1,000 queries; savings are against always using it"
    wishes = ("Inferred taste", "Accuracy") if results.judged else ("α", "Inferred α")
    columns = ("User", *wishes, "LLMs", "Performance", *cost)
    left = (0, 1, 3) if results.judged else (0, 3)
    return Table("Which LLM each user gets", f"{about}.{note}", columns, rows, [""] * len(rows), left)


def _top_llms(shares: pd.DataFrame, user: str) -> str:
    top = shares.T[user].sort_values(ascending=False, kind="stable").head(TOP_LLMS)
    return ", ".join(f"{llm} {percent(share)}" for llm, share in top.items() if share >= 0.005)


def _saving(results: Results, cost: float, reference: float) -> tuple[str, ...]:
    if not results.has_cost:
        return ()
    share = 1 - cost / reference if reference > 0 else None
    saved = reference - cost
    return per_thousand(cost, results.in_dollars), per_thousand(saved, results.in_dollars), percent(share)


POLICIES_ABOUT = (
    "Best first, on the test queries. ± is the standard deviation over repeats (with two or more). “Graph minus it” is "
    "the graph router's reward (accuracy where users have none) minus the policy's on the same rows, with a 95 % "
    "interval that resamples queries; an interval that includes zero shows no difference. Headroom is 0 for the best "
    "single LLM per user and 1 for the oracle, which sees the answers beforehand. Accuracy is the share of rows where "
    "the choice is (tied for) the best LLM."
)


def _policies(results: Results, metrics: dict[str, Any]) -> Table:
    rewarded = by_reward(metrics)
    rows = []
    for name, numbers in metrics["policies"].items():
        paired = metrics["paired"].get(name)
        if rewarded:
            reward = numbers["reward"]
            value = number(reward["mean"]) + ("" if reward["std"] is None else f" ± {number(reward['std'])}")
            earned: tuple[str, ...] = (value, number(numbers["headroom"], 2), percent(numbers["oracle_ratio"]))
            difference = _difference(paired, "reward_diff", "ci95")
        else:
            earned, difference = (), _difference(paired, "accuracy_diff", "accuracy_ci95")
        cost = (per_thousand(numbers["cost_usd"], results.in_dollars),) if results.has_cost else ()
        times = (number(numbers["fit_seconds"], 1), number(numbers["route_ms_per_query"], 2))
        top = () if rewarded else (percent(numbers["accuracy_top3"], 1),)
        digits = 0 if rewarded else 1
        quality = (percent(numbers["accuracy"], digits), *top, number(numbers["performance"]), *cost)
        rows.append((_marked(name), *earned, difference, *quality, *times))
    heads = ("Reward", "Headroom", "Of oracle") if rewarded else ()
    costs = ("Cost per 1,000",) if results.has_cost else ()
    top3 = () if rewarded else ("In first three",)
    columns = (
        "Policy",
        *heads,
        "Graph minus it",
        "Accuracy",
        *top3,
        "Performance",
        *costs,
        "Fit, s",
        "Route, ms/query",
    )
    return Table("All policies", POLICIES_ABOUT, columns, rows, [_role(name) for name in metrics["policies"]])


def _difference(paired: dict[str, Any] | None, value: str, bounds: str) -> str:
    if paired is None:
        return MISSING
    return f"{number(paired[value], sign=True)} {interval(paired[bounds]) if paired[bounds] else ''}".strip()


def _tasks(results: Results) -> Table:
    table = task_table(results)
    order = table[["task_id", "queries"]].drop_duplicates().sort_values(["queries", "task_id"], ascending=[False, True])
    note = f" Shown: the {MAX_TASKS} largest of {len(order):,}; all are in per_task.csv."
    lead: dict[str, tuple[str, ...]] = {
        row["task_id"]: (f"{row['queries']:,}",) for row in _records(order.head(MAX_TASKS))
    }
    note = note if len(lead) < len(order) else ""
    return _compared(results, table, "task_id", lead, "Each task", ("Task", "Queries"), note)


def _users(results: Results) -> Table:
    users, note = _shown_users(results)
    lead: dict[str, tuple[str, ...]] = {
        user["user_id"]: () if results.judged else (number(user["preference"], 2),) for user in users
    }
    columns = ("User",) if results.judged else ("User", "α")
    return _compared(results, user_table(results), "user_id", lead, "Each user", columns, note)


def _compared(
    results: Results,
    table: pd.DataFrame,
    by: str,
    lead: dict[str, tuple[str, ...]],
    title: str,
    columns: tuple[str, ...],
    note: str,
) -> Table:
    """Return one row per `by`: the reward (or accuracy) of the main policies, and the router's other numbers."""
    rewarded = bool(table["reward"].notna().any())
    cells = {(row[by], row["policy"]): row for row in _records(table)}
    run = set(table["policy"])
    names = dict.fromkeys([GRAPH, FLOOR, "best_single_per_task", best_rival(results), ORACLE])
    shown = [name for name in names if name is not None and name in run] or [str(table["policy"].iloc[0])]
    rows = []
    for key, start in lead.items():
        if (key, shown[0]) not in cells:
            continue
        own = cells[key, shown[0]]
        compared = [number(cells[key, name]["reward" if rewarded else "accuracy"]) for name in shown]
        extra = (number(own["headroom"], 2), percent(own["accuracy"])) if rewarded else ()
        cost = (per_thousand(own["cost_usd"], results.in_dollars),) if results.has_cost else ()
        rows.append((key or "(none)", *start, *compared, *extra, number(own["performance"]), *cost))
    about = (
        f"{'Reward' if rewarded else 'Accuracy'} of the main policies; the columns after them are of {shown[0]}.{note}"
    )
    heads = ("Headroom", "Accuracy") if rewarded else ()
    costs = ("Cost per 1,000",) if results.has_cost else ()
    return Table(
        title,
        about,
        (*columns, *(LABELS.get(name, name) for name in shown), *heads, "Performance", *costs),
        rows,
        [""] * len(rows),
    )
