"""The stage that scores: what is scored, what never is, and whether the main job reads the table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Build, Config, Data, SimulatedWorld, Tracking
from data_processing.cache import ResponseStore
from data_processing.llm_client import CallError, Completion
from data_processing.responses import answer_call
from data_processing.roster import asked_llms
from data_processing.score import run, with_option
from data_processing.sources import load_data
from data_processing.stage import stage_main
from data_processing.tables import COLUMNS, query_id
from data_processing.workspace import Workspace

ROWS = [
    ("sums", "2 + 2?", "4", ""),
    ("sums", "12 + 13?", "25", ""),
    ("capitals", "The capital of France?", "Paris", ""),
    ("animals", "What barks?\nA. cats\nB. dogs", "B", json.dumps(["cats", "dogs"])),
]
METRICS = {"sums": "gsm8k", "capitals": "f1_score", "animals": "multiple_choice"}
# (question, LLM) -> what came back; "" for what was never asked
Replies = dict[tuple[int, int], str | CallError]
GOOD: Replies = {
    (0, 0): "It is 4.", (0, 1): "It is 5.", (1, 0): "#### 25", (1, 1): "25",
    (2, 0): "Paris", (2, 1): "Lyon", (3, 0): "dogs", (3, 1): "A",
}  # fmt: skip


def config_of(folder: Path, **build: object) -> Config:
    return Config(
        name="mine",
        build=Build(folder=str(folder), tasks=tuple(METRICS), **build),
        data=Data(simulated=SimulatedWorld(llms=2)),
        tracking=Tracking(progress="off"),
    )


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., tuple[Config, Workspace]]:
    """Make a workspace with tables and a store in which these replies are."""

    def build(replies: Replies, metrics: dict[str, str] = METRICS, estimated: bool = False) -> tuple[Config, Workspace]:
        config = config_of(tmp_path)
        space = Workspace.of(config)
        rows = [(query_id(task, text), task, text, truth, choices) for task, text, truth, choices in ROWS]
        space.write("queries", pd.DataFrame(rows, columns=list(COLUMNS["queries"])))
        space.write(
            "tasks",
            pd.DataFrame([(task, "", metric) for task, metric in metrics.items()], columns=list(COLUMNS["tasks"])),
        )
        llms = asked_llms(config)
        space.write("llms", pd.DataFrame([llm.entry.model_dump(include=set(COLUMNS["llms"])) for llm in llms]))
        with ResponseStore(space.store) as store:
            for (row, column), reply in replies.items():
                call = answer_call(llms[column], ROWS[row][1], config.build.answers)
                if isinstance(reply, CallError):
                    store.put_error(call, reply)
                else:
                    store.put(call, Completion(reply, 1000, 10 * (column + 1), 0.5, estimated))
        return config, space

    return build


def test_answers_are_scored_by_their_task_and_priced_by_their_llm(built: Callable) -> None:
    config, space = built(GOOD)
    notes = run(config, space).notes
    table = space.read("outcomes", "score")
    assert list(table.columns) == list(COLUMNS["outcomes"])
    first, second = asked_llms(config)
    assert table["llm_id"].tolist() == [first.llm_id, second.llm_id] * 4
    assert table["performance"].tolist() == [1, 0, 1, 1, 1, 0, 1, 0]  # "dogs" is the text of B
    assert table["cost_usd"].iloc[1] == pytest.approx(
        (1000 * second.input_price_usd_per_mtok + 20 * second.output_price_usd_per_mtok) / 1e6
    )
    assert (table["input_tokens"] == 1000).all()
    assert (table["latency_s"] == 0.5).all()
    assert (table["error"] == "").all()
    assert notes == [
        f"8 answers scored, for ${table['cost_usd'].sum():.4f}; mean performance: sums 0.750 (gsm8k), "
        "capitals 0.500 (f1_score), animals 0.500 (multiple_choice)"
    ]


def test_a_second_run_changes_nothing(built: Callable) -> None:
    config, space = built(GOOD)
    first = run(config, space), (space.tables / "outcomes.parquet").read_bytes()
    assert (run(config, space), (space.tables / "outcomes.parquet").read_bytes()) == first


def test_a_failed_call_is_never_scored_and_costs_nothing_that_could_look_cheap(built: Callable) -> None:
    failed = CallError("server", "500\n<html> \ud800 " + "x" * 900)
    config, space = built({**GOOD, (0, 0): failed, (2, 1): CallError("rate_limit", "429")})
    notes = run(config, space).notes
    table = space.read("outcomes", "score")
    row = table.iloc[0]
    assert row["response"] == ""
    assert row["error"].startswith("server: 500 <html> \ufffd xxx")
    assert len(row["error"]) == 300
    for column in ("performance", "cost_usd", "input_tokens", "output_tokens", "latency_s"):
        assert math.isnan(row[column])
    assert table["performance"].isna().sum() == 2
    assert "2 calls failed and not scored (rate_limit 1, server 1)" in notes[1]


def test_a_call_that_was_never_made_is_no_row(built: Callable) -> None:
    config, space = built({pair: reply for pair, reply in GOOD.items() if pair != (1, 1)})
    notes = run(config, space).notes
    table = space.read("outcomes", "score")
    assert len(table) == 7
    assert notes[1] == "1 of 8 calls were never made; run first: python -m data_processing.responses"


def test_an_answer_with_other_settings_is_not_this_answer(built: Callable) -> None:
    config, space = built(GOOD)
    other = config.model_copy(
        update={
            "build": config.build.model_copy(update={"answers": config.build.answers.model_copy(update={"seed": 7})})
        }
    )
    with pytest.raises(InputError, match=r"expected at least one answer, got none; run first.*responses"):
        run(other, space)


def test_an_llm_without_any_answer_is_named(built: Callable) -> None:
    down = {(row, 1): CallError("authentication", "401") for row in range(4)}
    config, space = built({**GOOD, **down})
    name = asked_llms(config)[1].llm_id
    with pytest.raises(InputError, match=rf"LLM '{name}'.*got only failed calls \(authentication 4\).*responses"):
        run(config, space)
    assert not (space.tables / "outcomes.parquet").exists()


def test_a_task_without_any_answer_is_named(built: Callable) -> None:
    config, space = built({pair: reply for pair, reply in GOOD.items() if pair[0] != 2})
    with pytest.raises(InputError, match=r"task 'capitals': expected at least one answer, got none; run first"):
        run(config, space)


def test_half_characters_are_marked_in_the_table_only(built: Callable) -> None:
    config, space = built({**GOOD, (2, 0): "Paris \ud83d", (2, 1): "Paris\x00\n\U0001f600"}, estimated=True)
    notes = run(config, space).notes
    table = space.read("outcomes", "score")
    assert table["response"].iloc[4] == "Paris \ufffd"
    assert table["response"].iloc[5] == "Paris\x00\n\U0001f600"
    assert notes[1] == "token counts of 8 answers are estimates: the API gave none"
    assert "1 answer with half a character" in notes[2]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("f1_scor", r"task 'capitals': .*got 'f1_scor' \(did you mean 'f1_score'\?\)"),
        ("", r"task 'capitals': expected a known metric, got ''"),
        ("code", r"task 'capitals': .*expected build\.run_code to be true"),
        ("gsm8k", r"task 'capitals': metric 'gsm8k': expected a number in ground_truth, got 'Paris'"),
        ("no_such_module:f", r"task 'capitals': .*expected a module no_such_module"),
        ("math:no", r"task 'capitals': .*expected a function 'no' in math"),
    ],
)
def test_a_metric_that_cannot_be_used_names_its_task(built: Callable, metric: str, message: str) -> None:
    config, space = built(GOOD, {**METRICS, "capitals": metric})
    with pytest.raises(InputError, match=message):
        run(config, space)


def test_what_is_not_there_names_the_stage_that_makes_it(tmp_path: Path, built: Callable) -> None:
    with pytest.raises(InputError, match=r"python -m data_processing\.unify"):
        run(config_of(tmp_path / "none"), Workspace(tmp_path / "none"))
    config, space = built(GOOD)
    space.store.unlink()
    with pytest.raises(InputError, match=r"responses\.sqlite: .*python -m data_processing\.responses"):
        run(config, space)
    assert not space.store.exists()


def test_a_query_without_a_truth_is_refused(built: Callable) -> None:
    config, space = built(GOOD)
    queries = space.read("queries", "unify")
    queries.loc[2, "ground_truth"] = " "
    space.write("queries", queries)
    with pytest.raises(
        InputError, match=r"expected a ground_truth for every query, got none for '\w+' of task 'capitals'"
    ):
        run(config, space)


def test_the_main_job_reads_the_table_without_the_failures(built: Callable) -> None:
    config, space = built({**GOOD, (0, 0): CallError("timeout", "30 s")})
    run(config, space)
    loaded = load_data(config.model_copy(update={"data": Data(source="tables", path=str(space.tables))}))
    outcomes = loaded.dataset.outcomes
    assert len(outcomes) == 7
    assert outcomes["performance"].notna().all()
    assert outcomes["cost_usd"].gt(0).all()
    assert "1 outcome without a performance dropped" in loaded.dataset.notes


def test_the_command_line(built: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    built(GOOD)
    path = tmp_path / "config.yaml"
    build = f"{{folder: '{tmp_path}', tasks: [{', '.join(METRICS)}]}}"
    path.write_text(f"name: mine\nbuild: {build}\ndata: {{simulated: {{llms: 2}}}}\n")
    assert stage_main(run, "", ["--config", str(path)]) == 0
    assert "8 answers scored" in capsys.readouterr().out
    assert stage_main(run, "", ["--config", str(path), "--set", "name=other"]) == 2
    assert "python -m data_processing.unify" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("truth", "choices", "shown"),
    [
        ("B", '["cats", "dogs"]', "B. dogs"),
        ("C", '["cats", "dogs"]', "C"),
        ("dogs", '["cats", "dogs"]', "dogs"),
        ("B", "", "B"),
        ("B", "cats; dogs", "B"),
        ("B", "{}", "B"),
        ("", '["cats"]', ""),
    ],
)
def test_the_truth_is_given_its_option(truth: str, choices: str, shown: str) -> None:
    assert with_option(truth, choices) == shown
