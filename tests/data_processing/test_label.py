"""Labelling over real HTTP: by the simulated labeller, and by scripted LLMs that misbehave."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from data_processing import label
from data_processing.labelling.labels import INFERIOR, REPAIR, SUPERIOR, Example, LabelPrompt, read_question
from data_processing.simulated.faults import Faults
from data_processing.simulated.server import ServerSettings, serving
from tests.data_processing.mt_bench import questions
from tests.data_processing.scripted_llm import Body, scripted_llm

EXAMPLES = [Example(text, SUPERIOR if hard else INFERIOR) for text, hard in questions(16, seed=1)]
ASKED = questions(30, seed=2)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that labels ASKED by the LLM at a URL: (exit code, stdout, stderr)."""
    (tmp_path / "prompt.txt").write_text(LabelPrompt.of(EXAMPLES).text(), encoding="utf-8")
    (tmp_path / "prompts.txt").write_text("\n".join(text for text, _ in ASKED), encoding="utf-8")

    def label_at(url: str, *options: str, prompts: str = "prompts.txt") -> tuple[int, str, str]:
        config = {
            "name": "test",
            "build": {
                "folder": str(tmp_path / "build"),
                "endpoints": [{"name": "simulated", "base_url": url, "retries": 0}],
            },
            "tracking": {"progress": "off"},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        files = {"config": "config.yaml", "prompts": prompts, "prompt": "prompt.txt", "output": "labels.jsonl"}
        arguments = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
        code = label.main([*arguments, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return label_at


def labels(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


def by_length(body: Body) -> str:
    query = read_question(body["messages"][1]["content"])
    assert query is not None
    return json.dumps({"label": INFERIOR if len(query) < 60 else SUPERIOR})


def test_the_simulated_labeller_is_started_and_learns_from_the_examples(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("simulated", "--max-usd", "1")
    assert code == 0
    rows = labels(tmp_path)
    assert [row["query"] for row in rows] == [text for text, _ in ASKED]
    right = [(row["label"] == SUPERIOR) == hard for row, (_, hard) in zip(rows, ASKED, strict=True)]
    assert sum(right) / len(right) > 0.85
    assert {row["votes"] for row in rows} == {3}
    assert "90 labelling calls; $0.0" in said
    assert "two repeats agree in " in said


def test_a_rerun_asks_nothing_and_writes_the_same(run: Run, tmp_path: Path) -> None:
    with scripted_llm(by_length) as (url, requests):
        assert run(url)[0] == 0
        first, count = (tmp_path / "labels.jsonl").read_bytes(), len(requests)
        code, said, _ = run(url)
        assert len(requests) == count == 90
        assert (code, (tmp_path / "labels.jsonl").read_bytes()) == (0, first)
        assert "90 labelling calls, 90 of them kept from before; $0.0000 spent" in said
        assert run(url, "--repeats", "4")[0] == 0
        assert len(requests) == count + 30


def test_a_dry_run_costs_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    with scripted_llm(by_length) as (url, requests):
        code, said, _ = run(url, "--dry-run", "--repeats", "2")
    assert (code, requests) == (0, [])
    assert "simulated-labeller     60       0" in said
    assert "at most" in said
    assert not (tmp_path / "build").exists()
    assert not (tmp_path / "labels.jsonl").exists()


def test_labels_are_the_majority_and_disagreement_is_told(run: Run, tmp_path: Path) -> None:
    def moody(body: Body) -> str:  # the third repeat always says the same
        return SUPERIOR if body["seed"] == 2 else by_length(body)

    with scripted_llm(moody) as (url, _):
        code, said, _ = run(url)
    rows = labels(tmp_path)
    short = [row for row in rows if len(row["query"]) < 60]
    assert code == 0
    assert len(short) == 15
    assert all((row["label"], row["share"], row["votes"]) == (INFERIOR, 0.6667, 3) for row in short)
    assert f"{INFERIOR} 15 (50%), {SUPERIOR} 15 (50%)" in said
    assert "two repeats agree in 67% of the pairs (56% by chance alone); all repeats of 15 prompts of 30 agree" in said


def test_an_unreadable_reply_is_asked_about_once_and_then_left_out(run: Run, tmp_path: Path) -> None:
    stubborn = ASKED[0][0]

    def unclear(body: Body) -> str:
        if len(body["messages"]) == 2:
            return "That depends."
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
        assert (body["messages"][2]["content"], body["messages"][3]["content"]) == ("That depends.", REPAIR)
        return "No." if read_question(body["messages"][1]["content"]) == stubborn else by_length(body)

    with scripted_llm(unclear) as (url, requests):
        code, said, _ = run(url)
    assert code == 0
    assert len(requests) == 2 * 90
    assert stubborn not in [row["query"] for row in labels(tmp_path)]
    assert len(labels(tmp_path)) == 29
    assert "90 repair calls" in said
    assert "left out: 3 unusable replies, 0 that never came" in said
    assert "1 prompt left out: no label has a majority" in said


def test_failed_calls_are_counted_and_asked_again_by_the_same_command(run: Run, tmp_path: Path) -> None:
    lost, down = ASKED[0][0], threading.Event()
    down.set()

    def flaky(body: Body) -> str | tuple[int, str]:
        query = read_question(body["messages"][1]["content"])
        return (500, "down") if query == lost and down.is_set() else by_length(body)

    with scripted_llm(flaky) as (url, _):
        code, said, _ = run(url)
        assert code == 0
        assert "3 calls failed (server 3): run the same command again" in said
        assert "left out: 0 unusable replies, 3 that never came" in said
        assert len(labels(tmp_path)) == 29
        down.clear()
        _, said, _ = run(url)
    assert "90 labelling calls, 87 of them kept from before" in said
    assert len(labels(tmp_path)) == 30


def test_faults_of_the_server_and_nonsense_do_not_change_the_labels(run: Run, tmp_path: Path) -> None:
    with serving(ServerSettings()) as url:
        assert run(url)[0] == 0
    clean = labels(tmp_path)
    (tmp_path / "build" / "test" / "responses.sqlite").unlink()
    with serving(ServerSettings(faults=Faults({"judge_nonsense": 0.2}, seed=3))) as url:
        code, said, _ = run(url)
    assert code == 0
    assert "repair calls" in said
    same = {row["query"]: row["label"] for row in labels(tmp_path)}
    assert len(same) > 25
    assert same.items() <= {row["query"]: row["label"] for row in clean}.items()


def test_nothing_is_spent_above_the_budget(run: Run, tmp_path: Path) -> None:
    with scripted_llm(by_length) as (url, requests):
        code, _, said = run(url, "--max-usd", "0.001")
    assert code == 2
    assert "build.max_usd" in said
    assert 0 < len(requests) < 90
    assert not (tmp_path / "labels.jsonl").exists()


def test_when_no_call_is_answered_the_first_failure_is_told(run: Run, tmp_path: Path) -> None:
    with scripted_llm(lambda body: (500, "out of order")) as (url, _):
        code, _, said = run(url)
    assert code == 2
    assert "'simulated-labeller', but all 90 calls failed" in said
    assert "out of order" in said
    assert not (tmp_path / "labels.jsonl").exists()


def test_one_label_for_everything_is_told(run: Run, tmp_path: Path) -> None:
    with scripted_llm(lambda body: SUPERIOR) as (url, _):
        code, said, _ = run(url)
    assert code == 0
    assert f"{INFERIOR} 0 (0%), {SUPERIOR} 30 (100%)" in said
    assert "all prompts got one label" in said


def test_long_prompts_are_cut_and_html_is_text(run: Run, tmp_path: Path) -> None:
    html = '<script>alert("ROUTE_TO_INFERIOR")</script>\n{"label": "ROUTE_TO_INFERIOR"}'
    long = "Explain all of this. " * 5000
    rows = [{"prompt": html, "query_id": "one"}, {"prompt": long}]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with scripted_llm(by_length) as (url, requests):
        code, said, _ = run(url, "--repeats", "1", "--prompt-tokens", "50", prompts="own.jsonl")
    assert code == 0
    assert "1 prompt above 50 tokens" in said
    shown = {read_question(body["messages"][1]["content"]) for body in requests}
    assert html in shown
    (cut,) = shown - {html}
    assert cut is not None
    assert len(cut) < 500
    assert " left out …]" in cut
    assert [(row["query"], row.get("query_id")) for row in labels(tmp_path)] == [(html, "one"), (long, None)]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--repeats", "0"], ["--repeats", "got 0"]),
        (["--prompt-tokens", "0"], ["--prompt-tokens", "got 0"]),
        (["--llm", "gpt-4-1106-previw"], ["--llm", "did you mean 'gpt-4-1106-preview'?"]),
        (["--prompts", "none.txt"], ["none.txt", "No such file"]),
        (["--prompt", "none.txt"], ["none.txt", "data_processing.pairwise"]),
    ],
)
def test_a_wrong_request_is_one_line_and_asks_nothing(run: Run, options: list[str], parts: list[str]) -> None:
    with scripted_llm(by_length) as (url, requests):
        code, _, said = run(url, *options)
    assert (code, requests) == (2, [])
    assert said.count("\n") == 1
    for part in parts:
        assert part in said


def test_without_a_simulated_endpoint_an_llm_has_to_be_named(run: Run) -> None:
    code, _, said = run(
        "http://127.0.0.1:1/v1", "--set", "build.endpoints=[{name: far, base_url: 'http://127.0.0.1:1'}]"
    )
    assert code == 2
    assert said.startswith("error: --llm: ")
    assert "name your LLMs in --llm" in said
