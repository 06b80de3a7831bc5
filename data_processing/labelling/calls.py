"""The calls of an LLM that labels prompts, and what its replies in the store come to."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from configs.errors import InputError
from configs.schema import Config
from data_processing.cache import ResponseStore
from data_processing.cost import count_tokens
from data_processing.labelling.labels import LABELS, REPAIR, LabelPrompt, parse_label, question
from data_processing.llm_client import Call
from data_processing.plan import Cost
from data_processing.questions.shorten import shorten
from data_processing.roster import AskedLLM

REPLY_TOKENS = 12  # of {"label": "ROUTE_TO_INFERIOR"}
KEYS_AT_ONCE = 10_000


@dataclasses.dataclass(frozen=True)
class Labelling:
    """Who labels which prompts and how. `shown` are the prompts as the LLM sees them, long ones cut.

    Every repeat has the examples in another order (`systems`) and another seed, where one is sent (`parameters`).
    """

    llm: AskedLLM
    shown: Sequence[str]
    systems: Sequence[str]
    parameters: Sequence[dict[str, Any]]

    @classmethod
    def of(
        cls, config: Config, llm: AskedLLM, prompt: LabelPrompt, queries: Sequence[str], repeats: int, longest: int
    ) -> Labelling:
        """Return the labelling of `queries`, each `repeats` times; those above `longest` tokens are cut in the middle.

        Temperature and longest reply are those of judges (`build.judge`), the seed that of answers (`build.answers`).
        Raises `InputError` where two repeats would be one and the same call.
        """
        judging, seed = config.build.judge, config.build.answers.seed
        systems, parameters = [], []
        for number in range(repeats):
            sent: dict[str, Any] = {llm.endpoint.max_tokens_name: judging.max_tokens}
            if judging.temperature is not None:
                sent["temperature"] = judging.temperature
            if seed is not None:
                sent["seed"] = seed + number
            systems.append(prompt.shuffled(number).text())
            parameters.append(sent)
        made = cls(llm, shorten(queries, longest), systems, parameters)
        different = len({call.key for call in made.calls_of(made.shown[0])})
        if different < repeats:
            raise InputError(
                f"--repeats: expected repeats that differ, got {repeats} of which {different} do: the prompt has "
                f"{len(prompt.examples)} examples to put in another order and build.answers.seed is null; lower it, "
                "or set the seed"
            )
        return made

    def __len__(self) -> int:
        return len(self.shown) * len(self.systems)

    def calls_of(self, text: str) -> list[Call]:
        """Return the calls for one prompt as shown, one per repeat."""
        messages = ("user", question(text))
        return [
            self.llm.call((("system", system), messages), sent)
            for system, sent in zip(self.systems, self.parameters, strict=True)
        ]

    def calls(self) -> Iterator[Call]:
        """Yield all calls, prompt by prompt, so that what is cut short has whole prompts."""
        for text in self.shown:
            yield from self.calls_of(text)

    def cost(self, store: ResponseStore | None) -> Cost:
        """Return what labelling will cost; at most, every reply is as long as it may be and has to be asked about."""
        system = count_tokens(self.systems)
        texts = count_tokens([question(text) for text in self.shown])
        open_calls = np.ones((len(self.shown), len(self.systems)), dtype=bool)
        step = max(1, KEYS_AT_ONCE // len(self.systems))
        for start in range(0, len(self.shown) if store else 0, step):
            keys = [[call.key for call in self.calls_of(text)] for text in self.shown[start : start + step]]
            known = store.known(key for row in keys for key in row) if store else set()
            open_calls[start : start + step] = [[key not in known for key in row] for row in keys]
        count = int(open_calls.sum())
        inputs = float((open_calls * (texts[:, None] + system[None, :])).sum())
        longest = self.parameters[0][self.llm.endpoint.max_tokens_name]
        call = self.llm.call((), {})
        outputs, most = float(count * min(REPLY_TOKENS, longest)), float(2 * count * longest)
        asked_again = inputs + count * (longest + float(count_tokens([REPAIR])[0]))
        usd, most_usd = call.cost_of(inputs, outputs), call.cost_of(inputs + asked_again, most)
        stored = len(self) - count
        return Cost("labels", self.llm.llm_id, len(self), stored, inputs, outputs, most, usd, most_usd)


@dataclasses.dataclass(frozen=True)
class Given:
    """What came of one prompt: the labels that could be read, and how many replies could not be or never came."""

    labels: tuple[str, ...]
    unusable: int = 0
    failed: int = 0

    @property
    def label(self) -> str | None:
        """Return the label of the majority, None where there is none."""
        counts = Counter(self.labels).most_common(2)
        if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
            return None
        return counts[0][0]

    @property
    def share(self) -> float:
        """Return the share of the labels that are the majority's."""
        return max(Counter(self.labels).values(), default=0) / max(1, len(self.labels))


def repair(call: Call, reply: str) -> Call:
    """Return the one question that follows a reply that is no label."""
    return dataclasses.replace(call, messages=(*call.messages, ("assistant", reply), ("user", REPAIR)))


def repairs(calls: Iterable[Call], store: ResponseStore) -> Iterator[Call]:
    """Yield the question that follows for each of these calls whose reply in the store is no label."""
    for call in calls:
        completion = store.get(call.key)
        if completion is not None and parse_label(completion.text) is None:
            yield repair(call, completion.text)


def given(calls: Iterable[Call], store: ResponseStore) -> Given:
    """Return what the store has of the calls for one prompt."""
    labels, unusable, failed = [], 0, 0
    for call in calls:
        reply = store.get(call.key)
        if reply is not None and parse_label(reply.text) is None:
            reply = store.get(repair(call, reply.text).key)
        if reply is None:
            failed += 1
        elif (label := parse_label(reply.text)) is None:
            unusable += 1
        else:
            labels.append(label)
    return Given(tuple(labels), unusable, failed)


def agreement(found: Sequence[Given]) -> tuple[float, float] | None:
    """Return the share of pairs of repeats that agree, the mean over prompts, and what chance alone would give with the
    same balance of labels; None where no prompt has two labels."""
    counts = np.array([[given.labels.count(label) for label in LABELS] for given in found], dtype=float).reshape(-1, 2)
    counts = counts[counts.sum(axis=1) > 1]
    if not len(counts):
        return None
    size = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (size * (size - 1))
    balance = counts.sum(axis=0) / counts.sum()
    return float(agreeing.mean()), float((balance**2).sum())
