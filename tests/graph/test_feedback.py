"""What comes back from use: known texts get their id, and every wrong row is named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from graph.feedback import check_interactions, check_probes

LLMS = ["brook", "ocean"]
QUERIES = pd.DataFrame({"query_id": ["q1", "q2", "q3"], "query": ["One?", "Two?", "東京?"], "task_id": "t"})


def interactions(*rows: dict[str, Any]) -> pd.DataFrame:
    return check_interactions(pd.DataFrame(list(rows)), LLMS, QUERIES)


def probes(*rows: dict[str, Any]) -> pd.DataFrame:
    return check_probes(pd.DataFrame(list(rows)), QUERIES)


def test_known_texts_get_their_id_and_new_ones_none() -> None:
    table = interactions(
        {"query_id": "q2", "llm_id": "ocean", "reward": -1},
        {"query": "東京?", "llm_id": "brook", "reward": "0.5"},
        {"query": "One? ", "llm_id": "brook"},
        {"query_id": "", "query": "one?", "llm_id": "ocean", "reward": None},
        {"query_id": "q1", "query": "Two?", "llm_id": "ocean", "reward": 1.0},
    )
    assert table["query_id"].tolist() == ["q2", "q3", "", "", "q1"], "to the letter; an id wins over a text"
    assert table["llm_id"].tolist() == ["ocean", "brook", "brook", "ocean", "ocean"]
    assert table["query"].tolist()[2:4] == ["One? ", "one?"]
    np.testing.assert_array_equal(table["reward"], [-1, 0.5, np.nan, np.nan, 1])
    assert list(table.columns) == ["query_id", "query", "llm_id", "reward"]


def test_either_id_or_text_is_enough_and_no_row_is_fine() -> None:
    assert interactions({"query_id": "q1", "llm_id": "ocean"})["query_id"].tolist() == ["q1"]
    assert interactions({"query": "Two?", "llm_id": "ocean"})["query_id"].tolist() == ["q2"]
    for column in ("query_id", "query"):
        empty = check_interactions(pd.DataFrame(columns=[column, "llm_id"]), LLMS, QUERIES)
        assert (len(empty), list(empty.columns)) == (0, ["query_id", "query", "llm_id", "reward"])


def test_a_choice_may_be_made_twice_and_rows_keep_their_order_whatever_the_index() -> None:
    table = pd.DataFrame({"query_id": ["q2", "q1", "q2"], "llm_id": ["ocean", "brook", "brook"]}, index=[5, 5, 0])
    found = check_interactions(table, LLMS, QUERIES)
    assert found["query_id"].tolist() == ["q2", "q1", "q2"]
    assert found["llm_id"].tolist() == ["ocean", "brook", "brook"]
    assert list(table.columns) == ["query_id", "llm_id"], "the caller's table stays as it was"


FINE = {"query_id": "q1", "llm_id": "ocean"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {**FINE, "llm_id": "brok"},
            r"^interactions, row 2: expected one of the LLMs brook, ocean, got 'brok' \(did you mean 'brook'\?\); mend",
        ),
        ({**FINE, "llm_id": ""}, r"row 2: expected one of the LLMs brook, ocean, got ''; mend or drop it$"),
        ({**FINE, "llm_id": None}, r"row 2: expected one of the LLMs brook, ocean, got ''; mend or drop it$"),
        ({**FINE, "llm_id": 4}, r"row 2: expected one of the LLMs brook, ocean, got '4'"),
        (
            {**FINE, "query_id": "q9"},
            r"^interactions, row 2: expected the id of one of the router's 3 train queries, got 'q9'; give its text as",
        ),
        ({"llm_id": "ocean"}, r"row 2: expected a text in 'query_id' or 'query', got none; add it$"),
        ({"llm_id": "ocean", "query": "  "}, r"row 2: expected a text in 'query_id' or 'query', got none; add it$"),
        ({"llm_id": "ocean", "query": 17}, r"row 2: expected a text in 'query_id' or 'query', got none; add it$"),
        ({**FINE, "reward": 1.5}, r"^interactions, row 2: expected a number in \[-1, 1\] in 'reward', got '1.5'"),
        ({**FINE, "reward": -np.inf}, r"row 2: expected a number in \[-1, 1\] in 'reward', got '-inf'; mend it$"),
        ({**FINE, "reward": "good"}, r"row 2: expected a number in \[-1, 1\] in 'reward', got 'good'; mend it$"),
        ({**FINE, "reward": "nan"}, r"row 2: expected a number in \[-1, 1\] in 'reward', got 'nan'; mend it$"),
        (
            {"query": "A new one.", "llm_id": "ocean", "reward": 0.5},
            r"^interactions, row 2: expected a reward on known queries only, got one on the new text 'A new one\.'",
        ),
        ({**FINE, "rewrd": 1}, r"^interactions: expected the columns .* got 'rewrd' \(did you mean 'reward'\?\)"),
    ],
)  # fmt: skip
def test_a_wrong_interaction_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        interactions(FINE, row)


def test_missing_columns_of_interactions_are_named() -> None:
    with pytest.raises(InputError, match=r"^interactions: expected a column 'llm_id', got query_id; add it$"):
        interactions({"query_id": "q1"})
    with pytest.raises(InputError, match=r"^interactions: expected a column 'llm_id', got none; add it$"):
        check_interactions(pd.DataFrame(), LLMS, QUERIES)
    with pytest.raises(InputError, match=r"^interactions: expected a column 'query_id' or 'query', got neither; add"):
        interactions({"llm_id": "ocean"})


def test_probes_by_id_or_text() -> None:
    table = probes(
        {"query_id": "q2", "performance": 1, "cost_usd": 0},
        {"query": "One?", "performance": "0.25", "cost_usd": "1e-3"},
    )
    assert list(table.columns) == ["query_id", "performance", "cost_usd"]
    assert table.to_numpy().tolist() == [["q2", 1.0, 0.0], ["q1", 0.25, 0.001]]


def test_no_probes_are_none() -> None:
    for none in (None, pd.DataFrame(columns=["query", "performance", "cost_usd"])):
        table = check_probes(none, QUERIES)
        assert (len(table), list(table.columns)) == (0, ["query_id", "performance", "cost_usd"])


GOOD = {"query_id": "q1", "performance": 0.5, "cost_usd": 0.01}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (GOOD, r"^probes, row 2: expected each query once, got 'q1' again; drop one$"),
        (
            {"query": "One?", "performance": 1, "cost_usd": 1},
            r"^probes, row 2: expected each query once, got 'q1' again; drop one$",
        ),
        ({**GOOD, "query_id": "q2", "performance": 1.01}, r"row 2: expected a number in \[0, 1\] in 'performance'"),
        ({**GOOD, "query_id": "q2", "performance": -0.1}, r"row 2: expected a number in \[0, 1\] in 'performance'"),
        ({**GOOD, "query_id": "q2", "performance": None}, r"row 2: expected a number in 'performance', got none; fill"),
        ({**GOOD, "query_id": "q2", "performance": "?"}, r"row 2: expected a number in .* in 'performance', got '\?'"),
        ({**GOOD, "query_id": "q2", "cost_usd": -1}, r"row 2: expected a number >= 0 in 'cost_usd', got"),
        ({**GOOD, "query_id": "q2", "cost_usd": np.inf}, r"row 2: expected a number >= 0 in 'cost_usd', got 'inf'"),
        ({**GOOD, "query_id": "q2", "cost_usd": np.nan}, r"row 2: expected a number in 'cost_usd', got none; fill"),
        ({**GOOD, "query_id": "q9"}, r"^probes, row 2: expected the id of one of the router's 3 train queries"),
        (
            {**GOOD, "query_id": None, "query": "A new one."},
            r"^probes, row 2: expected one of the router's 3 train queries, got the new text 'A new one\.'",
        ),
        ({**GOOD, "query_id": None}, r"row 2: expected a text in 'query_id' or 'query', got none; add it$"),
        ({**GOOD, "cost": 1}, r"^probes: expected the columns .* got 'cost' \(did you mean 'cost_usd'\?\); rename"),
    ],
)  # fmt: skip
def test_a_wrong_probe_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        probes(GOOD, row)


@pytest.mark.parametrize("column", ["performance", "cost_usd"])
def test_missing_columns_of_probes_are_named(column: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != column}
    with pytest.raises(InputError, match=f"^probes: expected a column '{column}', got .*; add it$"):
        probes(rest)
