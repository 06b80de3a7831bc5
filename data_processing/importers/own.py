"""What both forms of a user's own data are read into, and the checks they share."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd

from configs.catalogue import LlmEntry
from configs.errors import InputError, did_you_mean
from configs.preferences import in_numbers
from data_processing.importers.reading import need_columns, numbers, read_csv, texts
from data_processing.tables import COLUMNS, REQUIRED, read_table

DEFAULT_TASK = "default"
INDEX_COLUMN = re.compile(r"|Unnamed: \d+|__index_level_\d+__")


@dataclasses.dataclass(frozen=True)
class OwnTables:
    """`rows` as `common.assemble` takes them, `users` and `interactions` as in `data_processing.tables`."""

    rows: pd.DataFrame
    users: pd.DataFrame
    interactions: pd.DataFrame
    notes: tuple[str, ...]
    llms: dict[str, LlmEntry] = dataclasses.field(default_factory=dict)
    llms_file: Path | None = None
    metrics: dict[str, str] = dataclasses.field(default_factory=dict)
    task_descriptions: dict[str, str] = dataclasses.field(default_factory=dict)


def read_own(path: Path, known: dict[str, str], required: tuple[str, ...]) -> pd.DataFrame:
    """Return a table with its columns checked: ids not blank, numbers in range, text as text; unknown columns raise.

    `known` maps column -> kind of value as in `data_processing.tables.COLUMNS`; plain `?` columns may be blank.
    """
    table = read_csv(path) if path.suffix == ".csv" else read_table(path)
    table = table[[name for name in table.columns if not INDEX_COLUMN.fullmatch(str(name))]]
    for name in table.columns:
        if name not in known:
            raise InputError(
                f"{path}: unknown column {name!r}{did_you_mean(str(name), list(known))}; known are {', '.join(known)}; "
                "rename or remove it"
            )
    need_columns(table, required, path)
    return pd.DataFrame({name: _checked(table[name], known[name], path, name) for name in table.columns})


def _checked(values: pd.Series, kind: str, path: Path, column: str) -> pd.Series:
    if kind == "id":
        return texts(values, path, column).astype("object")
    if kind == "text":
        return values.map(lambda value: "" if value is None or value is pd.NA or value != value else str(value)).astype(
            "object"
        )
    low = -np.inf if kind.startswith("number") else 0.0
    high = 1.0 if kind.startswith("unit") else np.inf
    if column == "preference":  # "balanced" is as good as 0.5
        values = values.map(in_numbers)
    return numbers(values.astype("object"), path, column, low=low, high=high)


def own_table(
    path: Path, name: str, optional: tuple[str, ...] = (), extra: dict[str, str] | None = None
) -> pd.DataFrame:
    """Return the file of table `name`; columns in `optional` need not be there, those of `extra` may be."""
    required = tuple(column for column in REQUIRED[name] if column not in optional)
    return read_own(path, {**COLUMNS[name], **(extra or {})}, required)


def reject(path: Path, column: str, values: pd.Series, wrong: pd.Series, expected: str) -> None:
    """Raise `InputError` naming the first row where `wrong`."""
    rows = np.flatnonzero(wrong.to_numpy(dtype=bool))
    if rows.size:
        row = int(rows[0])
        raise InputError(
            f"{path}: expected {expected} in column {column!r}, row {row + 1} has {values.iloc[row]!r}; mend it"
        )


def drop_blank_cost(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the rows without a `cost_usd` that is blank everywhere; one that is blank here and there raises."""
    if "cost_usd" not in rows.columns:
        return rows
    blank = rows["cost_usd"].isna()
    if blank.all():
        return rows.drop(columns="cost_usd")
    failed = rows["performance"].isna()  # an answer that failed has neither
    reject(path, "cost_usd", rows["cost_usd"], blank & ~failed, "a number in every row or in none")
    return rows
