"""The LLMRouter set (github.com/ulab-uiuc/LLMRouter): scores, LLM descriptions with prices, and queries with tasks."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pandas as pd

from configs.catalogue import LlmEntry
from configs.errors import InputError
from configs.schema import Data
from data_processing.cost import with_computed_cost
from data_processing.importers.common import assemble, is_score_list, llms_of, score_rows, stack
from data_processing.importers.describe import llm_table, plural, prices_file, published_llms, task_table
from data_processing.importers.reading import files_in, files_nearby, listed, read_json, read_jsonl
from data_processing.tables import Dataset, ordered_unique

UNKNOWN = "unknown"
LLM_FIELDS = {"feature", "input_price", "output_price", "model"}
QUERY_FIELDS = {"task_name": "task_id", "ground_truth": "ground_truth", "choices": "choices", "metric": "metric"}


def load(path: Path, data: Data) -> Dataset:
    """Read the set's files at `path`, told apart by their content, not by their names.

    A JSON list of `question` and `scores` gives the outcomes; a JSON dict of name -> `feature`, `input_price`,
    `output_price`, `model` the LLMs; JSON Lines of `query`, `task_name`, `ground_truth`, `metric`, `choices` the
    tasks, joined on the text. The last two are looked for beside a single file and, for a test set without them, at
    `data.path`. A query without a task gets the task `unknown`. Cost is prices × tokens.
    """
    scores, notes = _score_files(path)
    rows = stack([score_rows(content, file) for file, content in scores])
    given, llm_notes, own_file = _llms(path, data)
    known, query_notes = _known_queries(path, data)
    rows, task_notes = _add_tasks(rows, known)
    llm_ids = llms_of(rows)
    unscored = [llm_id for llm_id in given if llm_id not in set(llm_ids)]
    if unscored:
        notes.append(f"{plural(len(unscored), 'described LLM')} without scores not used: {', '.join(unscored)}")
    llms, table_notes = llm_table(llm_ids, data, given)
    tasks = task_table(ordered_unique(rows["task_id"].tolist()), _metrics(rows))
    notes += llm_notes + query_notes + task_notes + table_notes
    dataset = assemble("llmrouter", rows, llms, tasks, "none", notes)
    return with_computed_cost(dataset, data.output_tokens, prices_file(data, own_file))


def _score_files(path: Path) -> tuple[list[tuple[Path, Any]], list[str]]:
    files = files_in(path, (".json",), "the LLMRouter set's score lists")
    contents = [(file, read_json(file)) for file in files]
    scores = [(file, content) for file, content in contents if is_score_list(content)]
    if not scores:
        there = listed(files, path if path.is_dir() else path.parent)
        raise InputError(
            f"{path}: expected a JSON list of records with 'question' and 'scores', got {there}; check the path"
        )
    other = [file.name for file, content in contents if not is_score_list(content) and not _is_llm_dict(content)]
    notes = [f"{plural(len(other), 'JSON file')} of another kind not read: {', '.join(other)}"] if other else []
    return scores, notes


def _is_llm_dict(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(fields, dict) and LLM_FIELDS & set(fields) for fields in content.values())
    )


def _llms(path: Path, data: Data) -> tuple[dict[str, LlmEntry], list[str], Path | None]:
    """Return the described LLMs of the nearest place that describes any, notes, and the file."""
    for file in files_nearby(path, data, "*.json"):
        content = read_json(file)
        if _is_llm_dict(content):
            entries, notes = published_llms(content, file)
            return entries, notes, file
    return {}, ["no JSON with LLM descriptions and prices found"], None


def _known_queries(path: Path, data: Data) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return query text -> task, ground truth, choices and metric; the first task of a text wins, and notes."""
    known: dict[str, dict[str, str]] = {}
    names: dict[str, set[str]] = collections.defaultdict(set)
    lines = 0
    for file in files_nearby(path, data, "*.jsonl"):
        for number, record in read_jsonl(file):
            if not isinstance(record.get("query"), str) or not record.get("task_name"):
                raise InputError(
                    f"{file}: expected 'query' and 'task_name', line {number} has {', '.join(record)}; mend it"
                )
            fields = {name: _text(record.get(key)) for key, name in QUERY_FIELDS.items()}
            known.setdefault(record["query"], fields)
            names[record["query"]].add(fields["task_id"])
            lines += 1
    notes = []
    if lines > len(known):
        two = sum(len(tasks) > 1 for tasks in names.values())
        notes.append(
            f"{plural(lines - len(known), 'repeated text')} in the list of queries, "
            f"{two:,} of them under two tasks: the first task is kept"
        )
    return known, notes


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _add_tasks(rows: pd.DataFrame, known: dict[str, dict[str, str]]) -> tuple[pd.DataFrame, list[str]]:
    nothing = {"task_id": UNKNOWN, "ground_truth": "", "choices": "", "metric": ""}
    found = [known.get(text, nothing) for text in rows["query"]]
    rows = rows.assign(**{name: [fields[name] for fields in found] for name in nothing})
    lost = rows.loc[rows["task_id"] == UNKNOWN, "query"].nunique()
    notes = [f"{plural(lost, 'query', 'queries')} without a task name: task {UNKNOWN!r}"] if lost else []
    return rows, notes


def _metrics(rows: pd.DataFrame) -> dict[str, str]:
    return dict(rows.drop_duplicates("task_id").set_index("task_id")["metric"])
