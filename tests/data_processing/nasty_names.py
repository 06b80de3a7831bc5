"""Names that a figure could take for something else: for mathematics, for two lines, for what its font lacks."""

from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text

NASTY = ("m$\\frac$", "a$_b$c^{", "50% \\alpha", "two\nlines", "_under$$score", "日本の模型")


def texts_of(figure: Figure) -> list[str]:
    """Return what is written in a figure as it is to be read; no text of it may be mathematics or half escaped."""
    figure.draw_without_rendering()
    found = []
    for text in figure.findobj(Text):
        for line in text.get_text().split("\n"):
            assert not is_math_text(line), line
            read = line.replace(r"\$", "$")
            assert read.count("$") == line.count(r"\$"), line
            found.append(read)
    return found


def as_read(name: str) -> str:
    """Return a name as figures show it."""
    line = " ".join(name.split())
    return f"\u200b{line}" if line.startswith("_") else line
