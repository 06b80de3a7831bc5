"""Which answers to a query a judge is shown: those that are there, each text once, none longer than set."""

from __future__ import annotations

import dataclasses

import pandas as pd

from data_processing.questions.shorten import shorten


@dataclasses.dataclass(frozen=True)
class ShownAnswers:
    """The distinct answers to one query: `texts[i]` was given by `llm_ids[i]`, in the order of their names."""

    query_id: str
    query: str
    llm_ids: tuple[str, ...]
    texts: tuple[str, ...]


def shown_answers(queries: pd.DataFrame, outcomes: pd.DataFrame, answer_tokens: int) -> list[ShownAnswers]:
    """Return what there is to choose from for each query with at least one answer, by query id.

    An answer counts if it has a text, a performance and no error: without a performance the main job knows nothing of
    it. Answers that are equal but for white space and case are shown once, and the cheapest LLM stands for them, then
    the first by name; so it is with the rule-based judge. Longer ones than `answer_tokens` keep their first and last
    half; what is left out cannot tell two apart.
    """
    answered = (outcomes["error"] == "") & outcomes["performance"].notna() & (outcomes["response"].str.strip() != "")
    rows = outcomes.loc[answered, ["query_id", "llm_id", "response", "cost_usd"]]
    rows = rows.assign(response=shorten(rows["response"].tolist(), answer_tokens))
    rows = rows.assign(same=[" ".join(text.split()).casefold() for text in rows["response"]])
    rows = rows.sort_values(["query_id", "cost_usd", "llm_id"])  # an unknown cost comes last
    rows = rows.drop_duplicates(["query_id", "same"]).sort_values(["query_id", "llm_id"])
    text_of = dict(zip(queries["query_id"], queries["query"], strict=True))
    return [
        ShownAnswers(str(query_id), text_of[query_id], tuple(group["llm_id"]), tuple(group["response"]))
        for query_id, group in rows.groupby("query_id", sort=True)
    ]
