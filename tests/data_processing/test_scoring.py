"""Metrics: adversarial answers by hand, and slow obvious twins of token F1 and ROUGE-L."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.scoring import METRICS, final_number, gsm8k, normalised, score

SORRY = "I'm sorry, but I can't help with that. I do not know."
WORDS = st.lists(st.sampled_from(["the", "a", "red", "Red", "fox", "fox,", "ran", "12", "--"]), max_size=14).map(
    " ".join
)


@pytest.mark.parametrize("metric", list(METRICS))
def test_an_empty_prediction_scores_nothing(metric: str) -> None:
    for empty in ("", "  \n"):
        assert score(metric, empty, "7") == 0


@pytest.mark.parametrize("metric", list(METRICS))
def test_the_truth_itself_scores_one(metric: str) -> None:
    assert score(metric, "42", "42") == 1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(METRICS)), st.text(max_size=60), st.text(max_size=60))
def test_every_metric_stays_in_the_unit_interval(metric: str, prediction: str, truth: str) -> None:
    truth = f"{truth} 7" if metric == "gsm8k" else truth
    assert 0 <= score(metric, prediction, truth) <= 1


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"got 'f1_scor' \(did you mean 'f1_score'\?\)"):
        score("f1_scor", "a", "a")


# --- numbers


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        ("1,250", "1250"),
        ("The total is $1,250.00.", "#### 1250"),
        ("R: 7*7=<<7*7=49>>49\nA: <49>", "49"),
        ("A: <49 dollars>", "49"),
        ("so \\boxed{1{,}250} it is, not 3", "1250"),
        ("\\boxed{\\$12.50}", "12.5"),
        ("#### -3", "-3"),
        ("= −3", "-3"),
        ("-$5", "-5"),
        ("#### 18\n\nHave a nice day in 2024!", "18"),
        ("The answer is 11 because 5 + 6 = 11, as I said in step 2", "11"),
        ("A: The total is 5 + 6 = 11 apples", "11"),
        ("she ran 5 - 3 = 2 miles", "2"),
        ("**Answer: 42 km/h**", "42"),
        ("it weighs 12kg.", "12"),
        (".5", "0.50"),
        ("First 3, then 4, at last 9.", "9"),
        ("5-3", "3"),
    ],
)
def test_gsm8k_reads_the_final_number(prediction: str, truth: str) -> None:
    assert gsm8k(prediction, truth) == 1


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        ("12.50", "1250"),
        ("12", "2"),
        ("2", "12"),
        ("-3", "3"),
        ("3", "-3"),
        ("1,2,3", "123"),
        ("0.42", "42"),
        ("GPT42 says nothing", "42"),
        (SORRY, "0"),
        ("42 is wrong.\n#### 41", "42"),
        ("9" * 6000, "9"),
        ("nan", "7"),
    ],
)
def test_gsm8k_is_not_fooled(prediction: str, truth: str) -> None:
    assert gsm8k(prediction, truth) == 0


def test_gsm8k_needs_a_number_in_the_truth() -> None:
    with pytest.raises(InputError, match="expected a number in ground_truth, got 'a dozen'"):
        gsm8k("12", "a dozen")


@settings(max_examples=80)
@given(
    st.integers(-(10**9), 10**9), st.sampled_from(["{:,}", "{}", "It is {:,}.", "#### {:,}", "A: <{}>", "{} apples"])
)
def test_whole_numbers_survive_every_form(number: int, form: str) -> None:
    assert final_number(form.format(number)) == Fraction(number)


# --- words


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
    ],
)
def test_f1_by_hand(prediction: str, truth: str, value: float) -> None:
    assert score("f1_score", prediction, truth) == pytest.approx(value)


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
    assert score("f1_score", prediction, truth) == pytest.approx(slow_f1(prediction, truth))


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
    assert score("rouge_l", prediction, truth) == pytest.approx(slow_rouge_l(prediction, truth))


def test_rouge_l_minds_the_order_and_f1_does_not() -> None:
    assert score("f1_score", "dog bites man", "man bites dog") == 1
    assert score("rouge_l", "dog bites man", "man bites dog") == pytest.approx(1 / 3)


def test_exact_match_forgives_case_articles_and_stops_only() -> None:
    assert score("exact_match", "The Nile.", "nile") == 1
    assert score("exact_match", "Nile river", "nile") == 0
    assert score("exact_match", SORRY, "no") == 0


# --- letters


@pytest.mark.parametrize(
    "prediction",
    ["B", "b", "(B)", "B.", "b)", "**B**", "B: dogs", "The answer is B", "answer: (b)",
     "Option B is right", "\\boxed{B}",
     "The answer is (B) because (A) is wrong.", "(B) since (A) is wrong", "So, weighing all this, it must be (B)."],
)  # fmt: skip
def test_multiple_choice_finds_the_letter(prediction: str) -> None:
    assert score("multiple_choice", prediction, "B") == 1
    assert score("multiple_choice", prediction, "(B) dogs") == 1
    assert score("multiple_choice", prediction, "A") == 0


@pytest.mark.parametrize(
    "prediction", [SORRY, "A cat", "The answer is a mammal", "I don't know", "The answer is I don't know"]
)
def test_multiple_choice_takes_no_word_for_a_letter(prediction: str) -> None:
    for truth in ("A", "I"):
        assert score("multiple_choice", prediction, truth) == 0


def test_multiple_choice_with_a_word_as_truth() -> None:
    assert score("multiple_choice", "No.", "no") == 1
    assert score("multiple_choice", SORRY, "no") == 0
