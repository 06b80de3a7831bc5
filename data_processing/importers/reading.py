"""Reading files strictly: what a person has to mend is named by file, row (1-based data row) and column."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Data

UNIT_TOLERANCE = 1e-9  # sums of 0.1 may end a hair above 1
BOOLS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
DATASETS_VARIABLE = "ROUTER_DATASETS"


def existing_path(value: str | None, key: str) -> Path:
    """Return the path given under config key `key`; `InputError` where none is given or nothing is there."""
    hint = ""
    if not os.environ.get(DATASETS_VARIABLE):
        hint = f"; {DATASETS_VARIABLE} is not set: if the path needs it, export {DATASETS_VARIABLE}=<folder>"
    if not value:
        raise InputError(f"{key}: expected the folder or file to import, got none; set {key}{hint}")
    path = Path(value).expanduser()
    if not path.exists():
        raise InputError(f"{key}: expected a folder or file, found nothing at {value!r}; check the path{hint}")
    return path


def files_in(path: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """Return `path` itself where it is a file, or its files (subfolders too) with one of the endings, sorted.

    Raises `InputError` that says what was looked for and what is there.
    """
    endings = " or ".join(f"*{suffix}" for suffix in suffixes)
    if path.is_file():
        if path.suffix.lower() not in suffixes:
            raise InputError(f"{path}: expected {what} ({endings}), got {path.suffix!r}; give the right file")
        return [path]
    there = visible_files(path)
    found = [file for file in there if file.suffix.lower() in suffixes]
    if not found:
        raise InputError(f"{path}: expected {what} ({endings}), got {listed(there, path)}; check the path")
    return found


def files_nearby(path: Path, data: Data, pattern: str) -> list[Path]:
    """Return the files beside the outcomes at `path`, then (for a test set that lacks them) those at `data.path`."""
    found: list[Path] = []
    for place in [path] + ([Path(data.path).expanduser()] if data.path else []):
        found += sorted(place.rglob(pattern) if place.is_dir() else place.parent.glob(pattern))
    return list(dict.fromkeys(found))


def listed(files: list[Path], folder: Path) -> str:
    """Return the first few file names, for a message."""
    names = [str(file.relative_to(folder)) for file in files[:6]]
    more = f" and {len(files) - 6} more" if len(files) > 6 else ""
    return ", ".join(names) + more if names else "no files at all"


def visible_files(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, sorted, less hidden ones and caches."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [file for file in files if not any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)]


def read_csv(path: Path, wanted: Callable[[str], bool] | None = None) -> pd.DataFrame:
    """Return the CSV as text, row i of the table being data row i + 1; columns not `wanted` are skipped unparsed.

    Stricter than pandas, which pads short rows: a file that was cut off raises `InputError`.
    """
    with _long_fields(), path.open(encoding="utf-8-sig", newline="") as file:
        rows = _rows(file, path)
        header = next(rows, None)
        if header is None:
            raise InputError(f"{path}: expected a header row, got an empty file; export it again")
        keep = [i for i, name in enumerate(header) if wanted is None or wanted(name)]
        names = [header[i] for i in keep]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"{path}: expected each column once, got {name!r} {names.count(name)} times; rename one"
                )
        columns: list[list[str]] = [[] for _ in keep]
        pool: dict[str, str] = {}  # long formats repeat every query once per LLM and user: keep one copy of a text
        for number, row in enumerate(rows, 1):
            if len(row) != len(header):
                raise InputError(
                    f"{path}: expected {len(header)} fields in every row, row {number} has {len(row)}; "
                    "the file is cut off or damaged: fetch or export it again"
                )
            for column, i in zip(columns, keep, strict=True):
                column.append(pool.setdefault(row[i], row[i]))
    return pd.DataFrame(dict(zip(names, columns, strict=True)), dtype=object)


def csv_header(path: Path) -> list[str]:
    """Return the column names of a CSV."""
    with _long_fields(), path.open(encoding="utf-8-sig", newline="") as file:
        return next(_rows(file, path), [])


def _rows(file: Any, path: Path) -> Iterator[list[str]]:
    number = 0
    try:
        for row in csv.reader(file, strict=True):
            if row:  # blank lines are not rows
                yield row
                number += 1
    except (csv.Error, UnicodeDecodeError) as err:
        raise InputError(
            f"{path}: expected a CSV in UTF-8, row {number} is broken: {err}; "
            "the file is cut off or damaged: fetch or export it again"
        ) from err


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module refuses fields over 128 KiB unless told; the limit is global, so it is put back."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; `InputError` where it is cut off or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as err:  # also bytes that are no UTF-8, and numbers of thousands of digits
        raise InputError(f"{path}: expected JSON in UTF-8, got: {err}; the file is cut off or damaged") from err


def read_jsonl(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number, object) of every line of a JSON Lines file."""
    records = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: expected JSON Lines in UTF-8, got: {err}; export it again") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as err:
            raise InputError(f"{path}: expected JSON, line {number}: {err}; the file is cut off or damaged") from err
        if not isinstance(record, dict):
            raise InputError(f"{path}: expected an object, line {number} has {type(record).__name__}; mend it")
        records.append((number, record))
    return records


