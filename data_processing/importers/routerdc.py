"""RouterDC (arXiv 2409.19886): JSON lists of question, scores per LLM and a cluster, one file per task, no cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.catalogue import find_task
from configs.errors import InputError
from configs.schema import Data
from data_processing.cost import with_computed_cost
from data_processing.importers.common import assemble, is_score_list, llms_of, score_rows, stack
from data_processing.importers.describe import llm_table, prices_file, task_table
from data_processing.importers.reading import files_in, read_json, task_of
from data_processing.tables import Dataset, ordered_unique

ATTEMPTS = 10  # at most, of which a score may be a share


def load(path: Path, data: Data) -> Dataset:
    """Read every JSON at `path`; the task is the file's stem less `_train` or `_test`, so that both sets meet.

    What a score is stands in the task's `metric`: `probability` (of the right choice, 0 where the choice was wrong, so
    any score above 0 is correct) or `multi_attempt` (share of right attempts). The files do not say which;
    `configs/tasks.yaml` does, and for other tasks it is told from the scores, and noted. Performance is the raw score,
    or under `data.scores: counted` what the paper counts it as; the metric of such a probability is then `accuracy`.
    """
    rows = read_scores(path)
    metrics, notes = score_metrics(rows)
    if data.scores == "counted":
        sure = rows["task_id"].map(metrics) == "probability"
        rows = rows.assign(performance=rows["performance"].mask(sure, correct(rows["performance"])))
        metrics = {task: "accuracy" if metric == "probability" else metric for task, metric in metrics.items()}
    llms, llm_notes = llm_table(llms_of(rows), data)
    tasks = task_table(list(metrics), metrics)
    dataset = assemble("routerdc", rows, llms, tasks, "none", notes + llm_notes)
    return with_computed_cost(dataset, data.output_tokens, prices_file(data))


def correct(probability: pd.Series) -> pd.Series:
    """Return 1.0 where the probability of the right choice is above 0, as the paper counts, else 0.0; NaN stays."""
    return (probability > 0).astype("float64").mask(probability.isna())


def read_scores(path: Path) -> pd.DataFrame:
    """Return long rows (`record`, `task_id`, `query`, `llm_id`, `performance`), one per record and LLM, as they are."""
    tables = []
    for file in files_in(path, (".json",), "RouterDC score lists"):
        content = read_json(file)
        if not is_score_list(content):
            raise InputError(
                f"{file}: expected a JSON list of records with 'question' and 'scores', got {_shape(content)}; give "
                "RouterDC's score files, or move this one away"
            )
        tables.append(score_rows(content, file).assign(task_id=task_of(file)))
    return stack(tables)


def score_metrics(rows: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """Return task -> what its scores are, and a note for each task where that was told from the scores."""
    metrics: dict[str, str] = {}
    notes: list[str] = []
    for task_id in ordered_unique(rows["task_id"].tolist()):
        known = known_metric(task_id)
        metrics[task_id] = known or metric_of(rows.loc[rows["task_id"] == task_id, "performance"].to_numpy())
        if known is None:
            notes.append(f"scores of task {task_id!r} taken as {metrics[task_id]}, told from their values")
    return metrics, notes


def known_metric(task_id: str) -> str | None:
    """Return what `configs/tasks.yaml` says of the scores of a task, or of its last words (`MATH_prealgebra`)."""
    words = re.split(r"[-_ .]+", task_id)
    for start in range(len(words)):
        entry = find_task("_".join(words[start:]))
        if entry is not None and entry.routerdc_scores:
            return entry.routerdc_scores
    return None


def metric_of(scores: np.ndarray) -> str:
    """Return what scores look like: `multi_attempt` where all are multiples of 1/n for one n up to `ATTEMPTS`."""
    seen = scores[np.isfinite(scores)]
    for attempts in range(1, ATTEMPTS + 1):
        if len(seen) and np.abs(seen * attempts - np.round(seen * attempts)).max() < 1e-8:
            return "multi_attempt"
    return "probability"


def _shape(content: Any) -> str:
    """Return what a JSON file holds that is no score list, in words."""
    if not isinstance(content, list):
        return f"one object of type {type(content).__name__}"
    if not content:
        return "an empty list"
    if not isinstance(content[0], dict):
        return f"a list of {type(content[0]).__name__}"
    return f"records with {', '.join(map(repr, list(content[0])[:8])) or 'no keys'}"
