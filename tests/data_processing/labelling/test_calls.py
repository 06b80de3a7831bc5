from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from configs.schema import Answers, Build, Config, Judging
from data_processing.cache import ResponseStore
from data_processing.cost import count_tokens
from data_processing.labelling.calls import Given, Labelling, agreement, given, repair, repairs
from data_processing.labelling.labels import INFERIOR, REPAIR, SUPERIOR, Example, LabelPrompt, question
from data_processing.llm_client import CallError, Completion
from data_processing.roster import labelling_llm

PROMPT = LabelPrompt.of([Example(f"example {number}", (INFERIOR, SUPERIOR)[number % 2]) for number in range(6)])
TEXTS = ["Name a river.", "Prove it."]


def labelling(repeats: int = 3, prompt: LabelPrompt = PROMPT, longest: int = 100, **build: Any) -> Labelling:
    config = Config(build=Build(**build))
    return Labelling.of(config, labelling_llm(config, None), prompt, TEXTS, repeats, longest)


def test_each_repeat_is_another_call_with_the_same_examples() -> None:
    calls = labelling(answers=Answers(seed=7)).calls_of("Why?")
    assert len({call.key for call in calls}) == 3
    assert {call.messages[1] for call in calls} == {("user", question("Why?"))}
    assert [call.parameters["seed"] for call in calls] == [7, 8, 9]
    assert calls[0].messages[0] == ("system", PROMPT.text())
    read = [LabelPrompt.parse(call.messages[0][1], "sent").examples for call in calls]
    assert {frozenset(examples) for examples in read} == {frozenset(PROMPT.examples)}
    assert len(set(read)) == 3


def test_settings_are_those_of_judges() -> None:
    made = labelling(answers=Answers(seed=None), judge=Judging(temperature=None, max_tokens=9))
    assert [call.parameters for call in made.calls_of("Why?")] == [{"max_tokens": 9}] * 3
    assert labelling().calls_of("Why?")[0].parameters == {"max_tokens": 64, "temperature": 0.0, "seed": 0}


def test_more_repeats_do_not_change_the_calls_of_fewer() -> None:
    few, many = labelling(2), labelling(5)
    assert [call.key for call in few.calls_of("Why?")] == [call.key for call in many.calls_of("Why?")][:2]


def test_repeats_that_cannot_differ_are_refused() -> None:
    alone = LabelPrompt.parse(f"Say {INFERIOR} or {SUPERIOR}.", "own")
    with pytest.raises(InputError, match=r"got 2 of which 1 do: the prompt has 0 examples.*build.answers.seed is null"):
        labelling(2, alone, answers=Answers(seed=None))
    assert len(labelling(2, alone)) == 4  # another seed makes another call
    assert len(labelling(1, alone, answers=Answers(seed=None))) == 2


def test_the_plan_counts_what_is_open(tmp_path: Path) -> None:
    made = labelling()
    with ResponseStore(tmp_path / "store.sqlite") as store:
        whole = made.cost(None)
        assert (whole.calls, whole.stored) == (6, 0)
        tokens = sum(
            count_tokens([call.messages[0][1]])[0] + count_tokens([call.messages[1][1]])[0] for call in made.calls()
        )
        assert whole.input_tokens == tokens
        assert whole.most_output_tokens == 2 * 6 * 64
        assert whole.usd == pytest.approx((tokens * 0.1 + whole.output_tokens * 0.4) / 1e6)
        again = tokens + 6 * (64 + count_tokens([REPAIR])[0])  # after a reply of full length that is no label
        assert whole.most_usd == pytest.approx(((tokens + again) * 0.1 + 2 * 6 * 64 * 0.4) / 1e6)
        first, second = list(made.calls())[:2]
        store.put(first, Completion(INFERIOR, 1, 1, 0.1))
        store.put_error(second, CallError("server", "down", 500))
        rest = made.cost(store)
    assert (rest.calls, rest.stored) == (6, 1)
    assert rest.usd < whole.usd


def test_replies_become_labels_with_one_question_more(tmp_path: Path) -> None:
    calls = labelling(5).calls_of("Why?")
    with ResponseStore(tmp_path / "store.sqlite") as store:
        for call, text in zip(calls[:4], [INFERIOR, "Because.", "Hm.", "Well."], strict=True):
            store.put(call, Completion(text, 1, 1, 0.1))
        store.put_error(calls[4], CallError("server", "down", 500))
        again = list(repairs(calls, store))
        assert [call.messages[2:] for call in again] == [
            (("assistant", text), ("user", REPAIR)) for text in ("Because.", "Hm.", "Well.")
        ]
        store.put(again[0], Completion(f'{{"label": "{SUPERIOR}"}}', 1, 1, 0.1))
        store.put(again[1], Completion("Still no.", 1, 1, 0.1))
        found = given(calls, store)
    assert again[0] == repair(calls[1], "Because.")
    # The last but one was never asked again, the last never came.
    assert found == Given((INFERIOR, SUPERIOR), unusable=1, failed=2)


@pytest.mark.parametrize(
    ("labels", "label", "share"),
    [
        ((), None, 0.0),
        ((INFERIOR,), INFERIOR, 1.0),
        ((INFERIOR, SUPERIOR), None, 0.5),
        ((SUPERIOR, INFERIOR, SUPERIOR), SUPERIOR, 2 / 3),
    ],
)
def test_the_majority_decides(labels: tuple[str, ...], label: str | None, share: float) -> None:
    assert Given(labels).label == label
    assert Given(labels).share == pytest.approx(share)


def test_agreement_is_that_of_pairs_of_repeats() -> None:
    assert agreement([Given((INFERIOR,)), Given(())]) is None
    assert agreement([Given((INFERIOR,) * 3), Given((SUPERIOR,) * 3)]) == pytest.approx((1.0, 0.5))
    # Of three repeats 2 : 1 one pair of three agrees; four of six labels are one.
    found = [Given((INFERIOR, INFERIOR, SUPERIOR)), Given((INFERIOR, SUPERIOR, INFERIOR)), Given((SUPERIOR,))]
    assert agreement(found) == pytest.approx((1 / 3, (4 / 6) ** 2 + (2 / 6) ** 2))
