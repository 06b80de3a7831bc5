"""The router as it is used: text and user in, decision and reasons out; saved, loaded, damaged."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Data
from graph.artifact import save_artifact
from graph.graph_policy import GraphPolicy
from graph.records import Alternative, Decision
from graph.router import Router, explain
from tests.graph.world import GRAPH, LLMS, TASKS, TRAIN, tiny_config, tiny_prepared, tiny_router

QUESTIONS = ["king treaty empire war 12?", "Write of moon verse.\nUse 3 words.", "sum root factor 5?"]
STRANGE = ["", " ", "🦊", "Wie heißt die Hauptstadt? 東京", "x" * 100_000, "\ud800 half", "king " * 20_000, "\x00"]


@pytest.fixture(scope="module")
def router() -> Router:
    return tiny_router()


@pytest.fixture
def folder(router: Router, tmp_path: Path) -> Path:
    router.save(tmp_path / "router")
    return tmp_path / "router"


def test_a_decision_ranks_all_llms_by_utility(router: Router) -> None:
    decision = router.route(QUESTIONS[0], "user_2", "history")
    assert (decision.query, decision.user_id, decision.task_id) == (QUESTIONS[0], "user_2", "history")
    utilities = [item.utility for item in decision.alternatives]
    assert utilities == sorted(utilities, reverse=True)
    assert sorted(item.llm_id for item in decision.alternatives) == sorted(LLMS)
    best = decision.alternatives[0]
    assert (decision.llm_id, decision.expected_performance, decision.expected_cost_usd) == (
        best.llm_id,
        best.expected_performance,
        best.expected_cost_usd,
    )
    assert decision.preference == pytest.approx(0.4, abs=1e-3)
    assert decision.preference_source == "inferred"


def test_the_router_decides_as_its_policy_scores(router: Router) -> None:
    prepared = tiny_prepared()
    queries, users = prepared.test.queries, ["user_1", "user_4"]
    scores = router.policy.grid(queries, users)
    for row, user in enumerate(users):
        decisions = router.route_batch(queries.texts, [user] * len(queries), queries.task_ids)
        for column, decision in enumerate(decisions):
            by_llm = {item.llm_id: item.utility for item in decision.alternatives}
            found = [by_llm[llm] for llm in router.llm_ids]
            np.testing.assert_allclose(found, scores[row, column], rtol=0, atol=1e-5)
            assert decision.llm_id == router.llm_ids[int(np.argmax(found))]


def test_a_batch_is_the_single_decisions(router: Router) -> None:
    users, tasks, preferences = ["user_1", "nobody", "user_4"], [None, "poetry", None], [None, None, 0.6]
    batch = router.route_batch(QUESTIONS, users, tasks, preferences)
    for number, decision in enumerate(batch):
        single = router.route(QUESTIONS[number], users[number], tasks[number], preferences[number])
        assert single.llm_id == decision.llm_id
        assert (single.task_id, single.preference, single.why) == (decision.task_id, decision.preference, decision.why)
        assert single.nearest_queries == decision.nearest_queries
        assert single.expected_performance == pytest.approx(decision.expected_performance, abs=1e-5)
    assert router.route_batch([], []) == []


def test_users_differ_and_the_unknown_one_is_the_population(router: Router) -> None:
    by_user = {user: router.route(QUESTIONS[2], user) for user in ("user_1", "user_4", "nobody", "")}
    assert by_user["user_1"].llm_id != by_user["user_4"].llm_id
    for user in ("nobody", ""):
        decision = by_user[user]
        assert decision.preference_source == "population"
        assert decision.preference == pytest.approx(float(router.policy.preferences.mean(["?"])[0]))
        assert f"nothing is known of {user or 'this user'}" in decision.why
    assert router.user_ids == ["user_1", "user_2", "user_3", "user_4"]


def test_a_stated_preference_wins(router: Router) -> None:
    cheap, good = (router.route(QUESTIONS[2], "user_4", preference=alpha) for alpha in (0.0, 1))
    assert cheap.preference_source == good.preference_source == "stated"
    assert (cheap.preference, good.preference) == (0.0, 1)
    assert cheap.llm_id == min(cheap.alternatives, key=lambda item: item.expected_cost).llm_id
    assert good.expected_performance == max(item.expected_performance for item in good.alternatives)
    assert good.expected_cost_usd > cheap.expected_cost_usd
    assert "as stated" in good.why


@pytest.mark.parametrize("preference", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_preference_that_is_none_is_refused(router: Router, preference: float) -> None:
    with pytest.raises(InputError, match=r"preference: expected a number in \[0, 1\]"):
        router.route(QUESTIONS[0], preference=preference)


def test_an_unknown_task_is_refused_and_the_nearest_named(router: Router) -> None:
    with pytest.raises(InputError, match=r"task: expected one of algebra, history, poetry.*did you mean 'poetry'\?"):
        router.route(QUESTIONS[0], task_id="poetri")


@pytest.mark.parametrize(("question", "task"), zip(QUESTIONS, ("history", "poetry", "algebra"), strict=True))
def test_a_task_that_is_not_given_is_inferred_and_said_to_be(router: Router, question: str, task: str) -> None:
    decision = router.route(question, "user_1")
    assert decision.task_id == task
    assert f"Read as task {task}, inferred from the nearest known queries." in decision.why
    given = router.route(question, "user_1", task)
    assert f"Read as task {task}." in given.why
    assert "nearest" not in given.why


def test_the_nearest_queries_are_train_queries_nearest_first(router: Router) -> None:
    known = router.queries.iloc[7]
    decision = router.route(known["query"], "user_1")
    assert len(decision.nearest_queries) == 3
    assert decision.nearest_queries[0] == {
        "query_id": known["query_id"],
        "task_id": known["task_id"],
        "query": known["query"],
    }
    assert len({near["query_id"] for near in decision.nearest_queries}) == 3


@pytest.mark.parametrize("question", STRANGE, ids=lambda text: repr(text[:8]))
def test_any_text_gets_a_decision(router: Router, question: str) -> None:
    decision = router.route(question, "user_3")
    assert decision.llm_id in LLMS
    assert all(np.isfinite(item.utility) for item in decision.alternatives)
    assert decision.task_id in TASKS


def test_a_decision_is_json(router: Router) -> None:
    text = json.dumps(dataclasses.asdict(router.route(QUESTIONS[0], "user_1", preference=1)))
    assert json.loads(text)["alternatives"][0]["llm_id"] in LLMS


def test_without_tasks_none_is_asked_for_or_named() -> None:
    config = tiny_config(data=Data(use_tasks=False))
    prepared = tiny_prepared(config=config)
    policy = GraphPolicy(GRAPH, TRAIN).fit(prepared.train, prepared.validation)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    decision = Router(policy, prepared.features, config.encoder, table, {}).route(QUESTIONS[0], "user_1", "history")
    assert decision.task_id == ""
    assert "task" not in decision.why


def test_explain_names_what_decided() -> None:
    weak = Alternative("weak", 0.2, 0.5, 0.1, 0.001)
    strong = Alternative("strong", 0.3, 0.9, 0.8, 0.1)
    text = explain("ann", "algebra", False, (strong, weak), (0.8, "inferred"))
    assert text == (
        "Performance weighs 0.80 and cost 0.20, as inferred from what ann chose. Read as task algebra. "
        "strong leads weak by 0.100 utility, mostly on performance."
    )
    cheap = dataclasses.replace(weak, utility=0.4)
    assert explain("ann", "", True, (cheap, strong), (0.1, "stated")).endswith("by 0.100 utility, mostly on cost.")
    assert explain("", "", True, (weak,), (0.5, "population")) == (
        "Performance weighs 0.50 and cost 0.50, as of all users, for nothing is known of this user."
    )


def decisions(router: Router) -> list[Decision]:
    questions = [*QUESTIONS, *STRANGE]
    users = [("user_1", "user_4", "nobody")[i % 3] for i in range(len(questions))]
    return router.route_batch(questions, users)


def test_saved_and_loaded_decides_identically(router: Router, folder: Path) -> None:
    back = Router.load(folder, device="cpu")
    assert decisions(back) == decisions(router)
    assert back.about == router.about
    assert back.user_ids == router.user_ids
    assert back.llm_ids == router.llm_ids


def test_the_router_may_be_moved(router: Router, folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "else where")
    assert decisions(Router.load(tmp_path / "else where")) == decisions(router)


def test_the_folder_holds_no_pickle_and_no_path(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len(files) == 9
    for path in files:
        if path.suffix == ".json":
            assert str(folder.parent) not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", [".", "policy", "features"])
@pytest.mark.parametrize("name", ["arrays.safetensors", "settings.json", "manifest.json"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_damage_anywhere_is_refused_and_named(folder: Path, part: str, name: str, how: str) -> None:
    file = folder / part / name
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-2] + b"?!")
    with pytest.raises(InputError, match=r"manifest\.json" if name == "manifest.json" else name):
        Router.load(folder)


@pytest.mark.parametrize("part", [".", "policy", "features"])
def test_another_format_version_is_refused(folder: Path, part: str) -> None:
    path = folder / part / "manifest.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(InputError, match="expected format_version 1, got 99"):
        Router.load(folder)


def test_another_encoder_is_refused(router: Router, folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings["encoder_key"] = settings["encoder_key"].replace("hashing:24", "hashing:25")
    save_artifact(folder, "router", settings, {})
    with pytest.raises(InputError, match=r"expected the encoder 'hashing:25', got 'hashing:24'"):
        Router.load(folder)


@pytest.mark.parametrize("folder_name", ["", "no such folder"])
def test_no_router_is_refused(tmp_path: Path, folder_name: str) -> None:
    with pytest.raises(InputError, match="expected a router folder"):
        Router.load(tmp_path / folder_name)
