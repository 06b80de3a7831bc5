import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from configs.catalogue import read_tasks, shipped_tasks, task_spelling
from configs.errors import InputError
from configs.schema import Build, Config, project_root
from data_processing.importers.reading import read_csv
from data_processing.questions.raw import read_questions
from data_processing.questions.shorten import MARK
from data_processing.scoring import METRICS
from data_processing.simulated import build_world
from data_processing.tables import query_id
from data_processing.unify import run
from data_processing.workspace import Workspace
from tests.data_processing.hub_server import COMMIT, hub_up
from tests.data_processing.importers.helpers import real

TABLES = ("tasks", "queries", "llms")


def config_of(folder: Path, entries: list[dict[str, Any]] | None = None, seed: int = 0, **fields: Any) -> Config:
    """Return a configuration that builds in `folder`, from the tasks `entries` of an own file unless `tasks` say."""
    own: dict[str, Any] = {}
    if entries is not None:
        path = folder / "mine.yaml"
        path.write_text(yaml.safe_dump({"tasks": entries}), encoding="utf-8")
        own = {"tasks_file": str(path), "tasks": tuple(entry["task_id"] for entry in entries)}
    return Config(seed=seed, build=Build(folder=str(folder / "build"), **{**own, **fields}))


def task(task_id: str, file: Path, **fields: Any) -> dict[str, Any]:
    source = {"file": str(file), "query": "{q}", "ground_truth": "{a}", **fields}
    return {"task_id": task_id, "description": f"Task {task_id}.", "metric": "f1_score", "source": source}


def questions(folder: Path, name: str, texts: list[str], truth: str = "truth {}") -> Path:
    path = folder / name
    path.write_text(json.dumps([{"q": text, "a": truth.format(i)} for i, text in enumerate(texts)]), encoding="utf-8")
    return path


def built(config: Config) -> tuple[dict[str, pd.DataFrame], list[str]]:
    workspace = Workspace.of(config)
    notes = run(config, workspace).notes
    assert not any("\n" in note for note in notes)
    return {name: workspace.read(name, "unify") for name in TABLES}, notes


def texts_of(config: Config, task_id: str) -> list[str]:
    queries = built(config)[0]["queries"]
    return queries.loc[queries["task_id"] == task_id, "query"].tolist()


def refusal(config: Config) -> str:
    with pytest.raises(InputError) as err:
        run(config, Workspace.of(config))
    assert "\n" not in str(err.value)
    assert not Workspace.of(config).tables.exists()
    return str(err.value)


def test_without_tasks_it_is_the_simulated_world(tmp_path: Path) -> None:
    tables, notes = built(config_of(tmp_path))
    world = build_world(240, 10, seed=0)
    for name in TABLES:
        pd.testing.assert_frame_equal(tables[name], getattr(world, name))
    assert any("made up" in note for note in notes)


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    path = questions(tmp_path, "x.json", ["Who?", "When?"])
    tables, notes = built(config_of(tmp_path, [task("mine", path)]))
    assert tables["tasks"].to_dict("records") == [
        {"task_id": "mine", "description": "Task mine.", "metric": "f1_score"}
    ]
    assert tables["queries"]["query_id"].tolist() == [query_id("mine", "Who?"), query_id("mine", "When?")]
    assert tables["queries"]["ground_truth"].tolist() == ["truth 0", "truth 1"]
    assert notes == ["mine: 2 questions of 2 from x.json"]


def test_ones_own_entry_wins_over_the_shipped_one_in_any_spelling(tmp_path: Path) -> None:
    entries = [task("GSM-8K", questions(tmp_path, "x.json", ["1 + 1?"], "#### 2"), metric="gsm8k")]
    tables, _ = built(config_of(tmp_path, entries, tasks=("gsm8k",)))
    assert tables["tasks"].to_dict("records") == [
        {"task_id": "gsm8k", "description": "Task GSM-8K.", "metric": "gsm8k"}
    ]
    assert tables["queries"]["task_id"].tolist() == ["gsm8k"]


def test_repeated_questions_stay_once_and_are_counted(tmp_path: Path) -> None:
    path = questions(tmp_path, "x.json", ["Who?", "When?", "Who?", "Who?"])
    other = questions(tmp_path, "y.json", ["Who?"])
    tables, notes = built(config_of(tmp_path, [task("x", path), task("y", other)]))
    assert tables["queries"][["task_id", "query", "ground_truth"]].to_numpy().tolist() == [
        ["x", "Who?", "truth 0"],
        ["x", "When?", "truth 1"],
        ["y", "Who?", "truth 0"],
    ]
    assert "x: 2 repeated questions left out" in notes


