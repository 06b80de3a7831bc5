"""Every task: what it writes it reads back, and no other task claims it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.simulated.draws import Draws
from data_processing.simulated.llm import TASKS, recognised
from data_processing.simulated.names import REGISTERS
from data_processing.simulated.question import SimulatedTask
from data_processing.simulated.topics import TOPICS


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_id)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(TOPICS)), st.integers(1, 4), st.sampled_from(REGISTERS))
def test_attributes_are_visible_in_the_text(
    task: SimulatedTask, seed: int, topic: str, difficulty: int, register: str
) -> None:
    question = task.write(Draws("read back", seed), TOPICS[topic], difficulty, register)
    assert (question.task_id, question.topic, question.difficulty, question.register) == (
        task.task_id,
        topic,
        difficulty,
        register,
    )
    assert recognised(question.query) == (task, question)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_foreign_text_is_nobodys_and_harms_nobody(text: str) -> None:
    assert recognised(text) == (None, None)
