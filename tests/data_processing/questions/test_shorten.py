from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.cost import count_tokens
from data_processing.questions.shorten import LONGEST_TOKEN, MARK, shorten


def test_the_first_and_the_last_half_stay() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    tokens = int(count_tokens([text])[0])
    assert shorten([text, "short", text], tokens) == [text, "short", text]
    head, tail = shorten([text], 20)[0].split(MARK)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert count_tokens([head, tail]).tolist() == [10, 10]


def test_one_token_and_an_odd_number() -> None:
    assert shorten(["one two three four"], 1) == [f"one{MARK}"]
    assert shorten(["one two three four"], 3) == [f"one two{MARK}four"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(1, 8))
def test_cut_texts_hold_just_the_tokens_asked_for(text: str, tokens: int) -> None:
    short = shorten([text], tokens)[0]
    if count_tokens([text])[0] <= tokens and len(text) <= LONGEST_TOKEN * tokens:
        assert short == text
    elif short == text:  # all its characters are in both halves, such as one character of many tokens
        assert len(text) <= tokens
    else:
        before, after = short.split(MARK)
        assert text.startswith(before)
        assert text.endswith(after)
        assert len(before) + len(after) < len(text)
        assert len(before) + len(after) <= LONGEST_TOKEN * tokens


def test_a_character_of_several_tokens_is_not_cut() -> None:
    assert count_tokens(["퀌"])[0] > 1
    assert shorten(["퀌", "a b"], 1) == ["퀌", f"a{MARK}"]


def test_a_word_without_end_and_blanks_without_end_are_cut_too() -> None:
    for text in ("x" * 200_000, "a" + " " * 200_000 + "b", "🙂" * 200_000, "\x00" * 200_000):
        assert count_tokens([text])[0] <= 2  # as the tokenizer sees it
        short = shorten([text], 100)[0]
        assert short == text[:500] + MARK + text[-500:]


def test_more_texts_than_a_batch_and_a_damaged_character() -> None:
    texts = [f"{i} a \ud800 b c d" for i in range(150)]
    assert shorten(texts, 2) == [f"{i}{MARK}d" for i in range(150)]
