"""Texts cut to a number of tokens: the first and the last half stay, and the cut is marked."""

from __future__ import annotations

from collections.abc import Sequence

from data_processing.cost import tokenizer, without_surrogates
from data_processing.importers.describe import plural

CHUNK = 64  # texts per batch: an encoding takes some hundred bytes per token


def shorten(texts: Sequence[str], tokens: int) -> list[str]:
    """Return the texts, of those with more than `tokens` tokens (1 or more) the first and the last half of them.

    The mark between the halves says how many tokens are left out, and comes on top of `tokens`. Counted with the
    tokenizer of all-MiniLM-L6-v2; a text that is not cut comes back as it is, to the last blank.
    """
    short: list[str] = []
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        encodings = tokenizer().encode_batch([without_surrogates(text) for text in chunk], add_special_tokens=False)
        short += [_cut(text, encoding.offsets, tokens) for text, encoding in zip(chunk, encodings, strict=True)]
    return short


def _cut(text: str, offsets: Sequence[tuple[int, int]], tokens: int) -> str:
    left_out = len(offsets) - tokens
    if left_out <= 0:
        return text
    head, tail = (tokens + 1) // 2, tokens // 2
    end = text[offsets[len(offsets) - tail][0] :] if tail else ""
    return f"{text[: offsets[head - 1][1]]}\n[… {plural(left_out, 'token')} left out …]\n{end}"
