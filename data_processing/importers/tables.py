"""A user's own data: a folder of our tables, or one long CSV (see `long_table`)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from configs.catalogue import LlmEntry
from configs.schema import Data
from data_processing.cost import with_computed_cost
from data_processing.importers.common import assemble, llms_of
from data_processing.importers.describe import llm_table, plural, prices_file, task_table
from data_processing.importers.folder import read_folder
from data_processing.importers.long_table import read_long
from data_processing.importers.own import OwnTables
from data_processing.tables import CostKind, Dataset, conform, ordered_unique


def load(path: Path, data: Data) -> Dataset:
    """Read a folder with tables as Parquet, CSV, JSON Lines or JSON, or one file in long format.

    Folder: `outcomes` (required: `llm_id`, `performance`, and `query_id` or `query`), `queries` (`query`; `query_id`
    and `task_id` optional), `llms`, `tasks`, `users`, `interactions`, columns as in `data_processing.tables`. What is
    not there is made: tasks and LLMs from the ids, `task_id` is `default`.

    File: one row per (query, LLM) or (user, query, LLM), columns `query, llm_id, performance` and optional
    `cost_usd, task_id, response, ground_truth, choices, input_tokens, output_tokens, latency_s, error, user_id,
    preference, persona, chosen, reward`.

    Query ids are made anew from task and text, so that two sets which both count 1, 2, 3 … can be joined. Where there
    is no `cost_usd`, cost is prices × tokens. Errors name file, row (1-based data row) and column.
    """
    own = read_long(path) if path.is_file() else read_folder(path)
    notes = list(own.notes)
    cost_kind: CostKind = "none"
    if "cost_usd" in own.rows.columns:
        cost_kind = "published" if (own.rows["cost_usd"] > 0).any() else "none"
        if cost_kind == "none":
            notes.append("cost_usd is 0 everywhere: taken as no cost")
    llms, llm_notes = _llms(own.llms, llms_of(own.rows), data, notes)
    tasks = task_table(ordered_unique(own.rows["task_id"].tolist()), own.metrics, own.task_descriptions)
    unscored = bool(own.rows["performance"].isna().all())
    dataset = assemble("tables", own.rows, llms, tasks, cost_kind, notes + llm_notes, keep_unscored=unscored)
    if "cost_usd" not in own.rows.columns:
        dataset = with_computed_cost(dataset, data.output_tokens, prices_file(data, own.llms_file))
    return _with_users(dataset, own)


def _llms(
    given: dict[str, LlmEntry], llm_ids: list[str], data: Data, notes: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    idle = [llm_id for llm_id in given if llm_id not in set(llm_ids)]
    if idle:
        notes.append(f"{plural(len(idle), 'LLM')} without any outcome dropped: {', '.join(idle)}")
    order = [llm_id for llm_id in given if llm_id in set(llm_ids)] or llm_ids
    return llm_table(order, data, given)


def _with_users(dataset: Dataset, own: OwnTables) -> Dataset:
    notes = list(dataset.notes)
    interactions = own.interactions
    known = interactions["query_id"].isin(set(dataset.queries["query_id"])) & interactions["llm_id"].isin(
        set(dataset.llms["llm_id"])
    )
    if not known.all():
        notes.append(f"{plural(int((~known).sum()), 'interaction')} with a dropped query or LLM dropped")
    again = interactions.duplicated(["user_id", "query_id"]) & known
    if again.any():
        notes.append(f"{plural(int(again.sum()), 'interaction')} on a query the user had chosen for before not used")
    kept = conform("interactions", interactions[known & ~again])
    return dataclasses.replace(dataset, users=own.users, interactions=kept, notes=tuple(notes))
