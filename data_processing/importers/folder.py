"""A folder of our tables, as `data_processing.tables.write_tables` or a user wrote them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from configs.catalogue import LlmEntry
from configs.errors import InputError
from data_processing.importers.common import number_records
from data_processing.importers.describe import plural
from data_processing.importers.own import DEFAULT_TASK, OwnTables, drop_blank_cost, own_table, reject
from data_processing.importers.reading import listed, visible_files
from data_processing.tables import COLUMNS, conform, empty, find_table, query_id

QUERY_TEXT = {"task_id": "id", "query": "text"}


def read_folder(path: Path) -> OwnTables:
    """Return the tables in `path` with query ids made anew; `InputError` names file, row and column."""
    outcomes_file = find_table(path, "outcomes")
    if outcomes_file is None:
        there = listed(visible_files(path), path)
        raise InputError(
            f"{path}: expected a table 'outcomes' (.parquet, .csv, .jsonl or .json), got {there}; "
            "add it, or give one long CSV as data.path"
        )
    outcomes = own_table(outcomes_file, "outcomes", optional=("query_id",), extra=QUERY_TEXT)
    queries, queries_file = _queries(path)
    outcomes = drop_blank_cost(_located(outcomes, outcomes_file, queries, queries_file), outcomes_file)
    llms, llms_file = _llms(path)
    if llms_file:
        reject(
            outcomes_file,
            "llm_id",
            outcomes["llm_id"],
            ~outcomes["llm_id"].isin(list(llms)),
            f"an LLM of {llms_file.name}",
        )
    tasks = _tasks(path, outcomes, queries_file or outcomes_file)
    users, interactions = _users(path, queries, queries_file, outcomes)
    notes = []
    lost = 0 if queries is None else int((~queries["new_id"].isin(set(outcomes["query_id"]))).sum())
    if lost:
        notes.append(f"{plural(lost, 'query', 'queries')} without any outcome dropped")
    return OwnTables(
        rows=number_records(outcomes),
        users=users,
        interactions=interactions,
        notes=tuple(notes),
        llms=llms,
        llms_file=llms_file,
        metrics=dict(zip(tasks["task_id"], tasks["metric"], strict=True)),
        task_descriptions=dict(zip(tasks["task_id"], tasks["description"], strict=True)),
    )


def _queries(path: Path) -> tuple[pd.DataFrame | None, Path | None]:
    file = find_table(path, "queries")
    if file is None:
        return None, None
    queries = own_table(file, "queries", optional=("query_id", "task_id"))
    reject(file, "query", queries["query"], queries["query"].map(lambda text: not text.strip()), "text")
    if "task_id" not in queries.columns:
        queries["task_id"] = DEFAULT_TASK
    if "query_id" in queries.columns:
        reject(file, "query_id", queries["query_id"], queries.duplicated("query_id"), "each id once")
    pairs = zip(queries["task_id"], queries["query"], strict=True)
    return queries.assign(new_id=[query_id(task, text) for task, text in pairs]), file


def _located(rows: pd.DataFrame, file: Path, queries: pd.DataFrame | None, queries_file: Path | None) -> pd.DataFrame:
    """Return the rows with the new `query_id`, `task_id`, `query`, and what `queries` says of each query."""
    if queries is None or queries_file is None:
        if "query" not in rows.columns:
            raise InputError(f"{file}: expected a column 'query' or a table 'queries' beside it, got neither; add one")
        reject(file, "query", rows["query"], rows["query"].map(lambda text: not text.strip()), "text")
        tasks = rows["task_id"] if "task_id" in rows.columns else pd.Series(DEFAULT_TASK, index=rows.index)
        ids = [query_id(task, text) for task, text in zip(tasks, rows["query"], strict=True)]
        return rows.assign(task_id=tasks, query_id=ids)
    if "query_id" in rows.columns and "query_id" in queries.columns:
        column, lookup = "query_id", queries.set_index("query_id")
    elif "query" in rows.columns:
        column, lookup = "query", _by_text(queries, queries_file)
    else:
        raise InputError(
            f"{file}: expected 'query_id' in it and in {queries_file.name}, or 'query' in it, got neither; add one"
        )
    keys = rows[column]
    reject(file, column, keys, ~keys.isin(lookup.index), f"a query of {queries_file.name}")
    found = lookup.loc[keys.tolist()].reset_index()
    wanted = {"query_id": "new_id", "task_id": "task_id", "query": "query", "ground_truth": "", "choices": ""}
    columns = {
        name: found[source or name].to_numpy() for name, source in wanted.items() if (source or name) in found.columns
    }
    return rows.reset_index(drop=True).assign(**columns)


def _by_text(queries: pd.DataFrame, file: Path) -> pd.DataFrame:
    first = queries.drop_duplicates("new_id")
    reject(
        file,
        "query",
        first["query"],
        first.duplicated("query"),
        "each text in one task only, or 'query_id' in both tables",
    )
    return first.set_index("query")


def _llms(path: Path) -> tuple[dict[str, LlmEntry], Path | None]:
    file = find_table(path, "llms")
    if file is None:
        return {}, None
    table = own_table(file, "llms")
    reject(file, "llm_id", table["llm_id"], table.duplicated("llm_id"), "each id once")
    llms = conform("llms", table, str(file))
    records = llms.astype("object").where(llms.notna(), None).to_dict("records")
    return {record["llm_id"]: LlmEntry.model_validate(record) for record in records}, file


def _tasks(path: Path, rows: pd.DataFrame, named_in: Path) -> pd.DataFrame:
    file = find_table(path, "tasks")
    if file is None:
        return pd.DataFrame(columns=list(COLUMNS["tasks"]))
    table = own_table(file, "tasks")
    reject(file, "task_id", table["task_id"], table.duplicated("task_id"), "each id once")
    unknown = [task for task in dict.fromkeys(rows["task_id"]) if task not in set(table["task_id"])]
    if unknown:
        raise InputError(
            f"{named_in}: expected tasks of {file.name} in column 'task_id', got {unknown[0]!r}; add it there"
        )
    return conform("tasks", table, str(file))


def _users(
    path: Path, queries: pd.DataFrame | None, queries_file: Path | None, rows: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    users_file, file = find_table(path, "users"), find_table(path, "interactions")
    users = empty("users")
    if users_file:
        table = own_table(users_file, "users")
        reject(users_file, "user_id", table["user_id"], table.duplicated("user_id"), "each id once")
        users = conform("users", table, str(users_file))
    if file is None:
        return users, empty("interactions")
    table = own_table(file, "interactions", optional=("query_id",), extra=QUERY_TEXT)
    if table.empty:
        return users, empty("interactions")
    where = users_file.name if users_file else "a table 'users' beside it"
    reject(file, "user_id", table["user_id"], ~table["user_id"].isin(set(users["user_id"])), f"a user of {where}")
    reject(file, "llm_id", table["llm_id"], ~table["llm_id"].isin(set(rows["llm_id"])), "an LLM with outcomes")
    found = _located(table, file, queries, queries_file)
    return users, conform("interactions", found[[name for name in COLUMNS["interactions"] if name in found.columns]])
