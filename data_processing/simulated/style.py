"""How an LLM talks: its layout, its warmth, its hedging, its refusals."""

from __future__ import annotations

import dataclasses
from typing import Literal

from data_processing.simulated.draws import Draws
from data_processing.simulated.topics.topic import lines

Layout = Literal["plain", "bullets", "numbers", "markdown"]
FinalForm = Literal["hashes", "sentence", "boxed", "angle", "bold"]

WARM_OPENINGS = lines("""
    What a lovely question!
    Great question, I'm happy to help!
    Of course! Let's have a look together.
    Thanks for asking, this is a fun one!
    Sure thing, I've got you!
""")
WARM_CLOSINGS = lines("""
    You've got this!
    I hope that helps, and enjoy!
    Let me know if you would like more ideas.
    Have a wonderful day!
    Feel free to ask me anything else!
""")
HEDGES = lines("""
    I may be mistaken, so please verify this independently.
    As far as I can tell, this should be roughly right.
    Please note that circumstances vary and this is not professional advice.
    It is difficult to be certain without further context.
    Arguably, other readings are possible as well.
""")
REFUSALS = lines("""
    I'm sorry, but I can't help with that request.
    I apologise, but I'm not able to answer this. Please consult a qualified professional.
    As a language model, I don't feel comfortable giving an answer here.
""")
RAMBLES = lines("""
    There is of course a great deal more that could be said about this, and it depends on whom you ask.
    To put it another way, the important thing is to keep the whole picture in mind.
    Many people have thought about this at length, and their opinions continue to differ.
    It is worth pausing for a moment to consider why the question is interesting in the first place.
    In other words, the details matter, but so does the way in which they hang together.
""")


@dataclasses.dataclass(frozen=True)
class Style:
    """How one family of LLMs writes.

    `verbosity` is task id -> 0 (bare), 1 (short), 2 (full) or 3 (rambling). `warmth`, `hedging` and the values of
    `refusals` (topic -> value) are probabilities. `paraphrase` is the share of sentences in the LLM's own words.
    """

    verbosity: dict[str, int]
    layout: Layout = "plain"
    final: FinalForm = "sentence"
    warmth: float = 0.0
    hedging: float = 0.0
    paraphrase: float = 0.2
    refusals: dict[str, float] = dataclasses.field(default_factory=dict)


def refusal(style: Style, topic: str, draws: Draws) -> str | None:
    """Return a refusal where this LLM refuses the topic this time, else None."""
    return draws.choice(REFUSALS) if draws.chance(style.refusals.get(topic, 0.0)) else None


def itemised(items: list[str], style: Style) -> str:
    """Return the items in the LLM's layout."""
    if style.layout == "bullets":
        return "\n".join(f"- {item}" for item in items)
    if style.layout == "numbers":
        return "\n".join(f"{i}. {item}" for i, item in enumerate(items, start=1))
    if style.layout == "markdown":
        return "\n".join(f"* **{item.split(' ')[0]}** {' '.join(item.split(' ')[1:])}".rstrip() for item in items)
    return " ".join(items)


def dressed(text: str, style: Style, verbosity: int, draws: Draws) -> str:
    """Return the text with the openings, hedges and closings of this LLM; a bare answer (verbosity 0) stays bare."""
    if verbosity == 0:
        return text
    parts = [text]
    if draws.chance(style.warmth):
        parts.insert(0, draws.choice(WARM_OPENINGS))
    if draws.chance(style.hedging):
        parts.append(draws.choice(HEDGES))
    if verbosity >= 3:
        parts.extend(draws.sample(RAMBLES, 2))
    if draws.chance(style.warmth):
        parts.append(draws.choice(WARM_CLOSINGS))
    break_lines = style.layout != "plain" or "\n" in text
    return ("\n\n" if break_lines else " ").join(parts)
