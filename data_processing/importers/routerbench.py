"""RouterBench (arXiv 2403.12031): wide CSVs, one row per query, three columns per LLM, costs published in dollars."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Data
from data_processing.importers.common import assemble, llms_of, melt, stack
from data_processing.importers.describe import llm_table, plural, task_table
from data_processing.importers.reading import csv_header, files_in, need_columns, numbers, read_csv, texts
from data_processing.tables import Dataset, ordered_unique

COST, RESPONSE = "|total_cost", "|model_response"
NOT_USED = re.compile(r"|Unnamed: \d+|sample_id|oracle_model_to_route_to")


def load(path: Path, data: Data) -> Dataset:
    """Read every CSV at `path`.

    An LLM is a name X with a column `X|total_cost`; its performance is column `X`, its answer `X|model_response`, all
    found by name, since the order of the columns differs between the three. `eval_name` is the task. An empty
    performance cell is an LLM that was not run: no outcome. Raises `InputError` naming file, row and column.
    """
    files = files_in(path, (".csv",), "RouterBench CSVs")
    notes: list[str] = []
    rows = stack([_read(file, notes) for file in files])
    llms, llm_notes = llm_table(llms_of(rows), data)
    tasks = task_table(ordered_unique(rows["task_id"].tolist()))
    return assemble("routerbench", rows, llms, tasks, "published", notes + llm_notes)


def _read(path: Path, notes: list[str]) -> pd.DataFrame:
    llm_ids = _llm_ids(path)
    table = read_csv(path)
    need_columns(table, ("prompt", "eval_name"), path)
    per_llm = {}
    for llm_id in llm_ids:
        need_columns(table, (llm_id,), path)
        columns = {
            "performance": numbers(table[llm_id], path, llm_id, high=1.0),
            "cost_usd": numbers(table[llm_id + COST], path, llm_id + COST),
        }
        if llm_id + RESPONSE in table.columns:
            columns["response"] = table[llm_id + RESPONSE].map(unwrap)
        per_llm[llm_id] = columns
    used = {"prompt", "eval_name"} | {llm_id + end for llm_id in llm_ids for end in ("", COST, RESPONSE)}
    extra = [name for name in table.columns if name not in used and not NOT_USED.fullmatch(name)]
    if extra:
        notes.append(f"{plural(len(extra), 'column')} of {path.name} not used: {', '.join(extra)}")
    found = table["prompt"].map(_parts)
    # A query that was asked under two ids is published as a list of the same prompt twice, with other cells filled than
    # in its plain row: both rows are one query, and would leak it across a split if they were told apart.
    parts = found.map(ordered_unique)
    repeats = int((found.map(len) > parts.map(len)).sum())
    if repeats:
        notes.append(f"{plural(repeats, 'prompt')} of {path.name} given several times in one cell, taken once")
    several = sum(len(part) > 1 for part in parts)
    if several:
        notes.append(f"{plural(several, 'prompt')} of {path.name} made of several parts, joined by newlines")
    queries = pd.DataFrame(
        {
            "task_id": texts(table["eval_name"], path, "eval_name"),
            "query": texts(parts.map("\n".join), path, "prompt"),
        }
    )
    return melt(queries, per_llm)


def _llm_ids(path: Path) -> list[str]:
    """Return the LLMs a file describes, from its header alone: most wrong files are refused before they are read."""
    header = csv_header(path)
    llm_ids = [name.removesuffix(COST) for name in header if name.endswith(COST)]
    if not llm_ids:
        got = ", ".join(map(repr, header[:8])) or "an empty file"
        raise InputError(f"{path}: expected columns '<llm>{COST}', got {got}; give RouterBench's wide CSV")
    for name in header:
        llm_id = name.removesuffix(RESPONSE)
        if llm_id != name and llm_id not in llm_ids:
            raise InputError(f"{path}: expected a column {llm_id + COST!r} beside {name!r}, got none; add it")
    return llm_ids


def unwrap(text: str) -> str:
    """Return the text inside the repr of a list of strings, parts joined by newlines; any other text unchanged."""
    return "\n".join(_parts(text))


def _parts(text: str) -> list[str]:
    if not (text.startswith("[") and text.rstrip().endswith("]")):
        return [text]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # a plain text in brackets
        return [text]
    return value if isinstance(value, list) and all(isinstance(part, str) for part in value) else [text]
