"""The trade-offs in the report: one table for a strong and a weak LLM, one for any number, and how to read figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evaluation.deferral import SINGLE, deferral_summary
from evaluation.expected import ALL
from evaluation.report_tables import Table
from evaluation.results import FLOORS, GRAPH, ORACLE, Results
from evaluation.summary import plain
from evaluation.wording import MISSING, number, percent

TRADE_OFF_CAPTIONS = {
    "strong_weak": (
        "Strong calls",
        "How much of what the strong LLM has over the weak one is won (100 %: as good as always asking the strong one) "
        "for what share of the queries sent to it. The dotted line is a coin tossed for every query; a router is worth "
        "having where it lies above. The oracle knows which LLM will be right, and leaves the figure at the top. The "
        "band is the standard deviation of the graph router over repeats.",
    ),
    "deferral": (
        "What a budget buys",
        "The best mean performance within a mean cost, as the weight of performance against cost goes from one end to "
        "the other. Grey dots are single LLMs, the dashed line a coin tossed between two of them. The oracle knows "
        "every answer beforehand and cannot be reached.",
    ),
}
PAIR_ABOUT = (
    "APGR is the share of the gap between the weak and the strong LLM that is recovered, averaged over all shares of "
    "strong calls: 0.5 for a coin, with ± the standard error over test queries; less than twice that above 0.5 shows "
    "nothing. CPT is the share of strong calls that recovers 50 % or 80 % of the gap. The last three columns are for "
    "95 % of the strong LLM's performance: the strong calls needed, and the cost saved against always asking the "
    "strong LLM and against a coin that performs as well."
)
DEFERRAL_ABOUT = (
    "AUDC is the mean performance at budgets spread evenly between the cheapest and the dearest single LLM; AIQ the "
    "same where a coin may be tossed between two trade-offs. QNC is the least cost at which the best single LLM's "
    "performance is reached, as a share of that LLM's cost: below 100 % saves. ± is the standard deviation over "
    "repeats."
)
MAX_BENCHMARKS = 5
EXACT = 1e-6  # a standard error below this is rounding


def trade_off_tables(results: Results, metrics: dict[str, Any]) -> tuple[Table, ...]:
    """Return the tables that a run has: of two LLMs, and of budgets."""
    tables = []
    if "strong_weak" in metrics:
        tables.append(strong_weak_table(pd.DataFrame(metrics["strong_weak"])))
    if len(results.deferral):
        # Not from the metrics: JSON has no infinity, which says that no cost was enough.
        tables.append(deferral_table(deferral_summary(results.deferral)))
    return tuple(tables)


def strong_weak_table(summary: pd.DataFrame) -> Table:
    """Return the table of `pair_summary`."""
    rows, marks = [], []
    for row in _records(_shown(summary)):
        error = "" if (row["apgr_se"] or 0) < EXACT else f" ± {number(row['apgr_se'])}"
        cells = (row["task_id"], f"{row['queries']:,}", row["policy"], number(row["apgr"]) + error)
        shares = ("cpt50", "cpt80", "share_at_95", "saved_at_95", "saved_over_random_at_95")
        rows.append((*cells, *(percent(row[name]) for name in shares)))
        marks.append(_mark(row["policy"]))
    first = summary.iloc[0]
    about = (
        f"The strong LLM is {first['strong_llm']}, the weak one {first['weak_llm']}: of mean performance "
        f"{number(first['strong_performance'])} and {number(first['weak_performance'])} on all test queries. "
        f"{PAIR_ABOUT}"
    )
    heads = ("CPT (50 %)", "CPT (80 %)", "Strong calls", "Saved", "Saved over a coin")
    return Table("A strong and a weak LLM", about, ("Task", "Queries", "Policy", "APGR", *heads), rows, marks, (0, 2))


def deferral_table(summary: pd.DataFrame) -> Table:
    """Return the table of `deferral_summary`."""
    rows, marks = [], []
    for row in _records(_shown(summary)):
        areas = tuple(_spread(row, name) for name in ("audc", "aiq"))
        rows.append((row["task_id"], f"{row['queries']:,}", row["policy"], *areas, _neutral(row["qnc"])))
        marks.append("floor" if row["policy"] == SINGLE else _mark(row["policy"]))
    columns = ("Task", "Queries", "Policy", "AUDC", "AIQ", "QNC")
    return Table("What a budget buys", DEFERRAL_ABOUT, columns, rows, marks, (0, 2))


def _shown(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows for the report: of many benchmarks only those of all queries; `metrics.json` has the others."""
    return summary if summary["task_id"].nunique() <= MAX_BENCHMARKS else summary[summary["task_id"] == ALL]


def _records(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts with None for NaN, as the formatters want it; `qnc` keeps its infinity."""
    rows = summary.to_dict("records")
    return [plain(row) | ({"qnc": row["qnc"]} if row.get("qnc") == float("inf") else {}) for row in rows]


def _spread(row: dict[str, Any], name: str) -> str:
    std = row[f"{name}_std"]
    return number(row[name]) + ("" if std is None else f" ± {number(std)}")


def _neutral(share: float | None) -> str:
    if share is None:
        return MISSING
    return "not reached" if share == float("inf") else percent(share)


def _mark(policy: str) -> str:
    return policy if policy in (GRAPH, ORACLE) else "floor" if policy in FLOORS else ""
