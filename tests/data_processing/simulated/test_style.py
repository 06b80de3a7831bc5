"""Style: layout, warmth, hedging and refusals do what they say."""

from data_processing.simulated.draws import Draws
from data_processing.simulated.style import (
    HEDGES,
    REFUSALS,
    WARM_CLOSINGS,
    WARM_OPENINGS,
    Style,
    dressed,
    itemised,
    refusal,
)


def test_layouts() -> None:
    items = ["Boil water.", "Add tea."]
    assert itemised(items, Style({}, layout="plain")) == "Boil water. Add tea."
    assert itemised(items, Style({}, layout="bullets")) == "- Boil water.\n- Add tea."
    assert itemised(items, Style({}, layout="numbers")) == "1. Boil water.\n2. Add tea."
    assert itemised(items, Style({}, layout="markdown")) == "* **Boil** water.\n* **Add** tea."


def test_a_warm_and_hedging_llm_dresses_its_answer() -> None:
    text = dressed("Yes.", Style({}, warmth=1.0, hedging=1.0), 1, Draws(0))
    assert text.startswith(WARM_OPENINGS)
    assert text.endswith(WARM_CLOSINGS)
    assert any(hedge in text for hedge in HEDGES)


def test_bare_answers_stay_bare_and_rambling_ones_grow() -> None:
    style = Style({}, warmth=1.0, hedging=1.0)
    assert dressed("Yes.", style, 0, Draws(0)) == "Yes."
    assert len(dressed("Yes.", Style({}), 3, Draws(0))) > 100
    assert dressed("Yes.", Style({}), 1, Draws(0)) == "Yes."


def test_refusals_depend_on_the_topic() -> None:
    style = Style({}, refusals={"finance": 1.0})
    assert refusal(style, "finance", Draws(0)) in REFUSALS
    assert refusal(style, "sport", Draws(0)) is None
