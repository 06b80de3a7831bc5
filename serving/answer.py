"""The answer itself: asks the LLM that was chosen at the endpoint of a configuration."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from configs.errors import InputError
from configs.schema import Answers, Config, Endpoint
from data_processing.asking.openai_client import OpenAIClient
from data_processing.llm_client import CallError
from data_processing.responses import answer_call
from data_processing.roster import AskedLLM, asked_llms
from data_processing.simulated.server import endpoints_up
from data_processing.workspace import Workspace

MOST_RETRIES = 2  # a person is waiting


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an LLM said and what it took: seconds, tokens of the answer, US dollars."""

    llm_id: str
    text: str
    latency_s: float
    output_tokens: int
    cost_usd: float


@dataclasses.dataclass(frozen=True)
class Answerer:
    """Asks LLMs. Nothing is stored: every question is asked and paid anew."""

    llms: Mapping[str, AskedLLM]
    endpoints: Sequence[Endpoint]
    answers: Answers

    async def ask(self, llm_id: str, question: str) -> Answer:
        """Return the answer of `llm_id`; `InputError` says in one line why there is none."""
        if llm_id not in self.llms:
            raise InputError(
                f"{llm_id}: expected an LLM of the configuration ({', '.join(self.llms)}), got another; add it to "
                "build.llms to have it answer here"
            )
        call = answer_call(self.llms[llm_id], question, self.answers)
        async with OpenAIClient(self.endpoints) as client:
            try:
                found = await client.ask(call)
            except CallError as err:
                raise InputError(f"{llm_id}: expected an answer, got: {err}; try again, or another question") from err
        return Answer(llm_id, found.text, found.latency_s, found.output_tokens, call.cost_usd(found))

    async def check(self) -> None:
        """Raise `InputError` where a key is missing."""
        async with OpenAIClient(self.endpoints):
            pass


@contextlib.contextmanager
def answering(config: Config, llm_ids: Sequence[str]) -> Iterator[Answerer]:
    """Yield who asks the LLMs of a configuration; a server of simulated ones runs meanwhile where it names one.

    Raises `InputError` where a key is missing or none of `llm_ids` is among the LLMs of the configuration.
    """
    with endpoints_up(config, Workspace.of(config)) as live:
        llms = {llm.llm_id: llm for llm in asked_llms(live)}
        if not set(llms) & set(llm_ids):
            raise InputError(
                f"build.llms: expected some of the router's LLMs ({', '.join(llm_ids)}), got {', '.join(llms)}; name "
                "those that your endpoints serve"
            )
        named = {llm.endpoint.name for llm in llms.values()}
        endpoints = [
            endpoint.model_copy(update={"retries": min(endpoint.retries, MOST_RETRIES)})
            for endpoint in live.build.endpoints
            if endpoint.name in named
        ]
        answerer = Answerer(llms, endpoints, live.build.answers)
        asyncio.run(answerer.check())
        yield answerer
