"""What comes back from use, checked: interactions of a user, and outcomes of a new LLM on known queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean

INTERACTION_COLUMNS = ("query_id", "query", "llm_id", "reward")
PROBE_COLUMNS = ("query_id", "query", "performance", "cost_usd")


def check_interactions(table: pd.DataFrame, llm_ids: Sequence[str], queries: pd.DataFrame) -> pd.DataFrame:
    """Return query_id ('' for a new text), query, llm_id, reward (NaN where none); raise `InputError` for a wrong row.

    `queries`: query_id and query of the known ones. A text that is known, to the letter, has its id.
    """
    table = _columns(table, INTERACTION_COLUMNS, ("llm_id",), "interactions")
    table = _joined(table, queries, "interactions", texts_too=True)
    llm = table["llm_id"].fillna("").astype("str")
    for row in np.flatnonzero(~llm.isin(list(llm_ids))):
        name = llm.iloc[row]
        raise InputError(
            f"interactions, row {row + 1}: expected one of the LLMs {', '.join(llm_ids)}, got {name!r}"
            f"{did_you_mean(name, list(llm_ids))}; mend or drop it"
        )
    reward = _numbers(table["reward"], "interactions", "reward", -1.0, 1.0)
    for row in np.flatnonzero(np.isfinite(reward) & (table["query_id"] == "").to_numpy()):
        raise InputError(
            f"interactions, row {row + 1}: expected a reward on known queries only, got one on the new text "
            f"{str(table['query'].iloc[row])[:60]!r}; leave the reward out, the choice alone counts there"
        )
    return table.assign(llm_id=llm, reward=reward)


def check_probes(table: pd.DataFrame | None, queries: pd.DataFrame) -> pd.DataFrame:
    """Return query_id, performance, cost_usd of distinct known queries; raise `InputError` for a wrong row."""
    if table is None:
        table = pd.DataFrame(columns=["query_id", "performance", "cost_usd"])
    table = _columns(table, PROBE_COLUMNS, ("performance", "cost_usd"), "probes")
    table = _joined(table, queries, "probes", texts_too=False)
    numbers = {
        "performance": _numbers(table["performance"], "probes", "performance", 0.0, 1.0),
        "cost_usd": _numbers(table["cost_usd"], "probes", "cost_usd", 0.0, np.inf),
    }
    for column, values in numbers.items():
        for row in np.flatnonzero(~np.isfinite(values)):
            raise InputError(
                f"probes, row {row + 1}: expected a number in {column!r}, got none; fill it or drop the row"
            )
    for row in np.flatnonzero(table.duplicated("query_id").to_numpy()):
        raise InputError(
            f"probes, row {row + 1}: expected each query once, got {table['query_id'].iloc[row]!r} again; drop one"
        )
    return table.assign(**numbers)[["query_id", "performance", "cost_usd"]]


def _columns(table: pd.DataFrame, known: Sequence[str], required: Sequence[str], where: str) -> pd.DataFrame:
    for column in table.columns:
        if column not in known:
            raise InputError(
                f"{where}: expected the columns {', '.join(known)}, got {str(column)!r}"
                f"{did_you_mean(str(column), list(known))}; rename or remove it"
            )
    for column in required:
        if column not in table.columns:
            raise InputError(
                f"{where}: expected a column {column!r}, got {', '.join(map(str, table.columns)) or 'none'}; add it"
            )
    if not {"query_id", "query"} & set(table.columns):
        raise InputError(f"{where}: expected a column 'query_id' or 'query', got neither; add one")
    return table.reindex(columns=list(known)).reset_index(drop=True)


def _joined(table: pd.DataFrame, queries: pd.DataFrame, where: str, texts_too: bool) -> pd.DataFrame:
    """Return `table` with the id of every known query; a new text is refused unless `texts_too`, and has the id ''."""
    by_text = dict(zip(queries["query"], queries["query_id"], strict=True))
    known = set(queries["query_id"])
    ids = []
    for number, (given, text) in enumerate(zip(table["query_id"], table["query"], strict=True), start=1):
        if isinstance(given, str) and given:
            if given not in known:
                raise InputError(
                    f"{where}, row {number}: expected the id of one of the router's {len(known)} train queries, got "
                    f"{given!r}; give its text as 'query', or drop the row"
                )
            ids.append(given)
        elif isinstance(text, str) and text.strip():
            if text not in by_text and not texts_too:
                raise InputError(
                    f"{where}, row {number}: expected one of the router's {len(known)} train queries, got the new text "
                    f"{text[:60]!r}; ask the new LLM what the router knows (`python -m graph.update probes`)"
                )
            ids.append(by_text.get(text, ""))
        else:
            raise InputError(f"{where}, row {number}: expected a text in 'query_id' or 'query', got none; add it")
    return table.assign(query_id=ids)


def _numbers(values: pd.Series, where: str, column: str, low: float, high: float) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    wrong = (np.isnan(numbers) & values.notna().to_numpy()) | (numbers < low) | (numbers > high) | np.isinf(numbers)
    for row in np.flatnonzero(wrong):
        limits = f"in [{low:g}, {high:g}]" if np.isfinite(high) else f">= {low:g}"
        raise InputError(
            f"{where}, row {row + 1}: expected a number {limits} in {column!r}, got {str(values.iloc[row])!r}; mend it"
        )
    return numbers
