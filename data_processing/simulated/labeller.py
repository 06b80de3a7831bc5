"""The simulated labelling model: reads labelled prompts and labels another one as those most like it are labelled.

Likeness is that of words and of length. It knows nothing of difficulty but what the examples show, and a little luck
keeps it from always agreeing with itself.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Sequence

from configs.errors import InputError
from data_processing.labelling.labels import INFERIOR, SUPERIOR, LabelPrompt, read_question
from data_processing.simulated.draws import Draws

LENGTH_WEIGHT = 0.3  # of likeness in length, beside that of words; both are in [0, 1]
SHARPNESS = 3  # power of likeness in the weight of an example: how far the nearest ones decide
NOISE = 0.1  # standard deviation of luck, where all examples of one label together make 1
LONG_PROMPT = 40  # words from which on a prompt is hard for all it knows, where there are no examples
_COMMON_WORDS = """a an and are as at be by can do for from give had has have how i if in into is it its me my of on or
    please so than that the their them then there they this to was we were what when where which who why will with would
    you your"""
COMMON = frozenset(_COMMON_WORDS.split())
NONSENSE = ("Both models have their merits.", "That depends on what one is looking for.", "ROUTE")
UNREAD = (
    "I am a simulated labeller. I read a labelling prompt and a prompt to label as the project's label stage has them."
)
_WORD = re.compile(r"\w+")

Messages = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the labeller sees of a text: its telling words, and the logarithm of its length in words."""

    words: frozenset[str]
    log_length: float


@dataclasses.dataclass(frozen=True)
class SimulatedLabeller:
    """A labeller whose choice depends on examples and prompt; with the same `seed` it is always the same."""

    seed: int = 0

    def reply(self, messages: Messages, variation: str = "", nonsense: bool = False) -> str:
        """Return the reply to a labelling prompt (the system message) and the last message that asks for a label.

        `nonsense` makes it name no label.
        """
        asked = [query for role, text in messages if role == "user" and (query := read_question(text)) is not None]
        prompt = _prompt("\n".join(text for role, text in messages if role in ("system", "developer")))
        if prompt is None or not asked:
            return UNREAD
        draws = Draws(self.seed, "label", prompt.text(), asked[-1], variation)
        if nonsense:
            return draws.choice(NONSENSE)
        leaning = lean(prompt, asked[-1]) + NOISE * draws.normal()
        return json.dumps({"label": INFERIOR if leaning > 0 else SUPERIOR})


def lean(prompt: LabelPrompt, query: str) -> float:
    """Return how far the examples speak for ROUTE_TO_INFERIOR, from -1 to 1."""
    target = see(query)
    if not prompt.examples:
        return 1.0 if len(_WORD.findall(query)) < LONG_PROMPT else -1.0
    weights = [likeness(target, see(example.query)) ** SHARPNESS for example in prompt.examples]
    signs = [1.0 if example.label == INFERIOR else -1.0 for example in prompt.examples]
    total = math.fsum(weights)
    signed = math.fsum(weight * sign for weight, sign in zip(weights, signs, strict=True))
    return signed / total if total else 0.0


def likeness(one: Seen, other: Seen) -> float:
    """Return how alike two texts are, in [0, 1]: shared words (cosine) and, with less weight, length."""
    shared = len(one.words & other.words)
    words = shared / math.sqrt(len(one.words) * len(other.words)) if shared else 0.0
    length = max(0.0, 1.0 - abs(one.log_length - other.log_length) / 2)
    return (words + LENGTH_WEIGHT * length) / (1 + LENGTH_WEIGHT)


@functools.lru_cache(maxsize=4096)
def see(text: str) -> Seen:
    """Return what the labeller sees of a text."""
    words = _WORD.findall(text.casefold())
    return Seen(frozenset(words) - COMMON, math.log1p(len(words)))


@functools.lru_cache(maxsize=64)
def _prompt(text: str) -> LabelPrompt | None:
    try:
        return LabelPrompt.parse(text, "the labelling prompt")
    except InputError:
        return None
