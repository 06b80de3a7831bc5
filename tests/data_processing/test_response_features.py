import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.response_features import (
    FEATURES,
    READING_EASE,
    answer_classes,
    answer_features,
    standardise,
    text_features,
)
from data_processing.tables import conform

NAN = float("nan")


def table(cells: dict) -> pd.DataFrame:
    rows = [{"query_id": q, "llm_id": m, "response": r, "performance": p} for (q, m), (r, p) in cells.items()]
    return conform("outcomes", pd.DataFrame(rows))


def questions(**texts: str) -> pd.DataFrame:
    rows = [{"query_id": q, "task_id": "t", "query": text} for q, text in texts.items()]
    return conform("queries", pd.DataFrame(rows))


def of(text: str, question: str = "") -> dict[str, float]:
    made = answer_features(questions(q=question), table({("q", "a"): (text, 0.25)}), ["q"], ["a"])
    return dict(zip(FEATURES, made[0, 0], strict=True))


def count(text: str, feature: str) -> int:
    return round(math.expm1(of(text)[feature]))


def test_all_features_of_one_answer_by_hand() -> None:
    # 13 words; the numbered lines, "first" and "then" are steps; 6 words of letters in 2 sentences, 1 syllable each;
    # of first, then and may two stand in the question.
    made = of("1. First, x = 3 + 4.\n2. Then it may be 7!", "MAY x be first?")
    assert made == pytest.approx(
        {
            "length": math.log(14),
            "steps": math.log(5),
            "formulas_and_code": math.log(3),
            "lists": math.log(3),
            "readability": 206.835 - 1.015 * 3 - 84.6,
            "warmth": math.log(2),
            "hedging": math.log(2),
            "overlap": 2 / 3,
            "correctness": 0.25,
        }
    )


@pytest.mark.parametrize(
    ("text", "feature", "number"),
    [
        ("one two  three\n\nfour", "length", 4),
        ("今日は晴れ", "length", 5),
        ("Step 1: add. Step 2: divide. Finally, round.", "steps", 3),
        ("1. a\n 2) b\n12. c", "steps", 3),
        ("It costs 1. 50 is more", "steps", 0),
        ("```\nreturn x\n```", "formulas_and_code", 3),
        ("def f(x):\n    return x != 3", "formulas_and_code", 4),
        (r"so \frac{1}{2} and \(x\)", "formulas_and_code", 3),
        ("- a\n* b\n  • c\n1. d", "lists", 4),
        ("a - b * c", "lists", 0),
        ("Great, happy to help! Enjoy!!", "warmth", 6),
        ("a != b", "warmth", 0),
        ("Perhaps; it probably depends, roughly.", "hedging", 4),
    ],
)
def test_counts(text: str, feature: str, number: int) -> None:
    assert count(text, feature) == number


def test_reading_ease_by_hand_and_within_its_range() -> None:
    assert of("The table.")["readability"] == pytest.approx(206.835 - 1.015 * 2 - 84.6 * 3 / 2)
    assert of("One dog ran. Two sat.")["readability"] == pytest.approx(
        206.835 - 1.015 * 5 / 2 - 84.6 * 6 / 5
    )  # o-ne, dog, ran, two, sat
    assert of("Unconditional representation.")["readability"] == READING_EASE[0]
    assert of("B")["readability"] == of("A")["readability"] == pytest.approx(READING_EASE[1], abs=0.01)


def test_overlap_counts_distinct_words_of_three_letters() -> None:
    question = "What is a red fox, and who saw the fox?"
    assert of("A", question)["overlap"] == 0
    assert of("a is 42", question)["overlap"] == 0
    assert of("Fox fox FOX", question)["overlap"] == 1
    assert of("the fox ate hens", question)["overlap"] == 0.5
    assert of("der Fuß", "DER FUSS")["overlap"] == 1


