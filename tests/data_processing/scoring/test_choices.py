"""The chosen letter: replies that choose, and replies that only look like it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.scoring.choices import chosen_letter, multiple_choice

SORRY = "I'm sorry, but I can't help with that. I do not know."


@pytest.mark.parametrize(
    "prediction",
    [
        "B", "b", "(B)", "[B]", "B.", "b)", "**B**", "B: dogs", "B\n\nDogs bark.", "b\nbecause dogs bark",
        "B, because dogs bark", "B because dogs bark", "B - dogs", "*B) dogs*", "<B>", "A: <B>",
        "<answer>B</answer>", "\\boxed{B}",
        "\\boxed{\\text{B}}", "\\boxed{\\text{(B)}}", "The answer is B", "the answer is b.", "answer: (b)",
        "Answer: **B**", "**Answer:** B", "**Answer**: B", "Answer:\nB", "The correct answer is option B.",
        "Option B is right",
        "I choose option B", "The answer is (B) because (A) is wrong.", "(B) since (A) is wrong",
        "So, weighing all this, it must be (B).", "The answer is B because option A is wrong.",
        "Option A is wrong, so the answer is B.", "Option A is incorrect. Option B is right.",
        "The answer is not A. The answer is B.", "It is not (A), so (B).", "(A) is wrong. It must be (B).",
        "A. cats\nB. dogs\n\nAnswer: B", "Sorry for the wait. The answer is B.",
    ],
)  # fmt: skip
def test_the_letter_is_found(prediction: str) -> None:
    assert multiple_choice(prediction, "B") == 1
    assert multiple_choice(prediction, "(B) dogs") == 1
    assert multiple_choice(prediction, "A") == 0


@pytest.mark.parametrize(
    "prediction",
    [
        SORRY, "A cat", "A dog", "The answer is a mammal", "Answer: A dog", "A", "I", "I don't know", "I think so",
        "I.e. none", "The answer is I don't know", "Both A and B", "A and B", "A or B", "The answer is A or B",
        "The answer is A, B", "Answer: (A) and (B)", "(A) and (B)", "Either (A) or (C).", "The answer is not (B)",
        "It can't be (B)",
        "Option B is wrong.", "Option A is not right", "(B) is wrong", "A. cats\nB. dogs\nC. fish",
        "(A) cats (B) dogs (C) fish", "I can't decide between (A) cats, (B) dogs and (C) fish.",
        "Brilliant question!", "Because", "",
        "b-list actors", "Vitamin B is one", "B2", "None of the above",
    ],
)  # fmt: skip
def test_nothing_else_is_taken_for_it(prediction: str) -> None:
    for truth in {"A", "B", "C", "I"} - {prediction}:
        assert multiple_choice(prediction, truth) == 0, truth


def test_a_quoted_option_counts_where_the_truth_has_its_text() -> None:
    assert multiple_choice("Dogs", "B. dogs") == 1
    assert multiple_choice("The answer is dogs.", "(B) dogs") == 1
    assert multiple_choice("cats", "B. dogs") == 0
    assert multiple_choice("dogs and cats", "B. dogs") == 0
    assert multiple_choice("A. dogs", "B. dogs") == 0  # the letter decides
    assert multiple_choice("dogs", "B") == 0  # nothing says what B is


def test_a_word_as_truth() -> None:
    assert multiple_choice("No.", "no") == 1
    assert multiple_choice(SORRY, "no") == 0
    assert multiple_choice("I cannot say no to that", "no") == 0
    assert multiple_choice("A dog", "a dog") == 1


LETTERS = st.sampled_from("ABCDEFGHJ")
FORMS = ["{}", "({})", "The answer is {}.", "Answer: {}", "{}) text", "<{}>", "So it is ({}).", "\\boxed{{{}}}"]


@pytest.mark.parametrize(
    ("prediction", "letter"),
    [
        # quotes, code, maths
        ('{"answer": "B"}', "B"), ("{'answer': 'b'}", "B"), ("`B`", "B"), ('"B"', "B"), ("“B.”", "B"),
        ('The correct answer is "B".', "B"), ("The answer is `B`", "B"), ("The final answer is $C$.", "C"),
        ("\\(C\\)", "C"), ("$\\boxed{\\mathrm{B}}$", "B"), ("\\boxed{\\mathbf{(B)}}", "B"),
        ("$\\textbf{B}$", "B"), ('The answer is "A".', "A"),
        # phrases
        ("B is correct", "B"), ("C is correct.", "C"), ("A is correct, B is not.", "A"),
        ("B is the correct answer", "B"),
        ("A is wrong. So B is clearly right.", "B"), ("I choose B", "B"), ("I'd go with B.", "B"),
        ("I would pick A.", "A"), ("I agree with option B", "B"), ("Instead of option A, option B", "B"),
        ("The answer must be C", "C"), ("The answer would be C", "C"), ("The answer is clearly C", "C"),
        ("The answer is probably C", "C"), ("The answer is most likely C.", "C"),
        ("The answer is not A, but B", "B"), ("The answer is not A but (B).", "B"),
        ("The answer is A, B is wrong", "A"),
        ("The answer is A, B can't be", "A"), ("Option C. Unlike option A, it holds", "C"),
        ("Option C is better than option A", "C"), ("B.\n\nA. is wrong because", "B"),
        ("**B**\n\nA. cats are no dogs.\nC. fish are none.", "B"), ("B Paris", "B"), ("答案是B", "B"),
        ("答案：C。", "C"), ("B. U.S. Congress", "B"), ("The answer is __B__.", "B"), ('{"choice": "C"}', "C"),
        # doubts about something else
        ("The one that does not belong is option D", "D"), ("The animal that cannot fly is option C.", "C"),
        ("I'm not sure, but the answer is B", "B"), ("Without a doubt the answer is B", "B"),
        ("It can't be A, so the answer is B", "B"), ("If 2x = 4 then x = 2, so the answer is B", "B"),
        ("If option A holds, x = 2. The answer is B", "B"), ("I don't think it is A. The answer is B.", "B"),
    ],
)  # fmt: skip
def test_a_choice_in_other_words_is_found(prediction: str, letter: str) -> None:
    assert chosen_letter(prediction) == letter


@pytest.mark.parametrize(
    "prediction",
    [
        # denied, doubted, left open
        "I don't think the answer is A", "I do not believe that the answer is A.", "Option A is unlikely",
        "I doubt the answer is B", "It's unlikely that the answer is B", "not option B", "rule out option B",
        "It is unlikely that it is option B", "I don't think it is option B",
        "We can rule out option B", "Option B would be incorrect", "Option B doesn't hold",
        "Option B is clearly wrong",
        "If x then the answer is A; otherwise the answer is B. I can't tell.",
        "B. is wrong", "The answer is unlikely B",
        "Neither A nor B is correct", "A or B is correct", "I don't think B is correct", "If B is correct, all is lost",
        "Vitamin C is right", "I wouldn't choose B", "I choose A or B", "I can't say. A is incorrect",
        "Option A, B is correct or not", "Options A and B are wrong",
        # parts of words and formulas
        "The answer is X-ray", "D-Day", "The answer is D-Day", "C-section", "The answer is C-section",
        "T-shirt", "The answer is a T-shirt", "U.S.", "The answer is the U.S.",
        "The answer is U.S.", "C++", "The answer is C++", "The answer is C#",
        "Answer: E=mc^2", "E = mc^2", "The answer is N/A", "答案是C++",
        "Let \\(x\\) be the number. So \\(x = 3\\), 3 apples.", "ord('a') is 97",
    ],
)  # fmt: skip
def test_what_chooses_nothing(prediction: str) -> None:
    assert chosen_letter(prediction) is None


@settings(max_examples=60, deadline=None)
@given(LETTERS, st.sampled_from(FORMS))
def test_every_letter_survives_every_form(letter: str, form: str) -> None:
    assert chosen_letter(form.format(letter)) == letter


@pytest.mark.parametrize(
    "piece",
    ["A", "(A", "(A) ", "answer ", "answer is ", "option ", "\n", "* ", "\\boxed{", "A. ", " ", "*", "(", ".", '"',
     "`A` ", "_", "$", "answer\n \n", "answer is A, ", "B is correct, ", "I choose ", " \n", "not ",
     "answer is clearly ", "A\n", "答案是", "\t", "A, "],
)  # fmt: skip
def test_a_long_reply_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    chosen_letter("x" + piece * (200_000 // len(piece)) + "x")
    chosen_letter(piece * (200_000 // len(piece)) + "x")
    multiple_choice("The answer is" + piece * (200_000 // len(piece)) + "x", "B. dogs")
    assert time.process_time() - start < 5  # seconds
