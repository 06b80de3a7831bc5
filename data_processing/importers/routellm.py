"""RouteLLM (arXiv 2406.18665): CSVs of prompts with one True/False column per LLM, some with the responses."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Data
from data_processing.cost import with_computed_cost
from data_processing.importers.common import assemble, llms_of, melt, stack
from data_processing.importers.describe import llm_table, plural, prices_file, task_table
from data_processing.importers.reading import BOOLS, bools, files_in, listed, read_csv, task_of, texts
from data_processing.tables import Dataset, ordered_unique

RESPONSE = "_response"
INDEX_COLUMN = re.compile(r"|Unnamed: \d+")


def load(path: Path, data: Data) -> Dataset:
    """Read every CSV at `path`, subfolders too, that has `prompt` and at least two columns of True and False.

    Each of those columns is an LLM, `<llm>_response` its answer. The task is the file's stem less `_responses`. Cost
    is prices × tokens. Raises `InputError` naming file, row and column where a cell of an LLM is not True or False.
    """
    files = files_in(path, (".csv",), "RouteLLM CSVs")
    notes: list[str] = []
    tables = [table for file in files if (table := _read(file, notes)) is not None]
    if not tables:
        there = listed(files, path if path.is_dir() else path.parent)
        raise InputError(f"{path}: expected CSVs with 'prompt' and two True/False columns, got {there}; check the path")
    rows = stack(tables)
    llms, llm_notes = llm_table(llms_of(rows), data)
    tasks = task_table(ordered_unique(rows["task_id"].tolist()))
    dataset = assemble("routellm", rows, llms, tasks, "none", notes + llm_notes)
    return with_computed_cost(dataset, data.output_tokens, prices_file(data))


def _read(path: Path, notes: list[str]) -> pd.DataFrame | None:
    table = read_csv(path)
    llm_ids = [name for name in table.columns if _is_llm(name, table)]
    if "prompt" not in table.columns or len(llm_ids) < 2:
        notes.append(f"{path.name} not read: it has no 'prompt' with two True/False columns")
        return None
    per_llm = {}
    for llm_id in llm_ids:
        per_llm[llm_id] = {"performance": bools(table[llm_id], path, llm_id)}
        if llm_id + RESPONSE in table.columns:
            per_llm[llm_id]["response"] = table[llm_id + RESPONSE]
    used = {"prompt", *llm_ids, *(llm_id + RESPONSE for llm_id in llm_ids)}
    extra = [name for name in table.columns if name not in used and not INDEX_COLUMN.fullmatch(name)]
    if extra:
        notes.append(f"{plural(len(extra), 'column')} of {path.name} not used: {', '.join(extra)}")
    queries = pd.DataFrame({"task_id": task_of(path), "query": texts(table["prompt"], path, "prompt")})
    rows = melt(queries, per_llm)
    return rows.assign(response=rows["response"].fillna("")) if "response" in rows.columns else rows


def _is_llm(name: str, table: pd.DataFrame) -> bool:
    """Return whether a column is an LLM: most cells are True or False, so that one wrong cell is found, not skipped."""
    if name == "prompt" or INDEX_COLUMN.fullmatch(name):
        return False
    other = name.removesuffix(RESPONSE)
    if other != name and other in table.columns:
        return False
    filled = [value for value in table[name] if value.strip()]
    return bool(filled) and 2 * sum(value.strip().lower() in BOOLS for value in filled) > len(filled)
