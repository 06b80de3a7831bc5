"""How far a judge can be trusted: does the order decide, does it agree with itself, what could not be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.importers.describe import plural
from data_processing.judging.judgements import FAILED, READ, REPAIRED, UNUSABLE
from data_processing.workspace import Workspace, whole

FILE = "judge.json"
FEWEST = 5  # choices expected per position, below which the chi-squared distribution does not hold
SURE = 0.01  # p value below which a position bias is reported as seen


def statistics(table: pd.DataFrame) -> dict[str, Any]:
    """Return what `judge.json` tells of a table of judgements, see `data_processing.judging.judgements`.

    `position`, `again` and `personas` are None where there is nothing to tell them from.
    """
    states = pd.concat([table["state"], table["again_state"]])
    return {
        "schema": 1,
        "judgements": len(table),
        "chosen": int(table["llm_id"].notna().sum()),
        "askings": {state: int((states == state).sum()) for state in (READ, REPAIRED, UNUSABLE, FAILED)},
        "position": position_bias(table),
        "again": repeat_agreement(table),
        "personas": agreement_between_users(table),
        "input_tokens": int(table["input_tokens"].sum()),
        "output_tokens": int(table["output_tokens"].sum()),
        "cost_usd": float(table["cost_usd"].sum()),
    }


def position_bias(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how often each position was chosen, against chance; None without a choice with a position.

    As the order is random, every one of n positions is chosen with chance 1/n if the judge does not mind the order,
    whatever the answers are. The chi-squared statistics of the groups of judgements with equal n add up, and so do
    their degrees of freedom; a group that expects fewer than `FEWEST` choices per position is left out of the test.
    `mean_relative_position` is 0 where always the first is chosen, 1 where always the last, 0.5 without a bias.
    """
    from scipy import stats  # takes longer to import than all else here

    chosen = table[table["position"].notna() & (table["answers"] > 1)]
    if chosen.empty:
        return None
    place, answers = chosen["position"].astype("int64"), chosen["answers"]
    statistic, freedom = 0.0, 0
    for count, group in place.groupby(answers):
        count = int(count)
        if len(group) >= FEWEST * count:
            counts = group.value_counts().reindex(range(1, count + 1), fill_value=0)
            statistic += float(stats.chisquare(counts).statistic)
            freedom += count - 1
    shares = [
        {"position": p, "share": float((place == p).mean()), "expected": float(((answers >= p) / answers).mean())}
        for p in range(1, int(answers.max()) + 1)
    ]
    return {
        "choices": len(chosen),
        "shares": shares,
        "chi_squared": statistic if freedom else None,
        "degrees_of_freedom": freedom,
        "p_value": float(stats.chi2.sf(statistic, freedom)) if freedom else None,
        "mean_relative_position": float(((place - 1) / (answers - 1)).mean()),
    }


def repeat_agreement(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how often the same text was chosen in another order, over all and per user; None if nothing was asked
    again. `by_chance` is what a judge that chooses blindly would reach."""
    twice = table[table["llm_id"].notna() & table["again_llm_id"].notna()]
    if twice.empty:
        return None
    same = twice["llm_id"] == twice["again_llm_id"]
    per_user = {str(user_id): _share(group) for user_id, group in same.groupby(twice["user_id"])}
    return {**_share(same), "by_chance": float((1 / twice["answers"]).mean()), "users": per_user}


def agreement_between_users(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how often two personas chose the same text of a query that both judged; None without such a query."""
    chosen = table[table["llm_id"].notna()]
    voters = chosen.groupby("query_id").size()
    votes = chosen.groupby(["query_id", "llm_id"]).size()
    pairs, same = _pairs(voters), _pairs(votes)
    if not pairs.sum():
        return None
    answers = chosen.groupby("query_id")["answers"].first()
    return {
        "pairs": int(pairs.sum()),
        "agreement": float(same.sum() / pairs.sum()),
        "by_chance": float((pairs / answers).sum() / pairs.sum()),
    }


def told_statistics(found: dict[str, Any]) -> list[str]:
    """Return the statistics as lines for people."""
    askings = found["askings"]
    lines = [f"{plural(found['chosen'], 'choice')} of {plural(found['judgements'], 'judgement')}"]
    if found["by"] == "llm":
        lines.append(
            f"replies: {askings[READ]:,} read at once, {askings[REPAIRED]:,} after a repair question; "
            f"{askings[UNUSABLE]:,} unreadable even so and {askings[FAILED]:,} failed calls left out"
        )
    if position := found["position"]:
        lines.append(_told_position(position))
    if again := found["again"]:
        low, high = again["ci95"]
        lines.append(
            f"asked again in another order: the same text in {again['same']:,} of {again['asked']:,} "
            f"({again['share']:.0%}, 95 % interval {low:.0%} to {high:.0%}; by chance {again['by_chance']:.0%})"
        )
    if personas := found["personas"]:
        lines.append(
            f"two personas choose the same text of a query in {personas['agreement']:.0%} of the cases (by chance "
            f"{personas['by_chance']:.0%})"
        )
    if found["by"] == "llm":
        lines.append(
            f"all judgements together: {found['input_tokens']:,} tokens in, {found['output_tokens']:,} out, "
            f"${found['cost_usd']:.4f}"
        )
    return lines


def write_statistics(workspace: Workspace, found: dict[str, Any]) -> Path:
    """Write `judge.json` whole or not at all, and return its path."""
    path = workspace.folder / FILE
    with whole(path) as part:
        part.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _share(same: pd.Series) -> dict[str, Any]:
    from scipy import stats

    asked, agreed = len(same), int(same.sum())
    interval = stats.binomtest(agreed, asked).proportion_ci(0.95, method="wilson")
    return {
        "asked": asked,
        "same": agreed,
        "share": agreed / asked,
        "ci95": [float(interval.low), float(interval.high)],
    }


def _pairs(counts: pd.Series) -> pd.Series:
    return counts * (counts - 1) / 2


def _told_position(position: dict[str, Any]) -> str:
    shares, chance = (", ".join(f"{item[key]:.0%}" for item in position["shares"]) for key in ("share", "expected"))
    shares = f"{shares} (by chance {chance})"
    where = f"mean relative position {position['mean_relative_position']:.2f}, 0.50 without a bias"
    if position["p_value"] is None:
        return f"position of the choice: {shares}; {where}; too few choices to test for a bias"
    verdict = "the order sways this judge" if position["p_value"] < SURE else "no bias seen"
    return (
        f"position of the choice, first to last: {shares}; {where}; chi-squared {position['chi_squared']:.1f} on "
        f"{position['degrees_of_freedom']} degrees of freedom, p = {position['p_value']:.2g}: {verdict}"
    )