def test_a_random_sample_hangs_on_nothing_but_seed_task_and_text(tmp_path: Path) -> None:
    texts = [f"question {i}" for i in range(200)]
    x = task("x", questions(tmp_path, "x.json", texts))
    y = task("y", questions(tmp_path, "y.json", texts))
    sample = texts_of(config_of(tmp_path, [x], queries_per_task=40), "x")
    assert len(sample) == 40
    assert sample == sorted(sample, key=texts.index)
    assert sample != texts[:40]
    assert texts_of(config_of(tmp_path, [y, x], queries_per_task=40), "x") == sample
    assert texts_of(config_of(tmp_path, [y, x], queries_per_task=40), "y") != sample
    assert texts_of(config_of(tmp_path, [x], queries_per_task=40, seed=1), "x") != sample
    assert set(texts_of(config_of(tmp_path, [x], queries_per_task=60), "x")) > set(sample)
    turned = task("x", questions(tmp_path, "z.json", texts[::-1]))
    assert set(texts_of(config_of(tmp_path, [turned], queries_per_task=40), "x")) == set(sample)


def test_the_first_questions_are_taken_after_repeated_ones_are_dropped(tmp_path: Path) -> None:
    entry = task("x", questions(tmp_path, "x.json", ["b", "b", "a", "c"]))
    config = config_of(tmp_path, [entry], sample="first", queries_per_task=2)
    assert texts_of(config, "x") == ["b", "a"]
    assert "x: 2 questions of 3 from x.json" in built(config)[1]


def test_long_questions_are_cut_and_those_that_become_one_are_dropped(tmp_path: Path) -> None:
    long = ["a b " + f"{i} " * 50 + "y z" for i in range(2)]
    config = config_of(tmp_path, [task("x", questions(tmp_path, "x.json", ["short", *long]))], prompt_tokens=4)
    tables, notes = built(config)
    assert tables["queries"]["query"].tolist() == ["short", f"a b{MARK}y z"]
    assert tables["queries"]["query_id"].is_unique
    assert notes[1:] == [
        "x: 1 repeated question left out",
        "x: 1 question cut to 4 tokens, the first and the last half",
    ]


def test_half_a_character_is_replaced_and_counted_and_nul_stays(tmp_path: Path) -> None:
    path = questions(tmp_path, "x.json", ["a \ud800 b", "\ud83d\ude00 whole \0 nul", "\U0001f600"])
    assert "\\ud800" in path.read_text()
    tables, notes = built(config_of(tmp_path, [task("x", path)]))
    assert tables["queries"]["query"].tolist() == ["a \ufffd b", "\U0001f600 whole \0 nul", "\U0001f600"]
    assert any(note.startswith("x: 1 question with half a character") and "U+FFFD" in note for note in notes)


def test_a_price_in_a_description_does_not_reach_the_table(tmp_path: Path) -> None:
    (tmp_path / "llms.yaml").write_text(
        "llms:\n- {llm_id: mine, description: Fast. Costs $3 per million tokens., input_price_usd_per_mtok: 3.0, "
        "output_price_usd_per_mtok: 4.0}\n"
    )
    config = config_of(tmp_path, llms=("mine",))
    config = config.model_copy(
        update={"data": config.data.model_copy(update={"llms_file": str(tmp_path / "llms.yaml")})}
    )
    row = built(config)[0]["llms"].iloc[0]
    assert (row["description"], row["api_model"], row["input_price_usd_per_mtok"]) == ("Fast.", "mine", 3.0)


@pytest.mark.parametrize(
    ("tasks", "parts"),
    [
        (["gsm9k"], ["got 'gsm9k' (did you mean 'gsm8k'?)", "squad"]),
        (["winogrande"], ["'winogrande', which has none in configs/tasks.yaml", "gsm8k"]),
        (["mmlu_anatomy"], ["got 'mmlu_anatomy' (did you mean 'mmlu'?)"]),
        (["squad", "SQUAD"], ["expected each task once, got 'squad' 2 times"]),
    ],
)
def test_a_task_that_cannot_be_asked(tmp_path: Path, tasks: list[str], parts: list[str]) -> None:
    message = refusal(config_of(tmp_path, tasks=tuple(tasks)))
    assert message.startswith("build.tasks: ")
    for part in parts:
        assert part in message


