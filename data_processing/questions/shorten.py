"""Texts cut to a number of tokens: the first and the last half stay, and the cut is marked."""

from __future__ import annotations

from collections.abc import Sequence

from data_processing.characters import whole_characters
from data_processing.cost import tokenizer

CHUNK = 64  # texts per batch: an encoding takes some hundred bytes per token
# The tokenizer takes a word of more than a hundred characters for one token, and blanks for none; those of LLMs do not.
# English has four to five characters per token.
LONGEST_TOKEN = 10
# It says nothing of the length: texts that are cut to the same words are the same text.
MARK = "\n[… the middle is left out …]\n"


def shorten(texts: Sequence[str], tokens: int) -> list[str]:
    """Return the texts, of those with more than `tokens` tokens (1 or more) the first and the last half of them.

    So are texts of more than `LONGEST_TOKEN` characters per token. The mark between the halves comes on top of
    `tokens`. Counted with the tokenizer of all-MiniLM-L6-v2; a text that is not cut comes back as it is, to the last
    blank.
    """
    short: list[str] = []
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        encodings = tokenizer().encode_batch([whole_characters(text) for text in chunk], add_special_tokens=False)
        short += [_cut(text, encoding.offsets, tokens) for text, encoding in zip(chunk, encodings, strict=True)]
    return short


def _cut(text: str, offsets: Sequence[tuple[int, int]], tokens: int) -> str:
    head, tail = (tokens + 1) // 2, tokens // 2
    end, begin = head * LONGEST_TOKEN, len(text) - tail * LONGEST_TOKEN
    if len(offsets) > tokens:
        end = min(end, offsets[head - 1][1])
        begin = max(begin, offsets[len(offsets) - tail][0] if tail else len(text))
    # Also where there are too many tokens: one character may be several of them, and cannot be cut.
    return text if end >= begin else text[:end] + MARK + text[begin:]
