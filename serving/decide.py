"""From a router, a question and a wish to all that the page shows of the decision. No HTML and no server here."""

from __future__ import annotations

import dataclasses
import functools
import math

from configs.errors import InputError, did_you_mean
from data_processing.cost import count_tokens
from data_processing.one_line import one_line
from graph.needs import GraphPair
from graph.records import Decision
from graph.router import Router

NOBODY = ""  # the user nobody knows anything of: the population decides
SHOWN_CHARACTERS = 220  # of a known question
LEAST_SHOWN = 0.0001  # dollars
LONG = 20  # characters a token, far more than any language needs


@dataclasses.dataclass(frozen=True)
class Bar:
    """One LLM as drawn: `performance` in [0, 1]; `cost` of 1,000 such questions in words, None where none is known.

    `cost_share` in [0, 1] is its cost by that of the dearest here.
    """

    llm_id: str
    performance: float
    cost: str | None
    cost_share: float
    chosen: bool


@dataclasses.dataclass(frozen=True)
class Need:
    """How likely it is that the strong LLM answers better than the weak one; `probability` in [0, 1].

    `threshold` in [0, 1]: where it alone decides, from which probability on; None where more than it counts.
    """

    weak_id: str
    strong_id: str
    probability: float
    threshold: float | None = None


@dataclasses.dataclass(frozen=True)
class View:
    """What the page shows of one decision; `bars` best first, `nearest` (task, question) pairs, nearest first.

    Without `bars` nothing is known of what the LLMs perform and cost. `confidence` is the calibrated probability that
    the chosen LLM is the best for this wish, None where it is not known. `preference` is the weight on quality, None
    where a taste decides. `notes` are for the reader to know.
    """

    llm_id: str
    task_id: str
    confidence: float | None
    need: Need | None
    preference: float | None
    bars: tuple[Bar, ...]
    nearest: tuple[tuple[str, str], ...]
    why: str
    notes: tuple[str, ...]


def decide(router: Router, question: str, user_id: str = NOBODY, preference: float | None = None) -> View:
    """Return what to show for one question. A `preference` in [0, 1] wins over what is known of the user.

    Raises `InputError` for a question without text and for a user that the router does not know.
    """
    refuse_empty(question)
    if user_id != NOBODY and user_id not in router.user_ids:
        raise InputError(
            f"user: expected one that the router knows, got {user_id!r}{did_you_mean(user_id, router.user_ids)}; "
            "leave it empty for all users together"
        )
    decision = router.route(question, user_id, preference=preference)
    return View(
        decision.llm_id,
        decision.task_id,
        decision.confidence,
        need(router, question),
        decision.preference,
        bars(decision, str(router.about.get("cost_kind", "none"))),
        tuple((near["task_id"], shortened(near["query"])) for near in decision.nearest_queries),
        decision.why,
        notes(router, question),
    )


def refuse_empty(question: str) -> None:
    """Raise `InputError` for a question without text."""
    if not question.strip():
        raise InputError("question: expected a text, got none; type one")


def need(router: Router, question: str) -> Need | None:
    """Return how likely the strong LLM is needed, whoever asks; None where the router knows of one LLM alone.

    The pair is that of `graph.needs.choose_pair`: the LLM of the best mean performance, and the cheapest.
    """
    pair = pair_of(router)
    return None if pair is None else Need(pair.weak_id, pair.strong_id, float(pair.need([question])[0]))


@functools.lru_cache(maxsize=8)
def pair_of(router: Router) -> GraphPair | None:
    """Return the router's weak and strong LLM, calibrated once on its known questions."""
    return GraphPair.of(router) if len(router.llm_ids) > 1 else None


def bars(decision: Decision, cost_kind: str) -> tuple[Bar, ...]:
    """Return a bar per LLM, best first; without costs where `cost_kind` is `none`."""
    dearest = max(item.expected_cost_usd for item in decision.alternatives)
    return tuple(
        Bar(
            item.llm_id,
            item.expected_performance,
            thousand(item.expected_cost_usd, cost_kind),
            item.expected_cost_usd / dearest if dearest > 0 else 0.0,
            item.llm_id == decision.llm_id,
        )
        for item in decision.alternatives
    )


def thousand(cost_usd: float, cost_kind: str) -> str | None:
    """Return what 1,000 questions of `cost_usd` each cost, such as `$0.043`, `$1.50` or `$12`; None without costs.

    `relative` costs have no unit.
    """
    if cost_kind == "none":
        return None
    total = cost_usd * 1000
    unit = "" if cost_kind == "relative" else "$"
    if 0 < total < LEAST_SHOWN:
        return f"< {unit}{LEAST_SHOWN}"
    if total >= 10:
        return f"{unit}{total:,.0f}"
    # Two digits, however small, and never a single digit of cents.
    decimals = 2 if total >= 0.1 or total == 0 else 1 - math.floor(math.log10(total))
    return f"{unit}{total:.{decimals}f}"


def notes(router: Router, question: str) -> tuple[str, ...]:
    """Return what a reader has to know before the numbers mean anything."""
    found = long_prompt(router.encoder.max_tokens, question)
    if router.about.get("cost_kind") == "none":
        found.append("Nothing is known of what these LLMs cost: only performance is compared.")
    return tuple(found)


def long_prompt(limit: int, question: str) -> list[str]:
    """Return a note where a question has more tokens than the `limit` that are read of it, else none."""
    # A part of a long prompt is enough to see that it is too long: to count it all takes as long as to route it.
    if count_tokens([question[: LONG * limit]])[0] <= limit:
        return []
    return [
        f"This is a long prompt, of {len(question):,} characters. Its subject is read from the first and the last "
        f"{limit // 2} tokens; an LLM would get all of it."
    ]


def shortened(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Return the text in one line of at most `limit` characters."""
    return one_line(text, limit)
