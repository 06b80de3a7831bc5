"""What a question of the simulated world is, and what each task must be able to do with one."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from data_processing.simulated.draws import Draws
from data_processing.simulated.style import Style
from data_processing.simulated.topics.topic import Topic


@dataclasses.dataclass(frozen=True)
class Question:
    """One question as its own text reveals it.

    `difficulty` is 1 (easy) to 4 (hard): steps, distracting subjects, clauses or key facts. `register` is how the asker
    talks: plain, formal or casual. `content` is what the task's parser found (each task has its own type).
    """

    task_id: str
    query: str
    ground_truth: str
    topic: str
    difficulty: int
    register: str
    content: Any


class Answerer(Protocol):
    """Answers questions of one kind, scored by `metric`, as well as `quality` allows."""

    @property
    def metric(self) -> str:
        """Return the name of the metric that scores the answers."""

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Return an answer; `quality` is about 0 (all wrong) to 1 (all right) and may lie outside."""


class SimulatedTask(Answerer, Protocol):
    """One task: an `Answerer` that also writes questions and reads them back from their text."""

    task_id: str
    description: str

    def write(self, draws: Draws, topic: Topic, difficulty: int, register: str) -> Question:
        """Return a new question."""

    def read(self, query: str) -> Question | None:
        """Return the question behind `query`, equal to what `write` returned; None where this task did not write it."""
