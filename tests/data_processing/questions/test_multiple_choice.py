from typing import Any

import pytest

from configs.errors import InputError
from data_processing.questions.multiple_choice import Choices, choices_of, letters
from data_processing.questions.template import FieldError
from data_processing.scoring import multiple_choice

LETTERED = ("A", "B", "C", "D")


def made(*texts: str, labels: tuple[str, ...] = LETTERED) -> Choices:
    return Choices(texts, labels[: len(texts)])


def read(truths: list[str], choices: list[Choices], stated: str | None = None) -> list[str]:
    return letters(truths, choices, [f"row {i}" for i in range(1, len(truths) + 1)], stated, "q.json")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"c": ["one", "two"]}, "c"),
        ({"c": {"text": ["one", "two"], "label": ["A", "B"]}}, "c"),
        ({"q": {"c": [{"label": "A", "text": "one"}, {"label": "B", "text": "two"}]}}, "q.c"),
        ({"c": '["one", "two"]'}, "c"),
        ({"option1": "one", "option2": "two"}, ("option1", "option2")),
    ],
)
def test_all_ways_to_give_choices_are_one(row: dict[str, Any], field: str | tuple[str, ...]) -> None:
    found = choices_of(row, field)
    assert found == made("one", "two")
    assert found.lines() == "A. one\nB. two"
    assert found.as_json() == '["one", "two"]'


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"c": ["one"]}, "2 to 26 choices"),
        ({"c": ["one", " "]}, "none blank"),
        ({"c": [str(i) for i in range(27)]}, "2 to 26"),
        ({"c": "one, two"}, "list of choices in field 'c', got the text"),
        ({"c": 3}, "list of choices in field 'c', got int"),
        ({"c": {"text": ["a", "b"], "label": ["A"]}}, "a label for each choice"),
        ({"c": {"texts": ["a", "b"]}}, "'c.text', got NoneType"),
        ({"d": 1}, r"field 'c'.*got the fields d"),
    ],
)
def test_wrong_choices_are_named(row: dict[str, Any], match: str) -> None:
    with pytest.raises(FieldError, match=match):
        choices_of(row, "c")


def test_the_right_choice_is_found_by_letter_index_number_and_text() -> None:
    both = [made("ape", "bee", "cat"), made("dog", "eel", "fox")]
    assert read(["A", "c"], both) == ["A", "C"]
    assert read(["0", "2"], both) == ["A", "C"]
    assert read(["1", "3"], both) == ["A", "C"]
    assert read([" ape ", "fox"], both) == ["A", "C"]


def test_labels_of_the_set_are_mapped_to_letters_row_by_row() -> None:
    mixed = [made("x", "y", labels=("1", "2")), made("x", "y"), made("x", "y", labels=("P", "Q"))]
    assert read(["2", "A", "Q"], mixed) == ["B", "A", "B"]


def test_readings_that_disagree_must_be_told_apart() -> None:
    four = [made("p", "q", "r", "s")] * 2
    with pytest.raises(InputError, match=r"q\.json: row 1: .*'1', got B as index and A as number; .*truth_is") as err:
        read(["1", "2"], four)
    assert "\n" not in str(err.value)
    assert read(["1", "2"], four, "index") == ["B", "C"]
    assert read(["1", "2"], four, "number") == ["A", "B"]


def test_choices_that_are_numbers_or_letters_are_not_mistaken() -> None:
    with pytest.raises(InputError, match="truth_is: index or number or text"):
        read(["2", "3"], [made("2", "3", "0", "9"), made("1", "2", "3", "0")])
    assert read(["2"], [made("2", "3", "0", "9")], "text") == ["A"]
    assert read(["4", "9"], [made("4", "5"), made("8", "9")]) == ["A", "B"]


@pytest.mark.parametrize(
    ("truths", "stated", "row"),
    [(["A", "E"], None, 2), (["4"], "index", 1), (["A", "ape"], None, 2), (["bee", "bee", "-1"], None, 3)],
)
def test_a_truth_that_names_no_choice_is_an_error(truths: list[str], stated: str | None, row: int) -> None:
    with pytest.raises(InputError, match=f"row {row}: expected ground_truth to name one of the choices"):
        read(truths, [made("ape", "bee", "cat", "doe")] * len(truths), stated)


def test_a_text_that_stands_twice_names_no_choice() -> None:
    with pytest.raises(InputError, match="row 1"):
        read(["ape"], [made("ape", "ape")])


def test_the_letter_is_what_the_metric_wants() -> None:
    assert multiple_choice("The answer is B.", read(["bee"], [made("ape", "bee")])[0]) == 1.0
