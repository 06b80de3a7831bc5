"""What the simulated judge takes a persona to like: a weight per feature of an answer, read from its description."""

from __future__ import annotations

import functools
import re

from configs.schema import project_root
from data_processing.personas import WORDS, Persona, named_personas
from data_processing.response_features import FEATURES

OPENING = "What you want above all: "  # of a description that `personas.describe` wrote; the rest it lists as
ALSO = "You also like"
MAIN_WEIGHT, NEXT_WEIGHT, LAST_WEIGHT = 1.0, 0.4, 0.15  # what is wanted above all, and what else, from first to last

# feature -> words that speak of liking it, words that speak of disliking it
_KEYWORDS: dict[str, tuple[str, str]] = {
    "length": (
        "thorough detail details detailed long full complete exhaustive",
        "short brief concise terse few busy quick",
    ),
    "steps": ("step steps stepwise procedure derivation explain explains", ""),
    "formulas_and_code": ("code formula formulas equation equations programmer", ""),
    "lists": ("list lists bullet bullets bulleted itemised", "prose essay"),
    "readability": ("simple easy plain readable child children beginner", "demanding sophisticated academic"),
    "warmth": ("friendly warm kind cheerful polite", "sober matter-of-fact cold"),
    "hedging": ("cautious careful uncertain uncertainty doubt doubts limits", "firm confident decisive definite"),
    "overlap": ("quote quotes echo verbatim", ""),
    "correctness": ("right correct correctness accurate accuracy true exact precise", ""),
}
_WORD = re.compile(r"[a-z][a-z-]*")
_NEGATION = frozenset({"no", "not", "without", "never", "dislike", "hate", "avoid", "less"})


@functools.lru_cache(maxsize=4096)
def taste_of(description: str) -> tuple[float, ...]:
    """Return the weights (F,) of a persona, signed and summing to 1 in size, as `FEATURES`.

    A named persona of `configs/personas.yaml` is known by its text, which may stand in a longer one. One that was drawn
    is read back from the words of `personas.describe`, which tell the order of its weights, not their size. Of any
    other text single words are understood; where there is none, only being right counts.
    """
    text = " ".join(description.split())
    for persona in _named():
        if persona.description in text:
            return _scaled(list(persona.weights))
    return _scaled(_drawn(text) if OPENING in text else _by_keyword(text))


@functools.cache
def _named() -> tuple[Persona, ...]:
    return tuple(named_personas(project_root() / "configs" / "personas.yaml"))


def _drawn(text: str) -> list[float]:
    weights = [0.0] * len(FEATURES)
    main, _, rest = text.partition(OPENING)[2].partition(ALSO)
    for index, sign, _ in _phrases(main):
        weights[index] = sign * MAIN_WEIGHT
    others = _phrases(rest)
    for place, (index, sign, _) in enumerate(others):
        step = place / max(1, len(others) - 1)
        weights[index] = sign * (NEXT_WEIGHT + step * (LAST_WEIGHT - NEXT_WEIGHT))
    return weights


def _phrases(text: str) -> list[tuple[int, int, int]]:
    """Return (feature, sign, place) of each like and dislike in the text, in its order."""
    found = []
    for feature, words in WORDS.items():
        for sign, phrase in zip((1, -1), words, strict=True):
            if phrase and phrase in text:
                found.append((FEATURES.index(feature), sign, text.index(phrase)))
    return sorted(found, key=lambda item: item[2])


def _by_keyword(text: str) -> list[float]:
    words = _WORD.findall(text.lower())
    weights = [0.0] * len(FEATURES)
    for index, feature in enumerate(FEATURES):
        for sign, keywords in zip((1, -1), _KEYWORDS[feature], strict=True):
            known = keywords.split()
            for place, word in enumerate(words):
                if word in known:
                    weights[index] += -sign if _NEGATION & set(words[max(0, place - 2) : place]) else sign
    if not any(weights):
        weights[FEATURES.index("correctness")] = 1.0
    return weights


def _scaled(weights: list[float]) -> tuple[float, ...]:
    size = sum(map(abs, weights)) or 1.0
    return tuple(weight / size for weight in weights)
