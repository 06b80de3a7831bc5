"""The HTML: nothing that anybody wrote becomes markup."""

import dataclasses
import re
from pathlib import Path

import pytest

from serving import page
from serving.answer import Answer
from serving.decide import Need, decide
from tests.graph.routers import router_of

ATTACK = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">"


def test_every_text_of_a_decision_is_escaped() -> None:
    view = decide(router_of(), "king treaty empire war 12?")
    bars = tuple(dataclasses.replace(bar, llm_id=ATTACK, cost=ATTACK) for bar in view.bars)
    near = tuple((ATTACK, ATTACK) for _ in view.nearest)
    changes = {"llm_id": ATTACK, "bars": bars, "nearest": near, "why": ATTACK, "notes": (ATTACK,)}
    bad = dataclasses.replace(view, need=Need(ATTACK, ATTACK, 0.5), **changes)
    for html in (page.decision(bad), page.spoken(bad)):
        assert "<script" not in html
        assert "<img" not in html
        assert "&lt;script&gt;" in html
        tags = set(re.findall(r"<(\w+)", html))
        assert tags <= {"section", "p", "h2", "h3", "dl", "div", "dt", "dd", "ol", "ul", "li", "span"}


@pytest.mark.parametrize(
    "html",
    [
        page.trouble(ATTACK),
        page.answer(ATTACK, Answer(ATTACK, ATTACK, 0.5, 3, 1e-4)),
        page.no_router(ATTACK, Path(ATTACK)),
    ],
)
def test_every_other_text_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_the_numbers_are_there_as_text() -> None:
    view = decide(router_of(), "king treaty empire war 12?", preference=0.5)
    html = page.decision(view)
    assert f"<dd>{view.confidence:.0%}</dd>" in html
    for bar in view.bars:
        assert f'<span class="number">{bar.performance:.0%}</span>' in html
        assert f'<span class="number">{bar.cost}</span>' in html
    assert 'aria-label="All LLMs, best choice first"' in html


def test_simulated_llms_are_marked_and_others_are_not() -> None:
    assert "Simulated LLMs" in page.heading(True, "")
    assert "imulated" not in page.heading(False, "")


def test_half_a_character_can_be_sent() -> None:
    assert b"half" in page.trouble("half \ud800").encode("utf-8")


def test_nothing_is_fetched_from_elsewhere() -> None:
    assert not re.findall(r"https?://|@import|url\(", page.style() + page.script())


def test_an_empty_prompt_is_asked_for_politely() -> None:
    assert "Please type one first" in page.invitation(sent=True)
    assert "lease" not in page.invitation()
