"""The simulated LLMs behind the interface of a real client: they see the prompt and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from configs.errors import InputError, did_you_mean
from data_processing.cost import count_tokens
from data_processing.llm_client import Completion
from data_processing.simulated.arithmetic import Arithmetic
from data_processing.simulated.draws import Draws
from data_processing.simulated.extractive_qa import ExtractiveQA
from data_processing.simulated.instruction import Instruction
from data_processing.simulated.profiles import Profile
from data_processing.simulated.question import Question, SimulatedTask
from data_processing.simulated.style import Style, dressed
from data_processing.simulated.summarisation import Summarisation

TASKS: tuple[SimulatedTask, ...] = (Instruction(), Arithmetic(), ExtractiveQA(), Summarisation())

# Standard deviations of quality: what makes a question hard for all, for one family, and for one LLM.
QUESTION_NOISE = 0.10
FAMILY_NOISE = 0.06
OWN_NOISE = 0.15
SECONDS_TO_FIRST_TOKEN = 0.2
UNWRITTEN = (
    'I am a simulated language model and can only make up an answer. You wrote: "{start}". '
    "With a real model behind this name, its reply would stand here."
)


class SimulatedLLM:
    """A `ChatModel` over profiles. Same (seed, LLM, prompt), same answer: on any machine and in any order of calls."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self._profiles = {profile.llm_id: profile for profile in profiles}

    def complete(self, llm_id: str, prompt: str, *, seed: int) -> Completion:
        """Answer one prompt; an unknown `llm_id` raises `InputError`.

        A prompt that the simulated world did not write gets a reply that says so.
        """
        if llm_id not in self._profiles:
            known = list(self._profiles)
            raise InputError(
                f"expected a simulated LLM, got llm_id {llm_id!r}{did_you_mean(llm_id, known)}; "
                f"use one of {', '.join(known)}"
            )
        profile = self._profiles[llm_id]
        draws = Draws(seed, llm_id, prompt)
        task, question = recognised(prompt)
        if task is None or question is None:
            text = _generic(prompt, profile.style, draws)
        else:
            text = task.answer(question, quality(profile, question, seed, draws), profile.style, draws)
        tokens = _tokens(text)
        latency = SECONDS_TO_FIRST_TOKEN + profile.seconds_per_token * tokens * (0.8 + 0.4 * draws.uniform())
        return Completion(text, _input_tokens(prompt), tokens, round(latency, 3))


def quality(profile: Profile, question: Question, seed: int, draws: Draws) -> float:
    """Return how well this LLM does on this question: its skill, and luck shared with all, its family and nobody."""
    common = Draws(seed, "question", question.query).normal()
    family = Draws(seed, "family", profile.family, question.query).normal()
    skill = profile.skill(question.task_id, question.topic, question.difficulty, question.register)
    return skill - QUESTION_NOISE * common + FAMILY_NOISE * family + OWN_NOISE * draws.normal()


@functools.lru_cache(maxsize=4096)
def recognised(prompt: str) -> tuple[SimulatedTask | None, Question | None]:
    """Return the task that wrote the prompt and the question it reads there, or (None, None)."""
    for task in TASKS:
        question = task.read(prompt)
        if question is not None:
            return task, question
    return None, None


@functools.lru_cache(maxsize=4096)
def _input_tokens(prompt: str) -> int:
    return _tokens(prompt)


def _tokens(text: str) -> int:
    return int(count_tokens([text])[0])


def _generic(prompt: str, style: Style, draws: Draws) -> str:
    start = " ".join(prompt.split())[:80]
    return dressed(UNWRITTEN.format(start=start), style, min(style.verbosity.get("instruction", 1), 2), draws)
