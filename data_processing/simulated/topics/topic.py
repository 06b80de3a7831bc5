"""What one topic of the simulated world is made of: words, sentences and pieces of advice."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Relation:
    """One kind of fact: how a passage states it and how a question asks for it.

    `{subject}` stands for the subject and `{answer}` for the span that answers the question. `answer_kind` says where
    spans come from: `person`, `date`, `town`, `parts` or `cause`.
    """

    answer_kind: str
    sentence: str
    question: str


@dataclasses.dataclass(frozen=True)
class Topic:
    """The vocabulary of one topic. `things`, `goals` and `actions` name the topic: no two topics share an entry."""

    name: str
    # word problems
    roles: tuple[str, ...]
    things: tuple[str, ...]
    boxes: tuple[str, ...]
    places: tuple[str, ...]
    # passages with a question, whose dates begin in `first_year`
    first_year: int
    kinds: tuple[str, ...]
    parts: tuple[str, ...]
    relations: tuple[Relation, ...]
    # articles
    org_kinds: tuple[str, ...]
    actions: tuple[str, ...]
    causes: tuple[str, ...]
    groups: tuple[str, ...]
    risks: tuple[str, ...]
    fillers: tuple[str, ...]
    # instructions
    goals: tuple[str, ...]
    tips: tuple[str, ...]
    mistakes: tuple[str, ...]
    examples: tuple[str, ...]
    reasons: tuple[str, ...]


def lines(text: str) -> tuple[str, ...]:
    """Return the non-empty lines of `text`, stripped."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def listed(text: str) -> tuple[str, ...]:
    """Return the comma-separated entries of `text`, stripped."""
    return tuple(entry.strip() for entry in text.replace("\n", " ").split(",") if entry.strip())
