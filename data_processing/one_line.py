"""Texts of others, such as messages of an API or long questions, on one line of bounded length."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """Return the text with blanks and line ends as single spaces, and of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
