"""The simulated judge: personas choose what suits them, whatever the order."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from data_processing.judging.prompt import REPAIR, RESPONSE_FORMAT, ParsedPrompt, parse_choice, render
from data_processing.personas import generated_personas
from data_processing.simulated.draws import Draws
from data_processing.simulated.judge import NONSENSE, UNREAD, SimulatedJudge
from data_processing.simulated.llm import TASKS, SimulatedLLM
from data_processing.simulated.profiles import PROFILES
from data_processing.simulated.topics import TOPICS

QUESTION = "How do I boil an egg?"
SHORT = "Boil it."
LONG = "First bring a large pot of water to the boil. Then lower the egg into it with a spoon. " * 6
WARM = "What a lovely question, friend! I am happy to help! Enjoy your wonderful egg, thanks! Boil it."
LISTED = "- Boil water.\n- Add the egg.\n- Wait.\n- Peel it.\n- Eat."
ANSWERS = (SHORT, LONG, WARM, LISTED)


def asked(persona: str, answers: tuple[str, ...] = ANSWERS, question: str = QUESTION) -> list[tuple[str, str]]:
    return [("system", persona), ("user", render(question, answers))]


@pytest.mark.parametrize(
    ("persona", "liked"),
    [
        ("You want short, concise answers.", SHORT),
        ("You want long and thorough answers with every detail.", LONG),
        ("You want a friendly, warm tone.", WARM),
        ("You want bullet lists.", LISTED),
    ],
)
def test_personas_get_what_they_like_in_any_order(persona: str, liked: str) -> None:
    judge = SimulatedJudge()
    for order in itertools.permutations(ANSWERS):
        number = parse_choice(judge.reply(asked(persona, order), RESPONSE_FORMAT), len(order))
        assert number is not None
        assert order[number - 1] == liked


def test_who_wants_it_right_gets_it_right() -> None:
    judge, llm = SimulatedJudge(), SimulatedLLM(PROFILES)
    right = chance = 0.0
    for i in range(20):
        question = TASKS[1].write(Draws("judged", i), TOPICS["science"], 3, "plain")
        answers = tuple(llm.complete(profile.llm_id, question.query, seed=0).text for profile in PROFILES)
        marks = [row[-1] for row in judge.features_of(question.query, answers)]
        number = int(judge.reply(asked("You want it correct.", answers, question.query), None))
        right, chance = right + marks[number - 1], chance + float(np.mean(marks))
    assert right == 20
    assert chance < 16


def test_replies_are_what_the_request_asks_for() -> None:
    judge = SimulatedJudge(wordy=1.0)
    plain, structured = (judge.reply(asked("short"), form) for form in (None, RESPONSE_FORMAT))
    assert parse_choice(plain, 4) is None
    assert plain.startswith("I choose answer ")
    number = json.loads(structured)["choice"]
    assert str(number) in plain
    repaired = judge.reply([*asked("short"), ("assistant", plain), ("user", REPAIR)], None)
    assert repaired == str(number)


def test_nonsense_names_no_answer() -> None:
    for form in (None, RESPONSE_FORMAT):
        reply = SimulatedJudge().reply(asked("short"), form, nonsense=True)
        assert reply in NONSENSE
        assert parse_choice(reply, 4) is None


def test_other_prompts_are_not_judged() -> None:
    assert SimulatedJudge().reply([("user", "Hello")], None) == UNREAD


def _agreement(judge: SimulatedJudge) -> float:
    same = []
    for persona in generated_personas(60, seed=1):
        numbers = [
            judge.choose(persona.description, ParsedPrompt(QUESTION, answers)) for answers in (ANSWERS, ANSWERS[::-1])
        ]
        same.append(numbers[0] == 5 - numbers[1])
    return float(np.mean(same))


def test_position_bias_is_what_is_set() -> None:
    fair, biased, hopeless = (SimulatedJudge(position_bias=bias) for bias in (0.0, 0.5, 100.0))
    assert _agreement(fair) == 1.0
    assert 0.2 < _agreement(biased) < 0.95
    assert _agreement(hopeless) == 0.0
    assert hopeless.reply(asked("long"), None) == "1"


def test_a_variation_changes_close_choices_only() -> None:
    judge = SimulatedJudge()
    close = ("Boil it now.", "Boil it well.", "Boil it soon.")
    assert len({judge.reply(asked("short", close), None, variation=str(seed)) for seed in range(30)}) > 1
    assert len({judge.reply(asked("short"), None, variation=str(seed)) for seed in range(30)}) == 1
