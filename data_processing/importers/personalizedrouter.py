"""PersonalizedRouter (arXiv 2511.16883): long CSVs of (user, query, LLM) with what each user weighed or chose."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from configs.catalogue import LlmEntry
from configs.errors import InputError
from configs.schema import Data
from data_processing.importers.choices import choices_of, has_flags
from data_processing.importers.common import add_ids, assemble, llms_of, merge_users, number_records
from data_processing.importers.describe import llm_table, plural, published_llms, task_table
from data_processing.importers.reading import (
    csv_header,
    files_in,
    files_nearby,
    listed,
    need_columns,
    numbers,
    read_csv,
    read_json,
    texts,
)
from data_processing.tables import CostKind, Dataset, conform, empty, ordered_unique

TEXT = ("task_id", "query", "llm")
OPTIONAL_TEXT = ("ground_truth", "metric", "task_description", "response")
NUMBERS = {
    "effect": (0.0, 1.0),
    "cost": (0.0, np.inf),
    "reward": (-np.inf, np.inf),
    "performance_preference": (0.0, 1.0),
}
OUTCOME_NAMES = {"effect": "performance", "cost": "cost_usd"}
USER_COLUMNS = {"user_id", "query", "llm"}
CHOICE = {"preference": "best_llm", "persona": "best_answer"}


def load(path: Path, data: Data) -> Dataset:
    """Read the user CSVs at `path`: v1 (`performance_preference`, `best_llm`) or v2 (`best_answer`), not both.

    `effect` is performance; it and `cost` are the same for every user, and are averaged and counted where not. `cost`
    is the authors' own normalised unit, so `cost_kind` is `relative`. Users and their choices are kept: v1 users have
    a stated preference, v2 users are personas, whose prompt the files do not give. Embeddings are never parsed.
    LLM descriptions come from an `LLM_Descriptions*.json` beside the CSV or at `data.path`.
    """
    files, notes = _user_files(path)
    rows = number_records(add_ids(pd.concat([_read(file) for file in files], ignore_index=True)))
    kind = "preference" if "performance_preference" in rows.columns else "persona"
    choices = choices_of(rows, CHOICE[kind], has_flags(rows, CHOICE[kind]), notes)
    outcomes = merge_users(rows.rename(columns=OUTCOME_NAMES), notes)
    cost_kind: CostKind = "relative" if "cost" in rows.columns else "none"
    if cost_kind == "none":
        outcomes["cost_usd"] = 0.0
        notes.append("the files have no cost: cost is 0 everywhere")
    else:
        notes.append("cost_usd holds the authors' own normalised cost, not dollars")
    if "effect" not in rows.columns:
        outcomes["performance"] = np.nan
        notes.append("the files have no effect: performance is not known")
    given, llm_notes = _llms(path, data, llms_of(rows))
    llms, table_notes = llm_table(llms_of(rows), data, given)
    tasks = task_table(
        ordered_unique(rows["task_id"].tolist()), _per_task(rows, "metric"), _per_task(rows, "task_description")
    )
    notes += llm_notes + table_notes
    dataset = assemble(
        "personalizedrouter", outcomes, llms, tasks, cost_kind, notes, keep_unscored="effect" not in rows
    )
    return dataclasses.replace(dataset, users=_users(rows, kind, files), interactions=_interactions(choices))


def _user_files(path: Path) -> tuple[list[Path], list[str]]:
    files = files_in(path, (".csv",), "PersonalizedRouter's user CSVs")
    headers = {file: set(csv_header(file)) for file in files}
    users = [file for file in files if headers[file] >= USER_COLUMNS]
    if not users:
        there = listed(files, path if path.is_dir() else path.parent)
        questions = [
            file.name for file in files if headers[file] >= {"query", "ground_truth"} and "llm" not in headers[file]
        ]
        if questions:
            raise InputError(
                f"{path}: expected CSVs with user_id, query and llm, got {', '.join(questions)}, which has "
                "questions but no outcomes yet; collect and judge answers first, or give the published user CSVs"
            )
        raise InputError(f"{path}: expected CSVs with columns user_id, query and llm, got {there}; check the path")
    kinds = {"v1" if "performance_preference" in headers[file] else "v2" for file in users}
    if len(kinds) > 1:
        raise InputError(f"{path}: expected user CSVs of one kind, got v1 and v2: {listed(users, path)}; give one file")
    other = [file.name for file in files if file not in users]
    notes = [f"{plural(len(other), 'CSV')} without users not read: {', '.join(other)}"] if other else []
    return users, notes


def _read(path: Path) -> pd.DataFrame:
    keep = {"user_id", *TEXT, *OPTIONAL_TEXT, *NUMBERS, *CHOICE.values()}
    table = read_csv(path, keep.__contains__)
    kind = "preference" if "performance_preference" in table.columns else "persona"
    need_columns(table, ("user_id", *TEXT, CHOICE[kind]), path)
    if kind == "preference":
        need_columns(table, ("effect", "cost"), path)
    columns: dict[str, pd.Series] = {name: texts(table[name], path, name) for name in ("user_id", *TEXT, CHOICE[kind])}
    columns |= {name: table[name].astype("object") for name in OPTIONAL_TEXT if name in table.columns}
    for name, (low, high) in NUMBERS.items():
        if name in table.columns and not (table[name] == "").all():
            columns[name] = numbers(table[name], path, name, low=low, high=high, blank=False)
    rows = pd.DataFrame(columns).rename(columns={"llm": "llm_id", CHOICE[kind]: "choice"})
    rows["where"] = [f"{path}: row {number}" for number in range(1, len(rows) + 1)]
    return rows


def _users(rows: pd.DataFrame, kind: str, files: list[Path]) -> pd.DataFrame:
    if kind == "persona":
        return conform("users", pd.DataFrame({"user_id": ordered_unique(rows["user_id"].tolist()), "kind": kind}))
    users = rows.drop_duplicates(["user_id", "performance_preference"])
    twice = users[users.duplicated("user_id")]
    if len(twice):
        raise InputError(
            f"{twice['where'].iloc[0]}: expected one performance_preference per user, got another "
            f"({twice['performance_preference'].iloc[0]:g}) for user {twice['user_id'].iloc[0]!r}; mend it"
        )
    table = users[["user_id", "performance_preference"]].rename(columns={"performance_preference": "preference"})
    return conform("users", table.assign(kind=kind))


def _interactions(choices: pd.DataFrame) -> pd.DataFrame:
    return conform("interactions", choices) if len(choices) else empty("interactions")


def _per_task(rows: pd.DataFrame, column: str) -> dict[str, str]:
    if column not in rows.columns:
        return {}
    return dict(rows.drop_duplicates("task_id").set_index("task_id")[column])


def _llms(path: Path, data: Data, llm_ids: list[str]) -> tuple[dict[str, LlmEntry], list[str]]:
    """Return the descriptions of the file that describes most of the LLMs (v1 and v2 lie side by side), and notes."""
    best: tuple[int, Path, dict] | None = None
    for file in files_nearby(path, data, "LLM_Descriptions*.json"):
        content = read_json(file)
        if not isinstance(content, dict) or not all(isinstance(fields, dict) for fields in content.values()):
            raise InputError(f"{file}: expected a JSON dict of LLM name -> fields, got another shape; move it away")
        described = len(set(content) & set(llm_ids))
        if described and (best is None or described > best[0]):
            best = (described, file, content)
    if best is None:
        return {}, ["no LLM_Descriptions*.json describes these LLMs"]
    chosen = {llm_id: best[2][llm_id] for llm_id in llm_ids if llm_id in best[2]}
    return published_llms(chosen, best[1])
