"""The simulated LLM: prompt in, answer out, repeatable; styles that can be measured."""

from __future__ import annotations

import statistics

import pytest

from configs.errors import InputError
from data_processing.cost import count_tokens
from data_processing.simulated import llm as llm_module
from data_processing.simulated.draws import Draws
from data_processing.simulated.llm import TASKS, SimulatedLLM, quality, recognised
from data_processing.simulated.profiles import PROFILES, Profile
from data_processing.simulated.topics import TOPICS

PROMPTS = [task.write(Draws("llm", i), TOPICS["sport"], 2, "plain").query for task in TASKS for i in range(8)]


def test_the_same_prompt_gives_the_same_answer_in_any_order() -> None:
    asked = [(profile.llm_id, prompt) for profile in PROFILES for prompt in PROMPTS[::3]]
    first, second = SimulatedLLM(PROFILES), SimulatedLLM(PROFILES[::-1])
    forwards = {pair: first.complete(*pair, seed=3) for pair in asked}
    recognised.cache_clear()
    backwards = {pair: second.complete(*pair, seed=3) for pair in reversed(asked)}
    assert forwards == backwards
    assert any(first.complete(*pair, seed=4) != done for pair, done in forwards.items())


def test_tokens_are_those_of_the_texts() -> None:
    done = SimulatedLLM(PROFILES).complete("olive-34b-chat", PROMPTS[0], seed=0)
    assert [done.input_tokens, done.output_tokens] == count_tokens([PROMPTS[0], done.text]).tolist()


def test_an_unknown_llm_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="got llm_id 'nimbus-8' \\(did you mean 'nimbus-8b'\\?\\)"):
        SimulatedLLM(PROFILES).complete("nimbus-8", "Hello", seed=0)


@pytest.mark.parametrize("prompt", ["What is the capital of France?", "", "naïve\ud800 text {braces} \\boxed{1}"])
def test_a_foreign_prompt_gets_a_reply_that_says_so(prompt: str) -> None:
    done = SimulatedLLM(PROFILES).complete("titan-ultra", prompt, seed=0)
    assert "I am a simulated language model" in done.text
    assert prompt in done.text


def _answers(llm_id: str) -> list[str]:
    model = SimulatedLLM(PROFILES)
    return [model.complete(llm_id, prompt, seed=0).text for prompt in PROMPTS]


def test_llms_write_different_styles() -> None:
    said = {profile.llm_id: _answers(profile.llm_id) for profile in PROFILES}
    length = {llm: statistics.mean(len(text) for text in texts) for llm, texts in said.items()}
    bullets = {llm: sum(text.count("\n- ") + text.startswith("- ") for text in texts) for llm, texts in said.items()}
    cheer = {llm: sum(text.count("!") for text in texts) for llm, texts in said.items()}
    assert length["titan-ultra"] > 2 * length["lantern-mini"]
    assert bullets["nimbus-8b"] > 10
    assert bullets["nimbus-70b"] > 10
    assert bullets["quill-pro"] == bullets["lantern-max"] == 0
    assert min(cheer["olive-34b-chat"], cheer["nimbus-8b"]) > 3 * max(cheer["forge-coder-16b"], cheer["titan-ultra"])


def _luck(llm: Profile) -> list[float]:
    questions = [question for prompt in PROMPTS if (question := recognised(prompt)[1])]
    return [
        quality(llm, question, 0, Draws(0, llm.llm_id, question.query))
        - llm.skill(question.task_id, question.topic, question.difficulty, question.register)
        for question in questions
    ]


@pytest.mark.parametrize("shared", ["QUESTION_NOISE", "FAMILY_NOISE", "OWN_NOISE"])
def test_luck_is_shared_with_all_with_the_family_or_with_nobody(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"QUESTION_NOISE", "FAMILY_NOISE", "OWN_NOISE"} - {shared}:
        monkeypatch.setattr(llm_module, name, 0.0)
    for i, one in enumerate(PROFILES):
        for other in PROFILES[i + 1 :]:
            together = statistics.correlation(_luck(one), _luck(other))
            if shared == "QUESTION_NOISE" or (shared == "FAMILY_NOISE" and one.family == other.family):
                assert together == pytest.approx(1)
            else:
                assert abs(together) < 0.7


def test_the_seed_changes_what_is_an_llms_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_module, "QUESTION_NOISE", 0.0)
    monkeypatch.setattr(llm_module, "FAMILY_NOISE", 0.0)
    model = SimulatedLLM(PROFILES)
    changed = [
        model.complete("olive-34b-chat", prompt, seed=3).text != model.complete("olive-34b-chat", prompt, seed=4).text
        for prompt in PROMPTS
    ]
    assert sum(changed) > len(changed) / 3


def test_what_stands_around_a_question_does_not_matter() -> None:
    model = SimulatedLLM(PROFILES)
    for prompt in PROMPTS[::4]:
        exact = model.complete("titan-ultra", prompt, seed=0)
        for other in (
            prompt.replace("\n", "\r\n"),
            f"  \n{prompt}\n\n ",
            f"Here is a question.\n{prompt}\nAnswer it well.",
            f"One.\n\nTwo.\n\n{prompt}\n\nThree.",
        ):
            done = model.complete("titan-ultra", other, seed=0)
            assert (done.text, done.output_tokens) == (exact.text, exact.output_tokens)
            assert done.input_tokens == count_tokens([other])[0]


def test_another_variation_draws_the_llms_own_luck_anew() -> None:
    model = SimulatedLLM(PROFILES)
    said = {
        variation: [model.complete("olive-34b-chat", prompt, seed=0, variation=variation).text for prompt in PROMPTS]
        for variation in ("", "1", "2")
    }
    assert said[""] == [model.complete("olive-34b-chat", prompt, seed=0).text for prompt in PROMPTS]
    for one, other in (("", "1"), ("1", "2")):
        assert sum(a != b for a, b in zip(said[one], said[other], strict=True)) > len(PROMPTS) / 3
