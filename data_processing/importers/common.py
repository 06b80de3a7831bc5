"""From rows as they were read to a `Dataset`: ids, duplicates, gaps, and a count of everything that was dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import InputError
from data_processing.importers.describe import plural
from data_processing.tables import COLUMNS, CostKind, Dataset, conform, empty, ordered_unique, query_id

MEANS = ("performance", "cost_usd", "input_tokens", "output_tokens", "latency_s")
FIRSTS = ("response", "error")


def add_ids(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column `query_id` made of `task_id` and `query`."""
    pairs = rows[["task_id", "query"]].drop_duplicates()
    ids = {(task, text): query_id(task, text) for task, text in zip(pairs["task_id"], pairs["query"], strict=True)}
    keys = zip(rows["task_id"], rows["query"], strict=True)
    return rows.assign(query_id=[ids[key] for key in keys])


def assemble(
    name: str,
    rows: pd.DataFrame,
    llms: pd.DataFrame,
    tasks: pd.DataFrame,
    cost_kind: CostKind,
    notes: Sequence[str],
    keep_unscored: bool = False,
) -> Dataset:
    """Return the dataset of `rows`, one per (record of the source, LLM), without users and interactions.

    `rows` has `record` (an id of the source's record), `task_id`, `query`, `llm_id`, `performance`, and any of the
    columns of `outcomes` and `queries`. Rows of one (query, LLM) become one: numbers averaged, the first text kept.
    Rows without a performance are dropped unless `keep_unscored`, rows without a cost unless there is no cost at all;
    then queries, LLMs and tasks without any outcome. Every drop is counted in the notes.
    """
    notes = list(notes)
    rows = rows if "query_id" in rows.columns else add_ids(rows)
    rows = rows.sort_values("record", kind="stable")
    records = rows[["record", "query_id"]].drop_duplicates("record")
    repeated = len(records) - records["query_id"].nunique()
    if repeated:
        notes.append(
            f"{plural(repeated, 'duplicate query', 'duplicate queries')}: performance and cost averaged per LLM, "
            "the first response kept"
        )
    kept = rows if keep_unscored else _with_value(rows, "performance", notes)
    if cost_kind in ("published", "relative"):
        kept = _with_value(kept, "cost_usd", notes)
    idle = _note_losses(name, rows, kept, llms, notes)
    llms = llms[~llms["llm_id"].isin(idle)]
    queries = conform("queries", _columns(kept.drop_duplicates("query_id"), tuple(COLUMNS["queries"])))
    outcomes = _merge_repeats(kept)
    outcomes = _in_order(outcomes, list(queries["query_id"]), list(llms["llm_id"]))
    gaps = len(queries) * len(llms) - len(outcomes)
    if gaps:
        notes.append(f"{gaps:,} of {len(queries) * len(llms):,} (query, LLM) pairs have no outcome")
    return Dataset(
        name=name,
        llms=llms.reset_index(drop=True),
        tasks=tasks[tasks["task_id"].isin(set(queries["task_id"]))].reset_index(drop=True),
        queries=queries,
        outcomes=conform("outcomes", outcomes),
        users=empty("users"),
        interactions=empty("interactions"),
        cost_kind=cost_kind,
        notes=tuple(notes),
    )


def _note_losses(name: str, rows: pd.DataFrame, kept: pd.DataFrame, llms: pd.DataFrame, notes: list[str]) -> list[str]:
    """Count the queries and LLMs that lost all their outcomes; return those LLMs."""
    lost = rows["query_id"].nunique() - kept["query_id"].nunique()
    if lost:
        notes.append(f"{plural(lost, 'query', 'queries')} without any outcome dropped")
    idle = [llm_id for llm_id in llms["llm_id"] if llm_id not in set(kept["llm_id"])]
    if idle:
        notes.append(f"{plural(len(idle), 'LLM')} without any outcome dropped: {', '.join(idle)}")
    if kept.empty:
        raise InputError(f"{name}: expected at least one outcome, got none; check the source files")
    return idle


def _with_value(rows: pd.DataFrame, column: str, notes: list[str]) -> pd.DataFrame:
    missing = rows[column].isna()
    if missing.any():
        notes.append(f"{plural(int(missing.sum()), 'outcome')} without a {column} dropped")
    return rows[~missing]


def _columns(rows: pd.DataFrame, wanted: tuple[str, ...]) -> pd.DataFrame:
    return rows[[column for column in wanted if column in rows.columns]]


