"""Half characters: lone surrogates, which damaged files and APIs leave in texts and which no UTF-8 can hold."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """Return the text with U+FFFD in place of every half character; all others keep their places."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def damaged(text: str) -> bool:
    """Return whether there is half a character in the text."""
    return not text.isascii() and _HALF.search(text) is not None
