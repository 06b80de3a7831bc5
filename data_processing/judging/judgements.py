"""The table of judgements: what each persona was shown and which answer it chose, with what could not be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from data_processing.characters import whole_characters
from data_processing.workspace import Workspace, whole

FILE = "judgements.parquet"

# What came of one asking: `read` at once, `repaired` by a second question, `unusable` even so, `failed`: no reply.
READ, REPAIRED, UNUSABLE, FAILED = "read", "repaired", "unusable", "failed"

# One row per (user, query) that was judged. `llm_id` is null where nothing was chosen, and then so is `position`, which
# counts from 1 among the `answers` shown (null too under the rule-based judge, who sees no order). `again_*` tell of
# the same judgement in another order; `again_state` is "" where it was not asked for. Tokens and US dollars are of all
# calls of the row.
COLUMNS: dict[str, str] = {
    "user_id": "str",
    "query_id": "str",
    "llm_id": "str",
    "position": "Int64",
    "answers": "int64",
    "state": "str",
    "reply": "str",
    "again_llm_id": "str",
    "again_position": "Int64",
    "again_state": "str",
    "again_reply": "str",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost_usd": "float64",
}


def judgement_table(rows: list[tuple]) -> pd.DataFrame:
    """Return the table of these rows, each in the order of `COLUMNS`.

    Half a character becomes U+FFFD.
    """
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="object")
    for name in ("reply", "again_reply"):
        table[name] = [whole_characters(text) for text in table[name]]
    return table.astype(COLUMNS)


def write_judgements(workspace: Workspace, table: pd.DataFrame) -> Path:
    """Write the table whole or not at all, and return its path."""
    path = workspace.folder / FILE
    with whole(path) as part:
        table.to_parquet(part, index=False)
    return path


def read_judgements(workspace: Workspace) -> pd.DataFrame:
    """Return the table; `InputError` where it is not there yet or not readable."""
    path = workspace.folder / FILE
    remedy = "run: python -m data_processing.judge"
    if not path.is_file():
        raise InputError(f"{path}: expected a table, found none; {remedy}")
    try:
        return pd.read_parquet(path)[list(COLUMNS)].astype(COLUMNS)
    except (OSError, ValueError, KeyError) as err:
        raise InputError(f"{path}: expected the table of judgements, got: {err}; remove it and {remedy}") from err


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table `interactions`: the choices that could be read, and nothing in place of the others."""
    rows = table[table["llm_id"].notna()]
    return pd.DataFrame(
        {
            "user_id": rows["user_id"],
            "query_id": rows["query_id"],
            "llm_id": rows["llm_id"],
            "reward": np.nan,
            "judge_reply": rows["reply"],
        }
    ).reset_index(drop=True)