def test_a_source_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = questions(tmp_path, "x.json", ["1 + 1?"])
    where = f"{tmp_path}/mine.yaml: task 'x': source"
    message = refusal(config_of(tmp_path, [task("x", path, metric="f1_scor")]))
    assert f"{where}.metric: expected a known metric, got 'f1_scor' (did you mean 'f1_score'?)" in message
    message = refusal(config_of(tmp_path, [task("x", path, metric="code")]))
    assert f"{where}.metric: " in message
    assert "build.run_code" in message
    assert "row 1: expected a number in ground_truth" in refusal(
        config_of(tmp_path, [task("x", questions(tmp_path, "y.json", ["?"], "none"), metric="gsm8k")])
    )
    assert f"{where}.query: expected fields" in refusal(config_of(tmp_path, [task("x", path, query="{q")]))
    monkeypatch.delenv("ABSENT", raising=False)
    message = refusal(config_of(tmp_path, [task("x", Path("${ABSENT}/x.json"))]))
    assert f"{where}: file: expected the environment variable ABSENT" in message
    assert "--set" not in message


def test_variables_of_a_path_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions(tmp_path, "x.json", ["Who?"])
    monkeypatch.setenv("HERE", str(tmp_path))
    assert texts_of(config_of(tmp_path, [task("x", Path("${HERE}/${ABSENT:-x}.json"))]), "x") == ["Who?"]


