import datetime
import decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.questions.template import FieldError, Template, field_text

ROW = {
    "question": "Who?",
    "input": None,
    "answers": {"text": ["Ada", "Ada L."], "start": [3, 9]},
    "Correct Answer": "x",
    "a.b": "dotted",
    "a": {"b": "nested", "c": "deep"},
    "n": 12,
    "empty": [],
}


def filled(text: str, row: dict[str, Any] | None = None) -> str:
    return Template.parse(text, "here").fill(ROW if row is None else row)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{question} {answers.text.1}!", "Who? Ada L.!"),
        ("{{question}} {n}}}", "{question} 12}"),
        ("{Correct Answer}{a.b}{a.c}{answers.start.0}", "xdotteddeep3"),
        ("[{input?}][{nothing?}][{answers.text.5?}][{question?}]", "[][][][Who?]"),
        ("no field", "no field"),
        ("", ""),
    ],
)
def test_fields_are_filled_in(template: str, text: str) -> None:
    assert filled(template) == text


@given(st.text(), st.text())
def test_what_a_field_holds_is_never_read_as_a_template(first: str, second: str) -> None:
    row = {"instruction": "{input}{{" + first, "input": second + "{instruction}"}
    assert filled("{instruction}|{input}", row) == f"{{input}}{{{{{first}|{second}{{instruction}}"


@given(st.text())
def test_doubled_braces_give_any_text_back(text: str) -> None:
    assert filled(text.replace("{", "{{").replace("}", "}}")) == text


@pytest.mark.parametrize("template", ["{question", "question}", "{}", "a {b{c}"])
def test_a_lone_brace_is_refused_with_the_remedy(template: str) -> None:
    with pytest.raises(InputError, match=r"^here: expected fields as \{name\}, got a lone '[{}]'.*write (\{\{|\}\})"):
        Template.parse(template, "here")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("qestion", ["field 'qestion' (did you mean 'question'?)", "question, input, answers"]),
        ("input", ["got null", "{input?}"]),
        ("answers", ["a mapping with text, start", "{answers.text}"]),
        ("answers.text", ["a list of 2", "{answers.text.0}"]),
        ("answers.texts.0", ["got in 'answers' a mapping with text, start"]),
        ("empty.0", ["got in 'empty' a list of 0"]),
        ("answers.text.-1", ["field 'answers.text.-1'"]),
        ("question.0", ["got in 'question' 'Who?'"]),
    ],
)
def test_a_field_that_is_not_there_says_what_is(name: str, parts: list[str]) -> None:
    with pytest.raises(FieldError) as err:
        field_text(ROW, name)
    for part in parts:
        assert part in str(err.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (0.1, "0.1"),
        (True, "true"),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        ("", ""),
        (10**25, "1" + "0" * 25),
    ],
)
def test_plain_values_become_text(value: Any, text: str) -> None:
    assert field_text({"x": value}, "x") == text


def test_not_a_number_counts_as_missing_and_bytes_are_refused() -> None:
    with pytest.raises(FieldError, match="got null"):
        field_text({"x": float("nan")}, "x")
    with pytest.raises(FieldError, match="got bytes"):
        field_text({"x": b"abc"}, "x")


def test_a_name_that_really_ends_in_a_question_mark_is_found() -> None:
    assert filled("{Is it?}", {"Is it?": "yes"}) == "yes"
