"""The studies in the report: one table each, and how to read their figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from evaluation.report_tables import Table
from evaluation.results import GRAPH, Results
from evaluation.study_numbers import by_reward, study_means, tick_text, ticks
from evaluation.summary import plain
from evaluation.wording import MISSING, number, percent

STUDY_CAPTIONS = {
    "thin_logs": (
        "How much log is needed",
        "One block for each number of LLMs whose answer is known for a train query; within it, the train queries on "
        "which each user gave feedback (ticks are not to scale). Everything was fitted again on the thinner log and "
        "measured on the same test queries, with the same rewards. Bars are the standard deviation over repeats.",
    ),
    "ablation": (
        "What each part is worth",
        "What the router gains (right) or loses (left) when it is changed in one way, against the full model on the "
        "same test queries. Bars are the standard deviation over repeats: a dot whose bar crosses zero shows no "
        "difference.",
    ),
    "new_users": (
        "Users who were not there in training",
        "What users get who were left out of training and then added with a few of their interactions, without "
        "retraining; only they are measured. The dashed line is the router that was trained with all they did (ticks "
        "are not to scale).",
    ),
    "new_llms": (
        "LLMs that were not there in training",
        "Each LLM in turn was left out of training and then added with its outcomes on a few train queries, without "
        "retraining. 100 % is the router that was trained with all of its outcomes; leftmost, the router that ignores "
        "it. The thick line is the mean over these LLMs (ticks are not to scale).",
    ),
}


def study_tables(results: Results) -> tuple[Table, ...]:
    """Return one table per study of the results, in a fixed order; none where no study was run."""
    return tuple(make(results.studies[name]) for name, make in TABLES.items() if name in results.studies)


def _records(means: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts with None for NaN, as the formatters want it; `x` keeps its infinity."""
    return [plain(row) | {"x": row["x"]} for row in means.to_dict("records")]


def _spread(row: dict[str, Any] | None, name: str = "value", sign: bool = False) -> str:
    """Return e.g. `0.453 ± 0.004`, without ± where there was one repeat."""
    if row is None:
        return MISSING
    std = row[f"{name}_std"]
    return number(row[name], sign=sign) + ("" if std is None else f" ± {number(std)}")


def _with_ratio(row: dict[str, Any] | None) -> str:
    """Return e.g. `0.453 ± 0.004 (98 %)`."""
    if row is None or row["ratio"] is None:
        return _spread(row)
    return f"{_spread(row)} ({percent(row['ratio'], 1)})"


def _measure(table: pd.DataFrame) -> str:
    return "Reward" if by_reward(table) else "Accuracy"


def _thin_logs(table: pd.DataFrame) -> Table:
    means = study_means(table)
    cells = {(row["panel"], row["series"], row["x"]): row for row in _records(means)}
    places = ticks(means["x"])
    rows, marks = [], []
    for panel in means["panel"].unique():
        for series in means["series"].unique():
            found = [cells.get((panel, series, x)) for x in places]
            rows.append((series, panel, *map(_with_ratio, found)))
            marks.append("graph" if series == GRAPH else "")
    about = (
        f"{_measure(table)} of each policy, fitted again on a thinner log; columns: on how many train queries each "
        "user gave feedback. In brackets: the share of what the same policy gets from the whole log of this run. All "
        "are measured on the same test queries."
    )
    heads = tuple(f"{tick_text(x)} per user" for x in places)
    return Table("Thin logs", about, ("Policy", "Log", *heads), rows, marks)


def _ablation(table: pd.DataFrame) -> Table:
    rows, marks = [], []
    rewarded = by_reward(table)
    for place, row in enumerate(_records(study_means(table))):
        full = place == 0
        difference = MISSING if full else _spread(row, "difference", sign=True)
        accuracy = (percent(row["accuracy"], 1),) if rewarded else ()
        rows.append((row["series"], _spread(row), difference, percent(row["ratio"], 1), *accuracy))
        marks.append("graph" if full else "")
    about = (
        "The graph router changed in one way at a time, or the router that a row names, fitted again. The difference "
        "is taken repeat by repeat on the same test queries; ± is its standard deviation over repeats (two or more)."
    )
    last = ("Accuracy",) if rewarded else ()
    columns = ("Variant", _measure(table), "Minus the full model", "Of the full model", *last)
    return Table("Ablation", about, columns, rows, marks)


def _new_users(table: pd.DataFrame) -> Table:
    means = study_means(table)
    cells = {(row["series"], row["x"]): row for row in _records(means)}
    places = ticks(means["x"])
    rows, marks = [], []
    for series in means["series"].unique():
        rows.append((f"{series}, without them", *(_with_ratio(cells.get((series, x))) for x in places)))
        marks.append("graph" if series == GRAPH else "floor")
    known = number(_records(means)[0]["reference"])
    rows.append((f"{GRAPH}, trained with them", *([known] * len(places))))
    marks.append("")
    about = (
        f"{_measure(table)} of users who were left out of training and then added with as many of their interactions "
        "as the column says, without retraining; measured on these users alone. In brackets: the share of what the "
        "router gets that was trained with all they did."
    )
    heads = tuple(_counted(x, "interaction") for x in places)
    return Table("New users", about, ("Policy", *heads), rows, marks)


def _new_llms(table: pd.DataFrame) -> Table:
    means = study_means(table)
    places = ticks(means["x"])
    cells = {(row["series"], row["x"]): row for row in _records(means.dropna(subset=["x"]))}
    ignored = {row["series"]: row for row in _records(means[means["x"].isna()])}
    rows = [
        (llm, _share(ignored.get(llm)), *(_share(cells.get((llm, x))) for x in places))
        for llm in means["series"].unique()
    ]
    ratios = means.groupby("x", dropna=False)["ratio"].mean()
    overall = [ratios.loc[ratios.index.isna()].mean(), *(ratios[x] for x in places)]
    texts = (percent(plain(float(share)), 1) for share in overall)
    rows.insert(0, ("mean of these LLMs", *texts))
    about = (
        f"{_measure(table)} on all test queries when an LLM was left out of training and then added with its outcomes "
        "on as many train queries as the column says, without retraining; in percent of the router that was trained "
        f"with all of its outcomes ({number(_records(means)[0]['reference'])}). ± is the standard deviation over "
        "repeats."
    )
    heads = tuple(_counted(x, "query", "queries") for x in places)
    columns = ("LLM", "Router that ignores it", *heads)
    return Table("New LLMs", about, columns, rows, ["graph", *([""] * (len(rows) - 1))])


def _share(row: dict[str, Any] | None) -> str:
    """Return e.g. `98.3 % ± 0.4`, the spread being that of the difference to the reference, in percent of it."""
    if row is None or row["ratio"] is None:
        return _spread(row)
    std = row["difference_std"]
    return percent(row["ratio"], 1) + ("" if std is None else f" ± {number(100 * std / row['reference'], 1)}")


def _counted(x: float, one: str, many: str = "") -> str:
    return f"{tick_text(x)} {one if x == 1 else many or f'{one}s'}"


TABLES: dict[str, Callable[[pd.DataFrame], Table]] = {
    "thin_logs": _thin_logs,
    "ablation": _ablation,
    "new_users": _new_users,
    "new_llms": _new_llms,
}
