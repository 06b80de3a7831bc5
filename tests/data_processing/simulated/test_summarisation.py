"""Articles: the reference states the key facts, and better answers score higher."""

from data_processing.scoring import rouge_l
from data_processing.simulated.draws import Draws
from data_processing.simulated.style import Style
from data_processing.simulated.summarisation import Summarisation
from data_processing.simulated.topics import TOPICS


def test_an_article_by_hand() -> None:
    text = (
        "Summarise this article.\n\nThe kettle whistled through most of the conversation. "
        "In a statement on Monday, Ada Vance said that the Marlow Bakers' Guild of Vellin will turn "
        "stale bread into a craft beer. A budget paper puts the price at 12 million dollars and "
        "the duration at 9 months."
    )
    question = Summarisation().read(text)
    assert question is not None
    assert (question.topic, question.difficulty) == ("cooking", 1)
    assert question.ground_truth == (
        "The Marlow Bakers' Guild of Vellin will turn stale bread into a craft beer. "
        "It will cost 12 million dollars and take 9 months."
    )
    assert question.content.fillers == ("The kettle whistled through most of the conversation.",)


def test_without_the_event_it_is_not_ours() -> None:
    assert Summarisation().read("Summarise this article.\n\nThe work is expected to cost 3 million dollars.") is None
    assert Summarisation().read("Tell me a joke.") is None


def test_better_answers_score_higher_and_filler_costs() -> None:
    task = Summarisation()

    def mean(quality: float, verbosity: int) -> float:
        style = Style({"summarisation": verbosity})
        total = 0.0
        for i in range(40):
            question = task.write(Draws("summary", i), TOPICS["sport"], 1 + i % 4, "plain")
            total += rouge_l(task.answer(question, quality, style, Draws(i)), question.ground_truth)
        return total / 40

    assert mean(1.0, 1) > 0.8 > mean(0.6, 1) > 0.4 > mean(0.1, 1)
    assert mean(1.0, 1) > mean(1.0, 2) > mean(1.0, 3)
