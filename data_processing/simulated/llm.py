"""The simulated LLMs behind the interface of a real client: they see the prompt and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Protocol

from configs.errors import InputError, did_you_mean
from data_processing.cost import count_tokens
from data_processing.llm_client import Completion
from data_processing.simulated.arithmetic import Arithmetic
from data_processing.simulated.draws import Draws
from data_processing.simulated.extractive_qa import ExtractiveQA
from data_processing.simulated.instruction import Instruction
from data_processing.simulated.profiles import Profile
from data_processing.simulated.question import Answerer, Question, SimulatedTask
from data_processing.simulated.style import Style, dressed
from data_processing.simulated.summarisation import Summarisation

TASKS: tuple[SimulatedTask, ...] = (Instruction(), Arithmetic(), ExtractiveQA(), Summarisation())

# Standard deviations of quality: what makes a question hard for all, for one family, and for one LLM.
QUESTION_NOISE = 0.10
FAMILY_NOISE = 0.06
OWN_NOISE = 0.15
SECONDS_TO_FIRST_TOKEN = 0.2
# The questions of the world have one line, or two with an empty one between, and fewer characters than this.
LONGEST = 5000
UNWRITTEN = (
    'I am a simulated language model and can only make up an answer. You wrote: "{start}". '
    "With a real model behind this name, its reply would stand here."
)


class Reader(Protocol):
    """Knows questions and how to answer them."""

    def read(self, prompt: str) -> tuple[Answerer, Question] | None:
        """Return the question behind the prompt and who answers it; None where it is not known."""


class SimulatedLLM:
    """A `ChatModel` over profiles. Same (seed, LLM, question), same answer: on any machine and in any order of calls.

    `known` are questions beside those of the simulated world.
    """

    def __init__(self, profiles: Sequence[Profile], known: Reader | None = None) -> None:
        self._profiles = {profile.llm_id: profile for profile in profiles}
        self._known = known

    def complete(self, llm_id: str, prompt: str, *, seed: int, variation: str = "") -> Completion:
        """Answer one prompt; an unknown `llm_id` raises `InputError`.

        Another `variation` draws anew what is the LLM's own luck, as an LLM does that is asked again at a temperature
        above 0. A prompt that is not known gets a reply that says so.
        """
        if llm_id not in self._profiles:
            known = list(self._profiles)
            raise InputError(
                f"expected a simulated LLM, got llm_id {llm_id!r}{did_you_mean(llm_id, known)}; "
                f"use one of {', '.join(known)}"
            )
        profile = self._profiles[llm_id]
        found = question_behind(prompt, self._known)
        asked = found[1].query if found else prompt
        draws = Draws(seed, llm_id, asked, variation) if variation else Draws(seed, llm_id, asked)
        if found is None:
            text = _generic(prompt, profile.style, draws)
        else:
            answerer, question = found
            text = answerer.answer(question, quality(profile, question, seed, draws), profile.style, draws)
        tokens = _tokens(text)
        latency = SECONDS_TO_FIRST_TOKEN + profile.seconds_per_token * tokens * (0.8 + 0.4 * draws.uniform())
        return Completion(text, input_tokens(prompt), tokens, round(latency, 3))


def question_behind(prompt: str, known: Reader | None) -> tuple[Answerer, Question] | None:
    """Return who answers a prompt, and its question: one of the world's, else one of `known`, else None."""
    task, question = recognised(prompt)
    if task is not None and question is not None:
        return task, question
    return known.read(prompt) if known is not None else None


def quality(profile: Profile, question: Question, seed: int, draws: Draws) -> float:
    """Return how well this LLM does on this question: its skill, and luck shared with all, its family and nobody."""
    common = Draws(seed, "question", question.query).normal()
    family = Draws(seed, "family", profile.family, question.query).normal()
    skill = profile.skill(question.task_id, question.topic, question.difficulty, question.register)
    return skill - QUESTION_NOISE * common + FAMILY_NOISE * family + OWN_NOISE * draws.normal()


@functools.lru_cache(maxsize=4096)
def recognised(prompt: str) -> tuple[SimulatedTask | None, Question | None]:
    """Return the task that wrote the prompt and the question it reads there, or (None, None).

    Other line ends, blank space around and whole lines before or after the question do not matter.
    """
    for text in _passages(prompt):
        for task in TASKS:
            question = task.read(text)
            if question is not None:
                return task, question
    return None, None


def _passages(prompt: str) -> Iterator[str]:
    """Yield each two lines with an empty one between, then each line."""
    lines = [line.strip() for line in prompt.splitlines()]
    around = zip(lines, lines[1:], lines[2:], strict=False)
    pairs = (f"{first}\n\n{second}" for first, between, second in around if first and second and not between)
    for text in (*pairs, *lines):
        if len(text) < LONGEST:
            yield text


@functools.lru_cache(maxsize=4096)
def input_tokens(prompt: str) -> int:
    """Return the number of tokens of a prompt."""
    return _tokens(prompt)


def _tokens(text: str) -> int:
    return int(count_tokens([text])[0])


def _generic(prompt: str, style: Style, draws: Draws) -> str:
    start = " ".join(prompt.split())[:80]
    return dressed(UNWRITTEN.format(start=start), style, min(style.verbosity.get("instruction", 1), 2), draws)
