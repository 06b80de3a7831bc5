"""From a router and a question to what the page shows."""

import copy
from collections.abc import Callable

import pytest

from configs.errors import InputError
from graph.needs import GraphPair
from graph.router import Router
from serving.decide import decide, shortened, thousand
from tests.graph.routers import router_of
from tests.graph.world import LLMS

QUESTION = "king treaty empire war 12?"


def two_llms() -> Router:
    """The weakest and the strongest LLM of the tiny world."""
    router = copy.copy(router_of())
    for llm_id in LLMS[1:3]:
        router.remove_llm(llm_id)
    return router


def test_what_is_shown_is_what_the_router_decides() -> None:
    router = router_of()
    view, decision = decide(router, QUESTION, "user_2"), router.route(QUESTION, "user_2")
    assert (view.llm_id, view.confidence, view.why) == (decision.llm_id, decision.confidence, decision.why)
    assert [bar.llm_id for bar in view.bars] == [item.llm_id for item in decision.alternatives]
    assert [bar.chosen for bar in view.bars] == [True, False, False, False]
    assert [bar.performance for bar in view.bars] == [item.expected_performance for item in decision.alternatives]
    assert max(bar.cost_share for bar in view.bars) == 1
    assert all(0 <= bar.cost_share <= 1 for bar in view.bars)
    assert [task for task, _ in view.nearest] == [near["task_id"] for near in decision.nearest_queries]


def test_a_wish_wins_over_the_user_and_nobody_is_the_population() -> None:
    router = router_of()
    cheap, good = (decide(router, QUESTION, "user_1", preference) for preference in (0.0, 1.0))
    assert cheap.bars[0].cost_share < good.bars[0].cost_share
    assert good.preference == 1.0
    assert decide(router, QUESTION).preference == router.wish("").preference
    assert decide(router_of("persona"), QUESTION, "persona_0001").preference is None


@pytest.mark.parametrize("question", ["", " \n\t "])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(InputError, match="question: expected a text"):
        decide(router_of(), question)


def test_an_unknown_user_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'user_"):
        decide(router_of(), QUESTION, "user_l")


def test_a_long_prompt_says_how_it_is_read_and_a_short_one_does_not() -> None:
    router = router_of()
    (note,) = decide(router, "war and peace " * 8000).notes
    assert "112,000 characters" in note
    assert "128 tokens" in note
    assert decide(router, QUESTION).notes == ()


@pytest.mark.parametrize("make", [two_llms, router_of], ids=["two LLMs", "more"])
def test_the_need_of_the_strong_one_does_not_depend_on_who_asks(make: Callable[[], Router]) -> None:
    router = make()
    views = [decide(router, QUESTION, preference=preference) for preference in (0.0, 0.5, 1.0)]
    (found,) = {view.need for view in views}
    assert found is not None
    pair = GraphPair.of(router)
    assert (found.weak_id, found.strong_id) == (pair.weak_id, pair.strong_id)
    assert found.probability == pytest.approx(float(pair.need([QUESTION])[0]), abs=1e-6)
    assert 0 < found.probability < 1


def test_without_costs_none_is_shown() -> None:
    router = router_of()
    router.about = {"cost_kind": "none"}
    view = decide(router, QUESTION)
    assert {bar.cost for bar in view.bars} == {None}
    assert "only performance" in view.notes[0]


@pytest.mark.parametrize(
    ("cost_usd", "kind", "words"),
    [
        (0.0, "computed", "$0.00"),
        (4.3178e-5, "computed", "$0.043"),
        (8e-5, "published", "$0.080"),
        (1.5e-3, "computed", "$1.50"),
        (0.01234, "computed", "$12"),
        (12.34, "computed", "$12,340"),
        (6.67e-6, "computed", "$0.0067"),
        (1e-9, "computed", "< $0.0001"),
        (1.5e-3, "relative", "1.50"),
        (1.5e-3, "none", None),
    ],
)
def test_money_in_readable_units(cost_usd: float, kind: str, words: str | None) -> None:
    assert thousand(cost_usd, kind) == words


def test_a_known_question_is_cut_to_one_line() -> None:
    assert shortened("a\n b") == "a b"
    assert len(shortened("word " * 100, 50)) == 50
