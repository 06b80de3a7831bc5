"""What users may say instead of a number."""

import re

import numpy as np
import pytest

from configs.errors import InputError
from configs.preferences import PREFERENCE_WORDS, in_numbers, parse_preference


@pytest.mark.parametrize(
    ("said", "wanted"),
    [(0, 0.0), (1, 1.0), (0.35, 0.35), (np.float32(0.5), 0.5), ("0.35", 0.35), (" 1 ", 1.0), ("1e-3", 0.001),
     ("-0", 0.0)],
)  # fmt: skip
def test_numbers_and_numbers_as_text(said: float | str, wanted: float) -> None:
    found = parse_preference(said)
    assert found == wanted
    assert type(found) is float


@pytest.mark.parametrize("words", PREFERENCE_WORDS)
def test_words_in_any_case_with_spaces_hyphens_or_underscores(words: str) -> None:
    for said in (words, words.upper(), words.title(), f"  {words} ", words.replace(" ", "-"), words.replace(" ", "_")):
        assert parse_preference(said) == in_numbers(said) == PREFERENCE_WORDS[words]


def test_the_words_mean_what_they_say() -> None:
    assert 0 <= parse_preference("cost first") < parse_preference("balanced") == 0.5
    assert 0.5 < parse_preference("quality first") <= 1


@pytest.mark.parametrize(
    "said", [-0.1, 1.01, 7, float("nan"), float("inf"), -float("inf"), "-0.1", "1.5", "nan", "inf"]
)
def test_a_number_out_of_range_is_refused(said: float | str) -> None:
    known = "a number in [0, 1] (1: performance only) or one of quality first, balanced, cost first"
    with pytest.raises(InputError, match=f"^{re.escape(f'preference: expected {known}, got {said!r}; mend it')}$"):
        parse_preference(said)


@pytest.mark.parametrize(
    ("said", "near"), [("ballanced", "balanced"), ("Cost Frist", "cost first"), ("quality", "quality first")]
)
def test_a_misspelt_word_names_the_nearest(said: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"^line 7: expected .*got '{said}' \(did you mean '{near}'\?\); mend it$"):
        parse_preference(said, "line 7")


@pytest.mark.parametrize("said", ["", " ", "東京", "0,5", "50%", "0.5 0.6"])
def test_other_text_is_refused(said: str) -> None:
    with pytest.raises(InputError, match=f"got {said!r}; mend it"):
        parse_preference(said)


@pytest.mark.parametrize("said", [0.7, "0.7", None, "dear", "", 3])
def test_what_is_no_word_stays_as_it_is(said: object) -> None:
    assert in_numbers(said) == said
