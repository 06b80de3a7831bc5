"""Which LLM each PersonalizedRouter user chose, in the three spellings its files use."""

from __future__ import annotations

import pandas as pd

from configs.errors import InputError
from data_processing.importers.common import llms_of
from data_processing.importers.describe import plural

GROUP = ["user_id", "query_id", "record"]
TIE = 1e-9
FLAGS = {"1": True, "1.0": True, "0": False, "0.0": False}


def has_flags(rows: pd.DataFrame, column: str) -> bool:
    """Return whether a published column marks the chosen row with 1 and the others with 0, rather than name an LLM."""
    groups = rows.groupby(GROUP, sort=False)["choice"]
    if bool((groups.nunique() > 1).any()):
        return True
    # Nothing tells them apart where every group is one row: best_answer is a flag in the published files.
    return column == "best_answer" and bool((groups.size() == 1).all()) and bool(rows["choice"].isin(list(FLAGS)).all())


def choices_of(rows: pd.DataFrame, column: str, flags: bool, notes: list[str]) -> pd.DataFrame:
    """Return `user_id, query_id, llm_id, reward`, one row per (user, query), from `rows` with a text column `choice`.

    A group is one user's answers to one query, once. With `flags`, 1 stands on the row of the chosen LLM and 0 on the
    others; a group without a 1 has no choice (a judge that counted past the last answer). Otherwise every row of the
    group says the same: an LLM's name, or its index in the order in which LLMs first appear in the file. `reward` is
    the published reward of the chosen LLM, NaN where there is none. Where a query was asked twice, the first choice
    counts. `best_llm` is compared with the highest published reward, up to ties, and disagreements are counted.
    """
    chosen = _flagged(rows, column, notes) if flags else _named(rows, column)
    if "reward" not in rows.columns:
        chosen = chosen.assign(reward=float("nan"))
    elif column == "best_llm":
        _compare(rows, chosen, column, notes)
    again = chosen.duplicated(["user_id", "query_id"])
    if again.any():
        notes.append(f"{plural(int(again.sum()), 'choice')} on a query the user had chosen for before not used")
    return chosen.loc[~again, ["user_id", "query_id", "llm_id", "reward"]].reset_index(drop=True)


def _flagged(rows: pd.DataFrame, column: str, notes: list[str]) -> pd.DataFrame:
    flags = rows["choice"].map(FLAGS)
    if flags.isna().any():
        row = rows[flags.isna()].iloc[0]
        raise InputError(f"{row['where']}: expected 1 or 0 in column {column!r}, got {row['choice']!r}; mend it")
    chosen = rows[flags.astype(bool)]
    twice = chosen[chosen.duplicated(GROUP)]
    if len(twice):
        raise InputError(
            f"{twice['where'].iloc[0]}: expected one chosen answer per user and query, got another; mend it"
        )
    none = rows.groupby(GROUP, sort=False).ngroups - len(chosen)
    if none:
        notes.append(f"{plural(none, 'judgement')} without a chosen answer not used")
    return chosen


def _named(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    order = llms_of(rows)
    first = rows.drop_duplicates(GROUP)
    picked = [
        _resolve(value, where, column, order) for value, where in zip(first["choice"], first["where"], strict=True)
    ]
    wanted = first[[*GROUP, "where"]].assign(llm_id=picked)
    extra = [name for name in ("reward",) if name in rows.columns]
    chosen = wanted.merge(rows[[*GROUP, "llm_id", *extra]], on=[*GROUP, "llm_id"], how="left", indicator=True)
    absent = chosen[chosen["_merge"] == "left_only"]
    if len(absent):
        row = absent.iloc[0]
        raise InputError(
            f"{row['where']}: expected {column!r} among the LLMs of its group, got {row['llm_id']!r}; mend it"
        )
    return chosen


def _resolve(value: str, where: str, column: str, order: list[str]) -> str:
    if value in order:
        return value
    index = value.removesuffix(".0")
    if index.isdecimal() and int(index) < len(order):
        return order[int(index)]
    raise InputError(
        f"{where}: expected in column {column!r} an LLM or an index below {len(order)}, got {value!r}; mend it"
    )


def _compare(rows: pd.DataFrame, chosen: pd.DataFrame, column: str, notes: list[str]) -> None:
    best = rows.groupby(GROUP, sort=False)["reward"].max().rename("best").reset_index()
    both = chosen.merge(best, on=GROUP)
    worse = int((both["reward"] < both["best"] - TIE).sum())
    if worse:
        notes.append(f"{worse:,} of {len(both):,} published choices ({column}) are not the LLM with the highest reward")
