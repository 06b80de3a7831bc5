"""The main job from its command line: what a run leaves behind, what it refuses, and what Ctrl-C keeps."""

import csv
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import run_exp
from configs.load import load_config
from configs.schema import Config
from evaluation.results import DECISION_COLUMNS
from graph.router import Router
from tests.graph.tiny_bert import make_bert

BASE = """
name: tiny
data: {simulated: {queries: 40, llms: 4}}
users: {preferences: [0.2, 0.6, 1.0]}
encoder: {model: "hashing:64", cache: null}
graph: {topics: [2], neighbours: 4}
train: {epochs: 2}
evaluate: {bootstrap: 20, policies: [graph, oracle, random, best_single_per_user]}
tracking: {progress: "off"}
output: {plots: false, html: false}
"""
FILES = {
    "config.yaml",
    "metrics.json",
    "policies.csv",
    "per_user.csv",
    "per_task.csv",
    "decisions.parquet",
    "deferral.csv",
    "report.md",
    "report.html",
    "log.txt",
}
METRICS = {"schema", "dataset", "num_train", "num_test", "users", "llms", "repeats", "policies", "paired"}
MORE_METRICS = {
    "simulated",
    "cost_kind",
    "num_validation",
    "bootstrap",
    "savings",
    "calibration_error",
    "deferral",
    "judged",
    "confidence",
}
POLICY = {"reward", "performance", "cost_usd", "cost", "headroom", "oracle_ratio", "accuracy", "fit_seconds",
          "route_ms_per_query"}  # fmt: skip
SECONDS = ("fit_seconds", "route_ms_per_query")