def numbers(
    values: pd.Series, path: Path, column: str, *, low: float = 0.0, high: float = np.inf, blank: bool = True
) -> pd.Series:
    """Return the column as float64, blank cells as NaN; text, infinities and values outside [low, high] raise.

    A missing value of a typed table (None, NaN in Parquet) is blank. The written word "nan" is not: it comes from a
    computation that failed, not from a cell that was left empty. `blank=False` refuses blank cells too.
    """
    text = values.map(lambda value: str(value).strip() if isinstance(value, str) or not pd.isna(value) else "")
    empty = text == ""
    parsed = pd.to_numeric(text.where(~empty), errors="coerce").astype("float64")
    slack = UNIT_TOLERANCE if np.isfinite(high) else 0.0
    wrong = parsed.isna() & ~empty | np.isinf(parsed) | (parsed < low - slack) | (parsed > high + slack)
    if not blank:
        wrong |= empty
    if wrong.any():
        least = f" >= {low:g}" if np.isfinite(low) else ""
        span = f"a number in [{low:g}, {high:g}]" if np.isfinite(high) else f"a finite number{least}"
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        remedy = "mend or empty the cell" if blank else "mend or remove the row"
        raise InputError(
            f"{path}: expected {span} in column {column!r}, row {row + 1} has {values.iloc[row]!r}; {remedy}"
        )
    return parsed.clip(low, high)


def bools(values: pd.Series, path: Path, column: str) -> pd.Series:
    """Return a column of True/False (or 1/0) as 1.0/0.0, blank cells as NaN; anything else raises."""
    text = values.map(lambda value: str(value).strip().lower())
    wrong = ~text.isin([*BOOLS, ""])
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(
            f"{path}: expected True or False in column {column!r}, row {row + 1} has {values.iloc[row]!r}; mend it"
        )
    return text.map(BOOLS).astype("float64")


def texts(values: pd.Series, path: Path, column: str) -> pd.Series:
    """Return the column as text that is nowhere blank."""
    result = values.map(lambda value: "" if value is None or value != value else str(value))
    blank = result.map(lambda value: not value.strip())
    if blank.any():
        row = int(np.flatnonzero(blank.to_numpy())[0])
        raise InputError(
            f"{path}: expected text in column {column!r}, row {row + 1} is empty; fill it or remove the row"
        )
    return result


def need_columns(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> None:
    """Raise `InputError` naming the first missing column."""
    for name in names:
        if name not in table.columns:
            got = ", ".join(map(repr, list(table.columns)[:12]))
            raise InputError(f"{path}: expected a column {name!r}, got {got or 'none'}; give the published file")


def task_of(path: Path) -> str:
    """Return the task named by a file: its stem in lower case, less what says responses, train, validation or test."""
    stem = re.sub(r"[-_]responses$", "", path.stem.lower())
    return re.sub(r"[-_](train|test|val|valid|validation)$", "", stem) or stem
