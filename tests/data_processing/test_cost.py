import dataclasses
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.cost import cost_usd, count_tokens, with_computed_cost
from data_processing.tables import Dataset, conform, empty, validate

AMOUNT = st.floats(0, 1e6, allow_subnormal=False)


def dataset(prices: dict[str, tuple[float | None, float | None]]) -> Dataset:
    llms = [
        {"llm_id": x, "input_price_usd_per_mtok": i, "output_price_usd_per_mtok": o} for x, (i, o) in prices.items()
    ]
    queries = pd.DataFrame({"query_id": ["1", "2"], "task_id": "t", "query": ["one two", "one"]})
    rows = [
        {"query_id": q, "llm_id": x, "performance": 1.0, "response": "a b c" if q == "1" else ""}
        for q in "12"
        for x in prices
    ]
    return Dataset(
        "made",
        conform("llms", pd.DataFrame(llms)),
        conform("tasks", pd.DataFrame({"task_id": ["t"]})),
        conform("queries", queries),
        conform("outcomes", pd.DataFrame(rows)),
        empty("users"),
        empty("interactions"),
        "none",
        notes=("before",),
    )


@settings(max_examples=50)
@given(st.lists(st.tuples(AMOUNT, AMOUNT, AMOUNT, AMOUNT), min_size=1, max_size=5))
def test_cost_is_tokens_times_price_per_million(rows: list[tuple[float, ...]]) -> None:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    slow = [(i * p / 1_000_000) + (o * q / 1_000_000) for i, o, p, q in rows]
    assert cost_usd(*columns) == pytest.approx(slow)


def test_tokens_are_not_cut_off_and_have_no_special_tokens() -> None:
    assert count_tokens(["", "hello", "hello world", "word " * 3000, "hello"]).tolist() == [0, 1, 2, 3000, 1]
    assert count_tokens([]).shape == (0,)


def test_half_a_character_is_no_token_and_stops_nothing() -> None:
    assert count_tokens(["a \ud800 b"]).tolist() == [2]


def test_tokens_come_from_source_then_response_then_assumption() -> None:
    made = dataset({"a": (1.0, 10.0)})
    result = with_computed_cost(made, 100, "prices.yaml")
    validate(result)
    assert result.outcomes["cost_usd"].tolist() == pytest.approx([(2 + 30) / 1e6, (1 + 1000) / 1e6])
    assert result.outcomes["output_tokens"].tolist() == [3, 100]
    assert result.cost_kind == "computed"
    assert result.notes[0] == "before"
    assert "1 of 2 outcomes have no response and are taken as 100 tokens" in result.notes[1]
    given_counts = made.outcomes.assign(input_tokens=[7.0, np.nan], output_tokens=[np.nan, 9.0])
    counted = with_computed_cost(dataclasses.replace(made, outcomes=given_counts), 100, "prices.yaml")
    assert counted.outcomes["cost_usd"].tolist() == pytest.approx([(7 + 30) / 1e6, (1 + 90) / 1e6])
    assert "assumed" not in counted.notes[1]
    assert "no response" not in counted.notes[1]


def test_without_any_price_there_is_no_cost() -> None:
    result = with_computed_cost(dataset({"a": (None, None), "b": (1.0, None)}), 100, "prices.yaml")
    assert (result.cost_kind, result.outcomes["cost_usd"].sum()) == ("none", 0.0)
    assert "no LLM of this set has a price" in result.notes[-1]


def test_some_prices_are_refused_naming_llm_and_file() -> None:
    with pytest.raises(InputError, match=r"got none for 'b'; .*prices\.yaml"):
        with_computed_cost(dataset({"a": (1.0, 1.0), "b": (1.0, None)}), 100, "prices.yaml")


def test_many_texts_are_counted_fast() -> None:
    texts = [f"{i} " + "word " * 60 for i in range(5000)]
    count_tokens(["warm up"])
    start = time.perf_counter()
    assert count_tokens(texts).min() > 60
    assert time.perf_counter() - start < 5
