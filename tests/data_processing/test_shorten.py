from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.cost import count_tokens
from data_processing.shorten import shorten


def test_the_first_and_the_last_half_stay() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    tokens = int(count_tokens([text])[0])
    assert shorten([text, "short", text], tokens) == [text, "short", text]
    short = shorten([text], 20)[0]
    head, _, tail = short.partition("\n[… ")
    assert text.startswith(head)
    assert text.endswith(tail.partition("\n")[2])
    assert tail.partition(" ")[0] == f"{tokens - 20}"


def test_one_token_and_an_odd_number() -> None:
    assert shorten(["one two three four"], 1) == ["one\n[… 3 tokens left out …]\n"]
    assert shorten(["one two three four"], 3) == ["one two\n[… 1 token left out …]\nfour"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(1, 8))
def test_cut_texts_hold_just_the_tokens_asked_for(text: str, tokens: int) -> None:
    short = shorten([text], tokens)[0]
    if count_tokens([text])[0] <= tokens:
        assert short == text
    else:
        before, _, rest = short.partition("\n[… ")
        after = rest.partition("…]\n")[2]
        assert text.startswith(before)
        assert text.endswith(after)
        assert len(before) + len(after) < len(text) or text == ""


def test_more_texts_than_a_batch_and_a_damaged_character() -> None:
    texts = [f"{i} a \ud800 b c d" for i in range(150)]
    assert shorten(texts, 2) == [f"{i}\n[… 4 tokens left out …]\nd" for i in range(150)]
