"""Word problems: arithmetic by hand, and errors that are errors."""

from fractions import Fraction

import pytest

from data_processing.scoring import final_number, gsm8k
from data_processing.simulated.arithmetic import Arithmetic, Problem, Step, _wrong_work, amount, solve
from data_processing.simulated.draws import Draws
from data_processing.simulated.profiles import PROFILES, Profile
from data_processing.simulated.topics import TOPICS

BY_HAND = (
    "Ada the baker starts Monday at the village inn with 1,200 eggs. On Tuesday another 30 eggs arrive. "
    "A delivery of 3 baskets follows, each with 10 eggs inside. Leon borrows 60 eggs and never returns them. "
    "By Friday the number of eggs has doubled. "
    "The eggs are shared equally among 4 people, and only the share of Mei is kept. "
    "Each one is worth 0.25 dollars; what are all the eggs worth in the end, in dollars?"
)


def test_a_problem_by_hand() -> None:
    question = Arithmetic().read(BY_HAND)
    assert question is not None
    assert (question.topic, question.difficulty, question.register) == ("cooking", 5, "plain")
    # 1200 + 30 + 3 * 10 - 60 = 1200; * 2 = 2400; / 4 = 600; * 0.25 = 150
    assert final_number(question.ground_truth) == 150
    assert question.ground_truth.endswith("#### 150")
    assert "1,260 - 60 = 1,200" in question.ground_truth


def test_what_is_not_a_problem_is_not_read() -> None:
    task = Arithmetic()
    assert task.read("What is 2 + 2?") is None
    assert task.read(BY_HAND.replace("eggs has doubled", "eggs has septupled")) is None
    assert task.read(BY_HAND.replace("Leon borrows", "Nobody eats")) is None


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4])
def test_shares_are_whole_and_numbers_stay_positive(difficulty: int) -> None:
    task = Arithmetic()
    for i in range(60):
        question = task.write(Draws("whole", i), TOPICS["science"], difficulty, "plain")
        assert question.difficulty == difficulty
        value = question.content.start
        for step in question.content.steps:
            if step.kind == "share":
                assert value % step.a == 0
            value = solve(Problem("x", value, (step,), None)).final
            assert value > 0


def test_a_wrong_solution_ends_in_another_number() -> None:
    problem = Problem("coins", 60, (Step("add", 5, 1), Step("share", 5, 1), Step("times", 2, 1)), Fraction(1, 4))
    truth = solve(problem).final
    assert truth == Fraction(13, 2)
    endings = {_wrong_work(problem, truth, Draws("wrong", i)).final for i in range(200)}
    assert truth not in endings
    assert len(endings) > 10


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.llm_id)
def test_quality_decides_and_style_does_not(profile: Profile) -> None:
    task = Arithmetic()
    for i in range(12):
        question = task.write(Draws("quality", i), TOPICS["history"], 1 + i % 4, "formal")
        good = task.answer(question, 0.9, profile.style, Draws(i, "good"))
        bad = task.answer(question, 0.1, profile.style, Draws(i, "bad"))
        assert gsm8k(good, question.ground_truth) == 1, good
        assert gsm8k(bad, question.ground_truth) == 0, bad


def test_amounts() -> None:
    assert [amount(x) for x in (1250, Fraction(5, 2), Fraction(-5, 4), 0)] == ["1,250", "2.50", "-1.25", "0"]
