"""RouterDC (arXiv 2409.19886): JSON lists of question, scores per LLM and a cluster, one file per task, no cost."""

from __future__ import annotations

from pathlib import Path

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
                f"{file}: expected a JSON list of records with 'question' and 'scores', got "
                f"{type(content).__name__}; give RouterDC's score files, or move this one away"
            )
        tables.append(score_rows(content, file).assign(task_id=task_of(file)))
    return stack(tables)


def score_metrics(rows: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """Return task -> what its scores are, and a note for each task where that was told from the scores."""
    metrics: dict[str, str] = {}
    notes: list[str] = []
    for task_id in ordered_unique(rows["task_id"].tolist()):
        entry = find_task(task_id)
        if entry is not None and entry.routerdc_scores:
            metrics[task_id] = entry.routerdc_scores
            continue
        scores = rows.loc[rows["task_id"] == task_id, "performance"].to_numpy() * 10
        metrics[task_id] = "multi_attempt" if np.nanmax(np.abs(scores - np.round(scores))) < 1e-8 else "probability"
        notes.append(f"scores of task {task_id!r} taken as {metrics[task_id]}, told from their values")
    return metrics, notes
