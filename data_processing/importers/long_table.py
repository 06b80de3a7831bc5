"""One plain table, a row per (query, LLM) or (user, query, LLM): what people have at hand as a log."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from configs.errors import InputError
from data_processing.importers.choices import GROUP, choices_of
from data_processing.importers.common import add_ids, merge_users, number_records
from data_processing.importers.describe import plural
from data_processing.importers.own import DEFAULT_TASK, OwnTables, drop_blank_cost, read_own, reject
from data_processing.importers.reading import bools, texts
from data_processing.tables import COLUMNS, conform, empty

QUERY_COLUMNS = {"query": "id", "task_id": "id", "ground_truth": "text", "choices": "text"}
OUTCOME_COLUMNS = {name: kind for name, kind in COLUMNS["outcomes"].items() if name != "query_id"}
USER_COLUMNS = {"user_id": "id", "preference": "unit?", "persona": "text", "chosen": "text", "reward": "number?"}
KNOWN = {**QUERY_COLUMNS, **OUTCOME_COLUMNS, **USER_COLUMNS}


def read_long(path: Path) -> OwnTables:
    """Return the tables of one long file; `tables.load` lists its columns. `InputError` names file, row and column.

    Users of kind `preference` have a `preference`, the others are personas. What a user chose is the row with a true
    `chosen`. Without that column, a user who has one row per query is taken to have chosen its LLM, and users with
    several rows must have a `preference`, from which choices are made later.
    """
    rows = read_own(path, KNOWN, ("query", "llm_id", "performance"))
    if "task_id" not in rows.columns:
        rows["task_id"] = DEFAULT_TASK
    if "user_id" not in rows.columns:
        for name in USER_COLUMNS:
            if name in rows.columns:
                raise InputError(
                    f"{path}: expected a column 'user_id' beside {name!r}, got none; add it or remove {name!r}"
                )
    rows = number_records(drop_blank_cost(add_ids(rows), path))
    if "user_id" not in rows.columns:
        return OwnTables(rows, empty("users"), empty("interactions"), ())
    notes: list[str] = []
    users = _users(rows, path)
    interactions = _interactions(rows, path, notes)
    return OwnTables(merge_users(rows, notes), users, interactions, tuple(notes))


def _users(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    columns = [name for name in ("preference", "persona") if name in rows.columns]
    first = rows.groupby("user_id", sort=False)[columns].transform("first") if columns else rows[[]]
    for name in columns:
        same = (rows[name] == first[name]) | (rows[name].isna() & first[name].isna())
        reject(path, name, rows[name], ~same, f"the same {name} in every row of a user")
    users = rows.drop_duplicates("user_id")[["user_id", *columns]]
    stated = users["preference"].notna() if "preference" in columns else pd.Series(False, index=users.index)
    return conform("users", users.assign(kind=stated.map({True: "preference", False: "persona"})))


def _interactions(rows: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    if "chosen" in rows.columns:
        flags = bools(texts(rows["chosen"], path, "chosen"), path, "chosen").astype(int).astype(str)
    elif (rows.groupby(GROUP, sort=False).size() == 1).all():
        flags = pd.Series("1", index=rows.index)
        notes.append("no column 'chosen': the only LLM that answered a user's query is taken as chosen")
    elif "preference" in rows.columns and rows["preference"].notna().all():
        notes.append(
            f"no column 'chosen': {plural(rows['user_id'].nunique(), 'user')} with a preference and no choices"
        )
        return empty("interactions")
    else:
        raise InputError(
            f"{path}: expected a column 'chosen' (true on the row each user chose) or a 'preference' in every row, got "
            "neither; add one"
        )
    where = [f"{path}: row {number}" for number in range(1, len(rows) + 1)]
    chosen = choices_of(rows.assign(choice=flags, where=where), "chosen", True, notes)
    return conform("interactions", chosen)
