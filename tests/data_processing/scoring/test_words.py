"""Metrics that compare words: adversarial answers by hand, and slow obvious twins of token F1 and ROUGE-L."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.scoring.words import exact_match, f1_score, normalised, rouge_l

SORRY = "I'm sorry, but I can't help with that. I do not know."
WORDS = st.lists(st.sampled_from(["the", "a", "red", "Red", "fox", "fox,", "ran", "12", "--"]), max_size=14).map(
    " ".join
)


@pytest.mark.parametrize(
    ("prediction", "truth", "value"),
    [
        ("Denver Broncos", "the Denver Broncos!", 1.0),
        ("Denver", "Denver Broncos", 2 / 3),
        ("red red red", "red", 0.5),
        (SORRY, "no", 0.0),
        ("nothing", "no", 0.0),
        ("12", "2", 0.0),
        ("a", "the", 0.0),
        ("the", "the", 1.0),
        ("it’s “red”", "it's red", 1.0),
        ("1990–1995", "1990-1995", 1.0),
        ("cafe\u0301", "caf\u00e9", 1.0),
        ("12.50", "1250", 0.0),
        ("-3", "3", 0.0),
        ("1/2", "12", 0.0),
        ("$1,250.", "1250", 1.0),
        ("−3 °C", "-3 °C", 1.0),
        # a verdict has to be given, not only to be among the words
        ("No.", "no", 1.0),
        ("**No**", "no", 1.0),
        ("The answer is no.", "no", 0.5),
        ("Answer: no", "no", 2 / 3),
        ("No, he did not.", "no", 0.4),
        ("No idea, sorry", "no", 0.0),
        ("Sorry, I have no idea", "no", 0.0),
        ("I cannot say no to that", "no", 0.0),
        ("Yes and no", "no", 0.0),
        ("Yes, there is no doubt", "no", 0.0),
        ("nope", "no", 0.0),
        ("yesterday", "yes", 0.0),
        ("No, yes", "yes", 0.0),
        # a verdict that is taken back is none
        ("Yes... no wait, no.", "yes", 0.0),
        ("Yes... no wait, no.", "no", 0.0),
        ("yes, no", "yes", 0.0),
        ("No. Actually yes.", "no", 0.0),
        ("**Yes**, or no?", "yes", 0.0),
        ("Yes, no doubt.", "yes", 0.5),
        ("Yes. Yes!", "yes", 2 / 3),
        ("No, no", "no", 2 / 3),
        # where the truth is more than a verdict, words are words
        ("no", "no man", 2 / 3),
    ],
)
def test_f1_by_hand(prediction: str, truth: str, value: float) -> None:
    assert f1_score(prediction, truth) == pytest.approx(value)


def slow_f1(prediction: str, truth: str) -> float:
    """Cross out each predicted word once in the truth, then precision, recall and their harmonic mean."""
    said, left = normalised(prediction).split(), normalised(truth).split()
    total = len(left)
    if not total:
        said, left = prediction.lower().split(), truth.lower().split()
        total = len(left)
    hits = 0
    for word in said:
        if word in left:
            left.remove(word)
            hits += 1
    if hits == 0:
        return 0.0
    precision, recall = hits / len(said), hits / total
    return 2 * precision * recall / (precision + recall)


@settings(max_examples=150)
@given(WORDS, WORDS)
def test_f1_equals_its_slow_twin(prediction: str, truth: str) -> None:
    assert f1_score(prediction, truth) == pytest.approx(slow_f1(prediction, truth))


def slow_rouge_l(prediction: str, truth: str) -> float:
    """The textbook table of longest common subsequences."""
    said = "".join(c if c.isalnum() else " " for c in prediction.lower()).split()
    words = "".join(c if c.isalnum() else " " for c in truth.lower()).split()
    table = [[0] * (len(words) + 1) for _ in range(len(said) + 1)]
    for i, first in enumerate(said):
        for j, second in enumerate(words):
            best = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if first == second else best
    common = table[-1][-1]
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(words)
    return 2 * precision * recall / (precision + recall)


@settings(max_examples=150)
@given(WORDS, WORDS)
def test_rouge_l_equals_its_slow_twin(prediction: str, truth: str) -> None:
    assert rouge_l(prediction, truth) == pytest.approx(slow_rouge_l(prediction, truth))


def test_rouge_l_minds_the_order_and_f1_does_not() -> None:
    assert f1_score("dog bites man", "man bites dog") == 1
    assert rouge_l("dog bites man", "man bites dog") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("prediction", "truth", "value"),
    [
        ("The Nile.", "nile", 1),
        ("No!", "no", 1),
        ("42", "42.", 1),
        ("Nile river", "nile", 0),
        (SORRY, "no", 0),
        ("I cannot say no to that", "no", 0),
        ("No idea", "no", 0),
        ("The answer is no", "no", 0),
        ("1250", "12.50", 0),
        ("12.50", "1250", 0),
        ("(-3)", "3", 0),
        ("1/2", "12", 0),
        ("5:30", "530", 0),
        ("- 3", "3", 1),
        ("1,250", "1250", 1),
        ("$1,234,567.50", "1234567.50", 1),
        ("C++", "C", 0),
        ("C#", "C", 0),
        ("C", "C#", 0),
        ("C++.", "c++", 1),
        ("#1", "1", 1),
        ("3-4", "34", 0),
        ("3–4", "3-4", 1),
        ("5+3", "53", 0),
        ("5−3", "5-3", 1),
        ("1,2", "12", 0),
        ("2,5", "25", 0),
        ("1, 2", "1 2", 1),
        ("1,2000", "12000", 0),
        (".5", "5", 0),
        (".5", "0.5", 1),
        ("-.5", "-0.50", 0),
        ("-.5", "-0.5", 1),
        ("... 5", "5", 1),
        ("12.50.", "$12.50", 1),
        ("well-known", "wellknown", 1),
        ("12", "2", 0),
        ("the", "a", 0),
        ("!", "?", 0),
        ("?", "?", 1),
        ("", "", 0),
        ("the", "", 0),
        ("...", "no", 0),
    ],
)
def test_exact_match_forgives_case_articles_and_stops_only(prediction: str, truth: str, value: float) -> None:
    assert exact_match(prediction, truth) == value


@pytest.mark.parametrize("piece", ["1,", "1", ".", "-", "+", "yes, ", "yes ", "yes", "\n", " ", "1,000", "c#"])
def test_a_long_reply_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    f1_score("yes, " + piece * (200_000 // len(piece)) + "x", "yes")
    assert time.process_time() - start < 5  # seconds


@pytest.mark.parametrize(
    ("prediction", "truth", "value"),
    [
        ("", "a b", 0),
        ("a b", "", 0),
        ("...", "a", 0),
        ("A, B; C", "a b c", 1),
        ("a x b x c", "a b c", 0.75),
        ("c b a", "a b c", 1 / 3),
        ("a a a a", "a", 0.4),
        (SORRY, "no", 0),
    ],
)
def test_rouge_l_by_hand(prediction: str, truth: str, value: float) -> None:
    assert rouge_l(prediction, truth) == pytest.approx(value)
