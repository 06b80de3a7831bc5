"""What a text is about, by its words."""

from __future__ import annotations

import pytest

from data_processing.simulated.topic_words import telling_words, topic_of


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Jo bakes 12 cookies with 3 cups of flour and 2 eggs.", "cooking"),
        ("Which NFL team won the Super Bowl in that season?", "sport"),
        ("Write a Python function that reads a file.", "code"),
        ("The emperor signed the treaty after the battle.", "history"),
        ("He pays a loan of 50 dollars at the bank.", "finance"),
        ("Oxygen is the element that plants give off.", "science"),
        ("", ""),
        ("Lorem ipsum dolor sit amet", ""),
    ],
)
def test_topics(text: str, topic: str) -> None:
    assert topic_of(telling_words(text)) == topic


def test_ignored_words_tell_nothing_and_repeats_little() -> None:
    words = telling_words("fish fish fish fish fish, dollars, bank, loan")
    assert topic_of(words) == "finance"
    assert topic_of(words, {"dollars", "bank", "loan"}) == "science"