def test_a_set_of_the_hub_through_the_command_line(tmp_path: Path) -> None:
    rows = [
        {"question": "Which barks?", "choices": {"text": ["cat", "dog"], "label": ["A", "B"]}, "answerKey": "B"},
        {"question": "Which eats?", "choices": {"text": ["cat", "sun"], "label": ["1", "2"]}, "answerKey": "1"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    shipped = yaml.safe_load((project_root() / "configs" / "tasks.yaml").read_text(encoding="utf-8"))
    entry = next(entry for entry in shipped["tasks"] if entry["task_id"] == "arc_challenge")
    entry["source"]["hub"] |= {"dataset": "me/set", "revision": COMMIT, "file": "x.parquet"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"tasks": [entry]}))
    (tmp_path / "c.yaml").write_text(
        f"build: {{folder: {tmp_path}/build, tasks: [arc-challenge], tasks_file: {tmp_path}/mine.yaml}}\n"
    )
    with hub_up({"x.parquet": (tmp_path / "x.parquet").read_bytes()}) as hub:
        done = subprocess.run(
            [sys.executable, "-m", "data_processing.unify", "--config", str(tmp_path / "c.yaml")],
            cwd=project_root(),
            env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "arc-challenge: 2 questions of 2 from me/set at 0123456789ab (x.parquet)\n"
    queries = Workspace(tmp_path / "build" / "default").read("queries", "unify")
    assert queries["ground_truth"].tolist() == ["B", "A"]
    assert queries["choices"].tolist() == ['["cat", "dog"]', '["cat", "sun"]']
    assert queries["query"][1].startswith("Which eats?\n\nA. cat\nB. sun\n\nAnswer with the letter")


# The published questions that are cross-checked: in unified_qa_data.csv they are the first 60 rows of each raw file.
PUBLISHED = {"GSM8K": "GSM8K.json", "multi_news": "multi_news.json", "SQUAD": "SQUAD.parquet"}
FIRST = 60


def published() -> pd.DataFrame:
    return read_csv(real("personalizedrouter") / "unified_qa_data.csv")


def test_the_published_questions_are_the_first_of_each_file_one_by_one(tmp_path: Path) -> None:
    folder = real("personalizedrouter")
    bare = task("SQUAD", folder / "SQUAD.parquet", query="{question}", ground_truth="{answers.text.0}")
    config_of(tmp_path, [bare])
    entries = {**shipped_tasks(), **read_tasks(tmp_path / "mine.yaml")}
    table = published()
    assert Counter(table["task_id"]) == dict.fromkeys([*PUBLISHED, "alpaca_data"], FIRST)
    for task_id, name in PUBLISHED.items():
        source = entries[task_spelling(task_id)].source
        assert source is not None
        ours = read_questions(folder / name, source, task_id)[:FIRST]
        theirs = table.loc[table["task_id"] == task_id, ["query", "ground_truth"]].to_numpy().tolist()
        assert [[question.query, question.ground_truth] for question in ours] == theirs


def test_of_the_published_questions_only_repeated_ones_are_left_out(tmp_path: Path) -> None:
    folder = real("personalizedrouter")
    table = published()
    bare = task("SQUAD", folder / "SQUAD.parquet", query="{question}", ground_truth="{answers.text.0}")
    config = config_of(tmp_path, [bare], tasks=tuple(PUBLISHED), sample="first", queries_per_task=FIRST)
    tables, notes = built(config)
    for task_id in PUBLISHED:
        theirs = table.loc[table["task_id"] == task_id, ["query", "ground_truth"]].drop_duplicates()
        ours = tables["queries"].loc[tables["queries"]["task_id"] == task_id, ["query", "ground_truth"]]
        # Three questions on Super Bowl 50 stand twice among theirs, each time with the same answer. Ours are all
        # different, and so reach three rows further into the file.
        assert len(theirs) == (57 if task_id == "SQUAD" else FIRST)
        assert len(ours) == FIRST
        assert ours.to_numpy().tolist()[: len(theirs)] == theirs.to_numpy().tolist()
    assert "SQUAD: 31 repeated questions left out" in notes
    assert tables["tasks"]["metric"].tolist() == ["gsm8k", "f1_score", "f1_score"]


def test_the_shipped_mapping_adds_the_passage_that_the_published_questions_lack(tmp_path: Path) -> None:
    table = published()
    theirs = table[table["task_id"] == "SQUAD"].drop_duplicates("query")
    queries = built(config_of(tmp_path, tasks=("squad",), sample="first", queries_per_task=57))[0]["queries"]
    assert queries["ground_truth"].tolist() == theirs["ground_truth"].tolist()
    rows = pq.read_table(real("personalizedrouter") / "SQUAD.parquet").slice(0, FIRST).to_pylist()
    passages = {row["question"]: row["context"] for row in rows}
    head = "Answer the question with a short span of the passage, and nothing else."
    assert queries["query"].tolist() == [
        f"{head}\n\nPassage: {passages[query]}\n\nQuestion: {query}" for query in theirs["query"]
    ]


def test_all_shared_files_are_read_whole(tmp_path: Path) -> None:
    real("personalizedrouter")
    tables, notes = built(config_of(tmp_path, tasks=("gsm8k", "multi_news", "squad")))
    assert tables["queries"]["task_id"].value_counts().to_dict() == {"gsm8k": 70, "multi_news": 200, "squad": 10_541}
    assert "squad: 29 repeated questions left out" in notes
    assert tables["tasks"]["metric"].tolist() == ["gsm8k", "f1_score", "f1_score"]
    assert set(tables["tasks"]["metric"]) <= set(METRICS)
    # The instruction before every GSM8K question holds a field's name in braces, which is text and stays.
    assert tables["queries"].loc[tables["queries"]["task_id"] == "gsm8k", "query"].str.contains("{question}").all()


def test_the_absent_alpaca_file_is_named(tmp_path: Path) -> None:
    folder = real("personalizedrouter")
    if (folder / "alpaca_data.json").exists():
        pytest.skip("the Alpaca file is here")
    message = refusal(config_of(tmp_path, tasks=("alpaca_data",)))
    assert f"{folder}/alpaca_data.json: expected a file of rows, got: No such file" in message
    assert "configs/tasks.yaml: task 'alpaca_data': source" in message


def test_what_was_made_of_other_questions_is_removed(tmp_path: Path) -> None:
    path = questions(tmp_path, "x.json", ["one", "two"])
    config = config_of(tmp_path, [task("x", path)])
    built(config)
    workspace = Workspace.of(config)
    key = {"query_id": [query_id("x", "one")], "llm_id": ["titan-ultra"]}
    workspace.write("outcomes", pd.DataFrame({**key, "response": ["1"], "performance": [1.0], "cost_usd": [0.1]}))
    assert not any("removed" in note for note in built(config)[1])
    assert (workspace.tables / "outcomes.parquet").is_file()
    questions(tmp_path, "x.json", ["one", "two", "three"])
    assert any("removed the tables outcomes" in note for note in built(config)[1])
    assert not (workspace.tables / "outcomes.parquet").exists()
