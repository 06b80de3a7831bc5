"""The tables every source is turned into, and the checks that make them trustworthy.

A `Dataset` is a handful of pandas tables joined by string ids only; nothing is aligned by row order. The reward of a
(user, query, LLM) is derived from `performance`, scaled `cost` and the user's `preference`, and never stored.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from configs.preferences import in_numbers

CostKind = Literal["published", "computed", "relative", "none"]

# column -> kind of value: id (non-empty text), text, unit ([0, 1]), money (>= 0), count (>= 0); "?" marks nullable.
COLUMNS: dict[str, dict[str, str]] = {
    "llms": {
        "llm_id": "id",
        "description": "text",
        "family": "text",
        "api_model": "text",
        "input_price_usd_per_mtok": "money?",
        "output_price_usd_per_mtok": "money?",
    },
    "tasks": {"task_id": "id", "description": "text", "metric": "text"},
    "queries": {"query_id": "id", "task_id": "id", "query": "text", "ground_truth": "text", "choices": "text"},
    "outcomes": {
        "query_id": "id",
        "llm_id": "id",
        "response": "text",
        "performance": "unit?",
        "cost_usd": "money?",
        "input_tokens": "count?",
        "output_tokens": "count?",
        "latency_s": "money?",
        "error": "text",
    },
    "users": {"user_id": "id", "kind": "text", "preference": "unit?", "persona": "text"},
    "interactions": {"user_id": "id", "query_id": "id", "llm_id": "id", "reward": "number?", "judge_reply": "text"},
}
KEYS: dict[str, tuple[str, ...]] = {
    "llms": ("llm_id",),
    "tasks": ("task_id",),
    "queries": ("query_id",),
    "outcomes": ("query_id", "llm_id"),
    "users": ("user_id",),
    "interactions": ("user_id", "query_id"),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "llms": ("llm_id",),
    "tasks": ("task_id",),
    "queries": ("query_id", "task_id", "query"),
    "outcomes": ("query_id", "llm_id", "performance"),
    "users": ("user_id", "kind"),
    "interactions": ("user_id", "query_id", "llm_id"),
}
FOREIGN_KEYS: dict[str, dict[str, str]] = {
    "queries": {"task_id": "tasks"},
    "outcomes": {"query_id": "queries", "llm_id": "llms"},
    "interactions": {"user_id": "users", "query_id": "queries", "llm_id": "llms"},
}
USER_KINDS = ("preference", "persona")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """All tables of one source.

    `cost_kind` says where `cost_usd` comes from: `published` (dollars as the authors give them), `computed` (prices ×
    token counts), `relative` (the authors' own normalised unit, not dollars) or `none` (no cost: all zeros).
    `notes` are the facts an importer counted (rows dropped and why, duplicates, overlaps); reports print them.
    `users` and `interactions` are empty where the source has none; they are then made by `data_processing.users`.
    """

    name: str
    llms: pd.DataFrame
    tasks: pd.DataFrame
    queries: pd.DataFrame
    outcomes: pd.DataFrame
    users: pd.DataFrame
    interactions: pd.DataFrame
    cost_kind: CostKind
    simulated: bool = False
    notes: tuple[str, ...] = ()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return table name -> table, in the order of `COLUMNS`."""
        return {name: getattr(self, name) for name in COLUMNS}


def query_id(task_id: str, query: str) -> str:
    """Return the id of a query: 16 hex digits of sha256 over task and text, the same in every file and run."""
    return hashlib.sha256(f"{task_id}\x1f{query}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def empty(name: str) -> pd.DataFrame:
    """Return table `name` with all its columns and no rows."""
    return conform(name, pd.DataFrame(columns=list(COLUMNS[name])))


def conform(name: str, table: pd.DataFrame, source: str = "") -> pd.DataFrame:
    """Return `table` with exactly the columns of table `name`, in order and dtype; absent nullable ones are filled.

    Raises `InputError` where a required column is missing, a column is unknown, or a number is not one.
    """
    where = source or f"table {name!r}"
    known = COLUMNS[name]
    for column in table.columns:
        if column not in known:
            raise InputError(
                f"{where}: unknown column {column!r}{did_you_mean(str(column), list(known))}; "
                f"table {name!r} has {', '.join(known)}; rename or remove it"
            )
    for column in REQUIRED[name]:
        if column not in table.columns:
            raise InputError(f"{where}: expected a column {column!r}, got {', '.join(map(str, table.columns))}; add it")
    data = {}
    for column, kind in known.items():
        if kind in ("id", "text"):
            values = table[column] if column in table.columns else pd.Series("", index=table.index)
            data[column] = values.fillna("").astype("str")
        else:
            values = table[column] if column in table.columns else pd.Series(np.nan, index=table.index)
            if column == "preference":  # "balanced" is as good as 0.5
                values = values.map(in_numbers)
            data[column] = _numbers(values, column, where)
    return pd.DataFrame(data).reset_index(drop=True)


def _numbers(values: pd.Series, column: str, where: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    bad = numbers.isna() & values.notna() & (values.astype("str").str.strip() != "")
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise InputError(
            f"{where}: expected a number in column {column!r}, row {row + 1} has {values.iloc[row]!r}; mend or empty it"
        )
    return numbers.astype("float64")


def validate(dataset: Dataset) -> None:
    """Check columns, dtypes, ranges, unique keys and foreign keys; raise `InputError` naming the first bad rows."""
    tables = dataset.tables()
    for name, table in tables.items():
        _check_columns(name, table)
        check_values(name, table)
        _check_keys(name, table)
        for column, target in FOREIGN_KEYS.get(name, {}).items():
            _check_foreign_key(name, column, target, tables)
    _check_users(dataset.users)
    for name in ("llms", "queries", "outcomes"):
        if tables[name].empty:
            raise InputError(f"{dataset.name}: expected at least one row in table {name!r}, got none; check the source")


def _check_columns(name: str, table: pd.DataFrame) -> None:
    if list(table.columns) != list(COLUMNS[name]):
        raise InputError(
            f"table {name!r}: expected columns {', '.join(COLUMNS[name])}, got {', '.join(map(str, table.columns))}; "
            "build it with data_processing.tables.conform"
        )


def check_values(name: str, table: pd.DataFrame) -> None:
    """Check ids and numbers of table `name`; raise `InputError` naming the first bad rows."""
    for column, kind in COLUMNS[name].items():
        values = table[column]
        if kind == "id":
            _reject(name, column, table, values.str.strip() == "", "a non-empty id")
        elif kind == "text":
            continue
        else:
            _reject(name, column, table, np.isinf(values), "a finite number")
            if not kind.endswith("?"):
                _reject(name, column, table, values.isna(), "a number")
            if kind.startswith("unit"):
                _reject(name, column, table, (values < 0) | (values > 1), "a number in [0, 1]")
            elif kind.startswith(("money", "count")):
                _reject(name, column, table, values < 0, "a number >= 0")


def _check_keys(name: str, table: pd.DataFrame) -> None:
    key = list(KEYS[name])
    _reject(name, " + ".join(key), table, table.duplicated(key, keep="first"), "a unique key")


def _check_foreign_key(name: str, column: str, target: str, tables: dict[str, pd.DataFrame]) -> None:
    known = set(tables[target][KEYS[target][0]])
    _reject(name, column, tables[name], ~tables[name][column].isin(known), f"an id of table {target!r}")


def _check_users(users: pd.DataFrame) -> None:
    _reject("users", "kind", users, ~users["kind"].isin(USER_KINDS), f"one of {', '.join(USER_KINDS)}")
    missing = (users["kind"] == "preference") & users["preference"].isna()
    _reject("users", "preference", users, missing, "a preference in [0, 1] for a user of kind 'preference'")


def _reject(name: str, column: str, table: pd.DataFrame, bad: pd.Series | np.ndarray, expected: str) -> None:
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if rows.size == 0:
        return
    shown = []
    for row in rows[:3]:
        values = [str(table[c].iloc[row])[:60] for c in column.split(" + ")]
        shown.append(f"row {row + 1}: {' + '.join(values)!r}")
    more = f" and {rows.size - 3} more rows" if rows.size > 3 else ""
    raise InputError(
        f"table {name!r}: expected {expected} in {column!r}, got {'; '.join(shown)}{more}; mend or drop them"
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read one table from Parquet, CSV, JSON or JSON Lines, by its ending; ids stay text.

    Raises `InputError` where the file is missing, unreadable, truncated or of an unknown ending.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found none; check the path")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype={c: "str" for t in COLUMNS.values() for c, k in t.items() if k == "id"})
        if path.suffix in (".jsonl", ".json"):
            return pd.read_json(path, lines=path.suffix == ".jsonl", dtype=False)
    except (ValueError, OSError) as err:  # pandas' and pyarrow's parser errors are ValueErrors
        raise InputError(f"{path}: expected a readable {path.suffix[1:]} table, got: {err}; export it again") from err
    raise InputError(f"{path}: expected .parquet, .csv, .json or .jsonl, got {path.suffix!r}; convert it")


def find_table(folder: Path, name: str) -> Path | None:
    """Return the file of table `name` in `folder`, Parquet before CSV before JSON, or None."""
    for suffix in (".parquet", ".csv", ".jsonl", ".json"):
        path = Path(folder) / f"{name}{suffix}"
        if path.is_file():
            return path
    return None


def write_tables(dataset: Dataset, folder: Path) -> list[Path]:
    """Write every table as Parquet into `folder`; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in dataset.tables().items():
        paths.append(folder / f"{name}.parquet")
        table.to_parquet(paths[-1], index=False)
    return paths


def llm_text(llm: pd.Series) -> str:
    """Return the text an LLM node is embedded from: made of its fields, never quoting a price."""
    parts = [str(llm["llm_id"]).split("/")[-1], str(llm["family"]), str(llm["description"])]
    return ". ".join(part for part in parts if part.strip())


def ordered_unique(values: Sequence[str]) -> list[str]:
    """Return the distinct values in order of first appearance."""
    return list(dict.fromkeys(values))
