"""The simulated judge model: reads a persona and numbered answers, and replies with the number of one.

It measures answers as the rule-based judge does, without having seen any other question. Whether an answer is right it
knows of the simulated world's questions and of those in the answer key; of others it has no idea.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from data_processing.judging.prompt import ParsedPrompt, parse_prompt
from data_processing.response_features import text_features
from data_processing.scoring import score
from data_processing.simulated.draws import Draws
from data_processing.simulated.llm import Reader, question_behind
from data_processing.simulated.taste import taste_of

# What answers to one question differ by in the simulated world (standard deviation within a question), as `FEATURES`.
SPREAD: tuple[float, ...] = (0.737, 0.631, 0.487, 0.653, 19.3, 0.571, 0.274, 0.206, 0.347)
NOISE = 0.1  # standard deviation of what no rule explains, where the weights sum to 1
CHEAP_METRICS = frozenset({"gsm8k", "multiple_choice", "exact_match", "f1_score", "rouge_l"})
REMEMBERED = 4096  # answers
NONSENSE = (
    "All of these answers have their merits, and it would be unfair to single one out.",
    "That depends on what one is looking for.",
    "0",
)
UNREAD = "I am a simulated judge. I read a question and numbered answers as the project's judge stage writes them."
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

Messages = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class SimulatedJudge:
    """A judge whose choice depends on persona, question and answers alone.

    `position_bias` is what it adds to the answer shown first, falling to 0 for the last; likings are about ±1. `wordy`
    is the share of its plain replies that come with a reason around the number.
    """

    seed: int = 0
    known: Reader | None = None
    position_bias: float = 0.0
    wordy: float = 0.0

    def reply(
        self, messages: Messages, response_format: dict[str, Any] | None, variation: str = "", nonsense: bool = False
    ) -> str:
        """Return the reply to a conversation, whose last message that `judge_prompt.render` made is what is judged.

        Asked again after a reply of its own, the judge names the same number and nothing else. `nonsense` makes it name
        none at all.
        """
        asked = _asked(messages)
        persona = "\n".join(text for role, text in messages if role in ("system", "developer"))
        if asked is None:
            return UNREAD
        place, prompt = asked
        draws = Draws(self.seed, "judge", persona, prompt.question, *prompt.answers, variation)
        if nonsense:
            return draws.choice(NONSENSE)
        number = self.choose(persona, prompt, variation)
        if name := _json_name(response_format):
            return json.dumps({name: number})
        repeated = any(role == "assistant" for role, _ in messages[place:])
        if not repeated and draws.chance(self.wordy):
            return f"I choose answer {number} because it suits me better than the others."
        return str(number)

    def choose(self, persona: str, prompt: ParsedPrompt, variation: str = "") -> int:
        """Return the number, from 1, of the answer that the persona likes best."""
        weights = taste_of(persona)
        features = self.features_of(prompt.question, prompt.answers)
        # `fsum` rounds once, so that the order shown cannot matter
        means = [math.fsum(column) / len(features) for column in zip(*features, strict=True)]
        likings = []
        for place, (text, row) in enumerate(zip(prompt.answers, features, strict=True)):
            luck = Draws(self.seed, "liking", persona, prompt.question, text, variation).normal()
            liking = sum(
                weight * (value - mean) / spread
                for weight, value, mean, spread in zip(weights, row, means, SPREAD, strict=True)
            )
            early = 1 - place / max(1, len(features) - 1)
            likings.append(liking + NOISE * luck + self.position_bias * early)
        return likings.index(max(likings)) + 1

    def features_of(self, question: str, answers: Sequence[str]) -> list[list[float]]:
        """Return the F features of each answer; `correctness` is 0 for all where it is not known."""
        found = question_behind(question, self.known)
        rows = []
        for text in answers:
            right = 0.0
            if found is not None:
                answerer, known = found
                metric = answerer.metric if answerer.metric in CHEAP_METRICS else "f1_score"
                right = _mark(metric, text, known.ground_truth)
            rows.append([*_style(question, text), right])
        return rows


# Every persona reads the same answers to a question.
_mark = functools.lru_cache(maxsize=REMEMBERED)(score)


@functools.lru_cache(maxsize=REMEMBERED)
def _style(question: str, text: str) -> tuple[float, ...]:
    return tuple(text_features(text, frozenset(_WORD.findall(question.casefold()))))


def _asked(messages: Messages) -> tuple[int, ParsedPrompt] | None:
    """Return place and content of the last message that asks for a judgement."""
    for place in reversed(range(len(messages))):
        role, text = messages[place]
        if role == "user":
            try:
                return place, parse_prompt(text)
            except ValueError:
                continue
    return None


def _json_name(response_format: dict[str, Any] | None) -> str | None:
    """Return the name under which a reply in JSON is to give the number; None for a plain reply."""
    if response_format is None or response_format.get("type") == "text":
        return None
    schema = (response_format.get("json_schema") or {}).get("schema") or {}
    return next(iter(schema.get("properties") or {"choice": None}))
