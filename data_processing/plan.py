"""What asking will cost, before anything is spent: calls, tokens and US dollars, stage by stage and LLM by LLM."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.schema import Config
from data_processing.cache import ResponseStore
from data_processing.cost import count_tokens
from data_processing.judging.cost import judge_cost
from data_processing.responses import answer_call, usual_tokens
from data_processing.roster import AskedLLM, judge_llm, judged_by_llm

CHUNK = 10_000  # calls whose keys are held at once


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one LLM's part in a stage will cost.

    `stored` of the `calls` are answered already and cost nothing. Tokens and US dollars are of the others: what is to
    be expected, and the most it can be, None where answers have no greatest length. Prompts are counted with the
    tokenizer of all-MiniLM-L6-v2: what an API bills differs. (A budget takes each byte for a token instead.)
    """

    stage: str
    llm_id: str
    calls: int
    stored: int
    input_tokens: float
    output_tokens: float
    most_output_tokens: float | None
    usd: float
    most_usd: float | None


def plan(config: Config, queries: pd.DataFrame, llms: Sequence[AskedLLM], store_file: Path) -> list[Cost]:
    """Return the costs of all calls that are still to be made; a store that is not there yet has no answers."""
    texts = queries["query"].tolist()
    tokens = count_tokens(texts)
    with _opened(store_file) as store:
        costs = [_answers(config, texts, tokens, llm, store) for llm in llms]
        if judged_by_llm(config):
            costs.append(_judgements(config, queries, llms, store))
    return costs


def as_text(costs: Sequence[Cost]) -> str:
    """Return the plan as a table for people, with a sum."""
    head = ("", "", "calls", "stored", "tokens in", "tokens out", "US dollars", "at most")
    rows = [head, *(_row(cost) for cost in costs), _row(total(costs))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(_aligned(row, widths) for row in rows)


def total(costs: Sequence[Cost]) -> Cost:
    """Return the sum over all stages."""
    most_tokens = [cost.most_output_tokens for cost in costs]
    most_usd = [cost.most_usd for cost in costs]
    return Cost(
        "all",
        "",
        sum(cost.calls for cost in costs),
        sum(cost.stored for cost in costs),
        sum(cost.input_tokens for cost in costs),
        sum(cost.output_tokens for cost in costs),
        None if None in most_tokens else sum(value for value in most_tokens if value is not None),
        sum(cost.usd for cost in costs),
        None if None in most_usd else sum(value for value in most_usd if value is not None),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _opened(store_file: Path) -> contextlib.AbstractContextManager[ResponseStore | None]:
    return ResponseStore(store_file) if store_file.is_file() else contextlib.nullcontext()


def _row(cost: Cost) -> tuple[str, ...]:
    most = "no limit" if cost.most_usd is None else f"${cost.most_usd:,.4f}"
    counts = (f"{cost.calls:,}", f"{cost.stored:,}", f"{cost.input_tokens:,.0f}", f"{cost.output_tokens:,.0f}")
    return (cost.stage, cost.llm_id, *counts, f"${cost.usd:,.4f}", most)


def _answers(
    config: Config, texts: Sequence[str], tokens: np.ndarray, llm: AskedLLM, store: ResponseStore | None
) -> Cost:
    answers = config.build.answers
    system = float(count_tokens([answers.system_prompt])[0]) if answers.system_prompt else 0.0
    open_rows = np.ones(len(texts), dtype=bool)
    for start in range(0, len(texts) if store else 0, CHUNK):
        keys = [answer_call(llm, text, answers).key for text in texts[start : start + CHUNK]]
        known = store.known(keys) if store else set()
        open_rows[start : start + CHUNK] = [key not in known for key in keys]
    count = int(open_rows.sum())
    inputs = float(tokens[open_rows].sum()) + system * count
    most = None if answers.max_tokens is None else float(answers.max_tokens * count)
    call = llm.call((), {})
    usd = call.cost_of(inputs, usual_tokens(config) * count)
    most_usd = None if most is None and llm.output_price_usd_per_mtok else call.cost_of(inputs, most or 0.0)
    return Cost(
        "answers", llm.llm_id, len(texts), len(texts) - count, inputs, usual_tokens(config) * count, most, usd, most_usd
    )


def _judgements(config: Config, queries: pd.DataFrame, llms: Sequence[AskedLLM], store: ResponseStore | None) -> Cost:
    judge, found = judge_llm(config), judge_cost(config, queries, llms, store)
    call = judge.call((), {})
    usd = call.cost_of(found.input_tokens, found.output_tokens)
    most_usd = call.cost_of(found.most_input_tokens, found.most_output_tokens)
    tokens = (found.input_tokens, found.output_tokens, found.most_output_tokens)
    return Cost("judgements", judge.llm_id, found.calls, found.stored, *tokens, usd, most_usd)
