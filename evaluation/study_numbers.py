"""From the long tables of the studies to means and spreads over repeats."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from graph.metrics import oracle_ratio

GROUP = ["panel", "series", "x"]


def by_reward(table: pd.DataFrame) -> bool:
    """Return whether the study's users have rewards; without (personas) accuracy is what counts."""
    return bool(table["reward"].notna().any())


def study_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (panel, series, x), in order of first appearance, with the means over repeats.

    Columns: panel, series, x; reward, accuracy, value (the reward, or the accuracy where users have none) and
    difference (value − reference, repeat by repeat), each with `_std` over repeats (NaN with one); reference; and
    ratio, mean value / mean reference, NaN where the reference is not above zero.
    """
    value = table["reward"] if by_reward(table) else table["accuracy"]
    full = table.assign(value=value, reference=table["reference"].where(value.notna()))
    full["difference"] = full["value"] - full["reference"]
    groups = full.groupby(GROUP, sort=False, dropna=False)
    measures = ["reward", "accuracy", "value", "difference"]
    means = groups[[*measures, "reference"]].mean()
    means = means.join(groups[measures].std(ddof=1).add_suffix("_std"))
    pairs = zip(means["value"], means["reference"], strict=True)
    means["ratio"] = [oracle_ratio(got, reference) if reference == reference else math.nan for got, reference in pairs]
    return means.reset_index()


def study_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `metrics.json`; `x` is None without an axis and "all" where it is infinite."""
    rows = []
    for row in study_means(table).to_dict("records"):
        x = "all" if row["x"] == math.inf else row["x"]
        spread = {name: {"mean": row[name], "std": row[f"{name}_std"]} for name in ("reward", "accuracy", "difference")}
        rows.append(
            {"panel": row["panel"], "series": row["series"], "x": x, **spread}
            | {"reference": row["reference"], "ratio": row["ratio"]}
        )
    return rows


def ticks(values: pd.Series) -> list[float]:
    """Return the distinct places of an axis, rising, "all" (infinity) last."""
    return sorted(set(values.dropna()))


def tick_text(x: float) -> str:
    """Return `20` or `all`."""
    return "all" if math.isinf(x) else f"{x:g}"
