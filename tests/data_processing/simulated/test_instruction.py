"""Instructions: the wishes are met in the reference, and by good answers."""

from data_processing.scoring import f1_score
from data_processing.simulated.draws import Draws
from data_processing.simulated.instruction import Instruction
from data_processing.simulated.style import Style
from data_processing.simulated.topics import TOPICS

ASKED = (
    "hi there, need some help. Give three tips on learning to swim front crawl, addressed to a busy parent. "
    "Add an example."
)


def test_an_instruction_by_hand() -> None:
    question = Instruction().read(ASKED)
    assert question is not None
    assert (question.topic, question.difficulty, question.register) == ("sport", 2, "casual")
    assert question.ground_truth.startswith("Here are three tips on learning to swim front crawl for a busy parent.")
    assert len(question.content.points) == 3
    assert set(question.content.points) <= set(TOPICS["sport"].tips)
    assert question.content.extras[0] in TOPICS["sport"].examples


def test_the_reference_depends_on_the_reader() -> None:
    task = Instruction()
    other = task.read(ASKED.replace("a busy parent", "a small team"))
    question = task.read(ASKED)
    assert question is not None
    assert other is not None
    assert other.content.points != question.content.points


def test_other_requests_are_not_read() -> None:
    task = Instruction()
    assert task.read(ASKED.replace("learning to swim front crawl", "flying to the moon")) is None
    assert task.read(ASKED + " Sing it.") is None
    assert task.read("") is None


def test_better_answers_score_higher() -> None:
    task = Instruction()
    style = Style({"instruction": 1})

    def mean(quality: float) -> float:
        total = 0.0
        for i in range(40):
            question = task.write(Draws("better", i), TOPICS["finance"], 1 + i % 4, "plain")
            total += f1_score(task.answer(question, quality, style, Draws(i)), question.ground_truth)
        return total / 40

    assert mean(1.1) > 0.9 > mean(0.6) > mean(0.1)
    assert mean(0.1) < 0.45
