import json

import pytest

from data_processing.labelling.labels import INFERIOR, REPAIR, SUPERIOR, Example, LabelPrompt, parse_label, question
from data_processing.simulated.labeller import NONSENSE, UNREAD, SimulatedLabeller, lean, likeness, see
from tests.data_processing.mt_bench import questions

PROMPT = LabelPrompt.of([Example(text, SUPERIOR if hard else INFERIOR) for text, hard in questions(10, seed=1)])
LABELLER = SimulatedLabeller()


def asked(query: str, prompt: LabelPrompt = PROMPT) -> list[tuple[str, str]]:
    return [("system", prompt.text()), ("user", question(query))]


def test_it_labels_as_the_examples_most_like_a_prompt_are_labelled() -> None:
    unseen = questions(60, seed=9)
    right = [parse_label(LABELLER.reply(asked(text))) == (SUPERIOR if hard else INFERIOR) for text, hard in unseen]
    assert sum(right) / len(right) > 0.9


def test_it_goes_by_the_examples_and_not_by_what_it_knows() -> None:
    turned = LabelPrompt.of(
        [Example(example.query, INFERIOR if example.label == SUPERIOR else SUPERIOR) for example in PROMPT.examples]
    )
    for text, _ in questions(5, seed=9):
        assert lean(turned, text) == pytest.approx(-lean(PROMPT, text))


def test_the_same_request_gets_the_same_reply_and_another_seed_sometimes_another() -> None:
    even = LabelPrompt.of([Example("red apple", INFERIOR), Example("red cherry", SUPERIOR)])
    replies = [LABELLER.reply(asked("red thing", even), f"seed {number}") for number in range(20)]
    assert replies == [LABELLER.reply(asked("red thing", even), f"seed {number}") for number in range(20)]
    assert {parse_label(reply) for reply in replies} == {INFERIOR, SUPERIOR}


def test_without_examples_length_decides() -> None:
    bare = LabelPrompt.parse(f"Say {INFERIOR} or {SUPERIOR}.", "own")
    assert lean(bare, "Why?") == 1.0
    assert lean(bare, "why " * 50) == -1.0


def test_it_goes_on_after_a_reply_of_its_own() -> None:
    first = LABELLER.reply(asked("Name a bird."))
    again = [*asked("Name a bird."), ("assistant", "Hm."), ("user", REPAIR)]
    assert LABELLER.reply(again) == first == json.dumps({"label": INFERIOR})


def test_nonsense_is_no_label() -> None:
    assert all(parse_label(text) is None for text in (*NONSENSE, UNREAD))
    assert LABELLER.reply(asked("Name a bird."), nonsense=True) in NONSENSE


@pytest.mark.parametrize("messages", [[("user", question("Why?"))], [("system", PROMPT.text()), ("user", "Why?")]])
def test_anything_else_is_told_what_it_reads(messages: list[tuple[str, str]]) -> None:
    assert LABELLER.reply(messages) == UNREAD


def test_likeness_is_in_the_unit_interval_and_highest_for_the_text_itself() -> None:
    one = see("Prove the theorem.")
    assert likeness(one, one) == pytest.approx(1.0)
    assert likeness(one, see("the the the")) < 0.3
    assert likeness(see(""), see("")) < 0.5
