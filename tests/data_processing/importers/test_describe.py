from pathlib import Path

import pytest

from configs.schema import Data
from data_processing.importers.describe import family_of, llm_table, plural, quoted_prices, task_table, without_prices


@pytest.mark.parametrize(
    ("text", "expected", "prices"),
    [
        ("Good at sums. Priced at $0.30 per million tokens.", "Good at sums.", [0.3]),
        ("Qwen2.5-7B v0.1 is new. It is sold at $1 in, $2.5 out.", "Qwen2.5-7B v0.1 is new.", [1.0, 2.5]),
        ("One of 8 billion.\nIts cost per million\ntokens is only 0.2, cheap.", "One of 8 billion.", [0.2]),
        ("The cost is 0.9 for a lot. LLaMA-3.1 answers at any cost.", "LLaMA-3.1 answers at any cost.", [0.9]),
        ("Cost-effective and accurate! Rates 5 stars? Yes.", "Cost-effective and accurate! Yes.", []),
        ("", "", []),
    ],
)
def test_sentences_that_quote_a_price_go(text: str, expected: str, prices: list[float]) -> None:
    assert without_prices(text) == expected
    assert quoted_prices(text) == prices


@pytest.mark.parametrize(
    ("llm_id", "api_model", "family"),
    [("a/b", "", "a"), ("gpt-4", "", "gpt"), ("x", "together_ai/meta-llama/Llama", "meta-llama"), ("7up", "", "7up")],
)
def test_family(llm_id: str, api_model: str, family: str) -> None:
    assert family_of(llm_id, api_model) == family


def test_the_users_file_wins_and_its_unused_llms_are_noted(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("llms:\n- {llm_id: claude-v1, description: Mine. It costs $3., family: f}\n- {llm_id: zz}\n")
    table, notes = llm_table(["claude-v1", "claude-v2"], Data(llms_file=str(own)))
    assert table["description"].tolist()[0] == "Mine."
    assert table["family"].tolist() == ["f", "claude"]
    assert table["input_price_usd_per_mtok"].isna().tolist() == [True, False]
    assert any("1 LLM of" in note and "zz" in note for note in notes)


def test_what_the_set_says_of_a_task_wins() -> None:
    table = task_table(["mmlu", "mmlu_law", "never heard"], {"mmlu": "em_mc"}, {"mmlu_law": "Law."})
    assert table["metric"].tolist() == ["em_mc", "accuracy", ""]
    assert table["description"].tolist()[1:] == ["Law.", ""]


def test_plural() -> None:
    assert [plural(n, "query", "queries") for n in (0, 1, 2000)] == ["0 queries", "1 query", "2,000 queries"]
