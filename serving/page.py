"""What the page shows, as HTML. Every text goes through a template that escapes it, whoever wrote it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from serving.answer import Answer
from serving.decide import View, shortened

FOLDER = Path(__file__).parent / "templates"
QUOTED_CHARACTERS = 90


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.0%}"
    return environment


def _rendered(name: str, **values: Any) -> str:
    return sendable(_environment().get_template(name).render(**values))


def sendable(text: str) -> str:
    """Return the text with ? for every half character (a lone surrogate, as broken sources have): none can be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")


def heading(simulated: bool, lead: str) -> str:
    """Return the top of the page, with a sentence that leads in; `simulated` LLMs are marked as such."""
    return _rendered("heading.html", simulated=simulated, lead=lead)


def decision(view: View) -> str:
    """Return the decision."""
    return _rendered("decision.html", view=view)


def spoken(view: View) -> str:
    """Return the decision in one line, for readers of screens."""
    return _rendered("spoken.html", view=view)


def invitation(sent: bool = False) -> str:
    """Return what stands in place of a decision; `sent`: an empty prompt was sent."""
    return _rendered("invitation.html", sent=sent)


def spoken_invitation(sent: bool = False) -> str:
    """Return the same in one line, for readers of screens: nothing unless an empty prompt was `sent`."""
    return _rendered("spoken_invitation.html") if sent else ""


def trouble(message: str) -> str:
    """Return why there is nothing to show."""
    return _rendered("trouble.html", message=message)


def answer(question: str, found: Answer) -> str:
    """Return an answer, as text."""
    return _rendered("answer.html", question=shortened(question, QUOTED_CHARACTERS), answer=found)


def waiting() -> str:
    """Return what stands in place of an answer until it comes."""
    return _rendered("waiting.html")


def no_router(message: str, folder: Path, below: Path | None = None) -> str:
    """Return how to make a router, for a page that has none; `below`: where one lies instead."""
    return _rendered("no_router.html", message=message, folder=folder, below=below)


def style() -> str:
    """Return the style sheet."""
    return (FOLDER / "page.css").read_text(encoding="utf-8")


def script() -> str:
    """Return what goes into the head of the page: the keys, as a script."""
    return f"<script>{(FOLDER / 'keys.js').read_text(encoding='utf-8')}</script>"
