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


@settings(max_examples=60, deadline=None)
@given(LETTERS, st.sampled_from(FORMS))
def test_every_letter_survives_every_form(letter: str, form: str) -> None:
    assert chosen_letter(form.format(letter)) == letter


@pytest.mark.parametrize(
    "piece", ["A", "(A", "(A) ", "answer ", "answer is ", "option ", "\n", "* ", "\\boxed{", "A. ", " "]
)
def test_a_long_reply_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    chosen_letter("x" + piece * (100_000 // len(piece)) + "x")
    chosen_letter(piece * (100_000 // len(piece)) + "x")
    assert time.process_time() - start < 5  # seconds
