"""The command line of a router: text, JSON, batches, and one line on stderr for what is wrong."""

import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from graph.route import as_text, main
from tests.graph.routers import router_of
from tests.graph.world import LLMS, TASKS, tiny_router

QUESTION = "king treaty empire war 12?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "router"
    tiny_router().save(path)
    return path


class Run:
    """Calls `main` and reads what it wrote."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["--router", str(self.folder), *arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def refused(self, *arguments: str) -> str:
        code, out, err = self(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    def decision(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    def batch(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, err = self(*arguments)
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(folder, capsys)


def test_text_for_a_person(run: Run) -> None:
    code, out, err = run("--user", "user_1", QUESTION)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] in LLMS
    assert lines[1].startswith("  expected performance 0.")
    assert "cost $" in lines[1]
    assert lines[2].startswith("  the best LLM here with probability 0.")
    assert lines[3].startswith("  runner-up ")
    assert "as inferred from what user_1 chose" in lines[4]
    assert lines[5] == "  nearest known queries:"
    assert len(lines) == 9


def test_text_says_where_numbers_are_simulated_or_no_dollars() -> None:
    decision = tiny_router().route(QUESTION)
    text = as_text(decision, {"simulated": True, "cost_kind": "relative"})
    assert "simulated LLMs: the numbers say nothing about real ones" in text.splitlines()[0]
    assert "$" not in text
    assert "cost relative" in text
    assert "simulated" not in as_text(decision, {"simulated": False, "cost_kind": "published"})


def test_text_leaves_out_a_confidence_that_is_not_known_and_a_runner_up_that_is_not_there() -> None:
    decision = tiny_router().route(QUESTION)
    assert f"probability {decision.confidence:.2f}" in as_text(decision, {})
    alone = dataclasses.replace(decision, confidence=None, alternatives=decision.alternatives[:1])
    assert "probability" not in as_text(alone, {})
    assert "runner-up" not in as_text(alone, {})


def test_a_persona_is_told_its_taste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    router_of("persona").save(tmp_path / "router")
    run = Run(tmp_path / "router", capsys)
    decision = run.decision("--user", "persona_0003", QUESTION)
    assert (decision["preference"], decision["preference_source"]) == (None, "inferred")
    assert decision["why"] == router_of("persona").route(QUESTION, "persona_0003").why
    assert "picked in" in run("--user", "persona_0003", QUESTION)[1]
    assert run.decision("--user", "persona_0003", "--preference", "cost-first", QUESTION)["preference"] == 0.2


def test_json_is_the_whole_decision(run: Run) -> None:
    decision = run.decision("--user", "user_4", "--task", "history", QUESTION)
    expected = tiny_router().route(QUESTION, "user_4", "history")
    assert decision["llm_id"] == expected.llm_id
    assert decision["why"] == expected.why
    assert [item["llm_id"] for item in decision["alternatives"]] == [item.llm_id for item in expected.alternatives]
    assert decision["preference_source"] == "inferred"


def test_an_unknown_user_gets_the_population(run: Run) -> None:
    for arguments in (("--user", "nobody"), ()):
        decision = run.decision(*arguments, QUESTION)
        assert decision["preference_source"] == "population"
    assert "nothing is known of nobody" in run("--user", "nobody", QUESTION)[1]


def test_a_stated_preference(run: Run) -> None:
    cheap, good = (run.decision("--user", "user_1", "--preference", value, QUESTION) for value in ("0", "1"))
    assert cheap["preference_source"] == good["preference_source"] == "stated"
    assert cheap["expected_cost_usd"] < good["expected_cost_usd"]


@pytest.mark.parametrize(("words", "wanted"), [("quality first", 0.9), ("Balanced", 0.5), ("cost-first", 0.2)])
def test_a_preference_in_words(run: Run, words: str, wanted: float) -> None:
    decision = run.decision("--user", "user_1", "--preference", words, QUESTION)
    assert (decision["preference"], decision["preference_source"]) == (wanted, "stated")


def test_a_misspelt_preference_names_the_nearest(run: Run) -> None:
    err = run.refused("--preference", "cost frist", QUESTION)
    assert "got 'cost frist' (did you mean 'cost first'?)" in err


@pytest.mark.parametrize(
    "question", ["Wie heißt die Hauptstadt? 日本", "🦊🦊🦊", "sum root " * 11_200, "-", "\ud800 half", "'; DROP TABLE"],
    ids=["non-English", "emoji", "100 kB", "dash", "half a character", "quotes"],
)  # fmt: skip
def test_any_question_works(run: Run, question: str) -> None:
    assert run("--user", "user_1", question)[0] == 0
    decision = run.decision("--user", "user_1", question)
    assert decision["query"] == question
    assert decision["task_id"] in TASKS


def test_text_shortens_long_neighbours(run: Run) -> None:
    assert max(map(len, run(QUESTION)[1].splitlines()[6:])) <= 106


@pytest.mark.parametrize("arguments", [(), ("",), ("  \n",), ("--json",)])
def test_no_question_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert "question: expected a text, got none" in run.refused(*arguments)


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan"])
def test_a_preference_out_of_range_is_refused(run: Run, value: str) -> None:
    assert "preference: expected a number in [0, 1]" in run.refused(f"--preference={value}", QUESTION)


def test_an_unknown_task_names_the_nearest(run: Run) -> None:
    assert "did you mean 'algebra'?" in run.refused("--task", "algebar", QUESTION)


def test_a_missing_router_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = Run(tmp_path / "nowhere", capsys)
    assert "expected a router folder with manifest.json, found none" in missing.refused(QUESTION)


def test_a_batch_of_plain_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text(f"{QUESTION}\n\n   \nmoon verse 🦊?\r\n" + '{"query": "not read as JSON"}', encoding="utf-8")
    found = run.batch("--user", "user_4", "--batch", str(path))
    assert [item["query"] for item in found] == [QUESTION, "moon verse 🦊?", '{"query": "not read as JSON"}']
    assert {item["user_id"] for item in found} == {"user_4"}
    assert found[0]["llm_id"] == run.decision("--user", "user_4", QUESTION)["llm_id"]


def test_a_batch_of_json_lines_has_its_own_users_tasks_and_preferences(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    rows = [
        {"query": QUESTION},
        {"query": QUESTION, "user": "user_1", "task": "poetry"},
        {"query": QUESTION, "preference": 1, "user": None},
        {"query": "\ud800 half"},
        {"query": QUESTION, "preference": "Cost_First"},
        {"query": QUESTION, "preference": "0.75"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = run.batch("--batch", str(path), "--user", "user_3", "--preference", "0.25")
    assert [item["user_id"] for item in found] == ["user_3", "user_1", *["user_3"] * 4]
    assert [item["preference"] for item in found] == [0.25, 0.25, 1, 0.25, 0.2, 0.75]
    assert [item["task_id"] for item in found[:2]] == ["history", "poetry"]
    assert found[3]["query"] == "\ud800 half"


def test_a_batch_comes_in_order_and_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    questions = [f"king treaty {number}?" for number in range(150)]
    path.write_text("\n".join(questions))
    assert [item["query"] for item in run.batch("--batch", str(path))] == questions


def test_a_batch_streams(run: Run, tmp_path: Path) -> None:
    """What was decided is written before the rest of the file is read."""
    path = tmp_path / "long.jsonl"
    path.write_text('{"query": "a"}\n' * 130 + "{broken\n")
    code, out, err = run("--batch", str(path))
    assert code == 2
    assert len(out.splitlines()) == 128
    assert all(json.loads(line)["query"] == "a" for line in out.splitlines())
    assert "line 131" in err


def test_a_batch_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\nanother\n"))
    assert [item["query"] for item in run.batch("--batch", "-")] == [QUESTION, "another"]


def test_an_empty_batch_is_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    assert run.batch("--batch", str(tmp_path / "empty.txt")) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{broken", "expected a JSON object"),
        ('"text"', 'expected an object with a text "query"'),
        ("[1]", 'expected an object with a text "query"'),
        ('{"user": "user_1"}', 'expected an object with a text "query"'),
        ('{"query": 3}', 'expected an object with a text "query"'),
        ('{"query": "a", "usr": "b"}', "got 'usr'"),
        ('{"query": "a", "user": 1}', "expected a text as 'user', got 1"),
        ('{"query": "a", "preference": "high"}', "line 3: preference: expected a number in [0, 1]"),
        ('{"query": "a", "preference": "balancd"}', "got 'balancd' (did you mean 'balanced'?)"),
        ('{"query": "a", "preference": 1.5}', "line 3: preference: expected a number in [0, 1]"),
        ('{"query": "a", "preference": "-0.5"}', "line 3: preference: expected a number in [0, 1]"),
        ('{"query": "a", "preference": NaN}', "line 3: preference: expected a number in [0, 1]"),
        ('{"query": "a", "preference": true}', "expected a number or words as 'preference', got True"),
        ('{"query": "a", "preference": [0.5]}', "expected a number or words as 'preference', got [0.5]"),
    ],
)
def test_a_bad_line_is_named_by_number(run: Run, tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{{"query": "fine"}}\n\n{line}\n')
    err = run.refused("--batch", str(path))
    assert f"{path}, line 3: " in err
    assert says in err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"query": "a", "preference": 1.5}', "preference: expected a number in [0, 1]"),
        ('{"query": "a", "task": "algebar"}', "did you mean 'algebra'?"),
    ],
)
def test_a_line_with_wrong_values_is_refused(run: Run, tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line)
    assert says in run.refused("--batch", str(path))


def test_a_batch_file_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    assert "expected a readable UTF-8 batch file" in run.refused("--batch", str(tmp_path / "none.txt"))
    assert "expected a readable UTF-8 batch file" in run.refused("--batch", str(tmp_path))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    assert "expected a readable UTF-8 batch file" in run.refused("--batch", str(tmp_path / "latin.txt"))


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graph.route.Router.load", interrupted)
    assert run(QUESTION)[0] == 130


def test_a_reader_that_stops_is_no_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    path = tmp_path / "questions.txt"
    path.write_text(QUESTION)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["--router", str(run.folder), "--batch", str(path)]) == 0
    sys.stdout.close()  # what `main` put in its place, so that closing at exit cannot fail
    monkeypatch.undo()
    assert run.capsys.readouterr() == ("", "")
