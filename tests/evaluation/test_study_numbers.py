"""Means over repeats of the studies, against plain arithmetic."""

import json
import math

import pandas as pd
import pytest

from evaluation.results import STUDY_COLUMNS
from evaluation.study_numbers import study_means, study_rows, tick_text, ticks
from evaluation.summary import plain

NAN, ALL = math.nan, math.inf


def make(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=STUDY_COLUMNS)


TABLE = make(
    ("b", "graph", 5.0, 0, 0.4, 0.6, 0.5),
    ("b", "graph", ALL, 0, 0.5, 0.7, 0.5),
    ("a", "graph", NAN, 0, 0.3, 0.5, 0.5),
    ("b", "graph", 5.0, 1, 0.6, 0.8, 0.75),
    ("b", "graph", ALL, 1, 0.5, 0.7, 0.75),
    ("a", "graph", NAN, 1, 0.3, 0.5, 0.75),
)


def test_means_and_spreads_are_over_repeats_in_order_of_appearance() -> None:
    means = study_means(TABLE)
    assert means["panel"].tolist() == ["b", "b", "a"]
    assert means["x"].fillna(-1).tolist() == [5.0, ALL, -1]
    first = means.iloc[0]
    assert (first["reward"], first["reward_std"]) == pytest.approx((0.5, math.sqrt(0.02)))
    assert (first["accuracy"], first["value"], first["reference"]) == pytest.approx((0.7, 0.5, 0.625))
    assert (first["difference"], first["difference_std"]) == pytest.approx((-0.125, math.sqrt(2) * 0.025))
    assert first["ratio"] == pytest.approx(0.8)


def test_differences_are_paired_by_repeat() -> None:
    """What repeats share cancels: rewards that move with the reference have a difference without spread."""
    table = make(*[("", "graph", NAN, i, 0.3 + 0.1 * i, 0.5, 0.4 + 0.1 * i) for i in range(3)])
    assert study_means(table).iloc[0]["difference_std"] == pytest.approx(0)
    assert study_means(table).iloc[0]["reward_std"] == pytest.approx(0.1)


def test_one_repeat_has_no_spread_and_no_reference_no_ratio() -> None:
    means = study_means(make(("a", "graph", 1.0, 0, 0.4, 0.6, NAN), ("a", "knn", 1.0, 0, 0.4, 0.6, -0.1)))
    assert means["reward_std"].isna().all()
    assert means["ratio"].isna().all()
    assert means["difference"].isna().tolist() == [True, False]


def test_without_rewards_accuracy_counts() -> None:
    means = study_means(make(("a", "graph", 1.0, 0, NAN, 0.6, 0.8)))
    assert (means["value"][0], means["ratio"][0]) == pytest.approx((0.6, 0.75))
    assert math.isnan(means["reward"][0])


def test_rows_for_the_metrics_are_plain_json() -> None:
    rows = plain(study_rows(TABLE))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["x"] for row in rows] == [5.0, "all", None]
    assert set(rows[0]) == {"panel", "series", "x", "reward", "accuracy", "difference", "reference", "ratio"}
    assert set(rows[0]["reward"]) == {"mean", "std"}
    assert rows[0]["ratio"] == pytest.approx(0.8)
    single = plain(study_rows(make(("a", "graph", 1.0, 0, NAN, 0.6, NAN))))[0]
    assert single["reward"] == {"mean": None, "std": None}
    assert single["accuracy"] == {"mean": 0.6, "std": None}


def test_ticks_rise_and_all_comes_last() -> None:
    assert ticks(pd.Series([ALL, 20.0, NAN, 1.0, 20.0])) == [1.0, 20.0, ALL]
    assert [tick_text(x) for x in (0.0, 20.0, ALL)] == ["0", "20", "all"]