Run = Callable[..., tuple[int, Path]]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A run takes over the root logger; give it back."""
    before, level = logging.root.handlers[:], logging.root.level
    yield
    for handler in logging.root.handlers:
        if handler not in before:
            handler.close()
    logging.root.handlers[:], logging.root.level = before, level


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function of `key=value` settings that runs the main job and returns (exit code, the run's folder)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")

    def call(
        *settings: str, config: str = "base.yaml", output: str = "runs", flag: str = "--config"
    ) -> tuple[int, Path]:
        arguments = [flag, config, "--output", output]
        for setting in settings:
            arguments += ["--set", setting]
        return run_exp.main(arguments), Path(output) / "tiny"

    return call


def numbers(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    """Return the metrics without what a clock measured."""
    metrics = json.loads((folder / name).read_text(encoding="utf-8"))
    for policy in metrics["policies"].values():
        for seconds in SECONDS:
            del policy[seconds]
    return metrics


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


SUBJECTS = ("rivers", "bridges", "stars", "bread", "chess", "trains")


def log(queries: int = 30, **columns: Any) -> list[dict[str, Any]]:
    """Return a long log: `large` is right about everything and dear, `small` about even questions and cheap."""
    rows = []
    for number in range(queries):
        text = f"What is fact {number} about {SUBJECTS[number % 6]}?"
        for llm_id, right, price in (("small", number % 2 == 0, 0.001), ("large", True, 0.01)):
            cost = price * (1 + number / 100)
            rows.append({"query": text, "llm_id": llm_id, "performance": float(right), "cost_usd": cost, **columns})
    return rows


# ------------------------------------------------------------------------------------------------ what a run leaves


def test_a_whole_run_with_every_policy_and_figures(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    every = ", ".join(Config().evaluate.policies)
    code, folder = run(f"evaluate.policies=[{every}]", "output.plots=true", "output.html=true", "output.plot_dpi=50")
    assert code == run_exp.DONE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error" not in captured.err
    assert {path.name for path in folder.iterdir()} == FILES | {"plots", "router"}
    assert list((folder / "plots").glob("*.png"))
    assert all(path.suffix == ".png" and path.stat().st_size > 1000 for path in (folder / "plots").iterdir())

    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == METRICS | MORE_METRICS
    sizes = {name: metrics[name] for name in ("schema", "dataset", "users", "llms", "repeats", "bootstrap")}
    assert sizes == {"schema": 1, "dataset": "simulated", "users": 3, "llms": 4, "repeats": 1, "bootstrap": 20}
    assert metrics["num_train"] + metrics["num_validation"] + metrics["num_test"] == 40
    assert set(metrics["policies"]) == set(Config().evaluate.policies)
    for policy in metrics["policies"].values():
        assert set(policy) == POLICY | {"headroom_std", "accuracy_std", "accuracy_top3"}
        assert set(policy["reward"]) == {"mean", "std", "ci95"}
    assert set(metrics["paired"]) == set(Config().evaluate.policies) - {"graph"}
    for pair in metrics["paired"].values():
        assert set(pair) == {"reward_diff", "ci95", "accuracy_diff", "accuracy_ci95"}
    assert metrics["policies"]["oracle"]["headroom"] == 1
    assert metrics["policies"]["best_single_per_user"]["headroom"] == 0

    decisions = pd.read_parquet(folder / "decisions.parquet")
    assert list(decisions.columns) == ["repeat", *DECISION_COLUMNS]
    assert len(decisions) == len(Config().evaluate.policies) * 3 * metrics["num_test"]
    means = decisions.groupby("policy")["reward"].mean()
    assert means.to_dict() == pytest.approx({k: v["reward"]["mean"] for k, v in metrics["policies"].items()})
    assert set(pd.read_csv(folder / "policies.csv")["policy"]) == set(metrics["policies"])
    assert len(pd.read_csv(folder / "per_user.csv")) == 3 * len(metrics["policies"])
    assert set(pd.read_csv(folder / "per_task.csv")["task_id"]) <= set(decisions["task_id"])
    assert "simulated" in (folder / "report.md").read_text(encoding="utf-8")
    assert {row["policy"] for row in metrics["deferral"]} >= {"graph", "oracle", "one LLM"}
    assert set(pd.read_csv(folder / "deferral.csv")["policy"]) == {row["policy"] for row in metrics["deferral"]}
    assert "strong_weak" not in metrics, "there are four LLMs"
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#|https://)', html), "self-contained"
    assert "40 queries, 4 tasks, 4 LLMs, 3 users, 160 outcomes" in (folder / "log.txt").read_text(encoding="utf-8")

    router = Router.load(folder / "router", device="cpu")
    decision = router.route("What is 3 + 4?", "user_1")
    assert decision.llm_id in set(decisions["llm_id"]) | set(router.llm_ids)
    assert len(decision.alternatives) == 4


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(run: Run) -> None:
    code, folder = run("evaluate.repeats=2")
    first = numbers(folder)
    assert (code, first["repeats"]) == (0, 2)
    frames = pd.read_parquet(folder / "decisions.parquet")
    # The resolved configuration, under the older spelling of the flag, is the whole experiment.
    code, again = run(config=str(folder / "config.yaml"), output="again", flag="--config_file")
    assert code == 0
    assert numbers(again) == first
    pd.testing.assert_frame_equal(pd.read_parquet(again / "decisions.parquet"), frames)
    assert load_config(again / "config.yaml") == load_config(folder / "config.yaml")
    _, other = run("seed=5", output="other")
    assert numbers(other)["policies"] != first["policies"]


def test_repeats_are_other_splits_of_the_same_world(run: Run) -> None:
    _, folder = run("evaluate.repeats=2")
    decisions = pd.read_parquet(folder / "decisions.parquet")
    first, second = (set(decisions.loc[decisions["repeat"] == n, "query_id"]) for n in (0, 1))
    assert first != second
    # A repeat does not depend on those before it.
    run("seed=1", output="alone")
    alone = pd.read_parquet("alone/tiny/decisions.parquet").drop(columns="repeat")
    wanted = decisions[decisions["repeat"] == 1].drop(columns="repeat").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, wanted, check_categorical=False)


def test_a_run_over_an_old_one_leaves_nothing_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = run("output.html=true")
    (folder / "plots").mkdir()
    (folder / "plots" / "old.png").write_bytes(b"old")
    (folder / "notes.md").write_text("mine")
    there: list[set[str]] = []
    real = run_exp.load_data

    def look(config: Config) -> Any:
        there.append({path.name for path in folder.iterdir()})
        return real(config)

    monkeypatch.setattr(run_exp, "load_data", look)
    code, _ = run("data.source=tables", "data.path=missing.csv")
    assert code == run_exp.WRONG_INPUT
    assert there == [{"config.yaml", "log.txt", "notes.md"}], "old results are gone before anything is loaded"


def test_without_the_graph_there_is_no_router(run: Run) -> None:
    run()
    code, folder = run("evaluate.policies=[oracle, random]")
    assert code == 0
    assert not (folder / "router").exists()
    assert numbers(folder)["paired"] == {}


@pytest.mark.parametrize(
    "settings",
    [
        ("users.interactions_per_user=1",),
        ("users.preferences=[0.4]",),
        ("users.feedback=choice", "data.observed_llms_per_query=1"),
        ("data.use_tasks=false", "data.cost_scaling=global", "encoder.style=false"),
        ("graph.relations.user_query=false", "train.epochs=0", "evaluate.bootstrap=0"),
        ("users.preference_stated=true", "tracking.log_level=warning"),
    ],
    ids=lambda settings: settings[0],
)
def test_settings_that_leave_little_to_learn_from_still_work(run: Run, settings: tuple[str, ...]) -> None:
    code, folder = run(*settings)
    assert code == 0
    policies = numbers(folder)["policies"]
    assert all(
        -1 <= policy["reward"]["mean"] <= policies["oracle"]["reward"]["mean"] + 1e-9 for policy in policies.values()
    )


# ------------------------------------------------------------------------------------------------ a user's own data


def test_a_users_own_log(run: Run) -> None:
    write_csv(Path("mine.csv"), log(40))
    every = ", ".join(Config().evaluate.policies)
    code, folder = run("data.source=tables", "data.path=mine.csv", f"evaluate.policies=[{every}]")
    assert code == 0
    metrics = numbers(folder)
    assert (metrics["dataset"], metrics["cost_kind"], metrics["llms"], metrics["num_train"]) == (
        "tables",
        "published",
        2,
        28,
    )
    assert metrics["simulated"] is False
    decisions = pd.read_parquet(folder / "decisions.parquet")
    cheapest = decisions[decisions["policy"] == "cheapest"]
    assert set(cheapest["llm_id"]) == {"small"}
    oracle = decisions[(decisions["policy"] == "oracle") & (decisions["user_id"] == "user_3")]
    assert (oracle["performance"] == 1).all(), "who ignores cost gets the right answer"


def test_a_log_of_users_who_state_what_they_weigh_and_what_they_chose(run: Run) -> None:
    rows = [
        {**row, "user_id": user, "preference": alpha, "chosen": int(row["llm_id"] == favourite)}
        for user, alpha, favourite in (("thrifty", 0.1, "small"), ("keen", 1.0, "large"))
        for row in log(40)
    ]
    write_csv(Path("mine.csv"), rows)
    code, folder = run("data.source=tables", "data.path=mine.csv")
    assert code == 0
    decisions = pd.read_parquet(folder / "decisions.parquet")
    chosen = decisions[decisions["policy"] == "graph"].groupby("user_id")["llm_id"].agg(set).to_dict()
    assert chosen["thrifty"] == {"small"}
    assert "large" in chosen["keen"]
    decision = Router.load(folder / "router", device="cpu").route("What is fact 3 about stars?", "thrifty")
    assert (decision.llm_id, decision.preference_source) == ("small", "inferred")


def test_a_separate_test_set_is_the_test_split(run: Run) -> None:
    rows = log(40)
    write_csv(Path("train.csv"), rows[:60])
    write_csv(Path("test.csv"), rows[60:])
    code, folder = run("data.source=tables", "data.path=train.csv", "data.test_path=test.csv")
    assert code == 0
    assert numbers(folder)["num_test"] == 10
    assert numbers(folder)["num_train"] + numbers(folder)["num_validation"] == 30


def test_users_who_state_their_preference_in_words(run: Run) -> None:
    words = [{"user_id": f"u{n}", "kind": "preference", "preference": w} for n, w in enumerate(("cost-first", "1"))]
    code, folder = run("data.source=tables", f"data.path={tables(users=words)}", "users.preference_stated=true")
    assert code == 0
    router = Router.load(folder / "router", device="cpu")
    assert [router.wish(user).preference for user in ("u0", "u1")] == [0.2, 1.0]


# ------------------------------------------------------------------------------------------------ personas and studies

JUDGED = ("users.strategy=llm_as_judge", "users.personas=12")


def test_personas_have_accuracies_and_no_rewards(run: Run) -> None:
    every = ", ".join(Config().evaluate.policies)
    code, folder = run(*JUDGED, f"evaluate.policies=[{every}]", "output.html=true")
    assert code == 0
    assert (folder / "report.html").stat().st_size > 1000
    metrics = numbers(folder)
    assert metrics["users"] == 12
    assert metrics["judged"]
    assert set(metrics["policies"]) == set(Config().evaluate.policies)
    for policy in metrics["policies"].values():
        assert policy["reward"]["mean"] is None
        assert 0 <= policy["accuracy"] <= 1
    assert metrics["policies"]["oracle"]["accuracy"] == 1
    decisions = pd.read_parquet(folder / "decisions.parquet")
    assert decisions["reward"].isna().all()
    shares = decisions.groupby("policy", observed=True)["best"].mean().to_dict()
    assert shares == pytest.approx({name: policy["accuracy"] for name, policy in metrics["policies"].items()})
    for pair in metrics["paired"].values():
        assert pair["reward_diff"] is None
        assert -1 <= pair["accuracy_diff"] <= 1
    router = Router.load(folder / "router", device="cpu")
    assert router.user_ids == [f"persona_{number:04d}" for number in range(1, 13)]
    decision = router.route("What is 3 + 4?", "persona_0007")
    assert (decision.preference, decision.preference_source, len(decision.alternatives)) == (None, "inferred", 4)
    router.observe("me", pd.DataFrame({"query": ["What is 3 + 4?"], "llm_id": [decision.llm_id]}))
    assert router.route("What is 3 + 4?", "me").preference_source == "inferred"


@pytest.mark.parametrize("thin", ["data.observed_llms_per_query=2", "users.interactions_per_user=3"])
def test_personas_on_thin_logs(run: Run, thin: str) -> None:
    code, folder = run(*JUDGED, thin)
    assert code == 0
    policies = numbers(folder)["policies"]
    assert policies["oracle"]["accuracy"] == 1, "judged by what was picked among all answers"
    assert all(0 <= policy["accuracy"] <= 1 for policy in policies.values())
    assert Router.load(folder / "router", device="cpu").route("What is 3 + 4?", "persona_0001").preference is None


STUDIED = (
    "evaluate.new_users.fraction=0.4",
    "evaluate.new_users.shots=[0, 5]",
    "evaluate.new_llms.llms=[nimbus-8b]",
    "evaluate.new_llms.probes=[0, 9]",
    "evaluate.thin_logs.observed_llms_per_query=[2, null]",
    "evaluate.thin_logs.interactions_per_user=[4]",
    "evaluate.thin_logs.policies=[graph, knn]",
    "evaluate.ablations=[{name: no tasks, set: [graph.relations.query_task=false]}]",
    "evaluate.policies=[graph, oracle, knn, best_single_per_user]",
)


@pytest.mark.parametrize("users", [(), JUDGED], ids=["preferences", "personas"])
def test_every_study_at_once(run: Run, users: tuple[str, ...]) -> None:
    code, folder = run(*STUDIED, *users, "evaluate.repeats=2")
    assert code == 0
    metrics = numbers(folder)
    names = {"new_users", "new_llms", "thin_logs", "ablation"}
    assert set(metrics["studies"]) == names
    assert {path.name for path in (folder / "studies").iterdir()} == {f"{name}.csv" for name in names}
    tables = {name: pd.read_csv(folder / "studies" / f"{name}.csv") for name in names}
    expected = {
        "new_users": {("graph", 0.0), ("graph", 5.0), ("best_single", 0.0), ("best_single", 5.0)},
        "thin_logs": {("graph", 4.0), ("knn", 4.0)},
        "ablation": {("full model", None), ("no tasks", None)},
        "new_llms": {("nimbus-8b", 0.0), ("nimbus-8b", 9.0), ("nimbus-8b", None)},
    }
    for name, table in tables.items():
        rows = {(series, None if x != x else x) for series, x in zip(table["series"], table["x"], strict=True)}
        assert rows == expected[name], name
        assert set(table["repeat"]) == {0, 1}
        value = table["accuracy"]
        assert value.between(0, 1).all()
        assert table["reward"].isna().all() if users else table["reward"].between(-1, 1).all()
    assert set(tables["thin_logs"]["panel"]) == {"2 LLMs per query", "all LLMs per query"}
    assert not (folder / "studies" / "ablations.csv").exists()
    text = (folder / "report.md").read_text(encoding="utf-8")
    for said in ("nimbus-8b", "no tasks"):
        assert said in text
    run(output="again")
    assert not (Path("again") / "tiny" / "studies").exists(), "no study, no table"


def test_a_study_that_cannot_be_done_is_refused_before_anything_is_trained(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_exp, "fit_policies", None)
    for setting, wanted in {
        "evaluate.new_llms.llms=[nimbus]": r"evaluate\.new_llms\.llms: expected ids of LLMs or \[all\], got 'nimbus'",
        "evaluate.new_users.users=[user_9]": r"evaluate\.new_users\.users: expected ids of users, got 'user_9'",
        "evaluate.ablations=[{name: x, set: [seed=3]}]": "evaluate.ablations, 'x': expected keys of .* got seed",
    }.items():
        code, folder = run(setting)
        assert_refused(code, folder, capsys.readouterr().err, wanted)
    code, folder = run("evaluate.new_llms.llms=[all]", "evaluate.policies=[oracle]")
    assert_refused(code, folder, capsys.readouterr().err, r"evaluate\.new_llms: expected 'graph' among evaluate")


# ------------------------------------------------------------------------------------------------ what is refused


def tables(**changed: list[dict[str, Any]]) -> str:
    """Write a folder of tables, some of them changed; return its path."""
    queries = [{"query_id": str(n), "query": f"question {n}", "task_id": "t"} for n in range(30)]
    outcomes = [
        {"query_id": str(n), "llm_id": llm, "performance": (n + i) % 2, "cost_usd": 0.1 * (i + 1)}
        for n in range(30)
        for i, llm in enumerate(("a", "b"))
    ]
    users = [{"user_id": "u", "kind": "preference", "preference": 0.5}]
    for name, rows in {"queries": queries, "outcomes": outcomes, "users": users, **changed}.items():
        write_csv(Path("own") / f"{name}.csv", rows)
    return "own"


def cell(column: str, value: Any) -> Callable[[], str]:
    """Return what writes a log with one wrong cell."""

    def write() -> str:
        rows = log()
        rows[7][column] = value
        return str(write_csv(Path("mine.csv"), rows))

    return write


def truncated() -> str:
    path = write_csv(Path("mine.csv"), log())
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.rindex(",") - 3], encoding="utf-8")
    return str(path)


def blank() -> str:
    Path("mine.csv").write_text("", encoding="utf-8")
    return "mine.csv"


def unscored() -> str:
    return str(write_csv(Path("mine.csv"), [{**row, "performance": ""} for row in log()]))


def some_prices() -> str:
    llms = [{"llm_id": "a", "input_price_usd_per_mtok": 1, "output_price_usd_per_mtok": 2}, {"llm_id": "b"}]
    outcomes = [{"query_id": str(n), "llm_id": llm, "performance": 1} for n in range(30) for llm in "ab"]
    Path("own").mkdir()
    write_csv(Path("own/llms.csv"), [{**dict.fromkeys(llms[0], ""), **llm} for llm in llms])
    return tables(outcomes=outcomes)


def personas() -> str:
    rows = [{**row, "user_id": "poet", "chosen": int(row["llm_id"] == "large")} for row in log()]
    return str(write_csv(Path("mine.csv"), rows))


def long_file(rows: Callable[[], list[dict[str, Any]]]) -> Callable[[], str]:
    return lambda: str(write_csv(Path("mine.csv"), rows()))


BAD_DATA: dict[str, tuple[Callable[[], str], str]] = {
    "missing file": (lambda: "nowhere.csv", "data.path: .*nothing at 'nowhere.csv'"),
    "unknown column": (long_file(lambda: log(effect=1)), "unknown column 'effect'"),
    "unknown column, a near one": (long_file(lambda: log(reponse="x")), "did you mean 'response'"),
    "missing column": (long_file(lambda: [{"query": "q", "llm_id": "a"}]), "expected a column 'performance'"),
    "unknown LLM chosen": (
        lambda: tables(interactions=[{"user_id": "u", "query_id": "3", "llm_id": "gpt-9"}]),
        r"interactions\.csv.*row 1 has 'gpt-9'",
    ),
    "unknown user": (
        lambda: tables(interactions=[{"user_id": "w", "query_id": "3", "llm_id": "a"}]),
        r"interactions\.csv.*row 1 has 'w'",
    ),
    "an empty split": (long_file(lambda: log(3)), "data.split: expected at least one .* got none of 3 queries"),
    "performance nan": (cell("performance", "nan"), r"mine\.csv.*'performance', row 8 has 'nan'"),
    "infinite performance": (cell("performance", "inf"), r"mine\.csv.*'performance', row 8 has 'inf'"),
    "performance above 1": (cell("performance", "1.5"), r"mine\.csv.*'performance', row 8 has '1.5'"),
    "performance in words": (cell("performance", "good"), r"mine\.csv.*'performance', row 8 has 'good'"),
    "no performance at all": (unscored, "expected performances in table 'outcomes', got none"),
    "negative cost": (cell("cost_usd", "-1"), r"mine\.csv.*'cost_usd', row 8 has '-1'"),
    "a cost missing": (cell("cost_usd", ""), r"mine\.csv.*'cost_usd', row 8"),
    "some prices": (some_prices, r"a price for every LLM or for none, got none for 'b'.*llms\.csv"),
    "cut off": (truncated, r"mine\.csv.*row 60.*cut off"),
    "empty file": (blank, r"mine\.csv.*empty file"),
    "users without a preference": (personas, r"expected users of kind 'preference' .* the first being 'poet'; add"),
    "a preference that is no word": (
        lambda: tables(users=[{"user_id": "u", "kind": "preference", "preference": "ballanced"}]),
        r"users\.csv.*'preference', row 1 has 'ballanced'",
    ),
}
BAD_SETTINGS = {
    "preference above 1": ("users.preferences=[0.5, 1.2]", r"users\.preferences\[1\]: expected a number .*got 1\.2"),
    "no users": ("users.preferences=[]", r"users\.preferences: expected a list of at least 1"),
    "misspelt key": ("train.epoch=3", "train.epoch: unknown key .did you mean 'epochs'"),
    "unknown policy": ("evaluate.policies=[graf]", r"evaluate\.policies\[0\]: expected one of .* got 'graf'"),
    "no policy": ("evaluate.policies=[]", r"evaluate\.policies: expected a list of at least 1"),
    "negative seed": ("seed=-1", "seed: expected a whole number >= 0 and <= 1000000000, got -1"),
    "huge seed": ("seed=5000000000", "seed: expected a whole number >= 0"),
    "an empty split": ("data.simulated.queries=20", "data.split: expected at least one"),
    "empty in a later repeat": ("evaluate.repeats=40", "data.split: expected at least one"),
    "shares that are not whole": ("data.split.test=0.5", r"data\.split: .*must be 1, got 1\.3"),
}


def assert_refused(code: int, folder: Path, stderr: str, wanted: str) -> None:
    assert code == run_exp.WRONG_INPUT
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1, f"one line, got:\n{stderr}"
    assert "Traceback" not in stderr
    assert re.search(wanted, stderr), stderr
    assert not list(folder.glob("metrics*"))
    assert not list(folder.glob("*.csv"))


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_no_result(run: Run, capsys: pytest.CaptureFixture[str], case: str) -> None:
    write, wanted = BAD_DATA[case]
    code, folder = run("data.source=tables", f"data.path={write()}")
    assert_refused(code, folder, capsys.readouterr().err, wanted)


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_bad_setting_is_one_line_and_no_result(run: Run, capsys: pytest.CaptureFixture[str], case: str) -> None:
    setting, wanted = BAD_SETTINGS[case]
    if case == "empty in a later repeat":
        Path("base.yaml").write_text(BASE.replace("queries: 40", "queries: 24"), encoding="utf-8")
    code, folder = run(setting)
    assert_refused(code, folder, capsys.readouterr().err, wanted)


POET = [{"user_id": "poet", "kind": "persona", "persona": "Likes verse."}]


def test_personas_of_ones_own_need_what_they_chose(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("data.source=tables", f"data.path={tables(users=POET)}", "users.strategy=llm_as_judge")
    code, folder = run(*settings)
    assert_refused(
        code, folder, capsys.readouterr().err,
        "expected a table 'interactions' with what its users chose, got none; add it, or leave out the table 'users'",
    )  # fmt: skip
    chosen = [{"user_id": "poet", "query_id": str(n), "llm_id": "ab"[n % 3 == 0]} for n in range(30)]
    tables(users=POET, interactions=chosen)
    code, folder = run(*settings)
    assert code == 0
    assert numbers(folder)["policies"]["graph"]["accuracy"] is not None
    assert Router.load(folder / "router", device="cpu").route("question 3", "poet").preference is None


def test_users_that_do_not_fit_the_strategy(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    both = [{"user_id": "u", "kind": "preference", "preference": 0.5, "persona": ""}, {**POET[0], "preference": ""}]
    chosen = [{"user_id": user["user_id"], "query_id": "3", "llm_id": "a"} for user in both]
    for users, strategy, wanted in (
        (
            POET,
            "multi_cost_efficiency",
            "kind 'preference' .* 1 of 1, the first being 'poet'; add a column 'preference'",
        ),
        (both, "multi_cost_efficiency", "kind 'preference' .* 1 of 2, the first being 'poet'; .* llm_as_judge"),
        (both, "llm_as_judge", "kind 'persona' .* 1 of 2, the first being 'u'; .* users.strategy to multi_cost_eff"),
    ):
        path = tables(users=users, interactions=chosen[-len(users) :])
        code, folder = run("data.source=tables", f"data.path={path}", f"users.strategy={strategy}")
        assert_refused(code, folder, capsys.readouterr().err, wanted)


def test_answers_without_text_cannot_be_judged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(Path("mine.csv"), log())
    code, folder = run("data.source=tables", "data.path=mine.csv", *JUDGED)
    assert_refused(code, folder, capsys.readouterr().err, "response|text")


def test_some_prices_of_routerdc(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scores = [{"question": f"q {n}", "scores": {"made/up-a": 0.5, "made/up-b": 1.0}} for n in range(30)]
    Path("dc").mkdir()
    Path("dc/gsm8k_train.json").write_text(json.dumps(scores), encoding="utf-8")
    price = "- {llm_id: made/up-a, input_price_usd_per_mtok: 1.0, output_price_usd_per_mtok: 1.0}\n"
    Path("llms.yaml").write_text(f"llms:\n{price}", encoding="utf-8")
    settings = ("data.source=routerdc", "data.path=dc", "data.llms_file=llms.yaml")
    code, folder = run(*settings)
    assert_refused(code, folder, capsys.readouterr().err, r"got none for 'made/up-b'.*llms\.yaml")
    Path("llms.yaml").write_text(f"llms:\n{price}{price.replace('up-a', 'up-b')}", encoding="utf-8")
    code, folder = run(*settings)
    assert (code, numbers(folder)["cost_kind"]) == (0, "computed")


def test_an_encoder_that_is_not_there(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    # Weights are loaded when the first text needs them, so the sizes of the data are on stderr by then.
    code, folder = run("encoder.model=./nowhere")
    *before, last = capsys.readouterr().err.splitlines(keepends=True)
    assert_refused(code, folder, last, "encoder.model: .*'./nowhere'")
    assert not any("error" in line for line in before)


def test_a_missing_configuration(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, folder = run(config="nowhere.yaml")
    assert_refused(code, folder, capsys.readouterr().err, "nowhere.yaml: expected a YAML configuration, found no file")
    assert not Path("runs").exists()


def test_a_misspelt_key_in_the_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.yaml").write_text(BASE.replace("epochs", "epoches"), encoding="utf-8")
    code, folder = run()
    assert_refused(code, folder, capsys.readouterr().err, r"train\.epoches: unknown key .did you mean 'epochs'")


@pytest.mark.parametrize("in_its_place", ["runs", "runs/tiny", "runs/tiny/router", "runs/tiny/log.txt/x"])
def test_an_output_folder_that_cannot_be_made(run: Run, capsys: pytest.CaptureFixture[str], in_its_place: str) -> None:
    Path(in_its_place).parent.mkdir(parents=True, exist_ok=True)
    Path(in_its_place).write_text("a file")
    code, _ = run()
    assert_refused(code, Path("nowhere"), capsys.readouterr().err, r"output\.folder: .*got runs/tiny.*--output DIR")


def test_a_performance_that_is_missing_here_and_there_is_counted_not_hidden(run: Run) -> None:
    rows = log(40)
    rows[7]["performance"] = ""
    write_csv(Path("mine.csv"), rows)
    code, folder = run("data.source=tables", "data.path=mine.csv")
    assert code == 0
    for name in ("report.md", "log.txt"):
        text = (folder / name).read_text(encoding="utf-8").replace("\\", "")
        assert "1 outcome without a performance dropped" in text


# ------------------------------------------------------------------------------------------------ Ctrl-C


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Make the `call`-th call of a function of run_exp a Ctrl-C."""
    real, calls = getattr(run_exp, name), [0]

    def stop(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(run_exp, name, stop)


@pytest.mark.parametrize("where", ["fit_policies", "evaluate", "prepare"])
def test_ctrl_c_in_a_later_repeat_keeps_the_finished_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    _, whole = run(output="whole")
    interrupt(monkeypatch, where, 2)
    code, folder = run("evaluate.repeats=3")
    assert code == run_exp.INTERRUPTED
    assert not (folder / "metrics.json").exists()
    kept = numbers(folder, "metrics.partial.json")
    assert kept == numbers(whole)
    assert "interrupted: 1 of 3 repeats" in (folder / "report.md").read_text(encoding="utf-8")
    assert Router.load(folder / "router", device="cpu").llm_ids


@pytest.mark.parametrize("where", ["load_data", "fit_policies", "evaluate"])
def test_ctrl_c_in_the_first_repeat_leaves_no_result(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    run("evaluate.policies=[oracle]")
    interrupt(monkeypatch, where, 1)
    code, folder = run("evaluate.repeats=3")
    assert code == run_exp.INTERRUPTED
    assert not list(folder.glob("metrics*"))
    assert not list(folder.glob("report*"))
    err = capsys.readouterr().err
    assert "no result was finished" in err
    assert "Traceback" not in err


def test_ctrl_c_in_training_keeps_the_best_weights_until_then(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import graph.train

    calls = [0]
    real = graph.train.train_epoch

    def stop(*arguments: Any) -> float:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(graph.train, "train_epoch", stop)
    code, folder = run("evaluate.repeats=2", "train.epochs=5")
    assert code == run_exp.INTERRUPTED
    assert numbers(folder, "metrics.partial.json")["repeats"] == 1
    assert not (folder / "metrics.json").exists()
    assert "interrupted: 1 of 2 repeats" in (folder / "report.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ the command line


def test_help_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        run_exp.main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for part in ("--config", "--set", "--output", "examples:", "exit codes"):
        assert part in text


def test_no_configuration_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        run_exp.main([])
    assert done.value.code == run_exp.WRONG_INPUT
    assert "--config" in capsys.readouterr().err


def test_the_encoder_trained_in_a_run_is_drawn_and_serves_the_policy_alone(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = make_bert(tmp_path_factory.mktemp("bert"), 2, 0.1)
    keys = [f"encoder.model={model}", "encoder.max_tokens=16", "encoder.trainable_layers=1", "encoder.dtype=float32"]
    keys += ["encoder.contrastive.steps=4", "encoder.contrastive.evaluate_every=2", "encoder.contrastive.head_steps=6"]
    keys += ["encoder.contrastive.clusters=3", "evaluate.policies=[graph, contrastive, oracle, best_single_per_user]"]
    code, folder = run(*keys, "encoder.training=contrastive", "output.plots=true", "output.html=true")
    assert code == 0
    assert (folder / "plots" / "query_map.png").is_file()
    tuned = pd.read_parquet(folder / "decisions.parquet").query("policy == 'contrastive'")
    # Under a frozen encoder the policy trains one of its own, in the same way: it chooses the same.
    code, folder = run(*keys, output="frozen")
    assert code == 0
    assert not (folder / "plots").exists()
    own = pd.read_parquet(folder / "decisions.parquet").query("policy == 'contrastive'")
    assert own["llm_id"].tolist() == tuned["llm_id"].tolist()
    pd.testing.assert_series_equal(
        own["expected_performance"], tuned["expected_performance"], check_exact=False, atol=1e-5
    )


def test_a_policy_that_needs_a_transformer_is_refused_before_anything_is_trained(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting in (
        "evaluate.policies=[graph, contrastive]",
        "evaluate.thin_logs={interactions_per_user: [2], policies: [contrastive]}",
    ):
        code, folder = run(setting)
        assert_refused(code, folder, capsys.readouterr().err, "encoder.model: expected a transformer .* 'hashing:64'")