def _merge_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (query, LLM). Only the repeated ones are grouped: they are few, and grouping is slow."""
    rows = _columns(rows, ("query_id", "llm_id", *MEANS, *FIRSTS))
    repeated = rows.duplicated(["query_id", "llm_id"], keep=False)
    if not repeated.any():
        return rows
    how = {column: "mean" if column in MEANS else "first" for column in rows.columns[2:]}
    merged = rows[repeated].groupby(["query_id", "llm_id"], sort=False, as_index=False).agg(how)
    return pd.concat([rows[~repeated], merged], ignore_index=True)


def _in_order(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> pd.DataFrame:
    rank = {key: i for i, key in enumerate(query_ids)}
    place = {key: i for i, key in enumerate(llm_ids)}
    order = np.lexsort((outcomes["llm_id"].map(place), outcomes["query_id"].map(rank)))
    return outcomes.iloc[order].reset_index(drop=True)


def melt(table: pd.DataFrame, per_llm: dict[str, dict[str, pd.Series]]) -> pd.DataFrame:
    """Return long rows from a wide table: its own columns once per LLM, and that LLM's columns beside them."""
    shared = table.assign(record=range(len(table)))
    return pd.concat(
        [shared.assign(llm_id=llm_id, **columns) for llm_id, columns in per_llm.items()], ignore_index=True
    )


def stack(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several files below each other, with records that stay apart."""
    shifted, start = [], 0
    for table in tables:
        shifted.append(table.assign(record=table["record"] + start))
        start += int(table["record"].max()) + 1 if len(table) else 0
    return pd.concat(shifted, ignore_index=True)


def number_records(rows: pd.DataFrame) -> pd.DataFrame:
    """Return long rows with `record`: an LLM's n-th answer to a query (for a user) is in the query's n-th record."""
    asker = ["user_id"] if "user_id" in rows.columns else []
    turn = rows.groupby([*asker, "query_id", "llm_id"], sort=False).cumcount().rename("turn")
    record = rows.groupby(["query_id", turn], sort=False).ngroup()
    return rows.assign(record=record)


def merge_users(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Return one row per (record, LLM) from rows per (user, record, LLM); numbers that differ are averaged, counted."""
    key = ["record", "llm_id"]
    if not rows.duplicated(key).any():
        return rows
    values = [name for name in MEANS if name in rows.columns]
    if values:
        grouped = rows.groupby(key, sort=False)[values]
        differing = int((grouped.max() - grouped.min() > 1e-9).any(axis=1).sum())
        if differing:
            notes.append(f"{plural(differing, 'answer')} with other numbers for another user: averaged")
    how = {name: "mean" if name in values else "first" for name in rows.columns if name not in key}
    return rows.groupby(key, sort=False, as_index=False).agg(how)


def score_rows(records: Sequence[Any], path: Path) -> pd.DataFrame:
    """Return long rows (`record`, `query`, `llm_id`, `performance`) of a JSON list of `question` and `scores`.

    Scores are found by name: the order of the keys differs from record to record. A null score is a missing one.
    """
    rows: list[tuple[int, str, str, float]] = []
    for number, record in enumerate(records):
        where = f"{path}: row {number + 1}"
        question = record.get("question") if isinstance(record, dict) else None
        scores = record.get("scores") if isinstance(record, dict) else None
        if not isinstance(question, str) or not question.strip() or not isinstance(scores, dict) or not scores:
            raise InputError(
                f"{where}: expected 'question' (text) and 'scores' (LLM name to number); mend or remove it"
            )
        for llm_id, value in scores.items():
            rows.append((number, question, llm_id, _score(value, where, llm_id)))
    return pd.DataFrame(rows, columns=["record", "query", "llm_id", "performance"])


def _score(value: Any, where: str, llm_id: str) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or not -1e-9 <= value <= 1 + 1e-9:
        raise InputError(
            f"{where}: expected a score in [0, 1] for {llm_id!r} in 'scores', got {value!r}; mend or remove it"
        )
    return min(max(float(value), 0.0), 1.0)


def is_score_list(content: Any) -> bool:
    """Return whether a JSON file's content is a list of records with `question` and `scores`."""
    return (
        isinstance(content, list)
        and bool(content)
        and any(isinstance(record, dict) and {"question", "scores"} <= set(record) for record in content[:20])
    )


def llms_of(rows: pd.DataFrame) -> list[str]:
    """Return the LLM ids of long rows in order of first appearance."""
    return ordered_unique(rows["llm_id"].tolist())
