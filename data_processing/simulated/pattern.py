"""Sentence templates that can be written and read back, so that a simulated LLM needs nothing but the prompt."""

from __future__ import annotations

import dataclasses
import functools
import re

_SLOT = re.compile(r"\{(\w+)\}")


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A sentence with slots: `{n_…}` holds a number such as `1,250` or `2.75`, `{w_…}` one word, others any text."""

    template: str

    def write(self, **slots: object) -> str:
        """Return the sentence with its slots filled; every slot must be given."""
        return self.template.format(**slots)

    def read(self, sentence: str) -> dict[str, str] | None:
        """Return slot -> text where the whole sentence matches, None otherwise."""
        match = _compiled(self.template).fullmatch(sentence)
        return match.groupdict() if match else None


@functools.cache
def _compiled(template: str) -> re.Pattern[str]:
    pieces = _SLOT.split(template)
    kinds = {"n": r"\d[\d,]*(?:\.\d+)?", "w": r"[\w-]+"}
    out = []
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            out.append(re.escape(piece))
        else:
            prefix, mark, _ = piece.partition("_")
            out.append(f"(?P<{piece}>{kinds[prefix] if mark and prefix in kinds else '.+?'})")
    return re.compile("".join(out), re.DOTALL)


def sentences(text: str) -> list[str]:
    """Split text after `.`, `?` or `!` that is followed by white space; `2.75` and `1.0` stay whole."""
    return [part.strip() for part in re.split(r"(?<=[.?!])\s+", text.strip()) if part.strip()]


def capitalised(text: str) -> str:
    """Return the text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]
