r"""Foreign texts in figures: ids and names, shown as they are whatever is in them.

matplotlib reads what stands between two `$` as mathematics, and ends in an error where it is none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from data_processing.characters import whole_characters

ZERO_WIDTH = "\u200b"


def plain(text: str) -> str:
    r"""Return the text as matplotlib takes it to show it literally and on one line.

    `$` becomes `\$`, which matplotlib undoes in a text without mathematics: so all of a label that holds the result
    must be free of it. Line ends and other white space become a space, half characters U+FFFD.
    """
    line = " ".join(whole_characters(text).split()).replace("$", r"\$")
    # A legend leaves out what begins with an underscore.
    return ZERO_WIDTH + line if line.startswith("_") else line


def plain_values(names: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping, such as of ids to short names, with its values as `plain` makes them."""
    return {name: plain(text) for name, text in names.items()}


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Silence matplotlib where its font lacks a character, which it draws as a box: nobody can mend a name for that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ", category=UserWarning)
        yield
