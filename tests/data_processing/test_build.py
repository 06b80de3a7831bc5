import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import run_exp
from benchmarks.faults import Ordeal, endure
from configs.errors import InputError
from configs.load import load_config
from configs.schema import Answers, Config, project_root
from data_processing import responses, score
from data_processing.build import STAGES, main
from data_processing.cache import ResponseStore
from data_processing.llm_client import Call, Completion
from data_processing.responses import answer_call
from data_processing.roster import asked_llms
from data_processing.simulated import build_world
from data_processing.simulated.profiles import profiles
from data_processing.simulated.server import ServerSettings
from data_processing.stage import Done
from data_processing.tables import read_table
from data_processing.workspace import Workspace
from tests.data_processing.importers.helpers import real
from tests.data_processing.judged_world import by_taste
from tests.data_processing.scripted_llm import Body, scripted_llm
from tests.data_processing.simulated.over_http import hosted

SMALL = ["--set", "data.simulated.queries=20", "--set", "data.simulated.llms=3", "--set", "tracking.progress=off"]
CONFIG = str(project_root() / "configs" / "default.yaml")


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Return the setting that has a server of this process asked, which starts sooner than one of its own."""
    with hosted(ServerSettings(llms=3)) as url:
        yield f"build.endpoints=[{{name: simulated, base_url: '{url}'}}]"


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--config", CONFIG, "--set", f"build.folder={folder}", *SMALL, *more]


def tables(folder: Path, name: str = "default") -> dict[str, pd.DataFrame]:
    return {path.stem: read_table(path) for path in sorted((folder / name / "tables").glob("*.parquet"))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    assert main(arguments(folder)) == 0
    return folder


def test_a_build_over_http_is_the_simulated_world(built: Path) -> None:
    world, made = build_world(20, 3, 0), tables(built)
    for name in ("tasks", "queries", "llms"):
        pd.testing.assert_frame_equal(made[name], getattr(world, name), check_dtype=False)
    key = ["query_id", "llm_id"]
    outcomes = made["outcomes"].sort_values(key, ignore_index=True)
    expected = world.outcomes.sort_values(key, ignore_index=True)
    measured = ["latency_s"]  # by the clock here, made up there
    pd.testing.assert_frame_equal(outcomes.drop(columns=measured), expected.drop(columns=measured), check_dtype=False)
    assert (outcomes["latency_s"] > 0).all()
    assert made["users"]["kind"].tolist() == ["preference"] * 9


def test_it_says_what_it_cost_and_leaves_a_report(built: Path) -> None:
    told = json.loads((built / "default" / "build.json").read_text(encoding="utf-8"))
    assert (told["queries"], told["llms"]) == (20, 3)
    assert told["spent_usd"] == pytest.approx(tables(built)["outcomes"]["cost_usd"].sum())
    assert sum(cost["calls"] for cost in told["planned"]) == 60
    assert told["spent_usd"] <= sum(cost["most_usd"] for cost in told["planned"])
    report = (built / "default" / "report.md").read_text(encoding="utf-8")
    for part in ("## Questions", "## Answers", "## Scores", "titan-ultra", "data.source=tables", "queries: 20"):
        assert part in report


def test_a_second_build_asks_nothing(built: Path, capsys: pytest.CaptureFixture) -> None:
    before = tables(built)
    assert main(arguments(built)) == 0
    assert "$0.0000 spent" in capsys.readouterr().out
    for name, table in tables(built).items():
        pd.testing.assert_frame_equal(table, before[name])


def test_a_dry_run_prints_the_cost_and_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(arguments(tmp_path, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert "abacus-7b-math" in out
    assert "US dollars" in out
    assert not (tmp_path / "default").exists()


def test_the_budget_is_never_exceeded_and_a_larger_one_goes_on(
    tmp_path: Path, served: str, capsys: pytest.CaptureFixture
) -> None:
    budget = 0.02
    assert main(arguments(tmp_path, "--set", served, "--max-usd", str(budget))) == 2
    assert "max_usd" in capsys.readouterr().err
    with ResponseStore(tmp_path / "default" / "responses.sqlite") as store:
        spent = store.spent_usd()
    assert 0 < spent <= budget
    assert main(arguments(tmp_path, "--set", served, "--max-usd", "5")) == 0
    assert len(tables(tmp_path)["outcomes"]) == 60
    judged = ["--set", "users.strategy=llm_as_judge", "--set", "build.answers.seed=1"]
    # Enough for the answers, so it ends within the judgements: what is left of it is said, and where the rest went.
    assert main(arguments(tmp_path, "--set", served, *judged, "--max-usd", "0.0365")) == 2
    assert "of $0.0365 went to earlier stages" in capsys.readouterr().err


def test_what_another_process_spends_is_on_its_own_account(
    tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score_while_another_process_asks(config: Config, workspace: Workspace) -> Done:
        with ResponseStore(workspace.store) as store:
            store.put(Call("other", "other", "api", (("user", "?"),), {}, 1e6, 1e6), Completion("!", 50, 50, 0.1))
        return score.run(config, workspace)

    monkeypatch.setitem(STAGES, "score", score_while_another_process_asks)
    judged = ["--set", "users.strategy=llm_as_judge", "--set", "users.personas=1"]
    assert main(arguments(tmp_path, "--set", served, *judged, "--max-usd", "1")) == 0
    told = json.loads((tmp_path / "default" / "build.json").read_text(encoding="utf-8"))
    assert 0 < told["stages"]["responses"]["spent_usd"] < told["spent_usd"] < 1


def test_personas_judge_what_was_answered(tmp_path: Path) -> None:
    judged = ["--set", "users.strategy=llm_as_judge", "--set", "users.interactions_per_user=4"]
    assert main(arguments(tmp_path, *judged)) == 0
    made = tables(tmp_path)
    assert made["users"]["kind"].unique().tolist() == ["persona"]
    assert made["interactions"].groupby("user_id").size().tolist() == [4] * 9
    assert (made["interactions"]["judge_reply"] != "").all()
    report = (tmp_path / "default" / "report.md").read_text(encoding="utf-8").lower()
    assert "position" in report
    assert "agree" in report


def test_answers_that_nobody_expects_reach_the_tables(tmp_path: Path) -> None:
    odd = [
        "x" * 200_000,
        "\x00 nul \x00 and 🙂👩‍👩‍👧",
        "half \ud83d a character",
        '{"choice": 1}\r\n\u2028=== end ===',
        "42",
    ]
    questions = ["How much is 6 * 7?", "\x00 nul \x00, 🙂 and " + "long " * 40_000]
    (tmp_path / "q.json").write_text(json.dumps([{"q": text} for text in questions]), encoding="utf-8")
    source = f"{{file: '{tmp_path}/q.json', query: '{{q}}', ground_truth: '42'}}"
    (tmp_path / "tasks.yaml").write_text(
        f"tasks: [{{task_id: odd, description: Odd., metric: f1_score, source: {source}}}]", encoding="utf-8"
    )
    asked: list[str] = []
    models = [profile.llm_id for profile in profiles(5, 0)]

    def reply(body: Body) -> str:
        asked.append(body["messages"][-1]["content"])
        return by_taste(body) if body["model"].endswith("judge") else odd[models.index(body["model"].split("/")[1])]

    with scripted_llm(reply) as (url, _):
        at = f"build.endpoints=[{{name: simulated, base_url: '{url}'}}]"
        own = [f"build.tasks_file={tmp_path}/tasks.yaml", "build.tasks=[odd]", "data.simulated.llms=5", at]
        judged = ["users.strategy=llm_as_judge", "users.personas=2"]
        assert main(arguments(tmp_path, *[part for key in own + judged for part in ("--set", key)])) == 0
    made = tables(tmp_path)
    assert made["queries"]["query"].tolist() == questions
    assert set(questions) <= set(asked)
    answers = made["outcomes"].set_index("llm_id")["response"]
    for llm_id, text in zip(models, odd, strict=True):
        assert answers[llm_id].tolist() == [text.replace("\ud83d", "\ufffd")] * 2
    assert made["outcomes"]["performance"].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0] * 2
    assert len(made["interactions"]) == 4
    with ResponseStore(tmp_path / "default" / "responses.sqlite") as store:
        llm = asked_llms(load_config(Path(CONFIG), ["data.simulated.llms=5"]))[2]
        kept = store.get(answer_call(llm, questions[0], Answers()).key)
    assert kept is not None
    assert kept.text == odd[2]


def test_a_missing_price_stops_before_the_first_call(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    llms = tmp_path / "llms.yaml"
    llms.write_text("llms: [{llm_id: unpriced, input_price_usd_per_mtok: 1.0}]\n", encoding="utf-8")
    more = ["--set", f"data.llms_file={llms}", "--set", "build.llms=[unpriced]"]
    assert main(arguments(tmp_path, *more)) == 2
    assert "output_price_usd_per_mtok" in capsys.readouterr().err
    assert not (tmp_path / "default").exists()


def test_a_missing_key_names_the_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTER_TEST_KEY", raising=False)
    near = "build.endpoints=[{name: simulated, base_url: 'http://127.0.0.1:9/v1', api_key_env: ROUTER_TEST_KEY}]"
    assert main(arguments(tmp_path, "--set", near)) == 2
    assert "ROUTER_TEST_KEY" in capsys.readouterr().err
    assert main(arguments(tmp_path, "--set", near, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert "the run itself will stop: endpoint 'simulated'" in out
    assert "export ROUTER_TEST_KEY=" in out
    assert not (tmp_path / "default").exists()


def test_a_key_is_asked_for_where_it_is_needed_and_nowhere_else(
    tmp_path: Path, served: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTER_TEST_KEY", raising=False)
    other = ", {name: other, base_url: 'http://127.0.0.1:9/v1', api_key_env: ROUTER_TEST_KEY}]"
    both = ["--set", served.removesuffix("]") + other]
    assert main(arguments(tmp_path, *both)) == 0
    llms = tmp_path / "llms.yaml"
    prices = "input_price_usd_per_mtok: 1.0, output_price_usd_per_mtok: 1.0"
    llms.write_text(f"llms: [{{llm_id: reader, endpoint: other, {prices}}}]\n", encoding="utf-8")
    judged = ["users.strategy=llm_as_judge", "build.judge.llm=reader", f"data.llms_file={llms}", "name=judged"]
    assert main(arguments(tmp_path, *both, *[part for key in judged for part in ("--set", key)])) == 2
    assert "ROUTER_TEST_KEY" in capsys.readouterr().err
    assert not (tmp_path / "judged").exists()  # the judge's key is missed before anything is made or paid for


def test_the_main_job_trains_on_what_was_built(built: Path, tmp_path: Path) -> None:
    more = ["data.source=tables", f"data.path={built}/default/tables", "evaluate.policies=[graph, best_single]"]
    quick = [
        "data.split={train: 0.5, validation: 0.25, test: 0.25}",
        "encoder.model=hashing:32",
        "train.epochs=2",
        "evaluate.bootstrap=0",
        "output.plots=false",
    ]
    sets = [part for key in more + quick for part in ("--set", key)]
    assert run_exp.main(["--config", CONFIG, "--output", str(tmp_path), *sets]) == 0
    metrics = json.loads((tmp_path / "default" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["num_train"] + metrics["num_test"] <= 20
    assert metrics["policies"]["graph"]["performance"] > 0


@pytest.mark.parametrize(
    ("stage", "change", "said"),
    [
        (
            responses,
            "data.simulated.llms=4",
            r"llms\.parquet: expected LLM 'quill-pro' of build\.llms, got none.*run again: .*unify",
        ),
        (score, "data.simulated.llms=4", r"llms\.parquet: expected LLM 'quill-pro' of build\.llms, got none"),
        (
            responses,
            "build.tasks=[squad]",
            r"tasks\.parquet: expected task 'squad' of build\.tasks, got none.*run again: .*unify",
        ),
        (score, "build.tasks=[squad]", r"tasks\.parquet: expected task 'squad' of build\.tasks, got none"),
        (responses, "build.tasks=[arithmetic]", r"tasks\.parquet: expected tasks of build\.tasks, got 'instruction'"),
    ],
)
def test_a_stage_alone_refuses_tables_of_other_llms_or_tasks(
    built: Path, stage: ModuleType, change: str, said: str
) -> None:
    before = tables(built)["outcomes"]
    options = [*SMALL[1::2], f"build.folder={built}", change]
    config = load_config(Path(CONFIG), options)
    with pytest.raises(InputError, match=said):
        stage.run(config, Workspace.of(config))
    pd.testing.assert_frame_equal(tables(built)["outcomes"], before)


def test_published_questions_become_tables(tmp_path: Path) -> None:
    real("personalizedrouter")  # skips where the data are not there
    path = str(project_root() / "configs" / "personalizedrouter.yaml")
    small = ["--set", "build.queries_per_task=4", "--set", "data.simulated.llms=3", "--set", "tracking.progress=off"]
    assert main(["--config", path, "--set", f"build.folder={tmp_path}", *small]) == 0
    made = tables(tmp_path, "personalizedrouter")
    assert len(made["queries"]) == 12
    assert made["outcomes"]["performance"].notna().all()
    assert made["outcomes"]["performance"].nunique() > 2
    assert load_config(Path(path)).data.path == "data/build/personalizedrouter/tables"


@pytest.mark.skipif(os.name != "posix", reason="kill -9 needs a POSIX system")
def test_tables_after_faults_and_kills_equal_those_of_a_clean_run(tmp_path: Path) -> None:
    outcome = endure(Ordeal(queries=20, llms=3, kills=2, concurrency=8, timeout_s=1.0), tmp_path)
    assert sum(outcome.faults.values()) > 5
    assert outcome.runs > 2
    assert outcome.survived, outcome
