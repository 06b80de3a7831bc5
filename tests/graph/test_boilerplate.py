import ast
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from graph.boilerplate import Boilerplate

SHOTS = "Answer with a letter.\n\nIs ice cold?\nA) yes\nB) no\nAnswer: A\n\n"


def prompt(question: str, options: str = "A) red\nB) blue") -> str:
    return f"{SHOTS}{question}\n{options}\nAnswer:"


def many(count: int = 30) -> list[str]:
    return [prompt(f"What colour is thing {i}?", f"A) red {i}\nB) blue {i}") for i in range(count)]


def test_shots_go_and_the_question_with_its_options_stays() -> None:
    boilerplate = Boilerplate().fit(["quiz"] * 30, many())
    unseen = prompt("What colour is the sky?", "A) grey\nB) blue")
    assert boilerplate.strip([unseen], ["quiz"]) == ["What colour is the sky?\nA) grey\nB) blue"]


def test_an_option_that_also_stands_in_the_shots_stays() -> None:
    boilerplate = Boilerplate().fit(["quiz"] * 30, many())
    assert boilerplate.strip([prompt("Is fire hot?", "A) yes\nB) no")], ["quiz"]) == ["Is fire hot?\nA) yes\nB) no"]


@pytest.mark.parametrize(
    ("num_texts", "num_sharing", "shared"),
    [(10, 2, False), (10, 3, True), (200, 3, False), (200, 4, True), (201, 4, False), (201, 5, True)],
)
def test_threshold_is_three_texts_or_two_percent_rounded_up(num_texts: int, num_sharing: int, shared: bool) -> None:
    texts = [f"unique number {i}" + ("\nthe shared line" if i < num_sharing else "") for i in range(num_texts)]
    stripped = Boilerplate().fit(["t"] * num_texts, texts).strip(texts, ["t"] * num_texts)
    assert (stripped[0] == "unique number 0") is shared


def test_lines_belong_to_their_task_and_unknown_tasks_lose_all_of_them() -> None:
    texts = [f"first {i} thing\nline of one" for i in range(5)] + [f"second {i} thing\nline of two" for i in range(5)]
    boilerplate = Boilerplate().fit(["one"] * 5 + ["two"] * 5, texts)
    text = "a question\nline of one\nline of two"
    assert boilerplate.strip([text], ["one"]) == ["a question\nline of two"]
    assert boilerplate.strip([text], ["never seen"]) == ["a question"]
    assert boilerplate.strip([text], [""]) == ["a question"]
    assert boilerplate.strip([text]) == ["a question"]


def test_withheld_tasks_are_one_group() -> None:
    texts = many(30) + [f"Write a function number {i}." for i in range(30)]
    boilerplate = Boilerplate().fit([""] * 60, texts)
    assert boilerplate.strip(texts[:1], [""]) == ["What colour is thing 0?\nA) red 0\nB) blue 0"]
    assert boilerplate.strip(texts[-1:], [""]) == texts[-1:]


def test_a_query_repeated_in_the_table_is_not_its_own_boilerplate() -> None:
    texts = ["one whole question\nwith two lines"] * 10 + ["another question"]
    assert Boilerplate().fit(["t"] * 11, texts).strip(texts, ["t"] * 11) == texts


def test_a_text_with_nothing_left_stays_whole() -> None:
    boilerplate = Boilerplate().fit(["quiz"] * 30, many())
    assert boilerplate.strip([SHOTS, SHOTS + "1234", SHOTS + "12345"], ["quiz"] * 3) == [SHOTS, SHOTS + "1234", "12345"]


def test_a_text_without_boilerplate_is_unchanged_to_the_character() -> None:
    text = "  def f():\r\n\n\n    return 1\t\n"
    assert Boilerplate().fit(["quiz"] * 30, many()).strip([text, ""], ["quiz"] * 2) == [text, ""]
    assert Boilerplate().strip([text]) == [text]


def test_json_holds_no_text_is_sorted_and_comes_back() -> None:
    boilerplate = Boilerplate(min_texts=4, min_fraction=0.1).fit(["b"] * 30 + ["a"] * 30, many() * 2)
    written = json.dumps(boilerplate.to_json())
    assert "ice" not in written
    assert written == json.dumps(json.loads(written), sort_keys=True)
    again = Boilerplate.from_json(json.loads(written))
    assert again.to_json() == boilerplate.to_json()
    assert again.strip(many(), ["a"] * 30) == boilerplate.strip(many(), ["a"] * 30)
    assert again.strip(many()) == boilerplate.strip(many()) != many()


def test_another_format_and_unpaired_tasks_are_refused() -> None:
    with pytest.raises(InputError, match="expected format_version 1, got 2"):
        Boilerplate.from_json({"format_version": 2})
    with pytest.raises(InputError, match="got 1 ids for 2 texts"):
        Boilerplate().fit(["a"], ["x", "y"])
    with pytest.raises(InputError, match="got 1 ids for 2 texts"):
        Boilerplate().strip(["x", "y"], ["a"])


LINES = st.lists(st.sampled_from(["", "  ", "shot", "shot  two", "A) yes", "question one", "x"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES.map("\n".join), max_size=12))
def test_what_is_left_are_lines_of_the_text_in_order_and_the_order_of_texts_is_free(texts: list[str]) -> None:
    boilerplate = Boilerplate().fit(["t"] * len(texts), texts)
    assert Boilerplate().fit(["t"] * len(texts), texts[::-1]).to_json() == boilerplate.to_json()
    for text, stripped in zip(texts, boilerplate.strip(texts, ["t"] * len(texts)), strict=True):
        remaining = iter(line.strip() for line in text.splitlines() if line.strip())
        assert all(line.strip() in remaining for line in stripped.splitlines() if line.strip())
        assert stripped == text or len(stripped) >= 5


@pytest.mark.skipif("ROUTER_DATASETS" not in os.environ, reason="ROUTER_DATASETS is not set")
@pytest.mark.parametrize("withheld", [False, True])
def test_routerbench_prompts_are_reduced_to_their_question(withheld: bool) -> None:
    tasks: list[str] = []
    texts: list[str] = []
    for path in sorted((Path(os.environ["ROUTER_DATASETS"]) / "routerbench").glob("*_train.csv")):
        prompts = pd.read_csv(path, usecols=["prompt"])["prompt"]
        texts += ["\n".join(map(str, ast.literal_eval(text))) for text in prompts]
        tasks += [path.stem] * len(prompts)
    known = [""] * len(tasks) if withheld else tasks
    boilerplate = Boilerplate().fit(known, texts)
    stripped = dict(zip(texts, boilerplate.strip(texts, known), strict=True))
    for task, text in zip(tasks, texts, strict=True):
        if task.startswith("winogr"):
            # The last block of the prompt is the question; before it stand the five examples.
            question = text.split("\n\n")[-1].rsplit("\nPrint only", 1)[0]
            assert stripped[text] == question.strip()
            assert [line[:2] for line in question.splitlines()[-2:]] == ["A)", "B)"]
        if task.startswith("mbpp"):
            assert stripped[text] == text
