"""The calls of a judging LLM, and what their answers in the store say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from configs.schema import Judging
from data_processing.cache import ResponseStore
from data_processing.judging.judgements import FAILED, READ, REPAIRED, UNUSABLE
from data_processing.judging.plan import Asking, Judgement
from data_processing.judging.prompt import REPAIR, RESPONSE_FORMAT, parse_choice, render
from data_processing.llm_client import Call, Completion
from data_processing.roster import AskedLLM


@dataclasses.dataclass(frozen=True)
class Reply:
    """What came of one asking; `llm_id` and `position` (from 1) are None where no choice could be read."""

    state: str
    llm_id: str | None = None
    position: int | None = None
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


@dataclasses.dataclass(frozen=True)
class Judge:
    """Who judges and how; `structured`: replies are asked for with `response_format`."""

    llm: AskedLLM
    judging: Judging
    structured: bool

    def call(self, asking: Asking) -> Call:
        """Return the question of an asking: the persona as system message, question and answers as user message."""
        answers = asking.answers
        shown = render(answers.query, [answers.texts[place] for place in asking.order])
        parameters: dict[str, Any] = {self.llm.endpoint.max_tokens_name: self.judging.max_tokens}
        if self.judging.temperature is not None:
            parameters["temperature"] = self.judging.temperature
        if self.structured:
            parameters["response_format"] = RESPONSE_FORMAT
        return self.llm.call((("system", asking.persona.description), ("user", shown)), parameters)

    def unread(self, asking: Asking, store: ResponseStore) -> bool:
        """Return whether there is a reply and no choice in it."""
        completion = store.get(self.call(asking).key)
        return completion is not None and parse_choice(completion.text, len(asking.order)) is None

    def repairs(self, askings: Iterable[Asking], store: ResponseStore) -> Iterator[Call]:
        """Yield the one further question to each of these askings, all with a reply."""
        for asking in askings:
            call = self.call(asking)
            completion = store.get(call.key)
            assert completion is not None
            yield repair(call, completion.text)

    def row(self, judgement: Judgement, store: ResponseStore) -> tuple:
        """Return the judgement's row of `data_processing.judging.judgements`."""
        asking = judgement.first
        first = self.reply(asking, store)
        again = Reply("") if judgement.again is None else self.reply(judgement.again, store)
        return (
            asking.persona.user_id,
            asking.answers.query_id,
            first.llm_id,
            first.position,
            len(asking.order),
            first.state,
            first.text,
            again.llm_id,
            again.position,
            again.state,
            again.text,
            first.input_tokens + again.input_tokens,
            first.output_tokens + again.output_tokens,
            first.cost_usd + again.cost_usd,
        )

    def reply(self, asking: Asking, store: ResponseStore) -> Reply:
        """Return what the store has of an asking, in the last words of the judge."""
        call, count = self.call(asking), len(asking.order)
        first = store.get(call.key)
        if first is None:
            return Reply(FAILED)
        number = parse_choice(first.text, count)
        if number is not None:
            return _reply(READ, asking, number, call, (first,))
        second = store.get(repair(call, first.text).key)
        if second is None:
            return _reply(FAILED, asking, None, call, (first,))
        number = parse_choice(second.text, count)
        return _reply(UNUSABLE if number is None else REPAIRED, asking, number, call, (first, second))


def repair(call: Call, reply: str) -> Call:
    """Return the question that follows a reply in which no choice could be read."""
    return dataclasses.replace(call, messages=(*call.messages, ("assistant", reply), ("user", REPAIR)))


def _reply(state: str, asking: Asking, number: int | None, call: Call, completions: Sequence[Completion]) -> Reply:
    inputs = sum(completion.input_tokens for completion in completions)
    outputs = sum(completion.output_tokens for completion in completions)
    llm_id = None if number is None else asking.answers.llm_ids[asking.order[number - 1]]
    return Reply(state, llm_id, number, completions[-1].text, inputs, outputs, call.cost_of(inputs, outputs))
