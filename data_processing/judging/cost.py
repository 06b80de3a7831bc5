"""What judging will cost, from the answers that are there, and a guess of those that are still to come."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from configs.schema import Config
from data_processing.cache import ResponseStore
from data_processing.characters import whole_characters
from data_processing.cost import count_tokens
from data_processing.judging.plan import Asking, JudgePlan
from data_processing.judging.prompt import REPAIR, render
from data_processing.judging.replies import Judge
from data_processing.judging.shown_answers import ShownAnswers, shown_answers
from data_processing.responses import answer_call, usual_tokens
from data_processing.roster import AskedLLM, judge_llm

REPLY_TOKENS = 8  # of {"choice": 10}


@dataclasses.dataclass(frozen=True)
class JudgeCost:
    """Calls of the judge, of which `stored` are answered already; tokens are of the others.

    `most_*`: every answer that is not there yet is as long as it may be, and every reply is too, and needs the repair
    question.
    """

    calls: int
    stored: int
    input_tokens: float
    output_tokens: float
    most_input_tokens: float
    most_output_tokens: float


def judge_cost(
    config: Config, queries: pd.DataFrame, llms: Sequence[AskedLLM], store: ResponseStore | None
) -> JudgeCost:
    """Return what judging will cost.

    To a query that was not asked yet every LLM is taken to answer, each differently, in `usual_tokens`.
    """
    there = {} if store is None else _answers_there(config, queries, llms, store)
    texts = dict(zip(queries["query_id"], queries["query"], strict=True))
    ids = tuple(sorted(llm.llm_id for llm in llms))
    plan = JudgePlan.of(config, [there.get(key) or ShownAnswers(key, texts[key], ids, ids) for key in sorted(texts)])
    lengths = {item.query_id: _lengths(config, item, item.query_id in there) for item in plan.answers}
    frame = count_tokens([render("", [""] * len(llms))])[0]
    personas = [persona.description for persona in plan.personas]
    of_persona = dict(zip(personas, count_tokens(personas), strict=True))
    judge = Judge(judge_llm(config), config.build.judge, config.build.judge.structured)
    calls = stored = 0
    inputs = most_inputs = 0.0
    for asking in plan.askings():
        calls += 1
        if store is not None and asking.answers.query_id in there and _answered(asking, judge, store):
            stored += 1
            continue
        fixed = frame + of_persona[asking.persona.description]
        expected, most = lengths[asking.answers.query_id]
        inputs += fixed + expected
        most_inputs += fixed + most
    left, longest = calls - stored, config.build.judge.max_tokens
    # The repair question shows all again, with the reply that could not be read.
    most_inputs = 2 * most_inputs + left * (longest + count_tokens([REPAIR])[0])
    return JudgeCost(calls, stored, inputs, float(left * min(REPLY_TOKENS, longest)), most_inputs, 2.0 * left * longest)


def _answers_there(
    config: Config, queries: pd.DataFrame, llms: Sequence[AskedLLM], store: ResponseStore
) -> dict[str, ShownAnswers]:
    """Return what a judge is shown of each query that every LLM was asked, less those where it is nothing."""
    rows: list[tuple[str, str, str, float]] = []
    for query_id, text in zip(queries["query_id"], queries["query"], strict=True):
        calls = [answer_call(llm, text, config.build.answers) for llm in llms]
        answers = [store.get(call.key) for call in calls]
        if all(answer or store.error(call.key) for call, answer in zip(calls, answers, strict=True)):
            rows += [
                (query_id, call.llm_id, whole_characters(answer.text), call.cost_usd(answer))
                for call, answer in zip(calls, answers, strict=True)
                if answer
            ]
    outcomes = pd.DataFrame(rows, columns=["query_id", "llm_id", "response", "cost_usd"])
    shown = shown_answers(queries, outcomes.assign(error="", performance=0.0), config.build.judge.answer_tokens)
    return {item.query_id: item for item in shown}


def _lengths(config: Config, item: ShownAnswers, there: bool) -> tuple[float, float]:
    """Return tokens of question and answers: expected, and the most."""
    query = float(count_tokens([item.query])[0])
    if there:
        known = query + float(count_tokens(item.texts).sum())
        return known, known
    shown, answers = config.build.judge.answer_tokens, config.build.answers
    usual = min(shown, usual_tokens(config))
    most = shown if answers.max_tokens is None else min(shown, answers.max_tokens)
    return query + len(item.texts) * usual, float(query + len(item.texts) * most)


def _answered(asking: Asking, judge: Judge, store: ResponseStore) -> bool:
    """Return whether the store has a reply, be it without `response_format`, which some endpoints refuse."""
    plain = dataclasses.replace(judge, structured=False)
    return any(store.known([one.call(asking).key]) for one in (judge, plain))
