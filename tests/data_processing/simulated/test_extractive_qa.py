"""Passages: the span is there, and wrong answers are wrong."""

from data_processing.scoring import f1_score
from data_processing.simulated.draws import Draws
from data_processing.simulated.extractive_qa import ExtractiveQA
from data_processing.simulated.style import Style
from data_processing.simulated.topics import TOPICS

BARE = Style({"extractive_qa": 0})


def test_a_passage_by_hand() -> None:
    text = (
        "Who commissioned the Vance castle?\n\n"
        "The Rossi castle was commissioned by Ada Marlow. A faded map hung there. "
        "The Vance castle was commissioned by Bruno Zeller."
    )
    question = ExtractiveQA().read(text)
    assert question is not None
    assert (question.topic, question.difficulty, question.ground_truth) == ("history", 2, "Bruno Zeller")


def test_a_question_without_its_fact_is_not_read() -> None:
    task = ExtractiveQA()
    assert task.read("Who commissioned the Vance castle?\n\nThe Rossi castle was commissioned by Ada Marlow.") is None
    assert task.read("Who commissioned the Vance castle?") is None


def test_the_truth_is_a_span_and_every_subject_has_another() -> None:
    task = ExtractiveQA()
    for i in range(80):
        topic = list(TOPICS.values())[i % 6]
        question = task.write(Draws("span", i), topic, 1 + i % 4, "casual")
        assert question.difficulty == 1 + i % 4
        assert question.query.count(question.ground_truth) >= 1
        assert question.topic == topic.name


def test_good_answers_copy_and_bad_ones_miss() -> None:
    task = ExtractiveQA()
    scores: dict[float, list[float]] = {0.9: [], 0.42: [], 0.1: []}
    for i in range(80):
        question = task.write(Draws("answer", i), TOPICS["code"], 1 + i % 4, "plain")
        for quality, values in scores.items():
            said = task.answer(question, quality, BARE, Draws(i, quality))
            values.append(f1_score(said, question.ground_truth))
    mean = {quality: sum(values) / len(values) for quality, values in scores.items()}
    assert min(scores[0.9]) == 1
    assert 0.3 < mean[0.42] < 0.95
    assert mean[0.1] < 0.25
