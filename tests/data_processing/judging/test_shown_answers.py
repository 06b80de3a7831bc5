"""What a judge is shown: never a failure, no text twice."""

from typing import Any

import numpy as np
import pandas as pd

from data_processing.judging.shown_answers import shown_answers
from data_processing.tables import conform

QUERIES = conform("queries", pd.DataFrame({"query_id": ["q", "r"], "task_id": "t", "query": ["Q?", "R?"]}))


def outcomes(*rows: dict[str, Any]) -> pd.DataFrame:
    usual = {"query_id": "q", "performance": 1.0, "cost_usd": 1.0}
    return conform("outcomes", pd.DataFrame([{**usual, **row} for row in rows]))


def test_only_scored_answers_with_a_text_are_shown() -> None:
    table = outcomes(
        {"llm_id": "a", "response": "yes"},
        {"llm_id": "b", "response": " \n"},
        {"llm_id": "c", "response": "half an ans", "error": "connection"},
        {"llm_id": "d", "response": "no", "performance": np.nan},
        {"llm_id": "e", "response": "", "error": "timeout", "performance": np.nan},
        {"llm_id": "f", "response": "wrong", "performance": 0.0},
    )
    (shown,) = shown_answers(QUERIES, table, 50)
    assert (shown.query_id, shown.query) == ("q", "Q?")
    assert (shown.llm_ids, shown.texts) == (("a", "f"), ("yes", "wrong"))


def test_an_equal_text_is_shown_once_for_the_cheapest_then_the_first() -> None:
    table = outcomes(
        {"llm_id": "a", "response": "Paris", "cost_usd": np.nan},
        {"llm_id": "b", "response": "paris ", "cost_usd": 3.0},
        {"llm_id": "d", "response": "PARIS", "cost_usd": 2.0},
        {"llm_id": "c", "response": "Paris", "cost_usd": 2.0},
        {"llm_id": "e", "response": "Lyon", "cost_usd": 9.0},
        {"query_id": "r", "llm_id": "e", "response": "Paris", "cost_usd": 1.0},
    )
    for mixed in (table, table[::-1], table.sample(frac=1, random_state=0)):
        first, second = shown_answers(QUERIES, mixed, 50)
        assert (first.llm_ids, first.texts) == (("c", "e"), ("Paris", "Lyon"))
        assert second.llm_ids == ("e",)


def test_what_is_cut_away_tells_no_two_apart() -> None:
    words = " ".join(["word"] * 30)
    table = outcomes(
        {"llm_id": "a", "response": f"start {words} left {words} end"},
        {"llm_id": "b", "response": f"start {words} right {words} end"},
    )
    (shown,) = shown_answers(QUERIES, table, 10)
    assert shown.llm_ids == ("a",)
    assert shown.texts[0].startswith("start")
    assert shown.texts[0].endswith("end")
    assert "left out" in shown.texts[0]
    assert len(shown_answers(QUERIES, table, 100)[0].texts) == 2