@pytest.mark.parametrize(
    "text", ["Это хороший ответ, потому что он верен.", "我不知道。也许。", "نعم", "🙂", "12", "…"]
)
def test_texts_without_latin_letters_have_finite_features(text: str) -> None:
    made = text_features(text)
    assert np.isfinite(made).all()
    assert READING_EASE[0] <= made[FEATURES.index("readability")] <= READING_EASE[1]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(" \n\t\r\u00a0", max_size=4), st.text(" \n\t\u2003", max_size=4))
def test_surrounding_white_space_never_counts(text: str, before: str, after: str) -> None:
    made = text_features(before + text + after)
    assert made == text_features(text)
    assert np.isfinite(made).all()


def test_a_blank_answer_has_no_style() -> None:
    assert of(" \n")["length"] == of("")["readability"] == 0
    assert of("")["correctness"] == 0.25


def test_cells_are_joined_by_id_and_nan_without_performance() -> None:
    outcomes = table(
        {("q2", "b"): ("x y", 1.0), ("q1", "a"): ("x", 0.5), ("q1", "b"): ("x", NAN), ("q9", "a"): ("", 1)}
    )
    made = answer_features(questions(q1="", q2="", q9=""), outcomes, ["q1", "q2"], ["a", "b"])
    assert np.isnan(made).all(axis=2).tolist() == [[False, True], [True, False]]
    assert not np.isnan(made).any(axis=2)[[0, 1], [0, 1]].any()
    assert made[0, 0, -1] == 0.5
    assert made[1, 1, 0] == pytest.approx(math.log(3))
    turned = answer_features(questions(q2="", q1="", q9=""), outcomes[::-1], ["q2", "q1"], ["b", "a"])
    np.testing.assert_array_equal(turned[::-1, ::-1], made)


def test_classes_collapse_white_space_and_case_and_keep_blank_answers_apart() -> None:
    outcomes = table(
        {
            ("q1", "a"): ("The  answer\n", 1),
            ("q1", "b"): ("other", 1),
            ("q1", "c"): (" the answer", 0),
            ("q2", "a"): ("", 1),
            ("q2", "b"): ("  ", 1),
            ("q2", "c"): ("other", NAN),
            ("q3", "b"): ("x", 1),
        }
    )
    made = answer_classes(outcomes, ["q3", "q1", "q2"], ["a", "b", "c", "d"])
    assert made.tolist() == [[-1, 0, -1, -1], [0, 1, 0, -1], [0, 1, 2, -1]]


def test_standardise_by_hand() -> None:
    features = np.array([[[1.0, 5.0], [3.0, 5.0]], [[2.0, 1.0], [NAN, NAN]], [[4.0, 9.0], [0.0, 9.0]]])
    # Deviations of the first feature: -1, 1, 0, 2, -2; the second has none within a query.
    made = standardise(features)
    np.testing.assert_allclose(made[..., 0], np.array([[-1, 1], [0, 0], [2, -2]]) / np.sqrt(10 / 5))
    assert (made[..., 1] == 0).all()


def test_rounding_is_not_a_difference() -> None:
    features = np.full((3, 3, 2), 0.1)
    features[1] = 0.7
    features[0, 0, 1] = 0.9
    made = standardise(features)
    assert (made[..., 0] == 0).all()
    assert made[0, 0, 1] > 1


def test_many_answers_take_seconds() -> None:
    words = [f"word{i}" for i in range(500)]
    rng = np.random.default_rng(0)
    cells = {(f"q{q}", f"m{m}"): (" ".join(rng.choice(words, 150)), 1.0) for q in range(100) for m in range(10)}
    asked = questions(**{f"q{q}": "what?" for q in range(100)})
    start = time.perf_counter()
    answer_features(asked, table(cells), [f"q{q}" for q in range(100)], [f"m{m}" for m in range(10)])
    assert time.perf_counter() - start < 2  # 0.15 s on one core; 25,000 answers have to stay below 10 s with room
